"""The model that comes with sfedge: what it holds, what it says of itself, and that it runs."""

import csv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from nvidia_builder import needs_builder
from record_parts import VALIDATOR
from scenes import CLIP_FRAMES, Command, Scene

import sfedge
from sfedge.bundle.bundle import DEFAULT_BUNDLE, Bundle, open_bundle
from sfedge.bundle.manifest import GRAPHS
from sfedge.core.answer_table import COLUMNS
from sfedge.core.tasks import NO_GESTURE
from sfedge.engines import ENGINES
from sfedge.engines.trt_build import build_engines, default_precision
from sfedge.inference.model import Model
from sfedge.results.records import read_records
from sfedge_training.data.people_tasks import PEOPLE_TASKS
from sfedge_training.loop.checkpoint import DEFAULT_MODEL
from sfedge_training.loop.json_files import read_json

MOST_BYTES = 40_000_000
ANSWERED = ("expression", "gesture", "looking_at_me")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> Iterator[Bundle]:
    """What `open_bundle` opens for a user."""
    monkeypatch.delenv("SFEDGE_BUNDLE")
    with open_bundle() as bundle:
        yield bundle


def test_it_is_whole_and_small_enough_for_the_wheel(opened: Bundle) -> None:
    assert opened.source == DEFAULT_BUNDLE
    opened.verify()
    assert DEFAULT_BUNDLE.stat().st_size <= MOST_BYTES


def test_it_holds_the_precisions_that_processors_and_gpus_prefer(opened: Bundle) -> None:
    preferred = {ENGINES[name].precisions[0] for name in ("cpu", "cuda", "tensorrt")}
    assert set(opened.manifest.precisions) == preferred == {"int8-cpu", "fp16"}


def test_its_tasks_are_those_for_people_as_the_program_asks_them(opened: Bundle) -> None:
    manifest = opened.manifest
    assert manifest.preset == "small"
    assert tuple(task.name for task in manifest.tasks) == ANSWERED
    for task in manifest.tasks:
        own = PEOPLE_TASKS.get(task.name, sfedge.TASKS[task.name])
        assert replace(task, temperature=own.temperature, threshold=own.threshold) == own
    gesture, expression = manifest.task("gesture"), manifest.task("expression")
    assert (gesture.view, len(gesture.labels), gesture.labels[-1]) == ("hand", 34, NO_GESTURE)
    assert expression.unproven == ("fear", "disgust", "contempt")


def test_it_says_what_it_answers_and_from_whom_its_figures_are(opened: Bundle) -> None:
    manifest = opened.manifest
    for word in ("expression", "gesture", "looks at the camera"):
        assert word in manifest.notice
    card = manifest.card
    assert not card["data"]["is_drawn"]
    assert "CC BY-SA 4.0" in card["licence"]
    licence = (DEFAULT_BUNDLE.parent / "LICENSE").read_text(encoding="utf-8")
    assert "people.zip" in licence
    assert "Creative Commons Attribution-ShareAlike 4.0" in licence
    figures = ("samples", "scores", "calibration")
    assert set(card["splits"]) >= {*figures}
    assert set(card["scores"]) == set(card["calibration"]) == set(ANSWERED)


def test_the_weights_to_learn_on_from_are_those_of_the_bundle(opened: Bundle) -> None:
    card, packed = opened.manifest.card, read_json(DEFAULT_MODEL / "card.json")
    assert packed["licence"] == card["licence"]
    for part in ("data", "recipe", "steps", "scores", "calibration", "splits", "software"):
        assert packed[part] == card[part], part


@pytest.mark.usefixtures("cache")
def test_its_self_test_passes_on_a_cpu(opened: Bundle) -> None:
    with Model(opened, engine="cpu") as model:
        assert model.tested > 0
        assert model.precision == "int8-cpu"
        assert model.reads_landmarks


def test_a_face_is_answered_with_what_the_detectors_see_of_it(
    opened: Bundle, astronaut: NDArray[np.uint8]
) -> None:
    result = sfedge.analyze(astronaut)
    assert any(track.face_landmarks is not None for track in result.tracks)
    answers = {answer.task: answer for answer in result.fresh}
    assert {"expression", "looking_at_me"} <= set(answers) <= set(ANSWERED)
    assert answers["expression"].label not in opened.manifest.task("expression").unproven


def test_a_run_writes_what_it_answers_and_nothing_of_gaze_and_pairs(
    opened: Bundle, scene: Scene, command: Command, tmp_path: Path
) -> None:
    words = ("run", scene.video, "--detections", scene.detections, "--wide", "--out", tmp_path)
    finished = command(*words)
    assert finished.code == 0, finished.err
    assert f"model {opened.manifest.name} on cpu" in finished.err
    assert opened.manifest.notice in finished.err
    rows = list(read_records(tmp_path / "sway.jsonl"))
    for row in rows:
        VALIDATOR.validate(row)
    assert rows[-1]["shown"] == CLIP_FRAMES
    assert set(rows[-1]["answers"]) == set(ANSWERED)
    assert all(rows[-1]["answers"].values())
    gestures = [row for row in rows if row.get("task") == "gesture"]
    assert all(len(row["probabilities"]) == 34 and row["hands"] for row in gestures)
    with (tmp_path / "sway.csv").open(newline="", encoding="utf-8") as file:
        table = csv.DictReader(file)
        wide = [f"{t.name}.{label}" for t in opened.manifest.tasks for label in t.labels]
        assert table.fieldnames == [*COLUMNS, *wide]
        assert {(row["person_2"], row["gaze_x"], row["peak"]) for row in table} == {("", "", "")}


@pytest.mark.usefixtures("opened")
def test_it_reads_the_smile_and_the_raised_hand_of_the_demo(
    command: Command, tmp_path: Path
) -> None:
    seconds = 4.0
    finished = command("demo", "--seconds", seconds, "--out", tmp_path)
    assert finished.code == 0, finished.err
    with (tmp_path / "demo.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["person_1"] == "1"]
    assert {row["label"] for row in rows if row["task"] == "expression"} == {"happiness"}
    gestures = [row for row in rows if row["task"] == "gesture"]
    for start, end in ((0.24, 0.42), (0.67, 0.84)):  # shares of the clip: the hand is up
        raised = [row for row in gestures if start <= float(row["time"]) / seconds <= end]
        assert {row["label"] for row in raised} == {"palm"}


def test_a_task_that_it_does_not_answer_is_reported(
    opened: Bundle, scene: Scene, command: Command, tmp_path: Path
) -> None:
    finished = command("run", scene.video, "--tasks", "relation", "--out", tmp_path / "out")
    assert (finished.code, finished.err.count("\n")) == (2, 1)
    assert "was not trained for relation" in finished.err
    assert f"This one answers {', '.join(ANSWERED)}." in finished.err
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
@needs_builder
def test_nvidias_builder_takes_its_graphs(opened: Bundle) -> None:
    precision = default_precision(opened, "tensorrt-rtx")
    assert precision == "fp16"
    engines, _ = build_engines(opened, backend="tensorrt-rtx", precision=precision, max_batch=8)
    assert [item.graph for item in engines.engines] == list(GRAPHS)
