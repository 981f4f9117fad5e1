from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from mediapipe_reference import draw_hand
from numpy.typing import NDArray
from PIL import Image

from sfedge.core.boxes import Box, from_pixels, iou, union
from sfedge.core.errors import DetectorError
from sfedge.core.face_points import FACE_POINTS
from sfedge.core.structures import Frame, Kind
from sfedge.detect import build_detector
from sfedge.detect.body_search import LOOK_INTERVAL
from sfedge.detect.conversion import networks
from sfedge.detect.detector import Detector
from sfedge.detect.mediapipe.face_mesh import FaceMesh
from sfedge.detect.mediapipe.mediapipe_networks import MediaPipeNetworks
from sfedge.detect.tiled_detector import TiledDetector

Picture = NDArray[np.uint8]

# Measured by hand, in pixels of the photographs: from the brows to the chin, from cheek to cheek.
ASTRONAUT_FACE, ASTRONAUT_EYES = (182, 89, 269, 179), ((204, 101), (248, 104))
ADMIRAL_FACE, ADMIRAL_EYES = (180, 153, 349, 332), ((223, 190), (307, 186))


@pytest.fixture(scope="module")
def paths() -> dict[str, Path]:
    return networks.fetch(networks.DETECTING)


@pytest.fixture
def detector(paths: dict[str, Path]) -> Iterator[TiledDetector]:
    detector = TiledDetector(MediaPipeNetworks(paths))
    yield detector
    detector.close()


@pytest.fixture(scope="module")
def coffee() -> Picture:
    """A cup on a table and nobody, (720, 1280, 3)."""
    from skimage.data import coffee

    picture = Image.fromarray(coffee())  # type: ignore[no-untyped-call]
    return np.array(picture.resize((1280, 720)))


def _seen(detector: Detector, picture: Picture, time: float = 0.0) -> dict[Kind, list[Box]]:
    boxes: dict[Kind, list[Box]] = {"face": [], "hand": [], "person": []}
    for detection in detector.detect(Frame(picture, round(time * 1000), time)):
        boxes[detection.kind].append(detection.box)
    return boxes


def _box(corners: tuple[int, int, int, int], picture: Picture) -> Box:
    height, width = picture.shape[:2]
    return from_pixels(*corners, width=width, height=height)


def _with_pasted(ground: Picture, picture: Picture, left: int, top: int, scale: float) -> Picture:
    small = Image.fromarray(picture)
    size = (round(small.width * scale), round(small.height * scale))
    whole = Image.fromarray(ground)
    whole.paste(small.resize(size, Image.Resampling.LANCZOS), (left, top))
    return np.array(whole)


@pytest.mark.parametrize(
    ("name", "face", "eyes"),
    [
        ("astronaut", ASTRONAUT_FACE, ASTRONAUT_EYES),
        ("admiral", ADMIRAL_FACE, ADMIRAL_EYES),
    ],
)
def test_a_face_and_its_body_are_found_where_they_are(
    name: str,
    face: tuple[int, int, int, int],
    eyes: tuple[tuple[int, int], ...],
    detector: TiledDetector,
    request: pytest.FixtureRequest,
) -> None:
    picture = request.getfixturevalue(name)
    height, width = picture.shape[:2]
    seen = _seen(detector, picture)
    (found,), (person,) = seen["face"], seen["person"]
    assert iou(found, _box(face, picture)) > 0.6
    for x, y in eyes:
        assert found.x1 < x / width < found.x2
        assert found.y1 < y / height < found.y2
    assert union([person, found]) == person
    assert person.y2 > 0.95  # both pictures are cut below the chest
    assert person.width > 2 * found.width


def test_two_people_side_by_side_are_two_faces_in_two_bodies(
    detector: TiledDetector, astronaut: Picture, admiral: Picture
) -> None:
    picture = np.full((720, 1280, 3), (90, 110, 90), np.uint8)
    picture[180:692, 60:572] = astronaut
    picture[100:700, 700:1212] = admiral
    seen = _seen(detector, picture)
    left, right = sorted(seen["face"])
    assert iou(left, _box((60 + 182, 180 + 89, 60 + 269, 180 + 179), picture)) > 0.6
    assert iou(right, _box((700 + 180, 100 + 153, 700 + 349, 100 + 332), picture)) > 0.6
    assert len(seen["person"]) == 2
    for face, person in zip((left, right), sorted(seen["person"]), strict=True):
        assert union([person, face]) == person


@pytest.mark.parametrize("name", ["blank", "noise", "coffee", "chelsea", "rocket"])
def test_nobody_is_seen_where_nobody_is(name: str, detector: TiledDetector) -> None:
    import skimage.data

    if name == "blank":
        picture = np.zeros((720, 1280, 3), np.uint8)
    elif name == "noise":
        picture = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    else:
        picture = getattr(skimage.data, name)()
    assert detector.detect(Frame(picture, 0, 0.0)) == []


@pytest.mark.parametrize("side", [25, 40, 60])
@pytest.mark.parametrize(("left", "top"), [(100, 80), (520, 300), (1000, 480)])
def test_people_across_a_room_are_found_and_not_lost_between_searches(
    side: int,
    left: int,
    top: int,
    detector: TiledDetector,
    coffee: Picture,
    astronaut: Picture,
) -> None:
    x1, y1, x2, y2 = ASTRONAUT_FACE
    scale = side / (x2 - x1)
    cut = astronaut[:400, 60:400]
    corners = (
        left + (x1 - 60) * scale,
        top + y1 * scale,
        left + (x2 - 60) * scale,
        top + y2 * scale,
    )
    for number in range(6):
        shift = 3 * number  # the person walks
        picture = _with_pasted(coffee, cut, left + shift, top, scale)
        where = from_pixels(
            corners[0] + shift, corners[1], corners[2] + shift, corners[3], width=1280, height=720
        )
        seen = _seen(detector, picture, number / 25)
        assert [face for face in seen["face"] if iou(face, where) > 0.4], number


@pytest.mark.parametrize("side", [25, 40, 60])
def test_the_body_of_a_small_face_is_found(
    side: int, detector: TiledDetector, coffee: Picture, astronaut: Picture
) -> None:
    scale = side / (ASTRONAUT_FACE[2] - ASTRONAUT_FACE[0])
    picture = _with_pasted(coffee, astronaut, 100, 80, scale)
    x1, y1, x2, y2 = (value * scale for value in ASTRONAUT_FACE)
    face = from_pixels(100 + x1, 80 + y1, 100 + x2, 80 + y2, width=1280, height=720)
    (person,) = _seen(detector, picture)["person"]
    assert union([person, face]) == person
    assert 2 < person.width / face.width < 6
    assert 3 < person.height / face.height < 8


def test_a_hand_is_boxed_from_the_wrist_to_the_fingertips(detector: TiledDetector) -> None:
    picture = np.full((720, 1280, 3), (70, 90, 120), np.uint8)
    picture[200:350, 500:650] = draw_hand(150)
    (hand,) = _seen(detector, picture)["hand"]
    is_skin = np.abs(picture.astype(int) - (70, 90, 120)).sum(axis=2) > 60
    rows, columns = np.nonzero(is_skin.any(axis=1))[0], np.nonzero(is_skin.any(axis=0))[0]
    drawn = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    assert iou(hand, _box(drawn, picture)) > 0.7


def test_a_small_raised_hand_beside_a_small_person_is_found(
    detector: TiledDetector, coffee: Picture, astronaut: Picture
) -> None:
    picture = _with_pasted(coffee, astronaut, 600, 200, 0.5)
    picture[240:300, 530:590] = draw_hand(60)
    (hand,) = _seen(detector, picture)["hand"]
    assert iou(hand, _box((540, 244, 578, 300), picture)) > 0.5


def test_the_same_frames_give_the_same_boxes_whatever_was_seen_before(
    paths: dict[str, Path], coffee: Picture, astronaut: Picture
) -> None:
    frames = [
        Frame(_with_pasted(coffee, astronaut, 100 + 9 * i, 200, 0.4), i, i / 15) for i in range(8)
    ]
    runs = []
    for _ in range(2):
        detector = TiledDetector(MediaPipeNetworks(paths))
        runs.append([detector.detect(frame) for frame in frames])
        detector.close()
    assert runs[0] == runs[1]
    assert all(detections for detections in runs[0])


def test_bodies_are_looked_for_at_intervals_of_the_streams_time(
    detector: TiledDetector, astronaut: Picture
) -> None:
    times = [0.0, 0.04, LOOK_INTERVAL - 0.01, LOOK_INTERVAL, LOOK_INTERVAL + 0.04, 0.01]
    has_person = [bool(_seen(detector, astronaut, time)["person"]) for time in times]
    # The last time lies before the others: someone has jumped back in the stream.
    assert has_person == [True, False, False, True, False, True]


def test_many_people_take_turns_and_all_bodies_are_seen(
    detector: TiledDetector, coffee: Picture, astronaut: Picture
) -> None:
    picture, lefts = coffee, (20, 340, 660, 980)
    for left in lefts:
        picture = _with_pasted(picture, astronaut, left, 300, 0.25)
    looks = [_seen(detector, picture, LOOK_INTERVAL * i)["person"] for i in range(2)]
    centres = [1280 * person.centre[0] for persons in looks for person in persons]
    for left in lefts:
        assert any(left < centre < left + 128 for centre in centres)


@pytest.mark.parametrize("size", [(1, 1), (1, 4000), (15, 900), (17, 31), (333, 1), (4320, 7680)])
def test_any_size_of_frame_is_taken(size: tuple[int, int], detector: TiledDetector) -> None:
    assert detector.detect(Frame(np.zeros((*size, 3), np.uint8), 0, 0.0)) == []


def test_frames_that_are_views_of_others_are_taken(
    detector: TiledDetector, astronaut: Picture
) -> None:
    mirrored = astronaut[:, ::-1]  # not contiguous
    (face,) = _seen(detector, mirrored)["face"]
    x1, y1, x2, y2 = ASTRONAUT_FACE
    assert iou(face, _box((512 - x2, y1, 512 - x1, y2), astronaut)) > 0.6


def test_a_body_without_a_head_in_the_picture_is_not_a_person(
    detector: TiledDetector, astronaut: Picture
) -> None:
    assert len(_seen(detector, astronaut)["person"]) == 1
    assert _seen(detector, astronaut[190:], 10.0)["person"] == []


def test_offline_a_missing_network_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SFEDGE_CACHE", str(tmp_path))
    with pytest.raises(DetectorError, match="sfedge detectors fetch"):
        build_detector(offline=True, width=1, height=1)


def test_closing_twice_is_allowed(paths: dict[str, Path]) -> None:
    detector = TiledDetector(MediaPipeNetworks(paths))
    detector.close()
    detector.close()


def test_a_hand_in_the_mirror_is_the_other_one(paths: dict[str, Path]) -> None:
    networks = MediaPipeNetworks(paths)
    picture = np.full((400, 400, 3), (70, 90, 120), np.uint8)
    picture[100:300, 100:300] = draw_hand(200)
    (hand,), (mirrored,) = networks.find_hands(picture), networks.find_hands(picture[:, ::-1])
    assert {hand.side, mirrored.side} == {"left", "right"}
    assert min(hand.side_score, mirrored.side_score) > 0.6
    tips = [4, 8, 12, 16, 20]
    assert np.abs(hand.points[tips, 0] + mirrored.points[tips, 0] - 400).max() < 20
    # Seen as a palm, with the thumb at the left of the picture: the person's own left hand.
    assert hand.points[4, 0] < hand.points[20, 0]
    assert hand.side == "left"


def test_the_mesh_of_a_face_lies_on_its_eyes_and_mouth(
    paths: dict[str, Path], astronaut: Picture, admiral: Picture
) -> None:
    files = networks.fetch(["face-mesh", "iris"])
    mesh = FaceMesh(files["face-mesh"], files["iris"])
    for picture, eyes in ((astronaut, ASTRONAUT_EYES), (admiral, ADMIRAL_EYES)):
        (face,) = MediaPipeNetworks(paths).find_faces(picture, "short", 0.6)
        found = mesh.find(picture, face)
        assert found.presence > 0.9
        width = np.ptp(found.points[:, 0])
        for eye, place in zip((found.right_eye, found.left_eye), eyes, strict=True):
            assert np.linalg.norm(eye.iris[0, :2] - place) < 0.05 * width
            edge = np.linalg.norm(eye.iris[1:, :2] - eye.iris[0, :2], axis=1)
            assert (0.2 * edge.mean() < edge).all()
            assert edge.max() < 0.1 * width
        # Towards the nose comes first: to the right in the picture for the person's right eye.
        assert found.right_eye.iris[1, 0] > found.right_eye.iris[0, 0]
        assert found.left_eye.iris[1, 0] < found.left_eye.iris[0, 0]
        mouth = found.points[[13, 14], :2].mean(axis=0)  # the lips' middle
        assert np.linalg.norm(mouth - face.points[3]) < 0.1 * width


def test_after_a_reset_all_is_looked_for_at_once(
    detector: TiledDetector, astronaut: Picture
) -> None:
    assert _seen(detector, astronaut, 0.0)["person"]
    assert not _seen(detector, astronaut, 0.04)["person"]
    detector.reset()
    assert _seen(detector, astronaut, 0.08)["person"]


def test_what_is_found_brings_its_landmarks(detector: TiledDetector, astronaut: Picture) -> None:
    picture = _with_pasted(np.full((720, 1280, 3), (70, 90, 120), np.uint8), astronaut, 600, 100, 1)
    picture[150:300, 380:530] = draw_hand(150)
    found = {one.kind: one for one in detector.detect(Frame(picture, 0, 0.0))}
    shapes = {kind: one.landmarks.shape for kind, one in found.items() if one.landmarks is not None}
    assert shapes == {"face": (6, 2), "person": (33, 3), "hand": (21, 3)}
    for one in found.values():
        assert one.landmarks is not None
        points = (
            one.landmarks[one.landmarks[:, -1] > 0.5] if one.kind == "person" else one.landmarks
        )
        assert (points[:, 0] > one.box.x1).all()
        assert (points[:, 0] < one.box.x2).all()
        assert (points[:, 1] > one.box.y1).all()
        assert (points[:, 1] < one.box.y2).all()
    # Of face and person alike: the person's right eye, then the left.
    for kind, numbers in (("face", [0, 1]), ("person", [5, 2])):
        places = found[kind].landmarks
        assert places is not None
        for number, (x, y) in zip(numbers, ASTRONAUT_EYES, strict=True):
            where = places[number, :2] * (1280, 720)
            assert np.linalg.norm(where - (600 + x, 100 + y)) < 8


def test_the_points_of_a_face_are_found_where_its_box_is(
    paths: dict[str, Path], astronaut: Picture
) -> None:
    files = networks.fetch(networks.OF_A_FACE)
    detector = TiledDetector(MediaPipeNetworks(paths), FaceMesh(files["face-mesh"], files["iris"]))
    picture = np.full((720, 1280, 3), (90, 110, 90), np.uint8)
    picture[180:692, 60:572] = astronaut
    frame = Frame(picture, 0, 0.0)
    face = next(one for one in detector.detect(frame) if one.kind == "face")
    points = detector.face_points(frame, face.box, face.landmarks)
    assert points is not None
    assert points.shape == (FACE_POINTS, 3)
    # The last ten are the irises, in pairs of right and left; their centres come first.
    for iris, (x, y) in zip(points[-10:-8], ASTRONAUT_EYES, strict=True):
        assert np.linalg.norm(iris[:2] * (1280, 720) - (60 + x, 180 + y)) < 5
    nowhere = Box(0.7, 0.3, 0.8, 0.5)
    shift = (0.7 - face.box.x1, 0.3 - face.box.y1)
    assert face.landmarks is not None
    assert detector.face_points(frame, nowhere, face.landmarks + np.float32(shift)) is None
    assert TiledDetector(MediaPipeNetworks(paths)).face_points(frame, face.box, None) is None
