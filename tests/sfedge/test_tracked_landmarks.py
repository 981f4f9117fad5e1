"""Landmarks go with the faces, bodies and hands that they belong to."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfedge.core.boxes import Box, clamped
from sfedge.core.landmarks import Points
from sfedge.core.structures import Detection, Frame, Kind
from sfedge.tracking.track import Tracker

FACE, BODY, HAND = (
    Box(0.40, 0.30, 0.45, 0.39),
    Box(0.33, 0.24, 0.52, 0.95),
    Box(0.47, 0.42, 0.50, 0.48),
)


def picture(time: float, *, is_photograph: bool = False) -> Frame:
    image = np.full((90, 160, 3), 90, np.uint8)
    return Frame(image, 0, time, starts_scene=is_photograph)


def shifted(box: Box, dx: float, dy: float = 0.0) -> Box:
    return clamped(box.x1 + dx, box.y1 + dy, box.x2 + dx, box.y2 + dy)


def corners(box: Box) -> Points:
    """Landmarks at a box's corners, of 0.5 as a third value."""
    return np.array([[box.x1, box.y1, 0.5], [box.x2, box.y2, 0.5]], np.float32)


def found(kind: Kind, box: Box) -> Detection:
    return Detection(kind, box, 0.9, landmarks=corners(box))


@given(st.floats(-0.02, 0.02), st.floats(-0.01, 0.01))
def test_between_two_looks_landmarks_stay_in_their_boxes(dx: float, dy: float) -> None:
    """Bodies and hands are found in the first frame alone; the face moves on."""
    tracker = Tracker()
    tracker.update([found("face", FACE), found("person", BODY), found("hand", HAND)], picture(0.0))

    for step in range(1, 5):
        face = found("face", shifted(FACE, step * dx, step * dy))
        (track,) = tracker.update([face], picture(0.04 * step)).people

        (hand,) = track.hands
        for points, box in (
            (track.face_landmarks, track.face),
            (track.body_landmarks, track.person),
            (hand.landmarks, hand.box),
        ):
            assert points is not None
            assert box is not None
            assert points[0] == pytest.approx((box.x1, box.y1, 0.5), abs=1e-5)
            if box.y2 < 1:  # else the picture's edge cuts the box, but no landmark
                assert points[1] == pytest.approx((box.x2, box.y2, 0.5), abs=1e-5)


def test_what_a_new_look_does_not_tell_is_not_known() -> None:
    tracker = Tracker()
    seen = [found("face", FACE), found("person", BODY), found("hand", HAND)]
    tracker.update(seen, picture(0.0))

    plain = [replace(one, landmarks=None) for one in seen]
    (track,) = tracker.update(plain, picture(0.2)).people

    assert (track.face_landmarks, track.body_landmarks) == (None, None)
    assert [hand.landmarks for hand in track.hands] == [None]


def test_somebody_who_comes_back_has_the_landmarks_of_the_newest_sight() -> None:
    tracker = Tracker()
    for index in range(10):
        (track,) = tracker.update([found("face", FACE)], picture(0.1 * index)).people
    for index in range(10, 30):
        tracker.update([], picture(0.1 * index))
    elsewhere = shifted(FACE, 0.3)
    for index in range(30, 40):
        scene = tracker.update([found("face", elsewhere)], picture(0.1 * index))

    (back,) = scene.people
    assert back.id == track.id
    assert back.face_landmarks == pytest.approx(corners(elsewhere), abs=1e-6)


@pytest.mark.parametrize(("score", "count"), [(0.85, 1), (0.75, 0)])
def test_in_a_photograph_a_hand_of_nobody_needs_no_second_sight(score: float, count: int) -> None:
    hand = Detection("hand", HAND, score)

    assert len(Tracker().update([hand], picture(0.0, is_photograph=True)).hands) == count
    assert Tracker().update([hand], picture(0.0)).hands == ()


def test_a_hand_that_the_body_places_is_its_person_s_or_nobody_s() -> None:
    placed = Detection("hand", HAND, 0.95, side="left", from_body=True)

    (track,) = Tracker().update([found("face", FACE), placed], picture(0.0)).people
    assert [hand.from_body for hand in track.hands] == [True]
    assert Tracker().update([placed], picture(0.0)).hands == ()
