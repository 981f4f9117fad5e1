import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfedge.core.boxes import Box, clamped
from sfedge.core.structures import Detection
from sfedge.tracking.people import (
    Group,
    Sighting,
    group,
    is_raised,
    is_same_head,
    person_around,
)

# A family photograph in fractions of a 16:9 frame: faces 5 % wide, as tall in pixels.
FACE_A, BODY_A = Box(0.20, 0.20, 0.25, 0.29), Box(0.15, 0.14, 0.31, 0.95)
FACE_B, BODY_B = Box(0.60, 0.25, 0.65, 0.34), Box(0.54, 0.20, 0.72, 0.98)
HAND_A, HAND_B = Box(0.27, 0.33, 0.30, 0.39), Box(0.55, 0.50, 0.58, 0.56)


def face(box: Box, score: float = 0.9, track: str | None = None) -> Detection:
    return Detection("face", box, score, track)


def person(box: Box, score: float = 0.8, track: str | None = None) -> Detection:
    return Detection("person", box, score, track)


def people(found: list[Detection], image: np.ndarray | None = None) -> tuple[Sighting, ...]:
    return group(found, image).people


def boxes(hands: tuple[Detection, ...]) -> tuple[Box, ...]:
    return tuple(found.box for found in hands)


def hand(box: Box, score: float = 0.8) -> Detection:
    return Detection("hand", box, score)


@st.composite
def detections(draw: st.DrawFn) -> list[Detection]:
    result = []
    for kind in draw(st.lists(st.sampled_from(["face", "hand", "person"]), max_size=10)):
        w, h = draw(st.floats(0.01, 0.4)), draw(st.floats(0.01, 0.8))
        x, y = draw(st.floats(0, 1 - w)), draw(st.floats(0, 1 - h))
        name = draw(st.sampled_from([None, None, None, "a", "b"]))
        result.append(Detection(kind, clamped(x, y, x + w, y + h), draw(st.floats(0.1, 1)), name))
    return result


def test_faces_hands_and_bodies_find_each_other() -> None:
    seen = people([hand(HAND_B), face(FACE_A), person(BODY_B), face(FACE_B), hand(HAND_A)])

    assert [(s.face, s.person, boxes(s.hands), s.is_person_seen) for s in seen] == [
        (FACE_A, person_around(FACE_A), (HAND_A,), False),
        (FACE_B, BODY_B, (HAND_B,), True),
    ]


def test_a_body_without_a_face_stays_a_person() -> None:
    assert people([person(BODY_A)]) == (Sighting(BODY_A, None, (), person_score=0.8),)


def test_a_face_beside_or_at_the_feet_of_a_body_is_another_person() -> None:
    at_the_feet = Box(0.20, 0.80, 0.25, 0.89)
    beside = Box(0.35, 0.20, 0.40, 0.29)

    for other in (at_the_feet, beside):
        seen = people([face(other), person(BODY_A)])
        assert [s.face for s in seen] == [other, None]
        assert not seen[0].is_person_seen


def test_a_small_face_in_the_background_does_not_take_the_body_in_front() -> None:
    close = Box(0.3, 0.1, 0.9, 1.0)
    its_face, behind = Box(0.5, 0.2, 0.7, 0.5), Box(0.42, 0.25, 0.45, 0.29)

    seen = people([face(behind), person(close), face(its_face)])

    assert {s.face: s.is_person_seen for s in seen} == {behind: False, its_face: True}


def test_the_body_of_a_lone_face_is_three_faces_wide_and_stays_in_the_picture() -> None:
    body = person_around(FACE_A)

    assert body.width == pytest.approx(3 * FACE_A.width)
    assert body.y1 == pytest.approx(FACE_A.y1 - 0.5 * FACE_A.height)
    assert body.height == pytest.approx(7.5 * FACE_A.height)
    assert person_around(Box(0.9, 0.9, 1.0, 1.0)).y2 == 1.0


def test_a_hand_out_of_everyones_reach_is_nobodys() -> None:
    far = hand(Box(0.90, 0.05, 0.93, 0.11))

    seen = group([face(FACE_A), far])
    assert ([s.hands for s in seen.people], seen.hands) == ([()], (far,))
    assert group([hand(HAND_A)]) == Group((), (hand(HAND_A),), ())


def test_a_gloved_or_masked_hand_is_kept_whatever_its_colour() -> None:
    image = np.full((180, 320, 3), (20, 60, 160), np.uint8)
    image[_pixels(FACE_A)] = (224, 172, 150)
    out_of_reach = Box(0.55, 0.15, 0.58, 0.21)

    seen = group([face(FACE_A), hand(HAND_A), hand(out_of_reach)], image)

    assert seen.people[0].hands == (hand(HAND_A),)
    assert seen.hands == (hand(out_of_reach),)


def test_a_hand_goes_to_whose_skin_it_has() -> None:
    neighbour, between = Box(0.32, 0.20, 0.37, 0.29), Box(0.26, 0.22, 0.29, 0.28)
    image = np.full((180, 320, 3), 120, np.uint8)
    for box, colour in ((FACE_A, (224, 172, 150)), (neighbour, (120, 75, 40))):
        image[_pixels(box)] = colour
    for owner, colour in ((0, (200, 150, 130)), (1, (90, 55, 30))):  # in less light
        image[_pixels(between)] = colour

        seen = people([face(FACE_A), face(neighbour), hand(between)], image)

        assert [boxes(s.hands) for s in seen] == (
            [(between,), ()] if owner == 0 else [(), (between,)]
        )


def _pixels(box: Box) -> tuple[slice, slice]:
    x1, y1, x2, y2 = (round(v) for v in (320 * box.x1, 180 * box.y1, 320 * box.x2, 180 * box.y2))
    return slice(y1, y2), slice(x1, x2)


def test_a_gloved_hand_near_its_body_keeps_its_owner() -> None:
    image = np.full((180, 320, 3), (20, 60, 160), np.uint8)
    image[_pixels(FACE_A)] = (224, 172, 150)

    assert boxes(people([face(FACE_A), person(BODY_A), hand(HAND_A)], image)[0].hands) == (HAND_A,)


def test_a_person_has_two_hands_and_the_third_goes_to_whom_else_it_may_belong() -> None:
    neighbour = Box(0.30, 0.20, 0.35, 0.29)
    hands = [Box(x, 0.40, x + 0.03, 0.46) for x in (0.16, 0.21, 0.26)]

    alone = people([face(FACE_A), *map(hand, hands)])
    together = people([face(FACE_A), face(neighbour), *map(hand, hands)])

    assert [len(s.hands) for s in alone] == [2]
    assert len(group([face(FACE_A), *map(hand, hands)]).hands) == 1
    assert sorted(h.box for s in together for h in s.hands) == hands
    assert boxes(together[1].hands) == (hands[2],)


def test_hands_over_the_edge_or_near_the_lens_are_the_wearers() -> None:
    over_the_edge = Box(0.20, 0.90, 0.26, 1.0)
    near_the_lens = Box(0.20, 0.45, 0.30, 0.63)  # twice as large as the face
    body = Box(0.10, 0.14, 0.35, 1.0)

    def hands(box: Box, *, egocentric: bool) -> tuple[tuple[Detection, ...], ...]:
        seen = group([face(FACE_A), person(body), hand(box)], egocentric=egocentric)
        return seen.people[0].hands, seen.wearers

    for box in (over_the_edge, near_the_lens):
        assert hands(box, egocentric=False) == ((hand(box),), ())
        assert hands(box, egocentric=True) == ((), (hand(box),))
    assert hands(HAND_A, egocentric=True) == ((hand(HAND_A),), ())


def test_where_nobody_is_seen_a_large_hand_is_the_wearers() -> None:
    large, small = Box(0.4, 0.4, 0.6, 0.7), Box(0.4, 0.4, 0.45, 0.5)

    assert group([hand(large), hand(small)], egocentric=True) == Group(
        (), (hand(small),), (hand(large),)
    )


def test_a_thing_found_twice_counts_once_with_the_surer_box() -> None:
    again = Box(0.201, 0.201, 0.251, 0.291)

    assert [s.face for s in people([face(again, 0.6), face(FACE_A, 0.9)])] == [FACE_A]


@pytest.mark.parametrize(("size", "is_own"), [(0.2, False), (0.3, True), (2.4, True), (3.0, False)])
def test_a_hand_has_the_size_of_a_hand(size: float, is_own: bool) -> None:
    width, height = size * FACE_A.width, size * FACE_A.height
    near = Box(0.27, 0.33, 0.27 + width, 0.33 + height)

    seen = group([face(FACE_A), person(Box(0.05, 0.14, 0.45, 0.95)), hand(near)])
    assert (boxes(seen.people[0].hands), boxes(seen.hands)) == (
        ((near,), ()) if is_own else ((), (near,))
    )


@pytest.mark.parametrize(
    ("skin", "is_own"), [(0.0, False), (0.15, False), (0.35, True), (0.5, True)]
)
def test_at_arms_length_a_hand_must_have_its_owners_skin(skin: float, is_own: bool) -> None:
    """A part of the hand's box has the colour of the face; the rest may be a sleeve or a glove."""
    far = Box(0.471, 0.287, 0.501, 0.347)  # nearly as far as an arm reaches
    image = np.full((720, 1280, 3), (20, 60, 160), np.uint8)
    # What lies within a tenth of the hand's edge does not count.
    right = far.x1 + (0.1 + 0.8 * skin if skin else 0) * far.width
    for x1, x2, y1, y2 in ((FACE_A.x1, FACE_A.x2, FACE_A.y1, FACE_A.y2), (far.x1, right, 0, 1)):
        rows = slice(round(720 * y1), round(720 * y2))
        image[rows, round(1280 * x1) : round(1280 * x2)] = (224, 172, 150)

    seen = group([face(FACE_A), hand(far)], image)

    assert (len(seen.people[0].hands), len(seen.hands)) == ((1, 0) if is_own else (0, 1))


def test_two_faces_that_overlap_are_two_people_and_a_body_found_twice_is_one() -> None:
    beside = Box(0.215, 0.20, 0.265, 0.29)  # covers 70 % of the other

    assert len(people([face(FACE_A), face(beside)])) == 2
    assert len(people([person(BODY_A), person(Box(0.16, 0.15, 0.31, 0.95))])) == 1


def test_a_face_at_the_edge_of_a_body_half_down_is_anothers() -> None:
    leaning = Box(0.28, 0.40, 0.33, 0.49)

    seen = people([face(leaning), person(BODY_A)])
    assert [s.is_person_seen for s in seen] == [False, True]


def test_a_head_found_at_two_scales_is_one_face() -> None:
    head = Box(0.18, 0.17, 0.27, 0.33)  # from hair to neck, nearly three times as large

    for sure, other in ((FACE_A, head), (head, FACE_A)):
        seen = people([face(other, 0.7), face(sure, 0.9), person(BODY_A)])
        assert [(s.face, s.person) for s in seen] == [(sure, BODY_A)]


@pytest.mark.parametrize(
    ("close", "body"),
    [
        (Box(0.27, 0.42, 0.73, 0.96), Box(0.0, 0.1, 1.0, 1.0)),  # the chin at the lower edge
        (Box(0.10, 0.15, 0.90, 0.95), Box(0.0, 0.0, 1.0, 1.0)),
        (Box(0.30, 0.44, 0.70, 0.98), Box(0.0, 0.0, 1.0, 1.0)),  # high hair above the brows
    ],
)
def test_a_close_up_is_one_person(close: Box, body: Box) -> None:
    (only,) = people([face(close), person(body)])

    assert (only.face, only.person) == (close, body)


def test_a_second_body_with_the_same_head_is_nobody() -> None:
    again = Box(0.10, 0.12, 0.26, 0.70)  # of the same head, but less of the body

    assert [s.person for s in people([face(FACE_A), person(BODY_A), person(again, 0.7)])] == [
        BODY_A
    ]
    behind = Box(0.12, 0.02, 0.30, 0.90)  # taller, with the back to the camera
    children = Box(0.20, 0.40, 0.25, 0.49), Box(0.15, 0.34, 0.30, 0.90)
    assert len(people([face(children[0]), person(children[1]), person(behind)])) == 2


def test_a_hand_held_up_goes_to_the_nearer_shoulders_of_two_bodies_without_faces() -> None:
    large, small = Box(0.10, 0.20, 0.40, 0.95), Box(0.36, 0.30, 0.51, 0.675)
    shoulders = [(box.centre[0], box.y1 + 1.8 * box.height / 7.5) for box in (large, small)]
    # 1.7 heads of the large one away, and 1.9 of the small one: a head is a third of a body wide.
    up = Box(0.375, 0.275, 0.425, 0.325)
    near = [
        np.hypot((up.centre[0] - x) / (box.width / 3), (up.centre[1] - y) / (box.height / 7.5))
        for (x, y), box in zip(shoulders, (large, small), strict=True)
    ]
    assert near == pytest.approx([1.7, 1.93], abs=0.01)

    seen = people([person(large), person(small), hand(up)])

    assert [(s.person, boxes(s.hands)) for s in seen] == [(large, (up,)), (small, ())]


def test_an_unclear_face_on_somebodys_clothes_is_doubtful() -> None:
    tie = Box(0.21, 0.38, 0.24, 0.44)

    def doubts(*found: Detection) -> list[bool]:
        return [s.is_doubtful for s in people([face(FACE_A, 0.95), person(BODY_A), *found])]

    assert doubts(face(tie, 0.7)) == [False, True]
    assert doubts(face(tie, 0.92)) == [False, False]  # a child on the arm
    assert doubts(face(tie, 0.7), person(Box(0.17, 0.34, 0.28, 0.9))) == [False, False]
    assert doubts(face(FACE_B, 0.7)) == [False, False]
    assert doubts(face(Box(0.21, 0.10, 0.24, 0.16), 0.7)) == [False, False]  # above the head


def test_a_face_and_a_body_of_other_identities_are_two_people() -> None:
    assert len(people([face(FACE_A, track="x"), person(BODY_A, track="y")])) == 2
    assert len(people([face(FACE_A, track="x"), person(BODY_A)])) == 1


def test_identities_that_detections_came_with_hold_against_geometry() -> None:
    seen = people([face(FACE_A, track="x"), person(BODY_A, track="y"), person(BODY_B, track="x")])

    assert [(s.face, s.person, s.track) for s in seen] == [
        (FACE_A, BODY_B, "x"),
        (None, BODY_A, "y"),
    ]


@given(detections(), st.randoms())
def test_the_order_of_the_detections_does_not_matter(found: list[Detection], random) -> None:
    shuffled = list(found)
    random.shuffle(shuffled)

    assert group(shuffled) == group(found)


@given(detections(), st.booleans())
def test_no_box_belongs_to_two_people(found: list[Detection], egocentric: bool) -> None:
    whole = group(found, egocentric=egocentric)
    seen = whole.people

    faces = [s.face for s in seen if s.face]
    hands = [h.box for s in seen for h in s.hands]
    hands += [h.box for h in (*whole.hands, *whole.wearers)]
    bodies = [s.person for s in seen if s.is_person_seen]
    names = [s.track for s in seen if s.track]
    for kind, used in (("face", faces), ("hand", hands), ("person", bodies)):
        left = [d.box for d in found if d.kind == kind]
        for box in used:
            left.remove(box)  # fails where a box was used twice or made up
    assert len(set(names)) == len(names)
    assert all(len(s.hands) <= 2 for s in seen)
    assert all(s.face or s.is_person_seen for s in seen)


@pytest.mark.parametrize(
    ("box", "expected"),
    [
        (Box(0.27, 0.15, 0.30, 0.21), True),
        (Box(0.27, 0.40, 0.30, 0.46), True),
        (Box(0.27, 0.60, 0.30, 0.66), False),
    ],
    ids=["beside the head", "before the chest", "hanging down"],
)
def test_a_hand_is_raised_above_the_waist(box: Box, expected: bool) -> None:
    assert is_raised(box, FACE_A, BODY_A) is expected
    assert is_raised(box, None, BODY_A) is expected


def test_where_the_picture_cuts_a_body_the_waist_is_low() -> None:
    low = Box(0.4, 0.60, 0.45, 0.66)

    assert is_raised(low, None, Box(0.3, 0.1, 0.7, 1.0))
    assert not is_raised(low, None, Box(0.3, 0.1, 0.7, 0.9))


@pytest.mark.parametrize(
    ("inside", "is_same"), [(1.0, True), (0.8, True), (0.7, False), (0.0, False)]
)
def test_a_face_mostly_inside_another_is_the_same_head(inside: float, is_same: bool) -> None:
    small = Box(0.4 - 0.1 * inside, 0.3, 0.5 - 0.1 * inside, 0.4)  # half as wide and tall
    large = Box(0.2, 0.25, 0.4, 0.45)
    assert is_same_head(small, large) is is_same
    assert is_same_head(large, small) is is_same
