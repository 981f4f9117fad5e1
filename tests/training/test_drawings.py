"""The drawn dataset: same seed, same bytes; what is drawn comes back from the loaders."""

import hashlib
import json
import math
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import RidgeClassifier

from sfedge.core.boxes import Box, intersection
from sfedge.core.errors import ConfigError, OutputError
from sfedge.core.preprocess import crop, resize
from sfedge.core.tasks import TASKS
from sfedge_training.data import LOADERS
from sfedge_training.data.sample import Dataset, Sample
from sfedge_training.drawings import write_drawings
from sfedge_training.drawings.body_parts import unit_stream
from sfedge_training.drawings.canvas import Canvas, curve, shade
from sfedge_training.drawings.draw_gazefollow import _sight
from sfedge_training.drawings.drawn_expressions import EXPRESSIONS, random_expression
from sfedge_training.drawings.drawn_gestures import UNITED, draw_gesture
from sfedge_training.drawings.face import Head, draw_head, face_extent
from sfedge_training.drawings.look import random_look
from sfedge_training.drawings.write_drawings import LAYOUTS


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("drawn")
    write_drawings(root, count=66, val=12, test=33, seed=3, workers=1)
    return root


def _load(root: Path, name: str, split: str) -> Dataset:
    return LOADERS[name](root / name, split)  # type: ignore[arg-type]


def _digests(root: Path) -> dict[str, str]:
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


def test_the_same_seed_gives_the_same_bytes_on_any_number_of_processes(tmp_path: Path) -> None:
    write_drawings(tmp_path / "one", count=3, val=1, test=1, seed=5, workers=1)
    write_drawings(tmp_path / "two", count=3, val=1, test=1, seed=5, workers=2)
    first = _digests(tmp_path / "one")
    assert first == _digests(tmp_path / "two")
    assert len(first) > 5 * 5


def test_another_seed_draws_other_pictures(tmp_path: Path) -> None:
    for seed in (5, 6):
        write_drawings(tmp_path / str(seed), count=3, val=1, test=1, seed=seed, workers=1)
    first, second = (
        {d for path, d in _digests(tmp_path / str(seed)).items() if path.endswith(".jpg")}
        for seed in (5, 6)
    )
    assert first
    assert not first & second


def test_no_picture_stands_in_two_splits(drawn: Path) -> None:
    for name in LAYOUTS:
        of_split = [
            {
                hashlib.sha256(sample.image.read_bytes()).digest()
                for sample in _load(drawn, name, split).samples
            }
            for split in ("train", "val", "test")
        ]
        for first, second in combinations(of_split, 2):
            assert not first & second, name


@pytest.mark.parametrize("name", [*LAYOUTS])
@pytest.mark.parametrize("split", ["train", "test"])
def test_the_loader_reads_every_drawing_without_repair(drawn: Path, name: str, split: str) -> None:
    dataset = _load(drawn, name, split)
    assert len(dataset.samples) >= 30
    assert not dataset.report.dropped
    assert not dataset.report.repaired
    assert {sample.task for sample in dataset.samples} <= set(TASKS)
    for sample in dataset.samples[::7]:
        with PIL.Image.open(sample.image) as picture:
            assert picture.mode == "RGB"
            assert sample.size in (None, picture.size)


def test_every_label_is_drawn_in_every_split(drawn: Path) -> None:
    for split in ("train", "test"):
        seen: Counter[tuple[str, int | None]] = Counter(
            (s.task, s.label) for name in LAYOUTS for s in _load(drawn, name, split).samples
        )
        for task in TASKS.values():
            missing = [n for i, n in enumerate(task.labels) if not seen[task.name, i]]
            assert not missing, (task.name, split)


def test_half_of_the_faces_look_at_the_camera(drawn: Path) -> None:
    labels = [sample.label for sample in _load(drawn, "ego4d_lam", "train").samples]
    looking = TASKS["looking_at_me"].labels.index("looking")
    assert 0.4 <= labels.count(looking) / len(labels) <= 0.6


def test_domain_and_relation_of_a_pair_agree(drawn: Path) -> None:
    samples = _load(drawn, "pisc", "train").samples
    domain = {s.key: TASKS["domain"].labels[s.label] for s in samples if s.task == "domain"}  # type: ignore[index]
    relation = {s.key: TASKS["relation"].labels[s.label] for s in samples if s.task == "relation"}  # type: ignore[index]
    wanted = {
        "friends": "intimate", "family": "intimate", "couple": "intimate",
        "professional": "not_intimate", "commercial": "not_intimate", "no_relation": "no_relation",
    }  # fmt: skip
    assert domain
    assert domain == {key: wanted[name] for key, name in relation.items()}


def test_strangers_share_the_picture_with_those_who_are_related(drawn: Path) -> None:
    """The boxes must matter: one picture asks for more than one answer."""
    answers: dict[Path, set[int | None]] = {}
    for sample in _load(drawn, "pisc", "train").samples:
        if sample.task == "relation":
            answers.setdefault(sample.image, set()).add(sample.label)
    assert sum(len(labels) > 1 for labels in answers.values()) >= 0.15 * len(answers)


def test_a_gaze_target_stands_alone_in_its_direction(drawn: Path) -> None:
    """People of one picture look at different things; no target lies in the own head."""
    samples = _load(drawn, "gazefollow", "train").samples
    for sample in samples:
        (x, y), head = sample.points[0], sample.boxes[0]
        assert not (head.x1 < x < head.x2 and head.y1 < y < head.y2)
    spread = np.std([s.points[0] for s in samples], axis=0)
    assert (spread > 0.15).all()


def test_ten_annotators_mark_each_test_person_in_one_place(drawn: Path) -> None:
    for sample in _load(drawn, "gazefollow", "test").samples:
        assert len(sample.points) == 10
        assert np.ptp(np.array(sample.points), axis=0).max() < 0.12


def test_hand_boxes_lie_in_the_picture_and_the_united_box_holds_both(drawn: Path) -> None:
    tables = sorted((drawn / "hagrid" / "annotations" / "train").glob("*.json"))
    assert {path.stem for path in tables} == set(TASKS["gesture"].labels)
    for path in tables:
        for row in json.loads(path.read_text()).values():
            hands = [_from_xywh(box) for box in row["bboxes"]]
            assert path.stem in row["labels"]
            assert set(row["labels"]) <= {path.stem, "no_gesture"}
            for label, box in zip(row["labels"], hands, strict=True):
                assert label == "no_gesture" or 0.008 < box.area < 0.25, path.stem
            assert (row["united_bbox"] is not None) == (path.stem in UNITED)
            if row["united_bbox"]:
                whole = _from_xywh(row["united_bbox"][0])
                assert len(hands) == 2
                assert all(intersection(whole, hand) >= 0.999 * hand.area for hand in hands)


def _from_xywh(box: list[float]) -> Box:
    return Box(box[0], box[1], min(box[0] + box[2], 1.0), min(box[1] + box[3], 1.0))


def test_a_gesturing_hand_is_hardly_cut_by_the_edge() -> None:
    for index, name in enumerate(TASKS["gesture"].labels):
        for seed in range(3):
            rng = np.random.default_rng([seed, index])
            canvas = Canvas(np.zeros((264, 216, 3), np.uint8))
            hands, _ = draw_gesture(canvas, name, random_look(rng), rng)
            for label, (x1, y1, x2, y2) in hands:
                seen = (min(x2, 216) - max(x1, 0)) * (min(y2, 264) - max(y1, 0))
                whole = (x2 - x1) * (y2 - y1)
                assert label == "no_gesture" or seen > 0.85 * whole, (name, seed)


def test_unseen_people_show_their_expression_clearly_enough_for_a_linear_classifier(
    tmp_path: Path,
) -> None:
    """A person could tell them at this size; a linear map of 32 x 32 grey pixels must, too."""

    def faces(split: str, count: int) -> tuple[np.ndarray, np.ndarray]:
        records = [
            LAYOUTS["affectnet"].draw(tmp_path, split, i, unit_stream(1, "affectnet", split, i))  # type: ignore[arg-type]
            for i in range(count)
        ]
        LAYOUTS["affectnet"].write(tmp_path, {split: records})  # type: ignore[dict-item]
        samples = LOADERS["affectnet"](tmp_path, split).samples  # type: ignore[arg-type]
        return np.array([_grey(s) for s in samples]), np.array([s.label for s in samples])

    trained = RidgeClassifier(alpha=30.0).fit(*faces("train", 400))
    accuracy = trained.score(*faces("test", 120))
    assert accuracy > 0.6  # chance is 0.125


def _grey(sample: Sample) -> np.ndarray:
    with PIL.Image.open(sample.image) as picture:
        face = resize(crop(np.asarray(picture), sample.view), 32).mean(axis=2)
    return np.asarray((face - face.mean()) / (face.std() + 1)).ravel()


def test_all_gestures_and_all_expressions_of_one_person_look_different() -> None:
    look = random_look(np.random.default_rng(2))

    def hand(name: str) -> np.ndarray:
        canvas = Canvas(np.full((96, 96, 3), 127, np.uint8))
        draw_gesture(canvas, name, look, np.random.default_rng(4))
        return canvas.picture().astype(float)

    def face(name: str) -> np.ndarray:
        canvas = Canvas(np.full((96, 96, 3), 127, np.uint8))
        draw_head(Head(canvas.pen.at(48, 48, 40)), look, EXPRESSIONS[name])
        return canvas.picture().astype(float)

    for draw, names in ((hand, TASKS["gesture"].labels), (face, TASKS["expression"].labels)):
        pictures = {name: draw(name) for name in names}
        for first, second in combinations(names, 2):
            changed = np.abs(pictures[first] - pictures[second]).max(axis=2) > 40
            assert changed.sum() >= 25, (first, second)


@given(
    angle=st.floats(-math.pi, math.pi),
    distance=st.floats(20, 200),
    seed=st.integers(0, 1000),
)
def test_the_nose_points_at_what_is_looked_at(angle: float, distance: float, seed: int) -> None:
    away = np.array([math.cos(angle), math.sin(angle)]) * distance
    yaw, pitch = _sight(np.random.default_rng(seed), away)
    head = Head(Canvas(np.zeros((8, 8, 3), np.uint8)).pen, yaw, pitch)
    nose, _ = head.project([(0.0, 0.0)])
    error = math.atan2(nose[0, 1], nose[0, 0]) - angle
    assert abs(math.remainder(error, 2 * math.pi)) < math.radians(1)


@given(yaw=st.floats(-3.1, 3.1), pitch=st.floats(-1.2, 1.2))
def test_nothing_of_the_face_leaves_the_head(yaw: float, pitch: float) -> None:
    head = Head(Canvas(np.zeros((8, 8, 3), np.uint8)).pen, yaw, pitch)
    grid = np.stack(np.meshgrid(np.linspace(-0.7, 0.7, 9), np.linspace(-0.7, 0.7, 9)), -1)
    seen, _ = head.project(grid.reshape(-1, 2))
    assert np.hypot(seen[:, 0] / head.half_width, seen[:, 1]).max() < 1.3


def test_eyes_of_a_turned_head_follow_the_line_of_sight() -> None:
    """With the head turned right, the pupils stand left of the eye's middle to look ahead."""
    look = random_look(np.random.default_rng(0))

    def darkness(gaze: tuple[float, float] | None) -> float:
        canvas = Canvas(np.full((160, 160, 3), 127, np.uint8))
        head = Head(canvas.pen.at(80, 80, 70), yaw=0.4)
        draw_head(head, look, EXPRESSIONS["surprise"], gaze)
        middle = head.pen.place(head.project([(0.42, -0.08)])[0])[0]
        x, y = middle.round().astype(int)
        strip = 255.0 - canvas.picture()[y - 2 : y + 3, x - 12 : x + 13].mean(axis=(0, 2))
        return float((strip * np.arange(-12, 13)).sum() / strip.sum())

    assert darkness((0.0, 0.0)) < darkness(None) - 1.0 < darkness((0.8, 0.0)) - 1.5


def test_the_face_box_is_that_of_a_detector_brows_to_chin() -> None:
    canvas = Canvas(np.full((100, 100, 3), 127, np.uint8))
    x1, y1, x2, y2 = face_extent(Head(canvas.pen.at(50, 50, 40)))
    assert 15 <= x1 < 25
    assert 75 < x2 <= 85
    assert 25 < y1 < 40  # below the crown, above the eyes
    assert 88 <= y2 <= 91  # the chin


def test_a_canvas_knows_the_extent_of_what_was_drawn() -> None:
    canvas = Canvas(np.zeros((50, 80, 3), np.uint8))
    pen = canvas.pen.at(40, 25, 10, turn=math.pi / 2)
    pen.block(-1, -2, 1, 2, (255, 0, 0))
    assert canvas.extent == pytest.approx((20, 15, 60, 35))
    picture = canvas.picture()
    ys, xs = np.nonzero(picture[..., 0] > 140)
    assert (xs.min(), ys.min(), xs.max(), ys.max()) == (20, 15, 59, 34)


def test_a_mirrored_pen_flips_left_and_right_alone() -> None:
    pen = Canvas(np.zeros((8, 8, 3), np.uint8)).pen.at(10, 20, 3, turn=0.3)
    plain, mirrored = pen.at(1, 1), pen.at(1, 1, mirror=True)
    points = np.array([(0.5, 0.25), (-2.0, 1.0)])
    assert mirrored.place(points) == pytest.approx(plain.place(points * (-1, 1)))
    assert mirrored.unplace(mirrored.place(points)) == pytest.approx(points)


def test_a_curve_passes_through_its_points() -> None:
    points = [(0.0, 0.0), (1.0, 2.0), (3.0, 1.0)]
    line = curve(points, 4)
    assert line[::4] == pytest.approx(np.array(points))
    assert shade((100, 200, 250), 2.0) == (200, 255, 255)


def test_strength_varies_but_the_sign_of_an_expression_stays() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        assert random_expression(rng, "happiness").corners < -0.08
        assert random_expression(rng, "sadness").corners > 0.06
        assert random_expression(rng, "surprise").jaw > 0.25


def test_a_dataset_that_is_there_already_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "hagrid").mkdir()
    (tmp_path / "hagrid" / "precious.txt").write_text("real data")
    with pytest.raises(OutputError, match=r"hagrid is there already.*new folder"):
        write_drawings(tmp_path, count=1, val=0, test=1, seed=0, workers=1)
    assert (tmp_path / "hagrid" / "precious.txt").read_text() == "real data"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["hagrid"]


@pytest.mark.parametrize(
    "wrong",
    [{"count": 0}, {"test": 0}, {"val": -1}, {"seed": -1}, {"workers": 0}, {"count": 10**6}],
)
def test_numbers_out_of_range_are_refused(tmp_path: Path, wrong: dict[str, int]) -> None:
    numbers = {"count": 1, "val": 0, "test": 1, "seed": 0, "workers": 1} | wrong
    with pytest.raises(ConfigError, match="out of range"):
        write_drawings(tmp_path / "new", **numbers)
    assert not (tmp_path / "new").exists()


def test_a_folder_that_cannot_be_written_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file"):
        write_drawings(tmp_path / "file", count=1, val=0, test=1, seed=0, workers=1)
