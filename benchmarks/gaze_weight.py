"""What the heatmap loss's weight does to gaze and to the other tasks, on drawn people."""

import csv
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click
import numpy as np

from benchmarks import measured_on as machine
from sfedge.core.tasks import TASKS
from sfedge_training.loop.recipe import PAPER_DATASETS, Recipe

ALONE = "gaze alone"
WEIGHTS = ("paper", "1", "5", "10", "balanced")
_FREE = Recipe().gradient_norm  # gradients that are longer are clipped
_HEADER = (
    *("weight", "gaze AUC", "average L2 × 100", "other tasks, balanced accuracy %"),
    *("gradient of a gaze step / of a label step", "label steps clipped %"),
    "gaze steps clipped %",
)


def command(data: Path, parts: Path, runs: Path, name: str, seed: int, epochs: int) -> list[str]:
    """`sfedge-train train` with one weight and seed; features are stored beside the runs."""
    is_alone = name == ALONE
    datasets = "gazefollow" if is_alone else ",".join(PAPER_DATASETS)
    settings = {
        "--out": run_folder(runs, name, seed),
        "--pretrained": parts,
        "--features": runs / "features",
        "--datasets": datasets,
        "--gaze-weight": "1" if is_alone else name,
        "--seed": seed,
        "--epochs": epochs,
        "--learning-rate": "0.001",
        "--warmup": 150,
    }
    words = [str(word) for pair in settings.items() for word in pair]
    return ["-m", "sfedge_training", "train", str(data), "--no-augment", *words]


def run_folder(runs: Path, name: str, seed: int) -> Path:
    """Of one weight and seed."""
    return runs / f"{name.replace(' ', '-')}-{seed}"


def read_run(run: Path) -> dict[str, float]:
    """Scores of the test split, and what the log says of gradients, of a run that is done.

    Returns:
        `auc`, `l2`, `others`: mean balanced accuracy of the tasks with labels; `share`: median
        length of gaze steps' gradients, as weighed, over that of label steps; `label_clipped` and
        `gaze_clipped`, shares of steps. What a run does not have is not a number.
    """
    scores = json.loads((run / "model" / "card.json").read_text(encoding="utf-8"))["scores"]
    labelled = [of["balanced_accuracy"] for task, of in scores.items() if TASKS[task].answers]
    norms: dict[str, list[float]] = {"label_loss": [], "gaze_loss": []}
    with (run / "log.csv").open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            kind = "label_loss" if row["label_loss"] else "gaze_loss"
            norms[kind].append(float(row["gradient_norm"]))
    label, gaze = (np.array(norms[kind]) for kind in ("label_loss", "gaze_loss"))
    return {
        "auc": scores["gaze"]["area_under_roc"],
        "l2": scores["gaze"]["average_l2"],
        "others": float(np.mean(labelled)) if labelled else np.nan,
        "share": float(np.median(gaze) / np.median(label)) if len(label) else np.nan,
        "label_clipped": float(np.mean(label > _FREE)) if len(label) else np.nan,
        "gaze_clipped": float(np.mean(gaze > _FREE)),
    }


def page(found: Mapping[str, Sequence[Mapping[str, float]]], epochs: int) -> list[str]:
    """The table: means over seeds, and the least and the greatest."""
    rows = [
        (
            _named(name),
            _cell([of["auc"] for of in runs], 3),
            _cell([100 * of["l2"] for of in runs], 1),
            _cell([100 * of["others"] for of in runs], 1),
            _cell([of["share"] for of in runs], 3),
            _cell([100 * of["label_clipped"] for of in runs], 0),
            _cell([100 * of["gaze_clipped"] for of in runs], 0),
        )
        for name, runs in found.items()
    ]
    seeds = len(next(iter(found.values())))
    return [
        f"Preset `tiny` on drawn people, test split; {seeds} seeds, {epochs} epochs from one "
        "pre-training: means, and in brackets the least and the greatest. *Gaze alone* learns "
        "from as many gaze samples as the others. Clipped: the share of steps whose gradient is "
        f"longer than {_FREE:g}. The gradients are medians over a run.",
        machine.table(_HEADER, rows),
    ]


def _named(name: str) -> str:
    literal = Recipe(gaze_weight="paper").heatmap_weight()
    return f"{literal:g} (`paper`)" if name == "paper" else name


def _cell(values: Sequence[float], digits: int) -> str:
    if np.isnan(values).any():
        return "–"
    least, mean, most = (f"{of(values):.{digits}f}" for of in (np.min, np.mean, np.max))
    return f"{mean} ({least} – {most})"


@click.command()
@click.argument("data", type=click.Path(path_type=Path, exists=True))
@click.argument("parts", type=click.Path(path_type=Path, exists=True))
@click.argument("runs", type=click.Path(path_type=Path))
@click.option("--seeds", default=3, show_default=True)
@click.option("--epochs", default=2, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=machine.RESULTS / "gaze_weight.md")
def main(data: Path, parts: Path, runs: Path, seeds: int, epochs: int, out: Path) -> None:
    """Compare weights on DATA, drawn people, from PARTS, the `model` of a pre-training.

    RUNS holds the runs; what is done there is not trained again.
    """
    about = machine.describe()
    found: dict[str, list[dict[str, float]]] = {name: [] for name in (*WEIGHTS, ALONE)}
    for seed in range(seeds):
        for name, of in found.items():
            run = run_folder(runs, name, seed)
            if not (run / "model").is_dir():
                words = command(data, parts, runs, name, seed, epochs)
                subprocess.run([sys.executable, *words], check=True)
            of.append(read_run(run))
    written = "python -m benchmarks.gaze_weight DATA PARTS RUNS"
    machine.write_page(out, "The heatmap's weight", written, about, page(found, epochs))


if __name__ == "__main__":
    main()
