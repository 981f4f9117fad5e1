from dataclasses import astuple
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sfedge.core.boxes import Box, clamped, union
from sfedge.core.structures import Detection
from sfedge.detect.mediapipe.person_box import measure_pose
from sfedge.detect.tiling import Candidate, body_squares, face_square, fuse, hand_squares, tiles

_sides = st.integers(16, 9000)
_corner = st.floats(0, 1, allow_nan=False)


@given(_sides, _sides, _corner, _corner)
def test_every_small_face_lies_whole_in_a_tile(width: int, height: int, x: float, y: float) -> None:
    squares = tiles(width, height)
    assert len(squares) <= 24
    # The largest face that a look at the whole frame may miss at 16:9 is a ninth of the height.
    side = min(width, height) / 9
    x1, y1 = x * (width - side) / width, y * (height - side) / height
    face = clamped(x1, y1, x1 + side / width, y1 + side / height)
    assert any(
        tile.x1 - 1e-9 <= face.x1
        and tile.y1 - 1e-9 <= face.y1
        and face.x2 <= tile.x2 + 1e-9
        and face.y2 <= tile.y2 + 1e-9
        for tile in squares
    )


@st.composite
def _candidates(draw: st.DrawFn) -> Candidate:
    x, y = draw(st.floats(0, 0.8)), draw(st.floats(0, 0.8))
    box = Box(x, y, x + draw(st.floats(0.05, 0.2)), y + draw(st.floats(0.05, 0.2)))
    return Candidate(draw(st.sampled_from(["face", "hand"])), box, draw(st.floats(0.5, 1)), box)


@given(st.lists(_candidates(), max_size=5))
def test_merging_keeps_to_the_extent_of_what_was_found_in_any_order(
    candidates: list[Candidate],
) -> None:
    merged = fuse(candidates)
    assert len(merged) <= len(candidates)
    assert {d.kind for d in merged} == {f.kind for f in candidates}
    for detection in merged:
        around = union(
            [candidate.box for candidate in candidates if candidate.kind == detection.kind]
        )
        assert union([around, detection.box]) == pytest.approx(around) or all(
            abs(a - b) < 1e-9
            for a, b in zip(astuple(union([around, detection.box])), astuple(around), strict=True)
        )
    for order in list(permutations(candidates))[:6]:
        assert fuse(order) == merged


def test_one_face_found_twice_is_their_weighted_mean_and_a_neighbour_stays() -> None:
    first, second = Box(0.1, 0.1, 0.3, 0.3), Box(0.12, 0.1, 0.32, 0.3)
    other = Box(0.31, 0.1, 0.5, 0.3)
    candidates = [
        Candidate("face", box, score, box)
        for box, score in ((first, 0.9), (second, 0.6), (other, 0.8))
    ]
    mean, neighbour = fuse(candidates)
    assert astuple(mean.box) == pytest.approx((0.108, 0.1, 0.308, 0.3))
    assert mean.score == 0.9
    assert neighbour == Detection("face", other, 0.8)


@given(_sides, _sides, st.floats(0, 0.9), st.floats(0, 0.9), st.floats(0.001, 0.1))
def test_squares_around_a_face_hold_it_or_lie_beside_it(
    width: int, height: int, x: float, y: float, size: float
) -> None:
    face = Box(x, y, x + size, y + size)
    for square in [face_square(face, width, height), *body_squares(face, width, height)]:
        assert union([square, face]) == square
    for square in hand_squares(face, width, height):
        assert square.area < 0.6


def _standing(facing: float = 1.0) -> NDArray[np.float64]:
    """Landmarks of a person of 170 cm at 1 pixel a cm, the crown at y = 0, seen from the front."""
    points = np.zeros((33, 3))
    points[:, :2] = 100, 15
    points[:, 2] = 1.0
    for number, (x, y) in {
        2: (97, 12), 5: (103, 12), 7: (93, 13), 8: (107, 13), 9: (97, 19), 10: (103, 19),
        11: (82, 35), 12: (118, 35), 13: (78, 60), 14: (122, 60), 15: (75, 82), 16: (125, 82),
        17: (74, 90), 18: (126, 90), 19: (75, 92), 20: (125, 92), 21: (76, 88), 22: (124, 88),
        23: (90, 90), 24: (110, 90), 25: (90, 128), 26: (110, 128), 27: (90, 162), 28: (110, 162),
        29: (90, 166), 30: (110, 166), 31: (86, 168), 32: (114, 168),
    }.items():  # fmt: skip
        points[number, :2] = 100 + facing * (x - 100), y
    return points


def test_a_standing_persons_box_reaches_from_the_crown_to_the_soles() -> None:
    pose = measure_pose(_standing())
    x1, y1, x2, y2 = pose.person
    assert -4 <= y1 <= 0
    assert 170 <= y2 <= 176
    assert 65 <= x1 <= 73
    assert 127 <= x2 <= 135
    assert pose.head[1] <= 0
    assert 22 <= pose.head[3] <= 28
    assert pose.score == 1


def test_a_person_seen_from_the_side_has_a_head_of_the_same_height() -> None:
    front, side = measure_pose(_standing()), measure_pose(_standing(facing=0.1))
    assert side.head[1] == pytest.approx(front.head[1], abs=1)


def test_limbs_that_are_not_seen_do_not_count_but_hips_do() -> None:
    points = _standing()
    points[13:, 2] = 0.1  # a table hides all from the elbows down
    _, _, _, bottom = measure_pose(points).person
    assert 90 < bottom < 100
