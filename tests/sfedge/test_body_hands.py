"""Hands that the landmarks of a body lead to."""

import math
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mediapipe_reference import GROUND, draw_hand
from numpy.typing import NDArray

from sfedge.core.boxes import Box, iou
from sfedge.core.structures import Detection, Frame, Image
from sfedge.detect.body_hands import arms_without_hand, torso_of
from sfedge.detect.conversion import networks
from sfedge.detect.mediapipe.detected_points import FoundFace, FoundHand, FoundPose, Range
from sfedge.detect.mediapipe.hand_finder import HandFinder
from sfedge.detect.mediapipe.regions import Region, cut_out
from sfedge.detect.mediapipe.wrist_regions import region_of_hand, region_of_wrist
from sfedge.detect.tiled_detector import TiledDetector
from sfedge.engines.small_network import open_network

WIDTH, HEIGHT = 640, 480
# A body that faces the camera, in pixels: x, y; by MediaPipe's numbers, 1 to 10 around the nose.
HEAD = {i: (320 + dx, 120 + dy) for i, (dx, dy) in enumerate(
    [(0, 0), (8, -10), (14, -10), (20, -10), (-8, -10), (-14, -10), (-20, -10), (26, -6), (-26, -6),
     (8, 14), (-8, 14)])}  # fmt: skip
TRUNK = {11: (380, 180), 12: (260, 180), 23: (360, 380), 24: (280, 380)}
HANGING = {13: (400, 280), 14: (240, 280), 15: (405, 370), 16: (235, 370)}
RAISED = {13: (400, 280), 15: (420, 170)}  # the left
CROSSED = {13: (380, 290), 14: (260, 290), 15: (350, 220), 16: (290, 225)}


def pose(*parts: dict[int, tuple[int, int]], seen: float = 1.0) -> NDArray[np.float64]:
    """(33, 3) pixels and visibility; the hands' points lie 20 px beyond the wrists."""
    points = np.zeros((33, 3))
    for joint, place in {**HEAD, **TRUNK, **HANGING}.items():
        points[joint] = (*place, 1.0)
    for part in parts:
        for joint, place in part.items():
            points[joint, :2] = place
    for elbow, wrist in ((13, 15), (14, 16)):
        way = points[wrist, :2] - points[elbow, :2]
        points[[wrist + 2, wrist + 4, wrist + 6], :2] = points[
            wrist, :2
        ] + 20 * way / np.linalg.norm(way)
        points[[wrist, wrist + 2, wrist + 4, wrist + 6], 2] = seen
    points[25:] = (320, 470, 0.0)
    return points


def body(points: NDArray[np.float64]) -> NDArray[np.float32]:
    return (points / (WIDTH, HEIGHT, 1)).astype(np.float32)


def a_hand(x: float, y: float, side: float = 40.0) -> NDArray[np.float64]:
    """(21, 3) with its wrist at the middle of the lower edge of a square."""
    grid = np.stack(np.meshgrid(np.linspace(-1, 1, 4), np.linspace(-2, -0.2, 5)), axis=-1)
    points = np.concatenate([[[0.0, 0.0]], grid.reshape(-1, 2)]) * side / 2 + (x, y)
    return np.column_stack([points, np.zeros(21)])


def test_an_arm_that_is_held_up_is_looked_along_and_one_that_hangs_is_not() -> None:
    (arm,) = arms_without_hand(torso_of(body(pose(RAISED)), WIDTH, HEIGHT), [])

    assert arm.side == "left"
    assert arm.wrist == pytest.approx((420, 170), abs=0.01)
    assert arm.likely.y < 170  # beyond the wrist
    near, far = arm.squares(WIDTH, HEIGHT)
    for square in (near, far):
        assert square.x1 < 420 / WIDTH < square.x2
        assert square.y1 < 150 / HEIGHT < square.y2
    assert far.area > near.area


@pytest.mark.parametrize(("dx", "count"), [(0, 0), (20, 0), (80, 1)])
def test_an_arm_whose_hand_was_found_is_not_looked_along(dx: int, count: int) -> None:
    hand = body(a_hand(420 + dx, 170))

    torso = torso_of(body(pose(RAISED)), WIDTH, HEIGHT)

    assert len(list(arms_without_hand(torso, [hand]))) == count


@pytest.mark.parametrize(
    "points",
    [pose(RAISED, seen=0.4), pose({13: (600, 200), 15: (700, 120)}), pose()],
    ids=["hidden", "outside", "hanging"],
)
def test_no_arm_is_looked_along_where_no_hand_can_be_seen(points: NDArray[np.float64]) -> None:
    assert list(arms_without_hand(torso_of(body(points), WIDTH, HEIGHT), [])) == []


@pytest.mark.parametrize(
    ("arms", "are_crossed"),
    [
        (CROSSED, True),
        ({**CROSSED, 15: CROSSED[16], 16: CROSSED[15]}, True),  # which is which does not matter
        ({**CROSSED, 15: (430, 220)}, False),  # one is held out
        ({**CROSSED, 15: (350, 320)}, False),  # one is lower than its elbow
        ({13: (420, 130), 14: (220, 130), 15: (350, 60), 16: (290, 60)}, False),  # on the head
        (HANGING, False),
        (RAISED, False),
    ],
)
def test_arms_are_crossed_where_both_hands_lie_before_the_chest(
    arms: dict[int, tuple[int, int]], are_crossed: bool
) -> None:
    assert torso_of(body(pose(arms)), WIDTH, HEIGHT).has_crossed_arms() == are_crossed


class Bodies:
    """Networks that see one person, and what a test says of the hands."""

    follows = True

    def __init__(
        self,
        points: NDArray[np.float64],
        palms: list[FoundHand] | None = None,
        hand: NDArray[np.float64] | None = None,
    ) -> None:
        self._points, self._palms, self._hand = points, palms or [], hand
        self.looks = 0

    def find_faces(self, image: Image, reach: Range, lowest: float) -> list[FoundFace]:
        return []

    def find_hands(self, image: Image, known: Sequence[Region] = ()) -> list[FoundHand]:
        return self._palms

    def find_hand_at(self, image: Image, likely: Region) -> FoundHand | None:
        """The hand, if the part of the picture holds where it is likely to be."""
        assert 0 <= likely.x <= image.shape[1]
        assert 0 <= likely.y <= image.shape[0]
        self.looks += 1
        if self._hand is None:
            return None
        # As by the picture: its first row and column say where in the frame it lies.
        left, top = int(image[0, 0, 0]) * 4, int(image[0, 0, 1]) * 4
        return FoundHand(self._hand - (left, top, 0), "right", 0.5, presence=0.8)

    def find_poses(self, image: Image, known: Sequence[Region] = ()) -> list[FoundPose]:
        return [FoundPose(self._points)]

    def close(self) -> None:
        pass


def hands_in(found_by: Bodies, *, is_photograph: bool = False) -> list[Detection]:
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    picture = np.stack([x // 4, y // 4, 0 * x], axis=2).astype(np.uint8)
    frame = Frame(picture, 0, 0.0, starts_scene=is_photograph)
    found = TiledDetector(found_by).detect(frame)
    return [one for one in found if one.kind == "hand"]


def test_a_hand_that_only_its_arm_leads_to_is_found_with_the_arm_s_side() -> None:
    hand = a_hand(424, 172)

    (found,) = hands_in(Bodies(pose(RAISED), hand=hand))

    assert (found.side, found.score, found.from_body) == ("left", 0.8, False)
    assert found.landmarks is not None
    # Parts of a frame begin at whole pixels, which this picture tells to four.
    assert found.landmarks[:, :2] * (WIDTH, HEIGHT) == pytest.approx(hand[:, :2], abs=4)
    assert found.box.x1 * WIDTH < hand[:, 0].min() + 4
    assert found.box.y2 * HEIGHT > hand[:, 1].max() - 4


@pytest.mark.parametrize(
    ("is_photograph", "is_there", "looks"),
    [(False, False, 1), (True, False, 2), (True, True, 1)],
)
def test_a_photograph_is_looked_at_again_where_no_hand_is_found(
    is_photograph: bool, is_there: bool, looks: int
) -> None:
    found_by = Bodies(pose(RAISED), hand=a_hand(424, 172) if is_there else None)

    hands_in(found_by, is_photograph=is_photograph)

    assert found_by.looks == looks


def test_a_hand_far_from_the_arm_is_somebody_else_s() -> None:
    assert hands_in(Bodies(pose(RAISED), hand=a_hand(520, 300))) == []


def test_crossed_arms_place_both_hands_where_none_is_seen() -> None:
    found = hands_in(Bodies(pose(CROSSED, seen=0.9)))

    assert [(one.side, one.from_body, one.landmarks) for one in found] == [
        ("left", True, None),
        ("right", True, None),
    ]
    assert [one.score for one in found] == pytest.approx([0.9, 0.9])
    for one, wrist in zip(found, ((350, 220), (290, 225)), strict=True):
        x, y = one.box.centre[0] * WIDTH, one.box.centre[1] * HEIGHT
        assert math.hypot(x - wrist[0], y - wrist[1]) < 25
    assert hands_in(Bodies(pose(RAISED))) == []  # one arm says nothing of its hand


@pytest.mark.parametrize(("seen", "count"), [(0.1, 0), (0.9, 1)])
def test_what_looks_like_a_hand_in_a_face_is_none_where_no_wrist_is_in_sight(
    seen: float, count: int
) -> None:
    at_the_mouth = FoundHand(a_hand(320, 140), "left", 0.95)

    assert len(hands_in(Bodies(pose(seen=seen), palms=[at_the_mouth]))) == count


def test_a_wrist_and_fingers_above_it_are_a_region_around_the_whole_hand() -> None:
    region = region_of_wrist(
        *(np.array(p) for p in ((100.0, 200.0), (90.0, 180.0), (105.0, 180.0)))
    )

    assert region.x == pytest.approx(100)
    assert region.y == pytest.approx(180 - 0.1 * region.side)
    assert region.side == pytest.approx(2 * 20 * 2.7)
    assert region.angle == pytest.approx(0)


@given(st.floats(-3, 3), st.floats(0.3, 3), st.floats(-200, 200), st.floats(-200, 200))
def test_the_region_of_a_hand_turns_and_moves_with_it(
    angle: float, scale: float, dx: float, dy: float
) -> None:
    points = a_hand(50, 60)
    sine, cosine = math.sin(angle), math.cos(angle)
    turned = scale * points[:, :2] @ np.array([[cosine, sine], [-sine, cosine]]) + (dx, dy)

    first = region_of_hand(points)
    second = region_of_hand(np.column_stack([turned, points[:, 2]]))

    assert second.side == pytest.approx(scale * first.side)
    assert math.cos(second.angle - first.angle - angle) == pytest.approx(1)
    x, y = scale * (cosine * first.x - sine * first.y), scale * (sine * first.x + cosine * first.y)
    assert (second.x, second.y) == pytest.approx((x + dx, y + dy))


@pytest.fixture(scope="module")
def finder() -> HandFinder:
    files = networks.fetch(["palm", "hand-landmarks"])
    palm, hand = (open_network(files[name]) for name in ("palm", "hand-landmarks"))
    return HandFinder(palm, hand, most=8, lowest=0.5)


@pytest.mark.parametrize("degrees", [0.0, 60.0])
def test_a_hand_is_found_by_the_place_alone(finder: HandFinder, degrees: float) -> None:
    picture = np.full((300, 300, 3), GROUND, np.uint8)
    picture[50:250, 50:250] = draw_hand(200)
    turned = cut_out(
        picture, Region(150, 150, 300, math.radians(degrees)), 300, is_black_outside=False
    )
    (known,) = finder.find(picture)

    hand = finder.find_at(turned, Region(150, 150, 260, math.radians(-degrees)))

    assert hand is not None
    assert hand.presence > 0.5
    places = Region(150, 150, 300, math.radians(degrees)).to_picture(hand.points[:, :2] / 300)
    low, high = known.points[:, :2].min(axis=0), known.points[:, :2].max(axis=0)
    found_low, found_high = places.min(axis=0), places.max(axis=0)
    boxes = [
        Box(*(np.concatenate(corners) / 300)) for corners in ((low, high), (found_low, found_high))
    ]
    assert iou(*boxes) > 0.7


def test_where_there_is_no_hand_none_is_found_by_its_place(finder: HandFinder) -> None:
    picture = np.random.default_rng(0).integers(60, 120, (300, 300, 3), dtype=np.uint8)

    assert finder.find_at(picture, Region(150, 150, 150, 0.5)) is None


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.0, 1.0, 300.0, 1e4]))
def test_whatever_the_body_is_no_look_leaves_the_frame(seed: int, extent: float) -> None:
    """Points far outside, and all in one place."""
    points = np.random.default_rng(seed).normal((320, 240, 1), (extent, extent, 0.3), (33, 3))

    for one in hands_in(Bodies(points.clip(-1e6, 1e6))):
        assert one.from_body
