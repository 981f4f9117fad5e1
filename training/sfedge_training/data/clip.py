"""Frames straight from a clip's video, numbered as pictures that `ffmpeg -vf fps=30` extracts.

Number 1 is the clip's first picture. At another rate than 30 a second pictures are repeated or
left out as that filter does: a picture belongs to the nearest thirtieth of a second, and stays
until the next one comes.
"""

from fractions import Fraction
from math import floor
from pathlib import Path

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from sfedge.core.structures import Image

RATE = 30


def clip_extent(path: Path) -> tuple[tuple[int, int], int]:
    """Width and height in pixels, and the number of frames, from the file's header.

    Raises:
        OSError, ValueError: it is no video.
    """
    with av.open(str(path)) as container:
        stream = _video(container)
        return (stream.width, stream.height), _frames(container, stream)


def read_frame(path: Path, number: int) -> Image:
    """Frame `number` of a video, from 1, as (H, W, 3) uint8 RGB.

    Raises:
        OSError, ValueError: it is no video, it has no such frame, or that is damaged.
    """
    with av.open(str(path)) as container:
        stream = _video(container)
        if not 1 <= number <= _frames(container, stream):
            raise ValueError(f"the video has no frame {number}")
        # Seeking goes by decoding time and may land behind the picture: then from further ahead.
        for ahead in (0, RATE, number):
            picture = _decoded(container, stream, number, max(number - ahead, 1))
            if picture is not None:
                return np.asarray(picture.to_ndarray(format="rgb24"))
    raise ValueError(f"frame {number} cannot be decoded")


def _decoded(
    container: InputContainer, stream: VideoStream, number: int, start: int
) -> av.VideoFrame | None:
    """The picture that frame `number` shows, decoded from the key frame before frame `start`."""
    step = Fraction(1, RATE) / _time_base(stream)
    first = stream.start_time or 0
    container.seek(first + floor((start - 1) * step), stream=stream)
    shown = None
    for picture in container.decode(stream):
        if picture.pts is None:
            continue
        if floor((picture.pts - first) / step + Fraction(1, 2)) + 1 > number:
            break
        shown = picture
    return shown


def _video(container: InputContainer) -> VideoStream:
    if not container.streams.video:
        raise ValueError("the file holds no video")
    return container.streams.video[0]


def _time_base(stream: VideoStream) -> Fraction:
    return stream.time_base or Fraction(1, 90_000)


def _frames(container: InputContainer, stream: VideoStream) -> int:
    if stream.duration:
        seconds = stream.duration * _time_base(stream)
    else:
        seconds = Fraction(container.duration or 0, av.time_base)
    return floor(seconds * RATE + Fraction(1, 2))
