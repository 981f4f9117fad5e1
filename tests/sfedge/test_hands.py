import numpy as np
import pytest

from sfedge.core.boxes import Box, clamped
from sfedge.core.structures import Detection, Frame, Hand, Side
from sfedge.tracking.track import Tracker

FACE, BODY = Box(0.20, 0.30, 0.25, 0.39), Box(0.13, 0.24, 0.32, 0.95)
LEFT, RIGHT = Box(0.27, 0.42, 0.30, 0.48), Box(0.15, 0.42, 0.18, 0.48)


def picture(time: float) -> Frame:
    return Frame(np.full((90, 160, 3), 90, np.uint8), 0, time)


def person(dx: float = 0.0) -> list[Detection]:
    return [
        Detection("face", shifted(FACE, dx), 0.9),
        Detection("person", shifted(BODY, dx), 0.9),
    ]


def hand(box: Box, side: Side | None = None, dx: float = 0.0) -> Detection:
    return Detection("hand", shifted(box, dx), 0.8, side=side)


def shifted(box: Box, dx: float) -> Box:
    return clamped(box.x1 + dx, box.y1, box.x2 + dx, box.y2)


def hands_of(tracker: Tracker, time: float, *found: Detection) -> dict[int, Box]:
    (track,) = tracker.update(found, picture(time)).people
    return {hand.id: hand.box for hand in track.hands}


def test_the_hands_of_a_walker_keep_their_ids_through_a_gap() -> None:
    tracker = Tracker()
    for index in range(12):
        time, dx = 0.2 * index, 0.02 * index
        found = person(dx) + ([] if index in (4, 5) else [hand(LEFT, dx=dx), hand(RIGHT, dx=dx)])
        seen = hands_of(tracker, time, *found)
        expected = {} if index in (4, 5) else {1: shifted(RIGHT, dx), 2: shifted(LEFT, dx)}
        assert seen == expected


def test_a_hand_unseen_for_more_than_a_second_ends() -> None:
    tracker = Tracker()
    hands_of(tracker, 0.0, *person(), hand(LEFT))
    for time in (0.5, 1.0, 1.5):
        hands_of(tracker, time, *person())

    assert hands_of(tracker, 1.6, *person(), hand(LEFT)) == {2: LEFT}


def test_sides_tell_two_hands_apart_that_cross_between_two_looks() -> None:
    tracker = Tracker()
    a, b = Box(0.20, 0.42, 0.23, 0.48), Box(0.22, 0.42, 0.25, 0.48)
    hands_of(tracker, 0.0, *person(), hand(a, "right"), hand(b, "left"))

    assert hands_of(tracker, 0.2, *person(), hand(b, "right"), hand(a, "left")) == {1: b, 2: a}


def test_a_hand_says_what_its_detector_said() -> None:
    (track,) = Tracker().update([*person(), hand(LEFT, "left")], picture(3.0)).people

    assert track.hands == (Hand(1, LEFT, "left", 0.8, last_seen=3.0),)
    assert (track.face_score, track.person_score) == (0.9, 0.9)


def test_a_hand_of_nobody_is_kept_by_itself_and_keeps_its_id_when_it_joins_a_person() -> None:
    tracker = Tracker()
    alone = [tracker.update([hand(LEFT)], picture(time)) for time in (0.0, 0.2)]
    joined = tracker.update([*person(), hand(LEFT)], picture(0.4))

    assert [scene.people for scene in alone] == [(), ()]
    # Unclear at first, believed at the second sight.
    assert [tuple(h.id for h in scene.hands) for scene in alone] == [(), (1,)]
    assert joined.hands == ()
    assert [h.id for h in joined.people[0].hands] == [1]


def test_a_clear_hand_of_nobody_is_kept_at_once() -> None:
    scene = Tracker().update([Detection("hand", LEFT, 0.95, side="left")], picture(1.0))

    assert scene.hands == (Hand(1, LEFT, "left", 0.95, last_seen=1.0),)


def test_a_wearers_hand_stays_the_wearers_where_it_leaves_the_edge() -> None:
    tracker = Tracker(egocentric=True)
    for index, top in enumerate((0.90, 0.80, 0.70, 0.60)):
        low = Box(0.24, top, 0.30, min(top + 0.1, 1.0))
        scene = tracker.update([*person(), hand(low)], picture(0.2 * index))
        assert [(h.id, h.is_wearers) for h in scene.hands] == [(1, True)]
        assert scene.people[0].hands == ()


def test_the_hands_of_somebody_who_is_not_believed_yet_are_nobodys() -> None:
    tracker = Tracker()
    unclear = Detection("face", FACE, 0.6)
    scenes = [tracker.update([unclear, hand(LEFT)], picture(0.1 * index)) for index in range(5)]

    assert [[h.id for h in scene.hands] for scene in scenes] == [[], [1], [1], [], []]
    assert [h.id for h in scenes[-1].people[0].hands] == [1]


def ids_after_a_move(
    hands: float, dt: float, sides: tuple[Side | None, Side | None] = (None, None)
) -> list[int]:
    """Ids of a hand of nobody that moves by `hands` of its widths in `dt` seconds."""
    tracker = Tracker()
    start = Box(0.40, 0.40, 0.43, 0.45)
    clear = Detection("hand", start, 0.95, side=sides[0])
    moved = Detection("hand", shifted(start, 0.03 * hands), 0.95, side=sides[1])
    scenes = tracker.update([clear], picture(0.0)), tracker.update([moved], picture(dt))
    return [max(hand.id for hand in scene.hands) for scene in scenes]


@pytest.mark.parametrize(
    ("dt", "hands", "is_same"),
    [(0.1, 3.3, True), (0.1, 3.9, False), (0.5, 6.9, True), (0.5, 7.6, False)],
)
def test_a_hand_may_be_farther_off_the_longer_it_was_unseen(
    dt: float, hands: float, is_same: bool
) -> None:
    assert ids_after_a_move(hands, dt) == [1, 1 if is_same else 2]


@pytest.mark.parametrize(("hands", "is_same"), [(1.8, True), (2.4, False)])
def test_a_hand_of_the_other_side_or_of_another_must_be_nearer(hands: float, is_same: bool) -> None:
    expected = 1 if is_same else 2
    assert ids_after_a_move(hands, 0.1, ("left", "right")) == [1, expected]

    tracker = Tracker()
    clear = Detection("hand", LEFT, 0.95)
    tracker.update([clear], picture(0.0))
    moved = Detection("hand", shifted(LEFT, -0.03 * hands), 0.95)
    (track,) = tracker.update([*person(), moved], picture(0.1)).people
    assert [hand.id for hand in track.hands] == [expected]


@pytest.mark.parametrize(("aside", "kept"), [(0.4, [2]), (0.7, [1, 2])])
def test_a_hand_that_another_has_covered_is_not_carried_on(aside: float, kept: list[int]) -> None:
    tracker = Tracker()
    second = shifted(LEFT, aside * LEFT.width)
    tracker.update([*person(), hand(LEFT), hand(second)], picture(0.0))

    assert [*hands_of(tracker, 0.1, person()[0], hand(second))] == kept


@pytest.mark.parametrize(
    ("first", "second", "is_same"),
    [
        (None, "a", True),
        ("a", None, True),
        ("a", "a", True),
        ("a", "b", False),
    ],
)
def test_a_hand_is_another_only_where_both_identities_say_so(
    first: str | None, second: str | None, is_same: bool
) -> None:
    tracker = Tracker()
    for time, name in ((0.0, first), (0.1, second)):
        found = [Detection("hand", LEFT, 0.95, name)]
        hands = tracker.update(found, picture(time)).hands

    assert [hand.id for hand in hands] == ([1] if is_same else [2])
