"""docs/own-data.md, done as it says: from labelled pictures to a bundle that runs."""

import csv
import json
import re
import shlex
import shutil
from pathlib import Path

import click
import PIL.Image
import pytest
import torch
from numpy.typing import NDArray
from scenes import Scene

from sfedge.bundle.bundle import open_bundle
from sfedge.cli import cli as sfedge
from sfedge.core.tasks import TASKS
from sfedge.scoring.labels_table import COLUMNS
from sfedge_export.__main__ import main as export
from sfedge_training.__main__ import main as training
from sfedge_training.data import labelled_folder as folder

PAGE = (Path(__file__).parents[2] / "docs" / "own-data.md").read_text(encoding="utf-8")
PROGRAMS = {"sfedge-train": training, "sfedge-export": export, "sfedge": sfedge}
# What makes a real run a short one; nothing of it changes what the command does.
SHORT = {
    "draw": "--count 2 --val 1 --test 1",
    "pretrain": "--epochs 1 --encoder-epochs 1 --batch 4",
    "train": "--epochs 1 --batch 4",
}


def _blocks() -> list[str]:
    return re.findall(r"```\n(.*?)```", PAGE, re.S)


def _table() -> str:
    (table,) = (block for block in _blocks() if block.startswith("picture,task"))
    return table


def _commands() -> list[str]:
    lines = [line for block in _blocks() for line in block.splitlines()]
    return [line for line in lines if line.startswith(("python -m", "sfedge"))]


def test_the_example_table_is_one_that_loads(tmp_path: Path, astronaut: NDArray) -> None:
    (tmp_path / "labels.csv").write_text(_table())
    rows = list(csv.DictReader(_table().splitlines()))
    for row in rows:
        path = tmp_path / row["picture"]
        path.parent.mkdir(exist_ok=True)
        PIL.Image.fromarray(astronaut).save(path)
    loaded = [folder.load(tmp_path, split) for split in ("train", "val", "test")]
    assert sum(len(dataset.samples) for dataset in loaded) == len(rows) == 3
    assert not any(dataset.report.dropped for dataset in loaded)


def test_every_column_and_every_label_stands_on_the_page() -> None:
    words = set(re.findall(r"[\w]+", PAGE))
    inner = {"other_y1", "other_x2"}  # shortened by an ellipsis
    assert {name for name in COLUMNS if not name.endswith("_px")} - inner <= words
    assert {label for task in TASKS.values() for label in task.labels} <= words
    assert {*TASKS} <= words


def _run(line: str, more: str) -> None:
    name = next(own for own in PROGRAMS if line.startswith(own))
    command: click.Command = PROGRAMS[name]
    words = shlex.split(f"{line.removeprefix(name)} {more}")
    command.main(words, prog_name=name, standalone_mode=False)


def test_the_commands_of_the_page_lead_to_a_bundle_that_runs(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scene: Scene,
    astronaut: NDArray,
    capsys: pytest.CaptureFixture[str],
) -> None:
    torch.set_num_threads(1)
    monkeypatch.chdir(tmp_path)
    shutil.copy(scene.video, "video.mp4")
    own = Path("data", "folder")
    own.mkdir(parents=True)
    lines = [_table().splitlines()[0]]
    for place, look in enumerate(["looking", "not_looking"] * 4):
        PIL.Image.fromarray(astronaut).resize((200, 200)).save(own / f"{place}.jpg")
        face = f"0.34,0.13,0.55,0.39,person {place}"
        lines += [f"{place}.jpg,looking_at_me,{look},{face}", f"{place}.jpg,expression,fear,{face}"]
    (own / "labels.csv").write_text("\n".join(lines))

    done = []
    for line in _commands():
        if "--preset paper" in line:
            continue  # wants the published weights
        name = line.split()[1 if line.startswith("sfedge") else 3]
        is_run = line.startswith("sfedge run")
        _run(line, f"--detections {scene.detections}" if is_run else SHORT.get(name, ""))
        done.append(name)

    assert done[:7] == ["locate", "check", "draw", "pretrain", "train", "train", "evaluate"]
    assert done[-3:] == ["runs/own/model", "score", "run"]
    assert set(json.loads(Path("score", "score.json").read_text())["tasks"]) == {
        "expression", "looking_at_me",
    }  # fmt: skip
    with open_bundle(Path("own.zip")) as bundle:
        assert [task.name for task in bundle.manifest.tasks] == ["expression", "looking_at_me"]
    (records,) = Path("out").glob("*.jsonl")
    printed = [json.loads(line) for line in records.read_text().splitlines()]
    assert any("looking_at_me" in json.dumps(record) for record in printed)
    assert "The model is in runs/own/model" in capsys.readouterr().out
