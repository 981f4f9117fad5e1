"""A task beside the six of the paper, as CONTRIBUTING.md says: one entry and one loader.

Their texts are those of CONTRIBUTING.md. The real commands train two steps, export, run and draw;
the window shows the answers.
"""

import csv
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scenes import Scene, make_scene

import sfedge
from sfedge.bundle.bundle import open_bundle
from sfedge.results.records import read_records

ROOT = Path(__file__).parents[1]
LABELS = ("standing", "sitting", "lying")

# Prints the window's table once both people have an answer.
WINDOW = """
import os
import sys
from pathlib import Path
from PyQt6.QtCore import QTimer
from PyQt6.QtWidgets import QApplication
from sfedge import RunConfig
from sfedge_desktop.main_window import MainWindow

app = QApplication(["test"])
video, boxes, bundle = sys.argv[1:]
window = MainWindow(RunConfig(live=True, bundle=Path(bundle), detections=Path(boxes)))

def look():
    table = window.people.table
    rows = [table.item(row, 1) for row in range(table.rowCount())]
    if len(rows) == 2 and all(item and "%" in item.text() for item in rows):
        print(table.columnCount(), table.horizontalHeaderItem(1).text())
        print(*(item.text() for item in rows), sep="\\n", flush=True)
        timer.stop()
        window.close()

timer = QTimer()
timer.timeout.connect(look)
timer.start(50)
window.play(video)
window.show()
app.exec()
os._exit(0)  # as the program itself does
"""


@dataclass(frozen=True)
class Made:
    """What the commands made, and what they ran on."""

    folder: Path
    scene: Scene

    @property
    def bundle(self) -> Path:
        return self.folder / "posture.zip"


def block(language: str) -> str:
    """The text between ```LANGUAGE and ``` in the section on tasks."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    section = text.split("## A new task")[1].split("\n## ")[0]
    (found,) = re.findall(rf"```{language}\n(.*?)```", section, flags=re.DOTALL)
    return str(found)


def run(code_or_module: list[str], *words: object) -> str:
    """What a program prints."""
    parts = [str(ROOT / part) for part in ("", "training", "export", "desktop")]
    settings = {"PYTHONPATH": os.pathsep.join(parts), "QT_QPA_PLATFORM": "offscreen"}
    finished = subprocess.run(
        [sys.executable, *code_or_module, *map(str, words)],
        env={**os.environ, **settings, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


@pytest.fixture(scope="module")
def made(
    tmp_path_factory: pytest.TempPathFactory,
    astronaut: NDArray[np.uint8],
    admiral: NDArray[np.uint8],
) -> Made:
    folder = tmp_path_factory.mktemp("seventh")
    own = folder / "posture"
    own.mkdir()
    (own / "tasks.json").write_text(block("json"), encoding="utf-8")
    (own / "loader.py").write_text(block("python"), encoding="utf-8")
    for split, count in (("train", 2), ("test", 1)):
        for turns, label in enumerate(LABELS):
            place = folder / "data" / "posture" / split / label
            place.mkdir(parents=True)
            for number in range(count):
                picture = np.rot90(astronaut[number * 40 :], turns)
                Image.fromarray(np.ascontiguousarray(picture)).save(place / f"{number}.png")
    run(
        ["-m", "sfedge_training", "--task", str(own)],
        *("pretrain", folder / "data", "--datasets", "posture", "--out", folder / "run"),
        *("--epochs", 1, "--batch", 3, "--encoder-epochs", 0, "--no-augment"),
    )
    exported = run(
        ["-m", "sfedge_export"],
        *(folder / "run" / "model", "--out", folder / "posture.zip", "--precision", "fp32"),
    )
    assert f"{folder / 'posture.zip'}: posture, 1 task, fp32, " in exported
    return Made(folder, make_scene(folder, astronaut, admiral[:512], frames=30))


def test_two_steps_teach_it_and_the_model_s_card_scores_it(made: Made) -> None:
    card = json.loads((made.folder / "run" / "model" / "card.json").read_text())

    assert card["steps"] == 2
    assert card["data"]["samples"] == {"posture": {f"posture: {label}": 2 for label in LABELS}}
    assert card["scores"]["posture"]["samples"] == 3.0
    assert card["splits"] == {"samples": "train", "scores": "test"}


def test_the_bundle_carries_the_entry(made: Made) -> None:
    entry = json.loads(block("json"))["posture"]
    with open_bundle(made.bundle) as bundle:
        (task,) = bundle.manifest.tasks

    assert {name: task.to_json()[name] for name in entry} == entry
    assert (task.name, task.mark, task.threshold) == ("posture", "person", 0.667)


def test_the_command_runs_records_and_draws_it(made: Made) -> None:
    assert "posture" not in sfedge.TASKS
    run(
        ["-m", "sfedge"],
        *("run", made.scene.video, "--bundle", made.bundle, "--detections", made.scene.detections),
        *("--out", made.folder / "out", "--tasks", "posture", "--end", 1),
    )

    out = made.folder / "out"
    rows = [row for row in read_records(out / "sway.jsonl") if row["type"] == "prediction"]
    assert {(row["task"], *row["people"]) for row in rows} == {("posture", 1), ("posture", 2)}
    assert all(set(row["probabilities"]) == set(LABELS) for row in rows)
    with (out / "sway.csv").open(newline="", encoding="utf-8") as file:
        assert {row["label"] for row in csv.DictReader(file)} <= set(LABELS)
    assert (out / "sway.annotated.mp4").stat().st_size > 0


def test_its_answers_are_drawn_in_the_entry_s_words(made: Made) -> None:
    with sfedge.open(
        made.scene.video, bundle=made.bundle, detections=made.scene.detections
    ) as session:
        result = next(result for result in session if result.fresh)
        with_answers = session.draw(result)
        without = session.draw(replace(result, fresh=(), carried=()))

    assert {answer.task for answer in result.fresh} == {"posture"}
    assert (with_answers != without).any()
    assert session.tasks[0].words(result.fresh[0].label) in LABELS


def test_the_window_has_a_column_for_it(made: Made) -> None:
    printed = run(["-c", WINDOW], made.scene.video, made.scene.detections, made.bundle)

    heading, *answers = printed.splitlines()
    assert heading == "2 Posture"
    assert len(answers) == 2
    assert all(answer.split()[0] in LABELS for answer in answers)


def test_a_name_that_the_bundle_does_not_know_is_refused_with_the_nearest(made: Made) -> None:
    with pytest.raises(sfedge.UnknownNameError, match="Did you mean 'posture'"):
        sfedge.open(made.scene.video, bundle=made.bundle, tasks=["postures"])
