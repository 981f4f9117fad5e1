"""docs/own-model.md, done as it says: from the default model to one that knows a few pictures."""

import json
import re
import shlex
from pathlib import Path

import click
import numpy as np
import PIL.Image
import pytest
from numpy.typing import NDArray

from sfedge.bundle.bundle import open_bundle
from sfedge.cli import cli as sfedge
from sfedge_export.__main__ import main as export
from sfedge_training.__main__ import main as training

PAGE = (Path(__file__).parents[2] / "docs" / "own-model.md").read_text(encoding="utf-8")
PROGRAMS = {"sfedge-train": training, "sfedge-export": export, "sfedge": sfedge}


def _commands() -> list[list[str]]:
    blocks = re.findall(r"```\n(.*?)```", PAGE, re.S)
    lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
    return [shlex.split(line) for line in lines if line.startswith("sfedge")]


def test_five_commands_are_enough() -> None:
    names = [words[1] if words[0] != "sfedge-export" else "export" for words in _commands()]
    assert names == ["locate", "score", "train", "export", "score"]


@pytest.mark.slow
def test_the_five_commands_lead_to_a_model_that_still_answers_everything(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    astronaut: NDArray[np.uint8],
    admiral: NDArray[np.uint8],
) -> None:
    monkeypatch.chdir(tmp_path)
    own = Path("data", "folder")
    own.mkdir(parents=True)
    lines = ["picture,task,label,split"]
    for place, split in enumerate(["train", "train", "test", "test"]):
        for name, picture in (("happiness", astronaut), ("neutral", admiral)):
            PIL.Image.fromarray(picture).save(own / f"{name}-{place}.png")
            lines.append(f"{name}-{place}.png,expression,{name},{split}")
    (own / "labels.csv").write_text("\n".join(lines), encoding="utf-8")

    for name, *words in _commands():
        command: click.Command = PROGRAMS[name]
        short = ["--epochs", "1", "--batch", "2"] if words[0] == "train" else []
        command.main([*words, *short], prog_name=name, standalone_mode=False)

    with open_bundle(Path("own.zip")) as bundle:
        tasks = {task.name: task for task in bundle.manifest.tasks}
    assert [*tasks] == ["expression", "gesture", "looking_at_me"]
    assert tasks["gesture"].threshold > 0.5  # the default model's
    for out in ("before", "after"):
        found = json.loads(Path(out, "score.json").read_text())["tasks"]
        assert {name: task["samples"] for name, task in found.items()} == {"expression": 4}
