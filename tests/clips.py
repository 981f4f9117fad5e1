"""Clips made for tests: frames that carry their number, at known times, turned, with sound."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

BITS = 12
TICKS = 90_000
SOUND_RATE = 48_000


def numbered(number: int, width: int = 320, height: int = 240) -> NDArray[np.uint8]:
    """A picture whose number can be read after any coding, and whether it is upright.

    The top half shows the number in black and white columns, the highest bit left, over a row that
    is white left and black right; the bottom half has a colour of its own.
    """
    image = np.empty((height, width, 3), np.uint8)
    image[:] = (40 + number * 7 % 160, 90, 200 - number * 3 % 160)
    columns = (np.arange(width) * BITS // width).clip(0, BITS - 1)
    bits = (number >> (BITS - 1 - columns)) & 1
    image[: height // 4] = (bits * 255).astype(np.uint8)[None, :, None]
    image[height // 4 : height // 2] = np.where(np.arange(width) < width // 2, 255, 0)[
        None, :, None
    ]
    return image


def read_number(image: NDArray[np.uint8]) -> int:
    """The number in a picture that `numbered` drew, whatever its size.

    Raises:
        AssertionError: the picture is not upright, or mirrored.
    """
    height, width = image.shape[:2]
    grey = image.mean(axis=2)
    left, right = grey[height * 3 // 8, [width // 8, width * 7 // 8]]
    assert left > 192, "the picture is not upright"
    assert right < 64, "the picture is not upright"
    centres = ((np.arange(BITS) + 0.5) * width / BITS).astype(int)
    bits = grey[height // 8, centres] > 128
    return int(sum(int(bit) << (BITS - 1 - place) for place, bit in enumerate(bits)))


def write_clip(
    path: Path,
    times: Sequence[float] | int = 30,
    *,
    size: tuple[int, int] = (320, 240),
    rate: int = 30,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    file_format: str | None = None,
    display_matrix: Sequence[int] | None = None,
    pixel_aspect: Fraction | None = None,
    sound: str | None = None,
    sound_from: float = 0.0,
    pictures: Sequence[NDArray[np.uint8]] | None = None,
) -> Path:
    """Write a clip of numbered frames.

    Args:
        path: its suffix selects the container, unless `file_format` does.
        times: seconds of each frame, or how many frames at `rate`.
        display_matrix: nine numbers, 16.16 fixed point, as MP4 stores them.
        pixel_aspect: width over height of a pixel.
        sound: an audio codec; a tone of the clip's length from `sound_from` seconds on.
        pictures: other pictures than the numbered ones, one per time.
    """
    if isinstance(times, int):
        times = [index / rate for index in range(times)]
    if codec == "libvpx":  # which otherwise takes a hundred times as long as the others
        options = {"deadline": "realtime", "cpu-used": "8", **(options or {})}
    with av.open(str(path), "w", format=file_format, options=container_options or {}) as output:
        video = output.add_stream(codec, rate=rate, options=options or {})
        video.width, video.height = size
        video.codec_context.thread_count = 1  # small pictures; more threads wait for each other
        video.pix_fmt = pixel_format
        if codec != "mpeg4":  # which allows no time base as fine
            video.time_base = video.codec_context.time_base = Fraction(1, TICKS)
        if pixel_aspect is not None:
            video.codec_context.sample_aspect_ratio = pixel_aspect
        if display_matrix is not None:
            video.set_display_matrix(display_matrix)
        track = None
        if sound is not None:
            layout = {"layout": "stereo"} if sound.startswith("pcm") else {}
            track = output.add_stream(sound, rate=SOUND_RATE, options={"strict": "-2"}, **layout)
            last = times[-1] - times[0] + 1 / rate
            for frame in _tone(last, sound_from):
                output.mux(track.encode(frame))
            output.mux(track.encode(None))
        for number, time in enumerate(times):
            image = numbered(number, *size) if pictures is None else pictures[number]
            picture = av.VideoFrame.from_ndarray(image, format="rgb24")
            picture.pts, picture.time_base = round(time * TICKS), Fraction(1, TICKS)
            output.mux(video.encode(picture))
        output.mux(video.encode(None))
    return path


def packets(path: Path, kind: str = "video") -> list[tuple[float, bytes]]:
    """Time in seconds and content of each packet of the first track of a kind."""
    with av.open(str(path)) as file:
        return [
            (float(packet.pts * packet.time_base), bytes(packet))
            for packet in file.demux(**{kind: 0})
            if packet.size
        ]


def damage(path: Path, first: int, last: int) -> Path:
    """Overwrite the content of video packets first..last, in the order they are stored."""
    with av.open(str(path)) as file:
        places = [(p.pos, p.size) for p in file.demux(video=0) if p.size]
    data = bytearray(path.read_bytes())
    noise = np.random.default_rng(0)
    for position, length in places[first : last + 1]:
        data[position : position + length] = noise.bytes(length)
    path.write_bytes(data)
    return path


def cut_off(path: Path, packet: int) -> Path:
    """Cut a file in the middle of a video packet."""
    with av.open(str(path)) as file:
        places = [(p.pos, p.size) for p in file.demux(video=0) if p.size]
    position, length = places[packet]
    path.write_bytes(path.read_bytes()[: position + length // 2])
    return path


def _tone(seconds: float, begins: float) -> list[av.AudioFrame]:
    step = SOUND_RATE // 50
    frames = []
    for first in range(0, round(seconds * SOUND_RATE), step):
        wave = np.sin(2 * np.pi * 440 * (first + np.arange(step)) / SOUND_RATE)
        samples = np.repeat((wave * 8000).astype(np.int16), 2)[None]  # both channels, interleaved
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="stereo")
        frame.sample_rate = SOUND_RATE
        frame.pts, frame.time_base = round(begins * SOUND_RATE) + first, Fraction(1, SOUND_RATE)
        frames.append(frame)
    return frames
