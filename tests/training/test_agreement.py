"""Agreement of a user's labels with a model: numbers, tables, picture, command."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import cohen_kappa_score, confusion_matrix, recall_score

from sfedge.core.errors import DataError, OutputError, UnknownNameError
from sfedge.core.tasks import TASKS
from sfedge_training.analysis.agreement import agree, compare, write_agreement
from sfedge_training.analysis.confusion_picture import draw_confusion
from sfedge_training.data import labelled_folder as folder
from sfedge_training.data.sample import Sample
from sfedge_training.loop.checkpoint import load_model, save_model
from sfedge_training.loop.evaluate import gaze_figures, predict
from sfedge_training.loop.json_files import write_json
from sfedge_training.loop.recipe import Recipe
from sfedge_training.model.model_config import PRESETS
from sfedge_training.model.social_fusion import build_model

CPU = torch.device("cpu")
RELATIONS = TASKS["relation"].labels


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def samples_of(task: str, labels: list[int]) -> list[Sample]:
    return [Sample(Path("x.jpg"), task, label=label) for label in labels]


@given(st.lists(st.integers(0, 5), min_size=1, max_size=40), st.integers(0, 2**32 - 1))
def test_the_numbers_are_those_of_scikit_learn(labels: list[int], seed: int) -> None:
    random = np.random.default_rng(seed)
    answers = random.dirichlet([0.2] * 6, len(labels))
    found = compare("relation", answers, samples_of("relation", labels))

    chosen = answers.argmax(axis=1)
    table = confusion_matrix(labels, chosen, labels=range(6))
    assert found["confusion"] == table.tolist()
    assert found["accuracy"] == pytest.approx(np.mean(chosen == labels))
    if len({*labels, *chosen}) == 1:
        assert found["kappa"] is None
    else:
        reference = cohen_kappa_score(labels, chosen, labels=range(6))
        assert found["kappa"] == pytest.approx(reference, abs=1e-12)
    recalls = recall_score(labels, chosen, labels=range(6), average=None, zero_division=0)
    sure = [place for place, row in enumerate(answers) if max(row) >= TASKS["relation"].threshold]
    assert found["unsure"] == len(labels) - len(sure)
    if sure:
        right = [chosen[place] == labels[place] for place in sure]
        assert found["accuracy_when_sure"] == pytest.approx(sum(right) / len(right))
    else:
        assert found["accuracy_when_sure"] is None
    for place, row in enumerate(found["classes"]):
        assert row["label"] == RELATIONS[place]
        assert row["samples"] == labels.count(place)
        assert row["answered"] == np.sum(chosen == place)
        assert row["recall"] == (pytest.approx(recalls[place]) if place in labels else None)
    assert sum(row["unsure"] for row in found["classes"]) == found["unsure"]


def test_an_answer_at_the_threshold_is_sure() -> None:
    threshold = TASKS["looking_at_me"].threshold
    answers = np.array([[threshold, 1 - threshold], [threshold - 0.01, 1.01 - threshold]])
    found = compare("looking_at_me", answers, samples_of("looking_at_me", [0, 0]))
    assert (found["unsure"], found["threshold"]) == (1, threshold)


def test_gaze_has_the_scores_of_gaze_and_is_unsure_by_the_peak() -> None:
    heatmaps = np.zeros((2, 64, 64), dtype=np.float32)
    heatmaps[0, 32, 16], heatmaps[1, 5, 5] = 0.9, TASKS["gaze"].threshold - 0.01
    people = [Sample(Path("x.jpg"), "gaze", points=((0.25, 0.5),), size=(64, 48))] * 2
    found = compare("gaze", heatmaps, people)
    assert found["unsure"] == 1
    assert found["samples"] == 2
    scores = gaze_figures(heatmaps, people)
    assert {key: found[key] for key in scores} == scores
    assert "kappa" not in found


def inner_colour(picture: PIL.Image.Image, row: int, column: int, classes: int) -> tuple[int, ...]:
    """The colour in the upper left of a cell, found by the frame around all of them."""
    pixels = np.asarray(picture)
    grey = (pixels == 120).all(axis=2)
    (left, *_, right), (top, *_, bottom) = (
        np.flatnonzero(grey.sum(axis=axis) > grey.shape[axis] // 3) for axis in (0, 1)
    )
    cell = (right - left) // classes
    assert (right - left, bottom - top) == (cell * classes, cell * classes)
    return tuple(int(v) for v in pixels[top + row * cell + 3, left + column * cell + 3])


def test_cells_are_filled_by_their_share_of_the_row_agreement_in_another_colour() -> None:
    table = np.array([[8, 2, 0], [0, 0, 5], [0, 0, 0]])
    picture = draw_confusion(table, ("a", "b", "c"), "t")
    colours = {at: inner_colour(picture, *at, 3) for at in np.ndindex(3, 3)}
    white = (255, 255, 255)
    assert {at for at, colour in colours.items() if colour == white} == {
        at for at in colours if not table[at]
    }
    red, _, blue = colours[0, 0]
    assert blue > red  # agreement is blue
    assert colours[1, 2][0] > colours[1, 2][2]  # confusion is orange
    assert sum(colours[0, 1]) > sum(colours[1, 2])  # a fifth of a row is paler than all of it


@pytest.mark.parametrize("task", ["gesture", "looking_at_me"])
@pytest.mark.parametrize("most", [0, 1, 7, 1_234_567])
def test_no_text_leaves_the_picture(task: str, most: int) -> None:
    labels = TASKS[task].labels
    table = np.full((len(labels), len(labels)), most)
    picture = draw_confusion(table, labels, "a title that is longer than a table of two classes")
    pixels = np.asarray(picture)
    for edge in (pixels[:3], pixels[-3:], pixels[:, :3], pixels[:, -3:]):
        assert (edge == 255).all()
    assert picture.width < 2000


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model")
    torch.manual_seed(0)
    save_model(path, build_model(PRESETS["tiny"], with_lora=False), Recipe(pretraining=True), {})
    return path


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory, astronaut: NDArray[np.uint8]) -> Path:
    """A user's folder: seven questions about two pictures, and a picture that is missing."""
    root = tmp_path_factory.mktemp("own")
    PIL.Image.fromarray(astronaut).save(root / "one.jpg")
    PIL.Image.fromarray(astronaut[:, ::-1]).save(root / "two.jpg")
    header = ["picture", "task", "label", "gaze_x", "gaze_y", "x1", "y1", "x2", "y2", "view"]
    rows = [
        ["one.jpg", "expression", "happiness", "", "", "0.3", "0.05", "0.6", "0.4", ""],
        ["two.jpg", "expression", "neutral", "", "", "0.4", "0.05", "0.7", "0.4", ""],
        ["lost.jpg", "expression", "neutral", "", "", "0.4", "0.05", "0.7", "0.4", ""],
        ["one.jpg", "gesture", "palm", "", "", "", "", "", "", "picture"],
        ["two.jpg", "gesture", "fist", "", "", "", "", "", "", "picture"],
        ["one.jpg", "gaze", "", "0.9", "0.5", "0.3", "0.05", "0.6", "0.4", ""],
    ]
    with (root / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([[*header, "split"], *([*row, "test"] for row in rows)])
    return root


def run(*words: object) -> str:
    ended = CliRunner().invoke(agree, [str(word) for word in words], catch_exceptions=False)
    assert ended.exit_code == 0, ended.output
    return ended.output


def read_table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_command_writes_numbers_tables_and_a_picture_for_each_task_with_labels(
    model: Path, labelled: Path, tmp_path: Path
) -> None:
    out = tmp_path / "new" / "agreement"
    printed = run(model, labelled, "--out", out, "--batch", "2")
    names = {"agreement.json", "classes.csv", "answers.csv"}
    pictures = {"confusion-expression.png", "confusion-gesture.png"}
    assert {path.name for path in out.iterdir()} == names | pictures
    assert "1 x picture is missing" in printed
    assert f"Tables and pictures are in {out}" in printed

    found: dict[str, Any] = json.loads((out / "agreement.json").read_text())
    assert [*found] == ["expression", "gesture", "gaze"]
    network, _, _ = load_model(model)
    asked = folder.load(labelled, "test").samples
    for name, of in found.items():
        samples = [sample for sample in asked if sample.task == name]
        answers = predict(network, samples, device=CPU)
        assert of == json.loads(json.dumps(compare(name, answers, samples)))

    answers_told = read_table(out / "answers.csv")
    assert [row["task"] for row in answers_told] == [*["expression"] * 2, *["gesture"] * 2, "gaze"]
    for name in ("expression", "gesture"):
        rows = [row for row in answers_told if row["task"] == name]
        agreed = sum(row["label"] == row["answer"] for row in rows)
        assert found[name]["accuracy"] == agreed / len(rows)
        assert found[name]["unsure"] == sum(row["is_unsure"] == "true" for row in rows)
        threshold = TASKS[name].threshold
        assert all(
            (float(row["probability"]) < threshold) == (row["is_unsure"] == "true") for row in rows
        )
        classes = [row for row in read_table(out / "classes.csv") if row["task"] == name]
        assert [row["label"] for row in classes] == list(TASKS[name].labels)
        assert sum(int(row["agreed"]) for row in classes) == agreed
        assert {row["recall"] for row in classes if row["samples"] == "0"} == {""}
    (gaze,) = [row for row in answers_told if row["task"] == "gaze"]
    assert gaze["label"] == "0.9000 0.5000"
    x, y = (float(value) for value in gaze["answer"].split())
    average = np.hypot(x - 0.9, y - 0.5)
    assert found["gaze"]["average_l2"] == pytest.approx(average, abs=1e-3)

    for name in pictures:
        with PIL.Image.open(out / name) as picture:
            assert picture.mode == "RGB"
            assert min(picture.size) > 100


def test_a_folder_of_datasets_is_read_by_name(model: Path, labelled: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "folder").symlink_to(labelled)
    printed = run(model, tmp_path / "data", "--datasets", "folder", "--out", tmp_path / "out")
    assert "expression" in printed
    assert len(read_table(tmp_path / "out" / "answers.csv")) == 5


@pytest.mark.parametrize(
    ("words", "error", "message"),
    [
        ((), DataError, "neither labels.csv nor the folder of a dataset is here"),
        (("--datasets", "floder"), UnknownNameError, "Did you mean 'folder'"),
        (("--datasets", "hagrid"), DataError, "is missing"),
    ],
)
def test_data_that_cannot_be_found_is_told_before_weights_are_read(
    tmp_path: Path, words: tuple[str, ...], error: type[Exception], message: str
) -> None:
    (tmp_path / "empty").mkdir()
    write_json(tmp_path / "recipe.json", Recipe().to_json())  # all that is read of a model
    with pytest.raises(error, match=message):
        run(tmp_path, tmp_path / "empty", "--out", tmp_path / "out", *words)
    assert not (tmp_path / "out").exists()


def test_a_split_without_samples_is_an_error(labelled: Path, tmp_path: Path) -> None:
    write_json(tmp_path / "recipe.json", Recipe().to_json())
    with pytest.raises(DataError, match="Name another with --split"):
        run(tmp_path, labelled, "--split", "train", "--out", tmp_path / "out")


def test_a_folder_that_cannot_be_written_is_an_error_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="this folder cannot be written"):
        write_agreement(tmp_path / "file" / "out", {}, [])
