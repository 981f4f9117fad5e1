"""The comparison of heatmap weights: figures of a run by hand, and of real runs of a command."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from test_benchmarks import tables

from benchmarks import gaze_weight
from sfedge_training.drawings.write_drawings import write_drawings
from sfedge_training.loop.checkpoint import save_model
from sfedge_training.loop.recipe import Recipe
from sfedge_training.model.model_config import PRESETS
from sfedge_training.model.social_fusion import build_model


def a_run(folder: Path, scores: dict[str, dict[str, float]], log: str) -> Path:
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "card.json").write_text(json.dumps({"scores": scores}))
    (folder / "log.csv").write_text(log)
    return folder


def test_the_figures_of_a_run_are_those_of_its_card_and_log(tmp_path: Path) -> None:
    scores = {
        "gesture": {"balanced_accuracy": 0.5},
        "domain": {"balanced_accuracy": 1.0},
        "gaze": {"area_under_roc": 0.9, "average_l2": 0.1},
    }
    log = "step,label_loss,gaze_loss,gradient_norm\n0,1,,2\n1,,1,0.2\n2,1,,0.5\n3,1,,4\n4,,1,3\n"

    found = gaze_weight.read_run(a_run(tmp_path / "joint", scores, log))

    assert found == pytest.approx(
        {
            "auc": 0.9,
            "l2": 0.1,
            "others": 0.75,
            "share": 1.6 / 2,
            "label_clipped": 2 / 3,
            "gaze_clipped": 0.5,
        }
    )
    alone = a_run(
        tmp_path / "alone", {"gaze": scores["gaze"]}, "label_loss,gaze_loss,gradient_norm\n,1,2\n"
    )
    assert np.isnan(gaze_weight.read_run(alone)["others"])


@pytest.mark.slow
def test_the_command_trains_with_each_weight_and_writes_the_page(tmp_path: Path) -> None:
    drawings, out = tmp_path / "drawings", tmp_path / "page.md"
    write_drawings(drawings, count=8, val=2, test=2, seed=0)
    torch.manual_seed(0)
    bare = build_model(PRESETS["tiny"], with_lora=False)
    save_model(tmp_path / "parts", bare, Recipe(pretraining=True), {})
    words = [str(drawings), str(tmp_path / "parts"), str(tmp_path / "runs")]
    words += ["--seeds", "1", "--epochs", "1", "--out", str(out)]

    result = CliRunner().invoke(gaze_weight.main, words, catch_exceptions=False)

    assert result.exit_code == 0, result.output
    rows = tables(out.read_text())[0]
    assert [row[0] for row in rows[1:]] == [
        "0.2 (`paper`)",
        "1",
        "5",
        "10",
        "balanced",
        "gaze alone",
    ]
    with (tmp_path / "runs" / "paper-0" / "log.csv").open(newline="") as file:
        logged = list(csv.DictReader(file))
    weights = [float(row["gaze_weight"]) for row in logged if row["gaze_loss"]]
    assert weights == pytest.approx([0.2] * len(weights))
    assert weights
