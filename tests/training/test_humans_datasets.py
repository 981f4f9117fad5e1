"""Rendered datasets: same seed, same bytes; what is rendered comes back from the loaders."""

import hashlib
import json
import os
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from click.testing import CliRunner
from tiny_humans import write_tiny_humans

from sfedge.core.errors import ConfigError, DataError, UnknownNameError
from sfedge.core.landmarks import BODY_POINTS, HAND_POINTS
from sfedge.core.tasks import TASKS
from sfedge_training.__main__ import main
from sfedge_training.data import LOADERS
from sfedge_training.data.sample import DRAWN_MARK, Dataset
from sfedge_training.drawings.body_parts import unit_stream
from sfedge_training.humans import write_renderings
from sfedge_training.humans.body_pose import Stance, eye_centre, pose_person
from sfedge_training.humans.gestures import GESTURES
from sfedge_training.humans.render_gazefollow import _scene
from sfedge_training.humans.render_hagrid import LABELS
from sfedge_training.humans.rendered_people import Crowd
from sfedge_training.humans.write_renderings import layouts

NAMES = ("affectnet", "hagrid", "ego4d_lam", "gazefollow")
REAL = os.environ.get("SFEDGE_HUMANS")


@pytest.fixture(scope="module")
def humans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_humans(tmp_path_factory.mktemp("humans"))


@pytest.fixture(scope="module")
def rendered(humans: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("rendered")
    write_renderings(humans, root, count=40, val=3, test=16, seed=3, people=4, side=96, workers=1)
    return root


def load(root: Path, name: str, split: str) -> Dataset:
    return LOADERS[name](root / name, split)  # type: ignore[arg-type]


def digests(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def test_the_same_seed_gives_the_same_bytes_on_any_number_of_processes(
    humans: Path, tmp_path: Path
) -> None:
    sizes = {"count": 3, "val": 1, "test": 1, "people": 3, "side": 64}
    write_renderings(humans, tmp_path / "one", seed=5, workers=1, **sizes)
    write_renderings(humans, tmp_path / "two", seed=5, workers=2, **sizes)
    write_renderings(humans, tmp_path / "other", seed=6, workers=1, **sizes)
    first = digests(tmp_path / "one")
    assert first == digests(tmp_path / "two")
    assert len(first) > 4 * 5
    pictures, others = (
        {digest for name, digest in found.items() if name.endswith(".jpg")}
        for found in (first, digests(tmp_path / "other"))
    )
    assert pictures
    assert not pictures & others


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("split", ["train", "test"])
def test_the_loader_reads_every_rendering_without_repair(
    rendered: Path, name: str, split: str
) -> None:
    dataset = load(rendered, name, split)
    assert len(dataset.samples) >= 12
    # People without a gesture, and looks out of the frame, are rendered but not asked about yet.
    assert set(dataset.report.dropped) <= {"only idle hands", "target lies outside the frame"}
    assert set(dataset.report.repaired) <= {
        "head box left the picture",
        "gaze point left the picture",
    }
    for sample in dataset.samples[::5]:
        with PIL.Image.open(sample.image) as picture:
            assert picture.mode == "RGB"
            assert sample.size in (None, picture.size)
            assert min(picture.size) == 96


def test_every_gesture_and_none_is_rendered(rendered: Path) -> None:
    folder = rendered / "hagrid" / "annotations" / "train"
    tables = {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}
    assert set(tables) == {*TASKS["gesture"].labels, "no_gesture"}
    for label, table in tables.items():
        for row in table.values():
            assert row["labels"].count(label) >= 1
            is_united = label in GESTURES and GESTURES[label].is_united
            assert (row["united_label"] == [label]) is is_united
            for x, y, width, height in row["bboxes"]:
                assert 0 <= x <= x + width <= 1.0001
                assert 0 <= y <= y + height <= 1.0001
                assert min(width, height) > 0
    assert Counter(LABELS)["no_gesture"] == 3


def test_the_box_of_a_hand_holds_its_landmarks(rendered: Path) -> None:
    found = np.load(rendered / "hagrid" / "landmarks.npz")
    assert found["left_hand"].shape[1:] == (HAND_POINTS, 3)
    assert found["body"].shape[1:] == (BODY_POINTS, 3)
    rows = {
        f"images/{path.stem}/{key}.jpg": (path.stem, row)
        for path in (rendered / "hagrid" / "annotations").rglob("*.json")
        for key, row in json.loads(path.read_text()).items()
    }
    assert sorted(found["picture"].tolist()) == sorted(rows)
    for place, name in enumerate(found["picture"].tolist()):
        label, row = rows[name]
        boxes = [
            box for box, named in zip(row["bboxes"], row["labels"], strict=True) if named == label
        ]
        for x, y, width, height in boxes:
            inside = []
            for side in ("left_hand", "right_hand"):
                points = found[side][place][:, :2]
                kept = (points > (x, y)) & (points < (x + width, y + height))
                inside.append(kept.all(axis=1).mean())
            assert max(inside) > 0.6  # an idle hand may be cut at the picture's edge
            if label != "no_gesture":
                assert max(inside) == 1


def test_the_people_of_the_splits_are_different_ones(humans: Path) -> None:
    crowd = Crowd(humans, 1, 8, 96)
    rng = np.random.default_rng(0)
    seen = {
        split: {cast[1].body.tobytes() for _ in range(12) for cast in crowd.cast(split, 2, rng)}
        for split in ("train", "val", "test")
    }
    assert len(seen["train"]) > 4
    for first, second in combinations(seen.values(), 2):
        assert not first & second


def test_looks_out_of_the_frame_are_labelled(rendered: Path) -> None:
    rows = (rendered / "gazefollow" / "train_annotations_release.txt").read_text().splitlines()
    flags = Counter(row.split(",")[14] for row in rows)
    assert set(flags) == {"0", "1"}
    for row in rows:
        values = row.split(",")
        assert len(values) == 17
        x, y = float(values[8]), float(values[9])
        # Where the target is out of the frame, its label is at the frame's nearest edge.
        assert (values[14] == "1") or min(x, y, 1 - x, 1 - y) < 0.05
    samples = load(rendered, "gazefollow", "test").samples
    assert {len(sample.points) for sample in samples} == {10}


def test_whoever_is_looked_at_has_their_eyes_there(humans: Path) -> None:
    crowd, rng = Crowd(humans, 2, 4, 96), np.random.default_rng(3)
    faces = 0
    for _ in range(12):
        figures = [figure for _, figure in crowd.cast("train", 2, rng)]
        people, things, camera, targets = _scene(figures, (96, 96), rng, is_test=False)
        eyes = [eye_centre(person.figure, person.pose) for person in people]
        middles = [(thing.points.max(axis=0) + thing.points.min(axis=0)) / 2 for thing in things]
        for person, (target, reach) in enumerate(targets):
            x, y, _ = camera.project(target[None])[0]
            if reach < 0:
                assert not (0 < x < 1 and 0 < y < 1)
                continue
            to_eyes = float(np.linalg.norm(eyes[1 - person] - target))
            to_things = [float(np.linalg.norm(middle - target)) for middle in middles]
            assert min(to_eyes, *to_things) < 0.05
            faces += to_eyes < 0.05
    assert faces > 3


def test_half_of_the_faces_look_at_the_camera(rendered: Path) -> None:
    labels = Counter(sample.label for sample in load(rendered, "ego4d_lam", "test").samples)
    assert labels[0] == labels[1]


def test_the_command_renders_and_says_how(humans: Path, tmp_path: Path) -> None:
    root = tmp_path / "out"
    root.mkdir()
    small = ["--count", "1", "--val", "0", "--test", "1", "--people", "2", "--side", "64"]
    result = CliRunner().invoke(
        main, ["render", str(humans), str(root), "--seed", "2", "--workers", "1", *small]
    )
    assert result.exit_code == 0, result.output
    made = json.loads((root / DRAWN_MARK).read_text())
    assert made["people_are"] == "rendered"
    assert made["seed"] == 2
    assert sorted(path.name for path in root.iterdir()) == sorted([*NAMES, DRAWN_MARK])
    some = ["render", str(humans), str(tmp_path / "some"), "--workers", "1", *small]
    result = CliRunner().invoke(main, [*some, "--datasets", "ego4d_lam, hagrid"])
    assert result.exit_code == 0, result.output
    names = {path.name for path in (tmp_path / "some").iterdir()}
    assert names == {"ego4d_lam", "hagrid", DRAWN_MARK}
    with pytest.raises(UnknownNameError, match="pisc"):
        write_renderings(
            humans, tmp_path / "new", count=1, val=0, test=1, seed=0, datasets=["pisc"]
        )
    with pytest.raises(ConfigError, match="no dataset is chosen"):
        write_renderings(humans, tmp_path / "new", count=1, val=0, test=1, seed=0, datasets=[])
    assert not (tmp_path / "new").exists()


def test_a_folder_without_makehumans_data_is_named_before_anything_is_written(
    tmp_path: Path,
) -> None:
    with pytest.raises(DataError, match=r"base\.obj"):
        write_renderings(tmp_path, tmp_path / "out", count=1, val=0, test=1, seed=0)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("wrong", [{"people": 1}, {"side": 63}, {"side": 2000}, {"count": 0}])
def test_numbers_out_of_range_are_refused(
    humans: Path, tmp_path: Path, wrong: dict[str, int]
) -> None:
    numbers = {"count": 1, "val": 0, "test": 1, "people": 2, "side": 64} | wrong
    with pytest.raises(ConfigError, match="out of range"):
        write_renderings(humans, tmp_path / "new", seed=0, **numbers)
    assert not (tmp_path / "new").exists()


@pytest.mark.slow
@pytest.mark.skipif(not REAL, reason="SFEDGE_HUMANS does not name MakeHuman's data")
def test_real_people_have_skin_where_their_fingers_are(tmp_path: Path) -> None:
    """Of an open hand before a dark ground, the landmarks lie on what is bright."""
    crowd = Crowd(Path(str(REAL)), 0, 6, 256)
    palm = LABELS.index("palm")
    bright, dark = [], []
    for index in range(6):
        made = layouts(crowd)["hagrid"]
        record = made.draw(tmp_path, "train", palm + index * len(LABELS),
                           unit_stream(4, "hagrid", "train", index))  # fmt: skip
        name, _, points = record[1]
        with PIL.Image.open(tmp_path / name) as picture:
            image = np.asarray(picture.convert("RGB"), np.float64)
        side = int(np.argmax(points.seen))
        hand = (points.left_hand, points.right_hand)[side]
        x, y = (hand[:, :2] * (image.shape[1], image.shape[0])).astype(int).T
        on_hand = image[y, x]
        spread = np.abs(on_hand - np.median(on_hand, axis=0)).mean()
        corners = image[:8].reshape(-1, 3)
        bright.append(spread)
        dark.append(np.abs(corners.mean(axis=0) - np.median(on_hand, axis=0)).mean())
    # The 21 pixels of a hand are alike, and unlike what is behind it.
    assert np.median(bright) < np.median(dark)
    assert pose_person(crowd.cast("train", 1, np.random.default_rng(0))[0][1], Stance(),
                       np.random.default_rng(0)).solid.points.shape[0] > 10_000  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(not REAL, reason="SFEDGE_HUMANS does not name MakeHuman's data")
def test_real_faces_move_as_their_units_are_called() -> None:
    crowd = Crowd(Path(str(REAL)), 0, 2, 256)
    rng = np.random.default_rng(0)
    ((_, figure),) = crowd.cast("train", 1, rng)
    bone = figure.library.bone

    def height(name: str, **face: float) -> float:
        pose = pose_person(figure, Stance(face=face), np.random.default_rng(0)).pose
        return float(pose.tails[bone(name)][1])

    assert height("oculi01.L", LeftInnerBrowUp=1.0) > height("oculi01.L") + 0.02
    assert height("oculi01.L", LeftBrowDown=1.0) < height("oculi01.L") - 0.02
    assert height("levator05.L", MouthLeftPullUp=1.0) > height("levator05.L") + 0.02
    assert height("oris03.L", MouthLeftPullDown=1.0) < height("oris03.L") - 0.02
    assert height("jaw", JawDrop=1.0) < height("jaw") - 0.1
