"""How long the detector networks take, and how small a face or hand they find."""

import itertools
import time
from collections import Counter
from collections.abc import Callable, Sequence, Sized
from functools import partial
from pathlib import Path

import click

from benchmarks import measured_on as machine
from benchmarks.people_pictures import (
    BACKGROUNDS,
    EMPTY,
    HAND_TO_FACE,
    HEIGHT,
    WIDTH,
    empty_picture,
    hand_beside,
    hand_somewhere,
    large_people,
    person_somewhere,
)
from sfedge.core.boxes import FULL, Box, iou, to_pixels
from sfedge.core.structures import Frame, Image, Kind
from sfedge.detect.body_search import LOOK_INTERVAL
from sfedge.detect.conversion import networks
from sfedge.detect.face_search import FACE_SCORE
from sfedge.detect.mediapipe.face_mesh import FaceMesh
from sfedge.detect.mediapipe.mediapipe_networks import MediaPipeNetworks
from sfedge.detect.tiled_detector import TiledDetector
from sfedge.detect.tiling import face_square, tiles

FACE_HEIGHTS = (15, 20, 25, 30, 40, 60)  # pixels
HAND_LENGTHS = (20, 30, 40, 60, 90, 130)
_FOUND = 0.3  # intersection over union of what was found and what is there
_WARM_UP = 3  # calls before those that count
_LATER = itertools.count(10, 10)  # seconds; all looks are due at each


def time_networks(found_by: MediaPipeNetworks, repeats: int) -> str:
    """One call of each network, on a frame or on a part of it that the detector looks at."""
    (empty, _), (alone, (face,)), (both, _) = (large_people(count) for count in range(3))
    tile = max(tiles(WIDTH, HEIGHT), key=lambda tile: iou(tile, face))
    square = face_square(face, WIDTH, HEIGHT)
    rows = []
    short = partial(found_by.find_faces, reach="short", lowest=FACE_SCORE)
    full = partial(found_by.find_faces, reach="full", lowest=FACE_SCORE)
    hands, poses = found_by.find_hands, found_by.find_poses
    files = networks.fetch(networks.OF_A_FACE)
    mesh, (known, *_) = FaceMesh(files["face-mesh"], files["iris"]), full(alone)
    looks: tuple[tuple[str, Callable[[Image], Sized], str, Image, Box], ...] = (
        ("faces, short range", short, "a frame with one person", alone, FULL),
        ("faces, short range", short, "a square around a face", alone, square),
        ("faces, full range", full, "a frame with one person", alone, FULL),
        ("faces, full range", full, "a tile with a face", alone, tile),
        ("hands", hands, "a frame without a hand", empty, FULL),
        ("hands", hands, "a frame with a hand", hand_beside(alone, face), FULL),
        ("poses", poses, "a frame with nobody", empty, FULL),
        ("poses", poses, "a frame with one person", alone, FULL),
        ("poses", poses, "a frame with two people", both, FULL),
        ("mesh, irises", lambda image: [mesh.find(image, known)], "a face", alone, FULL),
    )
    for network, find, what, image, part in looks:
        x1, y1, x2, y2 = to_pixels(part, width=WIDTH, height=HEIGHT)
        call = partial(find, image[y1:y2, x1:x2])
        for _ in range(_WARM_UP):
            call()
        spent = [_seconds(call) for _ in range(repeats)]
        rows.append((network, what, str(len(call())), *machine.middle_and_95th(spent)))
    header = ("network", "looks at", "finds", "median ms", "95th percentile ms")
    return machine.table(header, rows)


def time_frames(detector: TiledDetector, repeats: int) -> str:
    """Frames with two large faces: with and without the looks that are not due in each."""
    image, _ = large_people(2)
    moments = {"all looks": 0.0, "faces": 0.04, "faces, hands and bodies": LOOK_INTERVAL}
    spent: dict[str, list[float]] = {name: [] for name in moments}
    for turn in range(1 + repeats):
        start = next(_LATER)  # when all looks are due; soon after it none is, then that for bodies
        for name, moment in moments.items():
            seconds = _seconds(partial(detector.detect, Frame(image, 0, start + moment)))
            if turn > 0:
                spent[name].append(seconds)
    rows = [(name, *machine.middle_and_95th(times)) for name, times in spent.items()]
    return machine.table(("a frame with", "median ms", "95th percentile ms"), rows)


def find_faces(detector: TiledDetector, trials: int) -> str:
    """How many faces of each size are found, each in a frame of its own."""
    found, wrong, per_background = Counter[int](), Counter[int](), Counter[str]()
    for size, trial in itertools.product(FACE_HEIGHTS, range(trials)):
        frame, face = person_somewhere(trial, size)
        faces = _detected(detector, frame, "face")
        right = [other for other in faces if iou(face, other) > _FOUND]
        found[size] += bool(right)
        wrong[size] += len(faces) - len(right)
        per_background[BACKGROUNDS[trial % len(BACKGROUNDS)]] += len(faces) - len(right)
    sizes = machine.table(
        ("face, pixels", *map(str, FACE_HEIGHTS)),
        [
            ("found", *(f"{found[size]} of {trials}" for size in FACE_HEIGHTS)),
            ("faces elsewhere", *(str(wrong[size]) for size in FACE_HEIGHTS)),
        ],
    )
    elsewhere = ", ".join(f"{per_background[name]} over `{name}`" for name in BACKGROUNDS)
    return f"{sizes}\n\nFaces elsewhere: {elsewhere}."


def find_hands(detector: TiledDetector, trials: int) -> str:
    """How many hands of each size one look at the frame finds, and how many the detector."""
    once, closer = Counter[int](), Counter[int]()
    for size, trial in itertools.product(HAND_LENGTHS, range(trials)):
        frame, hand = hand_somewhere(trial, size)
        candidates = detector.find_hands(frame)
        once[size] += any(iou(hand, one.box) > _FOUND for one in candidates)
        hands = _detected(detector, frame, "hand")
        closer[size] += any(iou(hand, other) > _FOUND for other in hands)
    return machine.table(
        ("hand, pixels", *map(str, HAND_LENGTHS)),
        [
            (name, *(f"{count[size]} of {trials}" for size in HAND_LENGTHS))
            for name, count in (("in the whole frame", once), ("with closer looks", closer))
        ],
    )


def find_nobody(detector: TiledDetector) -> str:
    """What is taken for a person in pictures that show none."""
    rows = []
    for name in EMPTY:
        detections = detector.detect(Frame(empty_picture(name), 0, next(_LATER)))
        kinds = [detection.kind for detection in detections]
        if kinds:
            rows.append((name, *(str(kinds.count(kind)) for kind in ("face", "hand", "person"))))
    return machine.table(
        ("picture", "faces", "hands", "persons"),
        rows or [("none of them", "0", "0", "0")],
    )


@click.command()
@click.option("--repeats", default=100, show_default=True, help="Calls that each time is of.")
@click.option("--trials", default=30, show_default=True, help="Pictures of each size.")
@click.option("--out", type=click.Path(path_type=Path), default=machine.RESULTS / "detectors.md")
def main(repeats: int, trials: int, out: Path) -> None:
    """Time the detector networks, and find out how small a face and a hand may be."""
    facts = machine.describe()
    found_by = MediaPipeNetworks(networks.fetch(networks.DETECTING))
    detector = TiledDetector(found_by)
    try:
        parts = [
            f"Frames are {WIDTH} × {HEIGHT}. Times are of {repeats} calls, after {_WARM_UP} that "
            "do not count.",
            "## One call of each network",
            time_networks(found_by, repeats),
            "## The detector, two large faces",
            time_frames(detector, repeats),
            "## Smallest face",
            "Photographs of two people who look at the camera (scikit-image's `astronaut`, "
            "matplotlib's `grace_hopper.jpg`), shrunk, mirrored or not, darker or lighter, pasted "
            f"at random over scikit-image's {_listed(BACKGROUNDS)}. The size is that from the "
            "brows to the chin; found means at the first look, with an intersection over union "
            f"above {_FOUND}.",
            find_faces(detector, trials),
            "## Smallest hand",
            f"The same people with a drawn open hand, {HAND_TO_FACE:g} times as long as the face, "
            "held up beside it.",
            find_hands(detector, trials),
            "## Pictures of nobody",
            f"What is found in {len(EMPTY)} pictures of scikit-image: {_listed(EMPTY)}. Those in "
            "which nothing is found are left out.",
            find_nobody(detector),
        ]
    finally:
        detector.close()
    command = f"python -m benchmarks.detectors --repeats {repeats} --trials {trials}"
    machine.write_page(out, "Detectors", command, facts, parts)
    print(out.read_text(encoding="utf-8"))


def _detected(detector: TiledDetector, image: Image, kind: Kind) -> list[Box]:
    detections = detector.detect(Frame(image, 0, next(_LATER)))
    return [detection.box for detection in detections if detection.kind == kind]


def _seconds(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    main()
