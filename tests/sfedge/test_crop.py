from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfedge.core.boxes import FULL, Box, clamped, with_margin
from sfedge.core.structures import Hand, Side, Track
from sfedge.core.tasks import TASKS, Task
from sfedge.inference.crop import (
    free_hand_queries,
    hand_queries,
    hand_view,
    hands_together,
    head_box,
    query_for,
    view_of,
)

FACE = Box(0.40, 0.20, 0.50, 0.36)
BODY = Box(0.30, 0.10, 0.60, 0.90)
HAND = Box(0.62, 0.30, 0.70, 0.42)


def held(boxes: tuple[Box, ...]) -> tuple[Hand, ...]:
    return tuple(Hand(i + 1, box, None, 0.9, 1.0) for i, box in enumerate(boxes))


def track(id_: int = 1, *, face: Box | None = FACE, hands: tuple[Box, ...] = ()) -> Track:
    return Track(id_, BODY, face, held(hands), 0.0, 1.0)


@st.composite
def tracks(draw: st.DrawFn, id_: int) -> Track:
    def box() -> Box:
        w, h = draw(st.floats(0.001, 1)), draw(st.floats(0.001, 1))
        x, y = draw(st.floats(0, 1)) * (1 - w), draw(st.floats(0, 1)) * (1 - h)
        return clamped(x, y, x + w, y + h)

    face = box() if draw(st.booleans()) else None
    hands = tuple(box() for _ in range(draw(st.integers(0, 2))))
    return Track(id_, box(), face, held(hands), 0.0, 1.0)


def test_a_face_is_seen_with_the_tasks_own_margin() -> None:
    task = replace(TASKS["expression"], margin=0.5)

    assert view_of(track(), task) == with_margin(FACE, 0.5)
    assert view_of(track(), TASKS["expression"]) == view_of(track(), TASKS["looking_at_me"])


def test_a_gestures_view_holds_the_hands() -> None:
    view = view_of(track(hands=(HAND,)), TASKS["gesture"])

    assert view is not None
    assert view.x2 > HAND.x2
    assert view.x1 < BODY.x1
    assert view.y2 > BODY.y2


@pytest.mark.parametrize("task", ["expression", "looking_at_me", "gaze"])
def test_without_a_face_nothing_is_asked_about_it(task: str) -> None:
    assert query_for(TASKS[task], [track(face=None)]) is None


def test_gaze_marks_the_whole_head_in_the_whole_frame() -> None:
    query = query_for(TASKS["gaze"], [track()])

    assert query is not None
    assert query.view == FULL
    (head,) = query.boxes
    assert head == head_box(FACE)
    assert head.y1 < FACE.y1 - 0.3 * FACE.height  # the crown, which a face box leaves out
    assert head.x1 < FACE.x1 < FACE.x2 < head.x2


@pytest.mark.parametrize("task", ["domain", "relation"])
def test_a_pair_is_asked_in_one_order_with_both_bodies_marked(task: str) -> None:
    first = track(3)
    second = replace(track(7), person=Box(0.7, 0.1, 0.9, 0.9))

    query = query_for(TASKS[task], [second, first])

    assert query == query_for(TASKS[task], [first, second])
    assert query is not None
    assert query.people == (3, 7)
    assert query.boxes == (first.person, second.person)


@given(tracks(1), tracks(2), st.sampled_from(list(TASKS.values())), st.floats(0, 2))
def test_every_query_has_as_many_boxes_and_people_as_its_task_says(
    one: Track, two: Track, task: Task, margin: float
) -> None:
    task = replace(task, margin=margin)

    query = query_for(task, [one, two][: task.people])

    needs_face = task.view == "face" or task.boxes == 1
    assert (query is None) == (needs_face and one.face is None)
    if query is not None:
        assert len(query.boxes) == task.boxes
        assert len(query.people) == task.people


@given(
    st.floats(0.001, 0.4),
    st.floats(0.001, 0.4),
    st.floats(0, 1),
    st.floats(0, 1),
    st.floats(0, 2),
    st.floats(0.3, 3),
)
def test_the_view_of_a_hand_is_a_square_that_holds_it(
    width: float, height: float, x: float, y: float, margin: float, aspect: float
) -> None:
    x, y = x * (1 - width), y * (1 - height)
    box = clamped(x, y, x + width, y + height)

    view = hand_view([box], margin, aspect)

    # In heights of the picture, which is `aspect` wide.
    side = (1 + 2 * margin) * max(box.width * aspect, box.height)
    assert view.width * aspect == pytest.approx(min(side, aspect), abs=1e-9)
    assert view.height == pytest.approx(min(side, 1.0), abs=1e-9)
    assert view.x1 <= box.x1 + 1e-9
    assert view.y1 <= box.y1 + 1e-9
    assert view.x2 >= box.x2 - 1e-9
    assert view.y2 >= box.y2 - 1e-9
    if view.x1 > 0 and view.x2 < 1:
        assert view.centre[0] == pytest.approx(box.centre[0])


def test_a_hand_without_a_body_is_seen_with_its_forearm_where_the_task_sees_people() -> None:
    (hand,) = held((HAND,))

    (query,) = free_hand_queries(TASKS["gesture"], [hand], 1.5)

    assert query.view == hand_view([HAND], 1.0, 1.5)
    assert (query.people, query.hands, query.boxes) == ((), (1,), ())
    near = replace(TASKS["gesture"], view="hand", margin=0.25)
    (query,) = free_hand_queries(near, [hand], 1.5)
    assert query.view == hand_view([HAND], 0.25, 1.5)


def test_two_hands_close_together_are_asked_about_at_once_and_each() -> None:
    # In a picture twice as wide as high, hands of 0.1 heights each way.
    task = replace(TASKS["gesture"], view="hand", margin=0.5)
    left, right = (
        Hand(1, Box(0.50, 0.3, 0.55, 0.4), "left", 0.9, 1.0),
        Hand(2, Box(0.43, 0.3, 0.48, 0.4), "right", 0.9, 1.0),
    )

    query, *each = hand_queries(task, track(), [left, right], 2.0)

    assert (query.hands, query.side) == ((1, 2), "both")
    assert each == [
        *hand_queries(task, track(), [left], 2.0),
        *hand_queries(task, track(), [right], 2.0),
    ]
    placed = replace(right, from_body=True)
    both, one = hand_queries(task, track(), [left, placed], 2.0)
    assert (both.hands, one.hands) == ((1, 2), (1,))
    # From 0.86 to 1.10 heights across, and half a hand more on each side.
    assert query.view.width * 2 == pytest.approx(0.24 + 0.1)
    assert query.view.height == pytest.approx(0.34)
    assert query.view.centre == pytest.approx((0.49, 0.35))


@pytest.mark.parametrize(
    ("gap", "sides", "groups"),
    [
        (0.95, ("left", "right"), [(1, 2)]),
        (1.05, ("left", "right"), [(1,), (2,)]),
        (-0.5, ("left", "right"), [(1, 2)]),  # one before the other
        (0.5, (None, None), [(1, 2)]),
        (0.5, ("left", "left"), [(1, 2)]),  # wrong sides, as where hands cross
    ],
)
def test_hands_are_together_where_a_hand_or_less_is_between_them(
    gap: float, sides: tuple[Side | None, Side | None], groups: list[tuple[int, ...]]
) -> None:
    hands = [
        Hand(1 + i, Box(x, 0.3, x + 0.1, 0.4), side, 0.9, 1.0)
        for i, (x, side) in enumerate(zip((0.2, 0.3 + 0.1 * gap), sides, strict=True))
    ]

    found = hands_together(hands, 1.0)

    assert [tuple(hand.id for hand in group) for group in found] == groups


def test_of_three_hands_the_nearest_two_are_together() -> None:
    hands = held(tuple(Box(x, 0.3, x + 0.1, 0.4) for x in (0.2, 0.34, 0.09)))

    groups = hands_together(hands, 1.0)

    assert [tuple(hand.id for hand in group) for group in groups] == [(1, 3), (2,)]


def test_what_is_marked_is_said_by_the_task() -> None:
    bodies = replace(TASKS["gaze"], mark="person")
    heads = replace(TASKS["domain"], mark="face")
    second = replace(track(2), person=Box(0.7, 0.1, 0.9, 0.9), face=Box(0.75, 0.2, 0.8, 0.3))

    query = query_for(bodies, [track(face=None)])
    assert query is not None
    assert query.boxes == (BODY,)
    query = query_for(heads, [track(1), second])
    assert query is not None
    assert query.boxes == (head_box(FACE), head_box(Box(0.75, 0.2, 0.8, 0.3)))
    assert query_for(heads, [track(1), replace(second, face=None)]) is None


def test_hands_that_the_body_places_are_one_view_however_far_apart() -> None:
    near, far = held((Box(0.2, 0.3, 0.3, 0.4), Box(0.7, 0.3, 0.8, 0.4)))

    assert hands_together([near, far], 1.0) == [(near,), (far,)]
    placed = replace(far, from_body=True)
    assert hands_together([near, placed], 1.0) == [(near, placed)]
