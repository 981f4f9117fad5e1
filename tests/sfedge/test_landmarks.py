"""What a model reads of landmarks."""

from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sfedge.core.boxes import FULL, Box
from sfedge.core.face_points import (
    EYE_ROWS,
    FACE_POINTS,
    LEFT_IRIS,
    MESH_POINTS,
    RIGHT_IRIS,
    eye_rows,
    face_places,
    face_points,
)
from sfedge.core.landmarks import (
    BODY_POINTS,
    HAND_POINTS,
    INPUT_WIDTH,
    NO_LANDMARKS,
    PARTS,
    SLICES,
    HandLandmarks,
    Landmarks,
    landmark_vector,
    mirrored,
    moved,
    present,
    shown_in,
    with_other_first,
    without,
)

Points = NDArray[np.float32]
Side = Literal["left", "right"]
HEAD = 5  # is it there, centre x, centre y, size, side


def _f32(values: Any) -> Points:
    return np.array(values, np.float32)


def points_of(count: int, seed: int) -> Points:
    return _f32(np.random.default_rng(seed).uniform(0.3, 0.6, (count, 3)))


def hands_of(seed: int = 0, side: Side | None = "left") -> tuple[HandLandmarks, HandLandmarks]:
    first = HandLandmarks(points_of(HAND_POINTS, seed), side)
    return first, HandLandmarks(points_of(HAND_POINTS, seed + 1), "right")


def some(seed: int = 0, side: Side | None = "left") -> Landmarks:
    body, face = points_of(BODY_POINTS, seed + 2), points_of(FACE_POINTS, seed + 3)
    return Landmarks(hands_of(seed, side), body, face)


def in_a_mirror(hands: tuple[HandLandmarks, ...], body: Points) -> Landmarks:
    """The landmarks of the picture turned left to right, by hand from MediaPipe's documents."""
    swapped: dict[Side | None, Side | None] = {"left": "right", "right": "left", None: None}
    # Nose; then eyes (inner, middle, outer), ears, mouth; shoulders to feet: odd left, even right.
    names = [0, 4, 5, 6, 1, 2, 3, 8, 7, 10, 9]
    names += [i + 1 if i % 2 else i - 1 for i in range(11, 33)]
    turned = tuple(HandLandmarks(flip(hand.points), swapped[hand.side]) for hand in hands)
    return Landmarks(turned, flip(body[names]))


def flip(points: Points) -> Points:
    return _f32(np.column_stack([1 - points[:, 0], points[:, 1:]]))


def test_a_part_that_is_not_known_is_zero_and_says_so() -> None:
    assert not landmark_vector(NO_LANDMARKS, FULL, 1.5).any()
    assert present(landmark_vector(NO_LANDMARKS, FULL, 1.5)) == ()
    whole = landmark_vector(some(), FULL, 1.5)
    assert whole.shape == (INPUT_WIDTH,)
    assert present(whole) == tuple(PARTS)
    rest = without(whole, "face", "other_hand", "eyes")
    assert present(rest) == ("hand", "body")
    np.testing.assert_array_equal(rest[: HEAD + 63], whole[: HEAD + 63])


@pytest.mark.parametrize(
    ("view", "parts", "without_hands"),
    [
        ("face", ("face", "eyes"), ("face", "eyes")),
        ("hand", ("hand", "other_hand"), ("body",)),
        ("person", ("hand", "other_hand", "body", "face", "eyes"), ("body", "face", "eyes")),
        ("frame", ("hand", "other_hand", "body", "face", "eyes"), ("body", "face", "eyes")),
    ],
)
def test_only_landmarks_inside_a_view_go_with_it(
    view: str, parts: tuple[str, ...], without_hands: tuple[str, ...]
) -> None:
    known = some()
    assert present(landmark_vector(shown_in(known, view), FULL, 1.5)) == parts
    handless = Landmarks(body=known.body, face=known.face)
    assert present(landmark_vector(shown_in(handless, view), FULL, 1.5)) == without_hands


@given(
    shift=st.tuples(st.floats(-0.3, 0.4), st.floats(-0.3, 0.4)),
    scale=st.floats(0.2, 1.0),
    aspect=st.floats(0.4, 2.5),
)
def test_a_shape_does_not_change_with_its_place_and_size(
    shift: tuple[float, float], scale: float, aspect: float
) -> None:
    hands, face = hands_of(), points_of(FACE_POINTS, 9)
    move = _f32([*shift, 0.1])
    after = Landmarks(
        tuple(HandLandmarks(_f32(h.points * scale + move), h.side) for h in hands),
        face=_f32(face * scale + move),
    )
    one = landmark_vector(Landmarks(hands, face=face), FULL, aspect)
    other = landmark_vector(after, FULL, aspect)
    hand = slice(HEAD, HEAD + 63)
    np.testing.assert_allclose(other[hand], one[hand], atol=2e-4)
    for part, count in (("face", FACE_POINTS), ("eyes", EYE_ROWS)):
        points = slice(SLICES[part].stop - 3 * count, SLICES[part].stop)
        np.testing.assert_allclose(other[points], one[points], atol=2e-4)
    assert other[3] == pytest.approx(one[3] + np.log2(scale), abs=1e-3)


def test_a_picture_and_its_stretched_twin_give_the_same_shape() -> None:
    """A hand of 100 x 100 pixels is square in a wide picture as in a high one."""
    wide, high = some(), some()
    high.hands[0].points[:, 0] *= 2  # the same pixels in a picture of half the width
    first = landmark_vector(Landmarks(wide.hands[:1]), FULL, 2.0)
    second = landmark_vector(Landmarks(high.hands[:1]), FULL, 1.0)
    xy = np.r_[HEAD : HEAD + 63].reshape(-1, 3)[:, :2].ravel()
    np.testing.assert_allclose(first[xy], second[xy], atol=1e-5)


def test_the_place_is_in_the_view() -> None:
    points = np.full((HAND_POINTS, 3), 0.5, np.float32)
    points[0, :2], points[1, :2] = (0.4, 0.4), (0.6, 0.6)
    seen = Landmarks((HandLandmarks(points, "right"),))
    view = Box(0.5, 0.4, 0.9, 0.8)  # the centre of the hand on its left edge, a quarter down
    vector = landmark_vector(seen, view, 1.0)
    np.testing.assert_allclose(vector[:HEAD], [1, -1, -0.5, np.log2(0.1 / 0.4), 1], atol=1e-6)
    np.testing.assert_allclose(vector[HEAD : HEAD + 2], [-1, -1], atol=1e-5)


@given(seed=st.integers(0, 1000), side=st.sampled_from(["left", "right", None]))
def test_a_mirror_swaps_left_and_right(seed: int, side: Side | None) -> None:
    hands, body = hands_of(seed, side), points_of(BODY_POINTS, seed)
    view = Box(0.2, 0.1, 0.7, 0.8)
    turned_view = Box(1 - view.x2, view.y1, 1 - view.x1, view.y2)
    straight = landmark_vector(Landmarks(hands, body), view, 1.3)
    expected = landmark_vector(in_a_mirror(hands, body), turned_view, 1.3)
    np.testing.assert_allclose(mirrored(straight), expected, atol=1e-4)
    whole = landmark_vector(some(seed, side), view, 1.3)
    np.testing.assert_array_equal(mirrored(mirrored(whole)), whole)


def test_a_face_is_the_same_in_a_mirror_where_it_is_symmetric() -> None:
    """A mesh whose pairs lie opposite each other keeps its points: the pairs are the mesh's."""
    from sfedge.core import face_points as of_face

    mesh = np.zeros((MESH_POINTS, 3), np.float32)
    for number, (right, left) in enumerate(of_face._PAIRS):
        mesh[right], mesh[left] = (
            (0.5 - number / 200, number / 99, 0),
            (0.5 + number / 200, number / 99, 0),
        )
    for number, middle in enumerate(of_face._MIDDLE):
        mesh[middle] = (0.5, number / 14, 0)
    iris = _f32([[0.4, 0.3, 0], [0.42, 0.3, 0], [0.4, 0.28, 0], [0.38, 0.3, 0], [0.4, 0.32, 0]])
    seen = Landmarks(face=face_points(mesh, iris, flip(iris)))
    vector = landmark_vector(seen, FULL, 1.0)
    np.testing.assert_allclose(mirrored(vector), vector, atol=1e-5)


def test_points_go_with_their_box() -> None:
    before, after = Box(0.2, 0.2, 0.4, 0.6), Box(0.5, 0.1, 0.6, 0.3)
    corners = _f32([[0.2, 0.2, 7], [0.4, 0.6, 8], [0.3, 0.4, 9]])
    wanted = _f32([[0.5, 0.1, 7], [0.6, 0.3, 8], [0.55, 0.2, 9]])
    np.testing.assert_allclose(moved(corners, before, after), wanted, atol=1e-6)


def test_nothing_is_given_beyond_a_bound() -> None:
    far = Landmarks(body=points_of(BODY_POINTS, 0) * _f32([1e6, 1e6, 1]))
    vector = landmark_vector(far, Box(0.5, 0.5, 0.501, 0.501), 1.0)
    assert np.isfinite(vector).all()
    assert np.abs(vector).max() <= 8


def test_the_other_hand_first() -> None:
    seen = some()
    swapped = landmark_vector(with_other_first(seen), FULL, 1.0)
    width = HEAD + 63
    whole = landmark_vector(seen, FULL, 1.0)
    np.testing.assert_array_equal(swapped[:width], whole[width : 2 * width])


def face_of(seed: int) -> NDArray[np.float64]:
    return np.random.default_rng(seed).uniform(-1, 1, (FACE_POINTS, 3))


@given(seed=st.integers(0, 1000), angle=st.floats(-0.7, 0.7), scale=st.floats(0.2, 3.0))
def test_an_eye_has_coordinates_of_its_own(seed: int, angle: float, scale: float) -> None:
    """A tilted head, a nearer face and another place in the picture change nothing of it."""
    face = face_of(seed)
    cos, sin = np.cos(angle), np.sin(angle)
    turned = scale * face @ np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]]) + (0.3, -0.2, 5)

    rows, others = eye_rows(face), eye_rows(turned)

    np.testing.assert_allclose(others[:-2], rows[:-2], atol=1e-6)
    # Directions have no place or size either, but they turn with the head.
    tilted = rows[-2:, :2] @ np.array([[cos, sin], [-sin, cos]])
    np.testing.assert_allclose(others[-2:, :2], tilted, atol=1e-6)


@pytest.mark.parametrize(
    ("outer", "inner", "eye", "towards_nose"),
    [(33, 133, 0, 1.0), (263, 362, 1, -1.0)],
)
def test_where_an_iris_lies_between_the_corners(
    outer: int, inner: int, eye: int, towards_nose: float
) -> None:
    """The person's right eye lies left in the picture, so that its nose is to the right."""
    face = np.zeros((FACE_POINTS, 3))
    # The whole eye is 4 wide; its iris a quarter of that from the inner corner, 1 below the line.
    face[face_places(outer, inner)] = [(10 - 2 * towards_nose, 7, 3), (10 + 2 * towards_nose, 7, 3)]
    centre = (RIGHT_IRIS, LEFT_IRIS)[eye]
    face[centre] = (10 + towards_nose, 8, 5)

    own = eye_rows(face)[:-2].reshape(2, -1, 3)[eye]

    assert sorted(own[own[:, 2] == 0, 0].tolist()) == [-1, 1]  # the corners, with depth 3
    np.testing.assert_allclose(own[own[:, 2] == 1], [[towards_nose / 2, 0.5, 1]])


def test_the_direction_of_a_face_and_of_its_chin() -> None:
    """Depth grows away from the camera, so that a face that looks into it points to -z."""
    face = np.zeros((FACE_POINTS, 3))
    face[face_places(33, 263, 10, 152)] = [(-1, 0, 0), (1, 0, 0), (0, -2, 0), (0, 2, 0)]
    np.testing.assert_allclose(eye_rows(face)[-2:], [[0, 0, 1], [0, 1, 0]])
    face[:, 2] = -face[:, 0]  # its right side, at the picture's left, lies further away
    facing = eye_rows(face)[-2]
    np.testing.assert_allclose(facing, [np.sqrt(0.5), 0, np.sqrt(0.5)])


@given(seed=st.integers(0, 1000))
def test_a_mirror_swaps_the_eyes_and_turns_the_head(seed: int) -> None:
    face = points_of(FACE_POINTS, seed)
    pairs = np.r_[0:112, 126:136].reshape(-1, 2)  # right and left; those between lie in the middle
    swapped = np.arange(FACE_POINTS)
    swapped[pairs] = pairs[:, ::-1]

    seen = landmark_vector(Landmarks(face=face), FULL, 1.0)
    turned = landmark_vector(Landmarks(face=flip(face)[swapped]), FULL, 1.0)

    # Of eyes that lie nearly on one another float32 leaves fewer digits.
    np.testing.assert_allclose(mirrored(seen), turned, atol=5e-4)
