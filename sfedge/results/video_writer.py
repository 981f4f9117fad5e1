"""Annotated video: H.264 in MP4 with true frame times and the source's sound."""

import contextlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
from av.video.frame import PictureType

from sfedge.core.config import Codecs
from sfedge.core.errors import OutputError, SourceError
from sfedge.core.structures import Image
from sfedge.results.growing_file import GrowingFile
from sfedge.results.sound import Sound, open_sound
from sfedge.sources.fit import fitted
from sfedge.sources.sound_feed import SoundFeed
from sfedge.system.closing import Closing
from sfedge.system.video_hardware import TICKS, VideoEncoder, working_encoder

_KEY_FRAME_EVERY = 1.0  # seconds; a player can start anywhere within this
_MAX_SIDE = 8192  # pixels; what H.264 decoders go up to
# As good as the next slower preset with crf 21, in a fifth less time and a tenth more bytes:
# `python -m benchmarks.encoding`.
PRESET, CRF = "superfast", 22
_ENCODER = {
    "forced-idr": "1",  # a player can start at each key frame
    # No frame waits in the encoder for later ones: what was written is on its way to the disk.
    "x264-params": "bframes=0:rc-lookahead=0:sync-lookahead=0:mbtree=0:sliced-threads=1",
}
# While it grows, the file is a row of fragments, each complete when the next key frame comes. At
# the end FFmpeg writes one index behind them and turns the fragments into plain data, in place. The
# header waits for the first packet of each track: some codecs say only there what belongs in it.
_MP4 = {
    "movflags": "frag_keyframe+delay_moov+default_base_moof+hybrid_fragmented",
    "flush_packets": "1",
    "max_interleave_delta": "1000000",  # microseconds that picture waits for sound
    "movie_timescale": f"{TICKS}",
}


class VideoWriter(Closing):
    """Writes frames at their own times; nothing that was written is ever lost.

    The file can be played while it grows, also if the program is killed. `finish` makes it a plain
    MP4 in place, with the rest of the sound: it needs no space on the disk but for the index.

    Args:
        path: the file, replaced.
        width: of the picture in pixels; odd sizes are filled up by repeating the last column.
        height: the same.
        frame_rate: average, for the encoder's rate control and the last frame's length.
        audio_from: file, recording on the web or live stream whose sound is copied, bit by bit
            where MP4 can hold it, else as AAC.
        start: seconds of the source that become zero, for picture and sound.
        end: seconds of the source where the sound ends; None for all of it.
        preset: of x264.
        crf: of x264, from 0 to 51; less is better.
        codecs: whose encoder; x264 where that does not work.

    Attributes:
        note: why the encoder that was asked for does not write, a sentence; else "".

    Raises:
        OutputError: the file cannot be written, for example because the disk is full.
    """

    def __init__(
        self,
        path: Path,
        *,
        width: int,
        height: int,
        frame_rate: float | None,
        audio_from: Path | str | SoundFeed | None = None,
        start: float = 0.0,
        end: float | None = None,
        preset: str = PRESET,
        crf: int = CRF,
        codecs: Codecs = "cpu",
    ) -> None:
        self.path = path
        hardware = working_encoder(codecs, *_even_size(width, height))
        options = {**_ENCODER, "preset": preset, "crf": str(crf)}
        self._encoder = hardware or VideoEncoder("libx264", options=options)
        self.note = ""
        if hardware is None and codecs not in ("cpu", "auto"):
            self.note = f"the CPU encodes the video: no encoder of {codecs} works here"
        self._start = start
        self._size = _even_size(width, height)
        self._rate = Fraction(frame_rate or 25).limit_denominator(1001)
        self._ticks, self._key_ticks = -1, -TICKS  # of the last frame, of the last key frame
        self._output: Any = None
        self._sound: Sound | None = None
        self._losses: tuple[str, ...] = ()
        try:
            with self._reporting():
                self._file = GrowingFile(path)
            with self._reporting():
                self._begin(audio_from, end)
        except BaseException:
            self.close()
            raise

    @property
    def losses(self) -> tuple[str, ...]:
        """Sentences on what of the source could not be kept."""
        return self._losses if self._sound is None else self._sound.losses

    def write(self, image: Image, time: float) -> None:
        """Add a frame; it is on the disk, playable, a few frames later.

        Args:
            image: (H, W, 3) RGB; one of another size is fitted into the video's, on black.
            time: seconds of the source, later than that of the frame before.
        """
        ticks = max(round((time - self._start) * TICKS), self._ticks + 1)
        frame = av.VideoFrame.from_numpy_buffer(_coded(image, self._size), format="rgb24")
        frame = frame.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
        frame.pts, frame.time_base = ticks, Fraction(1, TICKS)
        if ticks - self._key_ticks >= _KEY_FRAME_EVERY * TICKS:
            frame.pict_type = PictureType.I
            self._key_ticks = ticks
        with self._reporting():
            if self._sound is not None:
                self._output.mux(list(self._sound.packets(ticks / TICKS)))
            self._output.mux(self._packets(frame))
        self._ticks = ticks

    def finish(self) -> None:
        """Complete the file, with all of its sound.

        Raises:
            OutputError: no frame was written, or the file cannot be; what was written stays.
        """
        if self._ticks < 0:
            raise OutputError("no frame was written", where=str(self.path))
        with self._reporting():
            self._output.mux(self._packets(None))
            if self._sound is not None:
                last = self._ticks / TICKS + float(1 / self._rate)
                self._output.mux([*self._sound.packets(last), *self._sound.packets(None)])
            output, self._output = self._output, None
            output.close()
            self._file.sync()
        self.close()

    def close(self) -> None:
        """Release the file; what was written stays, playable."""
        output, self._output = self._output, None
        if output is not None:
            with contextlib.suppress(av.error.FFmpegError, OSError):
                if self._ticks >= 0:
                    output.mux(self._packets(None))
            with contextlib.suppress(av.error.FFmpegError, OSError):
                output.close()
        if self._sound is not None:
            self._losses = self._sound.losses
            self._sound.close()
            self._sound = None
        if hasattr(self, "_file"):
            self._file.close()
            if self._ticks < 0:
                self.path.unlink(missing_ok=True)

    def _begin(self, audio_from: Path | str | SoundFeed | None, end: float | None) -> None:
        self._output = av.open(self._file, "w", format="mp4", options=_MP4)
        self._picture = self._encoder.add_to(self._output, self._rate, *self._size)
        if audio_from is not None:
            self._sound = self._open_sound(audio_from, end)
        if self._sound is not None:
            self._sound.add_to(self._output)
        self._output.start_encoding()

    def _open_sound(self, audio_from: Path | str | SoundFeed, end: float | None) -> Sound | None:
        try:
            sound = open_sound(audio_from, start=self._start, end=end)
        except SourceError as error:
            problem = error.what
        else:
            problem = sound.problem
            if sound.begins is not None:
                return sound
            sound.close()
        if problem:
            self._losses = (f"the sound could not be kept: {problem}",)
        return None

    def _packets(self, frame: av.VideoFrame | None) -> list[Any]:
        """The packets of a frame; None flushes the encoder."""
        packets = list(self._picture.encode(frame))
        for packet in packets:  # only the last one's is kept: a frame lasts until the next
            packet.duration = round(TICKS / self._rate)
        return packets

    @contextlib.contextmanager
    def _reporting(self) -> Iterator[None]:
        """Turn what writing can raise into an OutputError."""
        try:
            yield
        except (av.error.FFmpegError, OSError) as error:
            raise OutputError(
                f"the video cannot be written ({error.strerror or error})",
                where=str(self.path),
                fix="Check that the folder can be written to and the disk has free space.",
            ) from error


def _even_size(width: int, height: int) -> tuple[int, int]:
    """The size of the coded picture: even, as its colours have half the resolution."""
    scale = min(1.0, _MAX_SIDE / max(width, height))
    if scale < 1:
        width, height = max(round(width * scale), 1), max(round(height * scale), 1)
    return width + width % 2, height + height % 2


def _coded(image: Image, size: tuple[int, int]) -> Image:
    """The picture at the coded size: odd edges repeated, another size scaled onto black."""
    width, height = size
    high, wide = image.shape[:2]
    if not (0 <= width - wide <= 1 and 0 <= height - high <= 1):
        return fitted(image, size)
    if (high, wide) != (height, width):
        image = np.pad(image, ((0, height - high), (0, width - wide), (0, 0)), mode="edge")
    return np.ascontiguousarray(image)
