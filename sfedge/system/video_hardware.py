"""Video decoders and encoders of a device's hardware; where one does not work, the CPU's are used.

None of them has been run on its hardware: what is tested is the choice and the fallback.
"""

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
import av.error
import numpy as np
from av.codec.hwaccel import HWAccel
from av.video.reformatter import ColorRange

from sfedge.core.config import Codecs

FAILURES = (av.error.FFmpegError, OSError, ValueError)
TICKS = 90_000  # per second; the error of a frame's time is below 6 microseconds
_BT709 = 1  # FFmpeg's number for it as matrix, primaries and transfer
_PROBE = 4  # frames that an encoder must encode before it is believed


@dataclass(frozen=True, slots=True)
class VideoEncoder:
    """An H.264 encoder."""

    name: str  # FFmpeg's
    device: str | None = None  # to which frames are brought; None for the encoder's own way
    options: Mapping[str, str] = field(default_factory=dict)

    def add_to(self, output: Any, rate: Fraction, width: int, height: int) -> Any:
        """A picture stream that this encodes, in an output of PyAV, with `TICKS` a second."""
        device = None if self.device is None else HWAccel(self.device)
        stream = output.add_stream(self.name, rate=rate, options=dict(self.options), hwaccel=device)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.gop_size = 10_000  # key frames are placed by time
        context = stream.codec_context
        stream.time_base = context.time_base = Fraction(1, TICKS)
        context.colorspace = context.color_primaries = context.color_trc = _BT709
        context.color_range = ColorRange.MPEG
        return stream


# Constant quality, about that of the CPU's encoder; no frame waits for later ones.
_ENCODERS: Mapping[str, VideoEncoder] = {
    "nvidia": VideoEncoder(
        "h264_nvenc",
        options={"preset": "p3", "rc": "vbr", "cq": "24", "bf": "0", "delay": "0"}
        | {"forced-idr": "1"},
    ),
    "vaapi": VideoEncoder("h264_vaapi", "vaapi", {"rc_mode": "CQP", "qp": "23", "bf": "0"}),
    "v4l2": VideoEncoder("h264_v4l2m2m", options={"b": "6M"}),
}
_DECODERS: Mapping[str, str] = {"nvidia": "cuda", "vaapi": "vaapi"}


def decoding_devices(codecs: Codecs) -> Iterator[str]:
    """FFmpeg's names of the devices to decode on, the first that opens; none for the CPU."""
    for name, device in _DECODERS.items():
        if codecs in ("auto", name):
            yield device


def working_encoder(codecs: Codecs, width: int, height: int) -> VideoEncoder | None:
    """The hardware's encoder that encodes pictures of this size; None where none does.

    Args:
        codecs: whose.
        width: pixels, even.
        height: likewise.
    """
    for name, encoder in _ENCODERS.items():
        if codecs in ("auto", name) and _works(encoder, width, height):
            return encoder
    return None


def _works(encoder: VideoEncoder, width: int, height: int) -> bool:
    black = np.zeros((height * 3 // 2, width), np.uint8)
    try:
        with av.open(io.BytesIO(), "w", format="mp4") as output:
            stream = encoder.add_to(output, Fraction(25), width, height)
            packets = 0
            for number in range(_PROBE):
                frame = av.VideoFrame.from_ndarray(black, format="yuv420p")
                frame.pts, frame.time_base = number * TICKS // 25, Fraction(1, TICKS)
                packets += len(stream.encode(frame))
            return packets + len(stream.encode(None)) >= _PROBE
    except FAILURES:
        return False
