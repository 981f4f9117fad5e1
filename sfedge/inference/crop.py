"""Which part of the frame a task sees of a person, and which boxes are marked in it."""

from collections.abc import Sequence

from sfedge.core.boxes import FULL, Box, clamped, union, with_margin, within
from sfedge.core.structures import Query, Track
from sfedge.core.tasks import Task

# A detected face reaches from the brows to the chin; GazeFollow's boxes hold the whole head. The
# crown lies about a third of the face above the brows, ears and jaw stand out a little.
_HEAD_SIDE, _HEAD_UP, _HEAD_DOWN = 0.10, 0.35, 0.05  # of the face's width and height


def head_box(face: Box) -> Box:
    """The box of the whole head around a detected face, cut at the picture."""
    side = _HEAD_SIDE * face.width
    return clamped(
        face.x1 - side,
        face.y1 - _HEAD_UP * face.height,
        face.x2 + side,
        face.y2 + _HEAD_DOWN * face.height,
    )


def view_of(track: Track, task: Task) -> Box | None:
    """The part of the frame that `task` sees of a person, margin included.

    Returns:
        None where the task sees a face and none is known.
    """
    if task.view == "frame":
        return FULL
    if task.view == "face":
        return with_margin(track.face, task.margin) if track.face else None
    return with_margin(union((track.person, *(hand.box for hand in track.hands))), task.margin)


def query_for(task: Task, people: Sequence[Track]) -> Query | None:
    """The question of `task` about one person, or about two (in any order, lower id first).

    One marked person is marked by the head, two are marked by their bodies, as in the datasets.

    Args:
        task: what to ask.
        people: as many as `task.people`.

    Returns:
        None where the view or the mark needs a face and none is known.
    """
    people = sorted(people, key=lambda track: track.id)
    view = view_of(people[0], task)
    if view is None or (task.boxes == 1 and people[0].face is None):
        return None
    if task.boxes == 1 and people[0].face is not None:
        marks: tuple[Box, ...] = (head_box(people[0].face),)
    else:
        marks = tuple(track.person for track in people[: task.boxes])
    return Query(
        task=task,
        people=tuple(track.id for track in people),
        view=view,
        boxes=tuple(within(mark, view) for mark in marks),
    )
