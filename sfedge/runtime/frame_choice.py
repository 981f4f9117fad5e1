"""Selects the frames of a source to process."""

from dataclasses import replace

from sfedge.core.config import parsed_every
from sfedge.core.structures import Frame

_EARLY = 1e-6  # seconds that rounding may make a frame early


class FrameChoice:
    """Takes the first frame, and then every n-th, or one per interval of time.

    Both keep to a grid, so that no error adds up. The first frame of a new scene that is passed
    over hands that on to the next.

    Args:
        every: as of `RunConfig`.
    """

    def __init__(self, every: int | str) -> None:
        self._step, self._seconds = parsed_every(every) or (1, 0.0)
        self._first: Frame | None = None
        self._due_index, self._due = 0, 0.0  # counted from the first frame
        self._starts_scene = False

    def take(self, frame: Frame) -> Frame | None:
        """The frame if it is to be processed, else None; in order of time."""
        first = self._first = self._first or frame
        index, since = frame.index - first.index, frame.time - first.time + _EARLY
        self._starts_scene = self._starts_scene or frame.starts_scene
        if frame is not first and (index < self._due_index or since < self._due):
            return None
        self._due_index = index + self._step - index % self._step
        if self._seconds:
            self._due = (since // self._seconds + 1) * self._seconds
        if self._starts_scene and not frame.starts_scene:
            frame = replace(frame, starts_scene=True)
        self._starts_scene = False
        return frame
