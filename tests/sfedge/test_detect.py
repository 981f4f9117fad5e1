import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import astuple
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from sfedge.boxes import Box, clamped, from_pixels, iou, union
from sfedge.detect import build_detector, networks
from sfedge.detect.base import Detector
from sfedge.detect.looks import Find, body_squares, face_square, hand_squares, merge, tiles
from sfedge.detect.mediapipe_runtime import call_apart, load_error
from sfedge.detect.mediapipe_tasks import BODY_INTERVAL, MediaPipeDetector
from sfedge.detect.pose import measure_pose
from sfedge.errors import DetectorError
from sfedge.structures import Detection, Frame, Kind

Picture = NDArray[np.uint8]

# Measured by hand, in pixels of the photographs: from the brows to the chin, from cheek to cheek.
ASTRONAUT_FACE, ASTRONAUT_EYES = (182, 89, 269, 179), ((204, 101), (248, 104))
ADMIRAL_FACE, ADMIRAL_EYES = (180, 153, 349, 332), ((223, 190), (307, 186))


@pytest.fixture(scope="module")
def paths() -> dict[str, Path]:
    return networks.fetch()


@pytest.fixture
def detector(paths: dict[str, Path]) -> Iterator[MediaPipeDetector]:
    detector = MediaPipeDetector(paths)
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
    detector: MediaPipeDetector,
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
    detector: MediaPipeDetector, astronaut: Picture, admiral: Picture
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
def test_nobody_is_seen_where_nobody_is(name: str, detector: MediaPipeDetector) -> None:
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
    detector: MediaPipeDetector,
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
    side: int, detector: MediaPipeDetector, coffee: Picture, astronaut: Picture
) -> None:
    scale = side / (ASTRONAUT_FACE[2] - ASTRONAUT_FACE[0])
    picture = _with_pasted(coffee, astronaut, 100, 80, scale)
    x1, y1, x2, y2 = (value * scale for value in ASTRONAUT_FACE)
    face = from_pixels(100 + x1, 80 + y1, 100 + x2, 80 + y2, width=1280, height=720)
    (person,) = _seen(detector, picture)["person"]
    assert union([person, face]) == person
    assert 2 < person.width / face.width < 6
    assert 3 < person.height / face.height < 8


def _draw_hand(side: int) -> Picture:
    """An open right hand, palm to the camera, fingers up."""
    scale = side / 75
    mask = Image.new("L", (4 * side, 4 * side))
    draw = ImageDraw.Draw(mask)
    fingers = [
        ((120, 160, 100, 60), 26),
        ((145, 155, 140, 40), 27),
        ((170, 157, 180, 48), 26),
        ((193, 168, 218, 75), 22),
        ((112, 215, 60, 150), 28),
    ]
    for ends, thickness in fingers:
        x1, y1, x2, y2 = (value * scale for value in ends)
        draw.line((x1, y1, x2, y2), fill=255, width=round(thickness * scale))
        for x, y in ((x1, y1), (x2, y2)):
            draw.circle((x, y), thickness * scale / 2, fill=255)
    palm, wrist = (103, 150, 206, 260), (128, 240, 184, 300)
    draw.rounded_rectangle([value * scale for value in palm], radius=35 * scale, fill=255)
    draw.rectangle([value * scale for value in wrist], fill=255)
    depth = (
        np.asarray(mask.filter(ImageFilter.GaussianBlur(9 * scale)), np.float32)[..., None] / 255
    )
    skin = np.array((224, 172, 140)) * (0.72 + 0.28 * np.clip(2 * depth - 1, 0, 1))
    hand = Image.new("RGB", mask.size, (70, 90, 120))
    hand.paste(Image.fromarray(skin.astype(np.uint8)), (0, 0), mask)
    return np.array(hand.resize((side, side), Image.Resampling.LANCZOS))


def test_a_hand_is_boxed_from_the_wrist_to_the_fingertips(detector: MediaPipeDetector) -> None:
    picture = np.full((720, 1280, 3), (70, 90, 120), np.uint8)
    picture[200:350, 500:650] = _draw_hand(150)
    (hand,) = _seen(detector, picture)["hand"]
    is_skin = np.abs(picture.astype(int) - (70, 90, 120)).sum(axis=2) > 60
    rows, columns = np.nonzero(is_skin.any(axis=1))[0], np.nonzero(is_skin.any(axis=0))[0]
    drawn = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    assert iou(hand, _box(drawn, picture)) > 0.7


def test_a_small_raised_hand_beside_a_small_person_is_found(
    detector: MediaPipeDetector, coffee: Picture, astronaut: Picture
) -> None:
    picture = _with_pasted(coffee, astronaut, 600, 200, 0.5)
    picture[240:300, 530:590] = _draw_hand(60)
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
        detector = MediaPipeDetector(paths)
        runs.append([detector.detect(frame) for frame in frames])
        detector.close()
    assert runs[0] == runs[1]
    assert all(detections for detections in runs[0])


def test_bodies_are_looked_for_at_intervals_of_the_streams_time(
    detector: MediaPipeDetector, astronaut: Picture
) -> None:
    times = [0.0, 0.04, BODY_INTERVAL - 0.01, BODY_INTERVAL, BODY_INTERVAL + 0.04, 0.01]
    has_person = [bool(_seen(detector, astronaut, time)["person"]) for time in times]
    # The last time lies before the others: someone has jumped back in the stream.
    assert has_person == [True, False, False, True, False, True]


def test_many_people_take_turns_and_all_bodies_are_seen(
    detector: MediaPipeDetector, coffee: Picture, astronaut: Picture
) -> None:
    picture, lefts = coffee, (20, 340, 660, 980)
    for left in lefts:
        picture = _with_pasted(picture, astronaut, left, 300, 0.25)
    looks = [_seen(detector, picture, BODY_INTERVAL * i)["person"] for i in range(2)]
    centres = [1280 * person.centre[0] for persons in looks for person in persons]
    for left in lefts:
        assert any(left < centre < left + 128 for centre in centres)


@pytest.mark.parametrize("size", [(1, 1), (1, 4000), (15, 900), (17, 31), (333, 1), (4320, 7680)])
def test_any_size_of_frame_is_taken(size: tuple[int, int], detector: MediaPipeDetector) -> None:
    assert detector.detect(Frame(np.zeros((*size, 3), np.uint8), 0, 0.0)) == []


def test_frames_that_are_views_of_others_are_taken(
    detector: MediaPipeDetector, astronaut: Picture
) -> None:
    mirrored = astronaut[:, ::-1]  # not contiguous
    (face,) = _seen(detector, mirrored)["face"]
    x1, y1, x2, y2 = ASTRONAUT_FACE
    assert iou(face, _box((512 - x2, y1, 512 - x1, y2), astronaut)) > 0.6


def test_a_wearers_own_body_is_not_a_person(paths: dict[str, Path], astronaut: Picture) -> None:
    for is_egocentric in (False, True):
        detector = MediaPipeDetector(paths, egocentric=is_egocentric)
        assert len(_seen(detector, astronaut)["person"]) == 1
        headless = astronaut[190:]
        assert len(_seen(detector, headless, 10.0)["person"]) <= (0 if is_egocentric else 1)
        detector.close()


def _run(code: str, seconds: float = 20) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def test_nothing_of_mediapipes_chatter_reaches_the_terminal() -> None:
    run = _run(
        "import numpy as np, os\n"
        "from sfedge.detect import build_detector\n"
        "from sfedge.detect.mediapipe_runtime import quiet\n"
        "from sfedge.structures import Frame\n"
        "from skimage.data import astronaut\n"
        "detector = build_detector(width=512, height=512)\n"
        "print(len(detector.detect(Frame(astronaut(), 0, 0.0))))\n"
        "detector.close()\n"
        "with quiet(): os.write(2, b'an error of somebody else\\n')\n"
    )
    assert (run.returncode, run.stdout) == (0, "2\n")
    assert run.stderr == "an error of somebody else\n"


def test_qts_plugins_are_left_alone() -> None:
    names = ("QT_QPA_PLATFORM_PLUGIN_PATH", "QT_QPA_FONTDIR")
    run = _run(
        "import os\n"
        f"os.environ.pop({names[0]!r}, None); os.environ[{names[1]!r}] = 'mine'\n"
        "from sfedge.detect.mediapipe_runtime import import_mediapipe\n"
        "import_mediapipe()\n"
        f"print([os.environ.get(name) for name in {names!r}])\n"
    )
    assert run.stdout == "[None, 'mine']\n"


def test_a_network_that_cannot_run_is_told_and_the_program_goes_on_and_ends(
    paths: dict[str, Path], tmp_path: Path
) -> None:
    bad = tmp_path / "hand_landmarker.task"
    with zipfile.ZipFile(paths["hand-landmarker"]) as bundle, zipfile.ZipFile(bad, "w") as swapped:
        swapped.writestr("hand_detector.tflite", bundle.read("hand_landmarks_detector.tflite"))
        swapped.writestr("hand_landmarks_detector.tflite", bundle.read("hand_detector.tflite"))
    # A detector that failed once hung the next one, when Python collected what was left of it.
    run = _run(
        "import gc, time\n"
        "from pathlib import Path\n"
        "from sfedge.detect import networks\n"
        "from sfedge.detect.mediapipe_tasks import MediaPipeDetector\n"
        "from sfedge.errors import DetectorError\n"
        "paths = networks.fetch()\n"
        f"bad = paths | {{'hand-landmarker': Path({str(bad)!r})}}\n"
        "for _ in range(2):\n"
        "    start = time.monotonic()\n"
        "    try:\n"
        "        MediaPipeDetector(bad)\n"
        "    except DetectorError as error:\n"
        "        print(error)\n"
        "    gc.collect()\n"
        "    assert time.monotonic() - start < 8\n"
        "MediaPipeDetector(paths).close()\n"
        "MediaPipeDetector(bad)\n"
    )
    assert run.returncode == 1
    line = f"{bad}: the network hand-landmarker does not start (CalculatorGraph::Run() failed)."
    assert [text.startswith(line) for text in run.stdout.splitlines()] == [True, True]
    assert run.stderr.splitlines()[-1].startswith("sfedge.errors.DetectorError")


def test_a_network_that_hangs_holds_up_neither_close_nor_the_programs_end() -> None:
    run = _run(
        "import time\n"
        "from sfedge.detect import build_detector\n"
        "detector = build_detector(width=1, height=1)\n"
        "detector._tasks['hand-landmarker']._lib._executor.submit(time.sleep, 60)\n"
        "start = time.monotonic()\n"
        "detector.close()\n"
        "print(time.monotonic() - start < 2)\n"
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "True\n", "")


def test_a_detector_that_nobody_closes_does_not_hold_up_the_programs_end() -> None:
    run = _run(
        "import gc\n"
        "from sfedge.detect import build_detector\n"
        "first = [build_detector(width=1, height=1)]\n"
        "first.append(first)\n"  # only the cycle collector frees it
        "del first\n"
        "gc.collect()\n"
        "second = build_detector(width=1, height=1)\n"
        "print('end')\n"
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "end\n", "")


def test_detectors_start_and_end_together_and_without_a_terminal() -> None:
    run = _run(
        "import os, threading\n"
        "from sfedge.detect import build_detector\n"
        "def live():\n"
        "    detector = build_detector(width=1, height=1)\n"
        "    detector.close()\n"
        "    ended.append(detector)\n"
        "ended = []\n"
        "os.close(2)\n"
        "threads = [threading.Thread(target=live) for _ in range(3)]\n"
        "[thread.start() for thread in threads]\n"
        "[thread.join() for thread in threads]\n"
        "print(len(ended))\n"
    )
    assert (run.returncode, run.stdout) == (0, "3\n")


def test_closing_twice_is_allowed(paths: dict[str, Path]) -> None:
    detector = MediaPipeDetector(paths)
    detector.close()
    detector.close()


@pytest.mark.skipif(sys.platform != "linux", reason="the loader's messages are Linux's")
def test_a_missing_system_library_is_told_with_its_package(tmp_path: Path) -> None:
    (tmp_path / "libGL.so.1").write_bytes(b"")
    code = (
        "from sfedge.detect.mediapipe_runtime import import_mediapipe\n"
        "from sfedge.errors import DetectorError\n"
        "try: import_mediapipe()\n"
        "except DetectorError as error: print(error)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"LD_LIBRARY_PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "libGL.so.1" in run.stdout
    assert run.stdout.endswith("`sudo apt install libgl1`.\n")


@pytest.mark.parametrize(
    ("message", "package"),
    [
        ("libGLESv2.so.2: cannot open shared object file: No such file or directory", "libgles2"),
        ("libEGL.so.1: cannot open shared object file: No such file or directory", "libegl1"),
        ("libgthread-2.0.so.0: cannot open shared object file", "libglib2.0-0"),
    ],
)
def test_each_system_library_has_its_package(message: str, package: str) -> None:
    assert f"apt install {package}`" in str(load_error(OSError(message)))


def test_work_that_fails_apart_raises_here_and_work_that_hangs_is_left() -> None:
    with pytest.raises(ZeroDivisionError):
        call_apart(lambda: 1 // 0, 5)
    with pytest.raises(TimeoutError):
        call_apart(lambda: __import__("threading").Event().wait(), 0.05)
    assert call_apart(lambda: 7, 5) == 7


def test_offline_a_missing_network_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SFEDGE_CACHE", str(tmp_path))
    with pytest.raises(DetectorError, match="sfedge models fetch"):
        build_detector(offline=True, width=1, height=1)


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
def _finds(draw: st.DrawFn) -> Find:
    x, y = draw(st.floats(0, 0.8)), draw(st.floats(0, 0.8))
    box = Box(x, y, x + draw(st.floats(0.05, 0.2)), y + draw(st.floats(0.05, 0.2)))
    return Find(draw(st.sampled_from(["face", "hand"])), box, draw(st.floats(0.5, 1)), box)


@given(st.lists(_finds(), max_size=5))
def test_merging_keeps_to_the_extent_of_what_was_found_in_any_order(finds: list[Find]) -> None:
    merged = merge(finds)
    assert len(merged) <= len(finds)
    assert {d.kind for d in merged} == {f.kind for f in finds}
    for detection in merged:
        around = union([find.box for find in finds if find.kind == detection.kind])
        assert union([around, detection.box]) == pytest.approx(around) or all(
            abs(a - b) < 1e-9
            for a, b in zip(astuple(union([around, detection.box])), astuple(around), strict=True)
        )
    for order in list(permutations(finds))[:6]:
        assert merge(order) == merged


def test_one_face_found_twice_is_their_weighted_mean_and_a_neighbour_stays() -> None:
    first, second = Box(0.1, 0.1, 0.3, 0.3), Box(0.12, 0.1, 0.32, 0.3)
    other = Box(0.31, 0.1, 0.5, 0.3)
    finds = [
        Find("face", box, score, box) for box, score in ((first, 0.9), (second, 0.6), (other, 0.8))
    ]
    mean, neighbour = merge(finds)
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
