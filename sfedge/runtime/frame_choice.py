"""Which frames of a source are looked at, where not all are."""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from sfedge.core.structures import Frame

_EARLY = 1e-6  # seconds that rounding may make a frame early


def chosen(frames: Iterable[Frame], step: int, seconds: float) -> Iterator[Frame]:
    """The first frame, and of the others one in `step` and in `seconds`.

    Both keep to a grid, so that no error adds up. The first frame of a new scene that
    is passed over hands that on to the next.

    Args:
        frames: in order of time.
        step: frames of the source from one to the next; 1 for all.
        seconds: from one to the next; 0 for all.
    """
    first: Frame | None = None
    due_index, due, starts_scene = 0, 0.0, False
    for frame in frames:
        first = first or frame
        starts_scene = starts_scene or frame.starts_scene
        since = frame.time - first.time + _EARLY
        if frame is not first and (frame.index < due_index or since < due):
            continue
        due_index = frame.index + step - (frame.index - first.index) % step
        due = (since // seconds + 1) * seconds if seconds else 0.0
        yield replace(frame, starts_scene=True) if starts_scene else frame
        starts_scene = False
