"""The model card: what a model was trained on, how, and how well it does."""

import json
import platform
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import peft
import torch
import transformers

import sfedge
from sfedge_training.data.sample import DRAWN_MARK, Dataset
from sfedge_training.loop.evaluate import Figures
from sfedge_training.loop.json_files import read_json
from sfedge_training.loop.recipe import Recipe

CALIBRATION = "calibration"  # by task, what `calibrate.Calibration` holds


class Settings(Protocol):
    """What shapes a model: SocialFusion's `ModelConfig`, or a baseline's `VlmConfig`."""

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""


def build_card(
    config: Settings,
    recipe: Recipe,
    datasets: Sequence[Dataset],
    *,
    steps: int,
    scores: Mapping[str, Figures],
    data: Path,
    scored_on: str = "test",
    origin: Path | None = None,
) -> dict[str, Any]:
    """All that a user should know of a model before trusting it, as a JSON object.

    Args:
        config: what shapes the model.
        recipe: of its training.
        datasets: that it has learned from.
        steps: done.
        scores: by task.
        data: the folder of the datasets.
        scored_on: the split that the scores are of.
        origin: `model` folder that it began from; that model's card is part of this one.
    """
    mark = data / DRAWN_MARK
    before = read_json(origin / "card.json") if origin else None
    was_drawn = bool(before and before.get("data", {}).get("is_drawn"))
    return {
        "data": {
            "is_drawn": mark.is_file() or was_drawn,
            "drawings": json.loads(mark.read_text(encoding="utf-8")) if mark.is_file() else None,
            "samples": {d.name: _counts(d) for d in datasets},
            "dropped": {d.name: dict(d.report.dropped) for d in datasets if d.report.dropped},
            "repaired": {d.name: dict(d.report.repaired) for d in datasets if d.report.repaired},
        },
        "began_from": before and {part: before.get(part) for part in ("data", "recipe")},
        # What learned on from weights stays under their licence. Probabilities are worth about what
        # they were, until they are calibrated anew.
        **{name: before[name] for name in ("licence", CALIBRATION) if before and name in before},
        "model": config.to_json(),
        "recipe": recipe.to_json(),
        "steps": steps,
        "scores": {task: dict(figures) for task, figures in scores.items()},
        "splits": {"samples": "train", "scores": scored_on},
        "software": {
            "sfedge": sfedge.__version__,
            "commit": source_commit(),
            "python": platform.python_version(),
            "torch": torch.__version__,
            "transformers": transformers.__version__,
            "peft": peft.__version__,
        },
    }


def source_commit() -> str | None:
    """The commit of the checkout that runs, with "-dirty" where files differ; None outside one."""
    words = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    try:
        ended = subprocess.run(words, cwd=Path(__file__).parent, capture_output=True, text=True)
    except OSError:
        return None  # there is no git
    return ended.stdout.strip() or None


def _counts(dataset: Dataset) -> dict[str, int]:
    counts: dict[str, int] = {}
    for (task, label), number in dataset.report.kept.items():
        counts[f"{task}: {label}" if label else task] = number
    return counts
