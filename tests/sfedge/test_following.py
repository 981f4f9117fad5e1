"""What is known is followed between searches, and what is lost or new is searched for."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from mediapipe_reference import draw_hand
from numpy.typing import NDArray
from PIL import Image as Pillow

from sfedge.core.boxes import Box, iou
from sfedge.core.structures import Detection, Frame, Image, Kind
from sfedge.detect.conversion import networks
from sfedge.detect.mediapipe.detected_points import FoundFace, FoundHand, FoundPose, Range
from sfedge.detect.mediapipe.mediapipe_networks import MediaPipeNetworks
from sfedge.detect.mediapipe.regions import Region
from sfedge.detect.tiled_detector import TiledDetector

Picture = NDArray[np.uint8]
RATE = 25
HAND = 120  # pixels from the top to the picture of the hand
LOOK, SEARCH, ROUND = 0.2, 0.6, 1.0  # seconds: of hands, of new hands, of new faces


class Counted:
    """The real networks; `calls` counts what is asked of them, and tests may blind one of them."""

    follows = True

    def __init__(self, real: MediaPipeNetworks) -> None:
        self._real = real
        self.calls: Counter[str] = Counter()
        self.blind: set[str] = set()

    def find_faces(self, image: Image, reach: Range, lowest: float) -> list[FoundFace]:
        self.calls[reach] += 1
        return [] if reach in self.blind else self._real.find_faces(image, reach, lowest)

    def find_hands(self, image: Image, known: Sequence[Region] = ()) -> list[FoundHand]:
        self.calls["hands"] += 1
        return [] if "hands" in self.blind else self._real.find_hands(image, known)

    def find_hand_at(self, image: Image, likely: Region) -> FoundHand | None:
        self.calls["arm"] += 1
        return self._real.find_hand_at(image, likely)

    def find_hand_again(self, image: Image, region: Region) -> FoundHand | None:
        self.calls["hand again"] += 1
        return self._real.find_hand_again(image, region)

    def find_poses(self, image: Image, known: Sequence[Region] = ()) -> list[FoundPose]:
        self.calls["persons"] += 1
        return [] if "persons" in self.blind else self._real.find_poses(image, known)

    def find_pose_again(self, image: Image, region: Region) -> FoundPose | None:
        self.calls["person again"] += 1
        return self._real.find_pose_again(image, region)

    def close(self) -> None:
        self._real.close()


@pytest.fixture(scope="module")
def real() -> Iterator[MediaPipeNetworks]:
    found = MediaPipeNetworks(networks.fetch(networks.DETECTING))
    yield found
    found.close()


@pytest.fixture
def counted(real: MediaPipeNetworks) -> Counted:
    return Counted(real)


@pytest.fixture
def waving(admiral: Picture) -> Picture:
    """A person whose arms are not in the picture, beside a hand, (430, 700, 3)."""
    picture = np.full((430, 700, 3), (90, 110, 90), np.uint8)
    picture[:, 188:] = admiral[:430]
    picture[HAND : HAND + 150, 20:170] = draw_hand(150)
    return picture


def at(detector: TiledDetector, picture: Picture, number: int) -> list[Detection]:
    return detector.detect(Frame(picture, number, number / RATE, starts_scene=number == 0))


def moved(picture: Picture, x: int, y: int = 0) -> Picture:
    return np.roll(picture, (y, x), axis=(0, 1))


def boxes(found: Sequence[Detection], kind: Kind) -> list[Box]:
    return [one.box for one in found if one.kind == kind]


def test_what_stays_is_looked_at_again_and_searched_for_seldom(
    counted: Counted, waving: Picture
) -> None:
    detector = TiledDetector(counted)
    at(detector, waving, 0)
    first = counted.calls.copy()
    assert (first["person again"], first["hand again"]) == (0, 0)

    for number in range(1, RATE + 1):
        at(detector, waving, number)
    counted.calls.clear()
    for number in range(RATE + 1, 2 * RATE + 1):  # a second
        at(detector, waving, number)

    assert counted.calls["person again"] == counted.calls["hand again"] == round(1 / LOOK)
    assert counted.calls["persons"] <= 3  # searches, each in the whole frame alone
    assert counted.calls["hands"] == counted.calls["persons"]
    assert counted.calls["full"] == first["full"]  # the frame and its tiles, once


def test_who_moves_is_found_where_a_new_search_finds_them(
    real: MediaPipeNetworks, waving: Picture
) -> None:
    following, seen = TiledDetector(real), Counter[str]()
    for number in range(31):
        picture = moved(waving, 2 * number, number // 2)
        found = at(following, picture, number)
        anew = TiledDetector(real).detect(Frame(picture, 0, 0.0, starts_scene=True))
        for kind, least in (("face", 0.5), ("hand", 0.7), ("person", 0.6)):
            here, there = boxes(found, kind), boxes(anew, kind)  # type: ignore[arg-type]
            seen[kind] += len(here)
            assert len(here) <= 1
            if here and there:
                assert iou(here[0], there[0]) > least
    assert seen["face"] == 31
    assert seen["hand"] == seen["person"] >= 6  # one every 0.2 s, or a frame later


@pytest.mark.parametrize(("blind", "kind"), [("hands", "hand"), ("persons", "person")])
def test_what_a_search_would_miss_is_kept(
    blind: str, kind: Kind, counted: Counted, waving: Picture
) -> None:
    detector = TiledDetector(counted)
    assert len(boxes(at(detector, waving, 0), kind)) == 1
    counted.blind.add(blind)
    seen = [len(boxes(at(detector, waving, number), kind)) for number in range(1, 41)]
    assert sum(seen) >= 7
    assert max(seen) == 1


def test_a_hand_that_has_jumped_is_searched_for_at_once(counted: Counted, waving: Picture) -> None:
    detector = TiledDetector(counted)
    at(detector, waving, 0)
    jumped = waving.copy()
    jumped[HAND : HAND + 150, 20:170] = (90, 110, 90)
    jumped[HAND + 110 : HAND + 260, 20:170] = draw_hand(150)
    at(detector, waving, 5)
    counted.calls.clear()

    found = [boxes(at(detector, jumped, number), "hand") for number in range(10, 14)]

    assert counted.calls["persons"] == 1
    ((hand,),) = [each for each in found if each]
    assert hand.centre[1] * 430 == pytest.approx(HAND + 110 + 75, abs=25)


def test_a_hand_that_is_gone_is_not_seen_any_more(real: MediaPipeNetworks, waving: Picture) -> None:
    detector = TiledDetector(real)
    at(detector, waving, 0)
    gone = waving.copy()
    gone[:, :180] = (90, 110, 90)
    assert not any(boxes(at(detector, gone, number), "hand") for number in range(1, 11))


def test_after_a_third_of_a_second_without_frames_all_is_searched_for(
    counted: Counted, waving: Picture
) -> None:
    detector = TiledDetector(counted)
    at(detector, waving, 0)
    counted.calls.clear()
    at(detector, waving, 8)  # 0.32 s
    assert counted.calls["hand again"] == counted.calls["person again"] == 0
    assert counted.calls["persons"] > 0


def test_somebody_small_who_comes_in_is_found_within_a_second(
    real: MediaPipeNetworks, astronaut: Picture
) -> None:
    detector = TiledDetector(real)
    empty = np.full((720, 1280, 3), (90, 110, 90), np.uint8)
    small = np.array(Pillow.fromarray(astronaut).resize((205, 205)))
    came = empty.copy()
    came[400:605, 900:1105] = small
    assert at(detector, empty, 0) == []
    seen = [bool(boxes(at(detector, came, number), "face")) for number in range(1, RATE + 2)]
    assert any(seen)
    assert all(seen[seen.index(True) :])  # and not lost again


def test_a_face_that_the_quick_network_loses_is_found_by_the_other(
    counted: Counted, waving: Picture
) -> None:
    detector = TiledDetector(counted)
    assert boxes(at(detector, waving, 0), "face")
    at(detector, waving, 1)
    counted.blind.add("short")
    for number in range(2, 8):
        assert len(boxes(at(detector, waving, number), "face")) == 1


def test_a_search_does_not_move_the_box_of_a_face_that_stays(
    real: MediaPipeNetworks, waving: Picture
) -> None:
    detector = TiledDetector(real)
    at(detector, waving, 0)
    found = [boxes(at(detector, waving, number), "face") for number in range(1, 2 * RATE)]
    assert {tuple(each) for each in found} == {tuple(found[0])}


def test_followed_networks_are_those_of_the_files(tmp_path: Path) -> None:
    """Where a person will be seen again is told by the network's own two points for it."""
    found = MediaPipeNetworks(networks.fetch(networks.DETECTING))
    picture = np.full((720, 1280, 3), (90, 110, 90), np.uint8)
    from skimage.data import astronaut

    picture[100:612, 300:812] = astronaut()  # type: ignore[no-untyped-call]
    (pose,) = found.find_poses(picture)
    assert pose.again is not None
    again = found.find_pose_again(picture, pose.again)
    assert again is not None
    assert again.again is not None
    # Looked at again in the same picture, a person hardly moves.
    shoulders = [11, 12]
    off = np.linalg.norm(again.points[shoulders, :2] - pose.points[shoulders, :2], axis=1)
    assert off.max() < 0.03 * pose.again.side
    assert pose.again.away(again.again) < 0.05
    assert again.again.side == pytest.approx(pose.again.side, rel=0.1)
