"""Arrays in: frames that a program makes, as the pipeline's own values."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sized
from dataclasses import replace
from itertools import chain, count
from pathlib import Path
from typing import Any

import numpy as np

from sfedge.core.errors import UsageError
from sfedge.core.structures import Frame, Gap, Image
from sfedge.sources import MAX_PIXELS, open_source
from sfedge.sources.source import Source, SourceInfo
from sfedge.system.closing import Closing

FRAME_RATE = 30.0  # frames per second of arrays that come without times

Frames = Iterable[Image] | Iterable[tuple[Image, float]] | Iterable[Frame]

_SOURCES = (
    "a path, an address, a camera's number, a picture as an array, or an iterable of frames, "
    "each an array or a pair (array, seconds)"
)
_NAME = "frames"


def as_source(
    given: object, *, start: float = 0.0, end: float | None = None, **settings: Any
) -> Source:
    """The source that a program names or brings along.

    Args:
        given: a path, an address, a camera's number, a picture, an iterable of frames, or a
            source.
        start: seconds; earlier frames are skipped.
        end: seconds; frames at this time or later are not read.
        settings: further ones of `open_source`.

    Raises:
        UsageError: it is none of these.
        SourceError: it cannot be read.
    """
    if isinstance(given, str | Path):
        return open_source(str(given), start=start, end=end, **settings)
    if isinstance(given, int | np.integer) and not isinstance(given, bool):
        if given < 0:
            raise UsageError(f"{given} is no camera's number", fix="Cameras count from 0.")
        return open_source(str(given), start=start, end=end, **settings)
    if isinstance(given, np.ndarray) and given.ndim < 4:
        return ArraySource([(given, 0.0)], start=start, end=end)
    if hasattr(given, "info") and hasattr(given, "losses"):
        return given  # type: ignore[return-value]
    if isinstance(given, Iterable) and not isinstance(given, Mapping | bytes | bytearray):
        return ArraySource(given, start=start, end=end)
    raise not_a_source(given)


def not_a_source(given: object) -> UsageError:
    """The error to raise where `given` is no source."""
    return UsageError(f"a source is {_SOURCES}, not {described(given)}")


class NoSource(Closing):
    """Takes the place of a source where frames come by `Pipeline.step`."""

    losses: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    gaps: tuple[Gap, ...] = ()
    info = SourceInfo(_NAME, 0, 0, None, None, None, is_live=False)

    def close(self) -> None:
        """Nothing is held."""

    def __iter__(self) -> Iterator[Frame]:
        """Nothing.

        Raises:
            UsageError: always.
        """
        raise UsageError("a pipeline without a source is not iterated", fix="Use its step.")


class ArraySource(Closing):
    """Frames that a program makes; the first is taken at once, for its size.

    Args:
        frames: each an array, (H, W, 3) uint8 RGB, a pair of one and its time in seconds, or a
            `Frame`. Arrays without times are `FRAME_RATE` to the second. An array is not copied.
        start: seconds; earlier frames are skipped.
        end: seconds; the iteration ends with the first frame at this time or later.

    Raises:
        UsageError: there is none, or the first is no frame; in the iteration, a later one is none.
    """

    losses: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    gaps: tuple[Gap, ...] = ()

    def __init__(
        self, frames: Iterable[Any], *, start: float = 0.0, end: float | None = None
    ) -> None:
        self._start, self._end = start, end
        self._is_closed = False
        items = iter(frames)
        first = [as_frame(item, index) for index, item in zip(range(1), items, strict=False)]
        self._frames = chain(first, map(as_frame, items, count(len(first))))
        if not first:
            raise UsageError("there is no frame", where=_NAME, fix="Give at least one.")
        height, width = first[0].image.shape[:2]
        self._info = SourceInfo(
            name=_NAME,
            width=width,
            height=height,
            frame_rate=None,
            duration=None,
            frames=len(frames) if isinstance(frames, Sized) else None,
            is_live=False,
        )

    @property
    def info(self) -> SourceInfo:
        """The size of the first frame, and how many there are where that is known."""
        return self._info

    def close(self) -> None:
        """End the iteration."""
        self._is_closed = True

    def __iter__(self) -> Iterator[Frame]:
        """Frames with start <= time < end."""
        last = -math.inf
        for frame in self._frames:
            if self._is_closed or (self._end is not None and frame.time >= self._end):
                return
            check_order(frame, last)
            last = frame.time
            if self._start == 0 or frame.time >= self._start:  # times may be below 0
                yield frame


def as_frame(item: object, index: int) -> Frame:
    """A frame from what a program gives for one.

    Raises:
        UsageError: it is none.
    """
    if isinstance(item, Frame):
        return replace(item, image=_checked(item.image, index), time=_time(item.time, index))
    if isinstance(item, tuple) and len(item) == 2:
        return Frame(_checked(item[0], index), index, _time(item[1], index), _NAME)
    return Frame(_checked(item, index), index, index / FRAME_RATE, _NAME)


def check_order(frame: Frame, last: float) -> None:
    """Make sure that a frame does not come before the one at the time `last`.

    Raises:
        UsageError: it does.
    """
    if frame.time < last:
        raise UsageError(
            f"the time {frame.time:g} s comes after {last:g} s",
            where=f"frame {frame.index}",
            fix="Give frames in order of time.",
        )


def _checked(image: object, index: int) -> Image:
    """The image, if it is one."""
    if not isinstance(image, np.ndarray):
        raise UsageError(
            f"a frame is an array (H, W, 3) of uint8, not {described(image)}",
            where=f"frame {index}",
            fix=f"A source is {_SOURCES}." if isinstance(image, str | Path) else "",
        )
    is_right = image.ndim == 3 and image.shape[2] == 3 and image.dtype == np.uint8
    if not is_right or 0 in image.shape:
        raise UsageError(
            f"a frame is an array (H, W, 3) of uint8, not {image.shape} of {image.dtype}",
            where=f"frame {index}",
            fix="Give red, green and blue in 0 to 255.",
        )
    if image.shape[0] * image.shape[1] > MAX_PIXELS:
        raise UsageError(f"a frame of {image.shape[1]}x{image.shape[0]} pixels is too large")
    return np.ascontiguousarray(image)


def _time(time: object, index: int) -> float:
    if isinstance(time, float | int | np.floating | np.integer) and math.isfinite(time):
        return float(time)
    raise UsageError(
        f"a time is a number of seconds, not {described(time)}", where=f"frame {index}"
    )


def described(value: object) -> str:
    """A value in a message: as Python writes it, or its type where that is long."""
    text = repr(value)
    return text if len(text) <= 40 else f"a {type(value).__name__}"
