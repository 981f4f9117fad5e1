"""Animated WebP, PNG, GIF and AVIF: a video of their frames with their own durations."""

import threading
from collections.abc import Iterator
from pathlib import Path

from sfedge.core.structures import Frame, Gap, Image
from sfedge.sources.source import SourceInfo, shown
from sfedge.sources.stills import Still, failure
from sfedge.system.closing import Closing

_STEP = 0.1  # seconds of a frame whose duration is 0, as browsers show it


class AnimationSource(Closing):
    """Frames of an animated picture, once through, however often it repeats.

    Args:
        path: a file whose `Still` is animated.
        start: seconds; earlier frames are skipped, keeping their place in the numbering.
        end: seconds; frames at this time or later are not read.
    """

    def __init__(self, path: Path, *, start: float = 0.0, end: float | None = None) -> None:
        self._path, self._start, self._end = path, start, end
        self._closed = threading.Event()
        self._losses: list[str] = []
        with Still(path) as still:
            # A PNG may have a picture for programs that show no animation; it is no frame.
            self._first = int(bool(still.picture.info.get("default_image")))
            self._count = still.frames - self._first
            still.picture.seek(self._first)
            step = _duration(still)
            width, height = still.picture.size
        self._info = SourceInfo(
            name=shown(path),
            width=width,
            height=height,
            frame_rate=1 / step,
            duration=None,
            frames=self._count,
            is_live=False,
            path=path,
        )

    @property
    def info(self) -> SourceInfo:
        """Size and number of frames; the rate is that of the first frame."""
        return self._info

    @property
    def losses(self) -> tuple[str, ...]:
        """Where the file is damaged."""
        return tuple(self._losses)

    @property
    def warnings(self) -> tuple[str, ...]:
        """None: all is shown as it is stored."""
        return ()

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """None: a file is not live."""
        return ()

    def close(self) -> None:
        """End the iteration, which releases the file."""
        self._closed.set()

    def __iter__(self) -> Iterator[Frame]:
        """Frames with start <= time < end."""
        now = 0.0
        with Still(self._path) as still:
            for index in range(self._count):
                if self._closed.is_set() or (self._end is not None and now >= self._end):
                    return
                try:
                    image = self._image(still, index)
                except Exception as error:  # damaged files make decoders raise anything
                    what = f"frames from {index} on ({now:.2f} s to the end)"
                    self._losses.append(f"{what} could not be decoded: {failure(error)}")
                    return
                if now >= self._start:
                    yield Frame(image, index, now, self._info.name)
                now += _duration(still)

    def _image(self, still: Still, index: int) -> Image:
        image, note = still.read(self._first + index)
        if note:
            raise OSError(note)
        return image


def _duration(still: Still) -> float:
    """Seconds that the current frame is shown."""
    return float(still.picture.info.get("duration") or 0) / 1000 or _STEP
