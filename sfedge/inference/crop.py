"""Which part of the frame a task sees, and which boxes are marked in it."""

from collections.abc import Sequence

from sfedge.core.boxes import FULL, Box, clamped, union, with_margin, within
from sfedge.core.structures import Hand, Query, Side, Track
from sfedge.core.tasks import Task

# A detected face reaches from the brows to the chin; GazeFollow's boxes hold the whole head. The
# crown lies about a third of the face above the brows, ears and jaw reach out a little.
_HEAD_SIDE, _HEAD_UP, _HEAD_DOWN = 0.10, 0.35, 0.05  # of the face's width and height

# Where nobody's body is known, a task that sees the person sees this much around the hand, on each
# side, in sizes of the hand: the wrist and the forearm.
_AROUND_HAND = 1.0

# Two hands whose common box is at most this many times as long as the larger one make one gesture.
_TOGETHER = 3.0


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

    Args:
        track: the person.
        task: of any view but that of a hand.

    Returns:
        None where the task sees a face and none is known.
    """
    if task.view == "frame":
        return FULL
    if task.view == "face":
        return with_margin(track.face, task.margin) if track.face else None
    return with_margin(union((track.person, *(hand.box for hand in track.hands))), task.margin)


def hand_view(hands: Sequence[Box], margin: float, aspect: float) -> Box:
    """A square of pixels around a hand or two, moved into the picture where it would leave it.

    Args:
        hands: their boxes.
        margin: added on each side, in fractions of the longer side of the larger box.
        aspect: the picture's width divided by its height, in pixels.
    """
    around = union(hands)
    side = _longest(around, aspect) + 2 * margin * max(_longest(hand, aspect) for hand in hands)
    width, height = min(side / aspect, 1.0), min(side, 1.0)
    x = min(max(around.centre[0] - width / 2, 0.0), 1.0 - width)
    y = min(max(around.centre[1] - height / 2, 0.0), 1.0 - height)
    return clamped(x, y, x + width, y + height)


def hands_together(hands: Sequence[Hand], aspect: float) -> list[tuple[Hand, ...]]:
    """The hands that one view of hands shows: each alone, or two close together.

    Their sides do not matter: of hands that cross they are often wrong.

    Args:
        hands: of one person, or those without a person.
        aspect: the picture's width divided by its height, in pixels.

    Returns:
        In the order of their ids.
    """
    rest = sorted(hands, key=lambda hand: hand.id)
    groups: list[tuple[Hand, ...]] = []
    while rest:
        first = rest.pop(0)
        near = [other for other in rest if _are_together(first, other, aspect)]
        if near:
            nearest = min(near, key=lambda other: union((first.box, other.box)).area)
            rest.remove(nearest)
            groups.append((first, nearest))
        else:
            groups.append((first,))
    return groups


def query_for(task: Task, people: Sequence[Track]) -> Query | None:
    """The query of `task` about one person, or about two (in any order, lower id first).

    Args:
        task: what to ask, of any view but that of a hand.
        people: as many as `task.people`.

    Returns:
        None where the view or the mark needs a face and none is known.
    """
    people = sorted(people, key=lambda track: track.id)
    view = view_of(people[0], task)
    marks = [_mark(task, track) for track in people[: task.boxes]]
    known = [mark for mark in marks if mark is not None]
    if view is None or len(known) < len(marks):
        return None
    return Query(
        task=task,
        people=tuple(track.id for track in people),
        view=view,
        boxes=tuple(within(mark, view) for mark in known),
    )


def hand_queries(task: Task, track: Track, hands: Sequence[Hand], aspect: float) -> list[Query]:
    """The queries of `task`, which is about hands, about some of a person's hands.

    A view of the person shows both hands and does not distinguish them, so that one query is
    about both. Views of hands show each alone, and two that are close together at once, too.

    Args:
        task: what to ask.
        track: the person.
        hands: of that person, in the order of their ids; at least one.
        aspect: the picture's width divided by its height, in pixels.
    """
    if task.view == "hand":
        return _hand_queries(task, (track.id,), hands, task.margin, aspect)
    view = view_of(track, task)
    if view is None:
        return []
    return [Query(task, (track.id,), view, (), tuple(hand.id for hand in hands), _side(hands))]


def free_hand_queries(task: Task, hands: Sequence[Hand], aspect: float) -> list[Query]:
    """The queries of `task`, which is about hands, about hands that belong to nobody in sight.

    Args:
        task: what to ask.
        hands: the hands; two close together are taken for one person's.
        aspect: the picture's width divided by its height, in pixels.
    """
    if task.view == "hand":
        return _hand_queries(task, (), hands, task.margin, aspect)
    groups = hands_together(hands, aspect)
    return [_hand_query(task, (), group, _AROUND_HAND, aspect) for group in groups]


def _hand_queries(
    task: Task, people: tuple[int, ...], hands: Sequence[Hand], margin: float, aspect: float
) -> list[Query]:
    """Of each group of hands, and of each hand in it that was detected."""
    queries = []
    for group in hands_together(hands, aspect):
        queries.append(_hand_query(task, people, group, margin, aspect))
        if len(group) > 1:
            alone = [hand for hand in group if not hand.from_body]
            queries += [_hand_query(task, people, (hand,), margin, aspect) for hand in alone]
    return queries


def _hand_query(
    task: Task, people: tuple[int, ...], hands: Sequence[Hand], margin: float, aspect: float
) -> Query:
    view = hand_view([hand.box for hand in hands], margin, aspect)
    return Query(task, people, view, (), tuple(hand.id for hand in hands), _side(hands))


def _side(hands: Sequence[Hand]) -> Side | None:
    return hands[0].side if len(hands) == 1 else "both"


def _are_together(a: Hand, b: Hand, aspect: float) -> bool:
    longest = max(_longest(a.box, aspect), _longest(b.box, aspect))
    is_near = _longest(union((a.box, b.box)), aspect) <= _TOGETHER * longest
    # The body places hands only where both arms are folded or crossed.
    return is_near or a.from_body or b.from_body


def _longest(box: Box, aspect: float) -> float:
    """The longer side, in heights of the picture."""
    return max(box.width * aspect, box.height)


def _mark(task: Task, track: Track) -> Box | None:
    """The box that is marked of a person: the whole head, or the body (as in the datasets)."""
    if task.mark == "person":
        return track.person
    return head_box(track.face) if track.face else None
