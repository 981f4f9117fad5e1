"""One training or measurement, and where it leaves what it finds: a folder that tables share."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sfedge.core.errors import ConfigError
from sfedge_training.data.sample import Dataset, Split
from sfedge_training.loop.card import Settings
from sfedge_training.loop.evaluate import Figures
from sfedge_training.loop.json_files import read_json, write_json
from sfedge_training.loop.recipe import PAPER_DATASETS, Recipe
from sfedge_training.loop.reports import load_datasets
from sfedge_training.reproduce.recipe_rows import Part

# The splits of our loaders that hold the samples of the paper's tables (table 1's caption).
# AffectNet and looking at me have a public truth for their validation set alone, which the loaders
# call test; GazeFollow has no validation set. Looking at me's test set goes to its challenge.
SPLITS: dict[Part, dict[str, Split]] = {
    "train": dict.fromkeys(PAPER_DATASETS, "train"),
    "val": {
        "affectnet": "test",
        "hagrid": "val",
        "ego4d_lam": "test",
        "gazefollow": "test",
        "pisc": "val",
    },
    "test": {"affectnet": "test", "hagrid": "test", "gazefollow": "test", "pisc": "test"},
}


_HOW = ("micro_batches", "gradient_checkpointing")  # of a recipe: how it is computed, not what


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What decides a training or measurement, and so all that it finds.

    Attributes:
        system: a name in SYSTEMS.
        config: all settings of the model.
        recipe: all settings of the training, with its datasets.
    """

    system: str
    config: Settings
    recipe: Recipe

    @property
    def name(self) -> str:
        """Of its folder: readable, and its own for these settings."""
        settings = self.to_json()
        for name in _HOW:
            del settings["recipe"][name]
        digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
        subject = settings["model"].get("family") or settings["model"]["encoder"]
        is_joint = set(self.recipe.datasets) == set(PAPER_DATASETS)
        datasets = "joint" if is_joint else "+".join(self.recipe.datasets)
        return f"{self.system}-{subject}-{datasets}-{digest}"

    def to_json(self) -> dict[str, Any]:
        """A JSON object with all settings."""
        return {
            "system": self.system,
            "model": self.config.to_json(),
            "recipe": self.recipe.to_json(),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Workplace:
    """Where runs read and write, and what they may do there.

    Attributes:
        data: folder with a folder for each dataset.
        out: folder for the runs.
        allow_remote_code: Python code that comes with weights may run.
        workers: processes that prepare batches.
        features: folder for the features of frozen encoders, to be used again; None to compute
            them at each step. Only what trains without augmentation can use them.
    """

    data: Path
    out: Path
    allow_remote_code: bool = False
    workers: int = 0
    features: Path | None = None
    _read: dict[tuple[str, Split, bool], Dataset] = field(default_factory=dict, repr=False)

    def folder(self, run: Run) -> Path:
        """The folder of a run."""
        return self.out / "runs" / run.name

    def begin(self, run: Run) -> Path:
        """The folder of a run, made where it is missing, with its settings in it.

        Raises:
            ConfigError: the run was begun on other data.
        """
        folder = self.folder(run)
        path = folder / "settings.json"
        settings = run.to_json() | {"data": str(self.data.resolve())}
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            write_json(path, settings)
        elif (held := read_json(path))["data"] != settings["data"]:
            raise ConfigError(
                f"this run is of the data in {held.get('data')}, not of {settings['data']}",
                where=str(folder),
                fix="Name another folder with --out; if the data have moved, correct the file "
                "settings.json there.",
            )
        return folder

    def dataset(self, name: str, split: Split, recipe: Recipe) -> Dataset:
        """One split of one dataset as the recipe wants it; read once."""
        key = (name, split, recipe.exact_faces)
        if key not in self._read:
            (self._read[key],) = load_datasets(
                self.data, (name,), split, exact_faces=recipe.exact_faces
            )
        return self._read[key]

    def taught(self, recipe: Recipe) -> list[Dataset]:
        """The recipe's datasets to learn from."""
        return [self.dataset(name, "train", recipe) for name in recipe.datasets]

    def held_out(self, recipe: Recipe) -> list[Dataset]:
        """The recipe's datasets to stop early by; none where it does not."""
        names = recipe.datasets if recipe.patience else ()
        found = [self.dataset(name, "val", recipe) for name in names]
        return [dataset for dataset in found if dataset.samples]

    def score_files(self, run: Run, part: Part) -> dict[Path, tuple[str, Split]]:
        """Where a run's scores of a part of the data lie, and of which dataset and split each is.

        A dataset without a public truth for that part has none.
        """
        splits, folder = SPLITS[part], self.folder(run) / "scores"
        return {
            folder / f"{name}-{splits[name]}.json": (name, splits[name])
            for name in run.recipe.datasets
            if name in splits
        }


def scored(path: Path, score: Callable[[], Mapping[str, Figures]]) -> dict[str, Figures]:
    """Figures by task from a file, which is made with `score` where it is missing."""
    if not path.exists():
        figures = score()
        path.parent.mkdir(exist_ok=True)
        part = path.with_name(f".{path.name}.part")
        write_json(part, figures)
        part.replace(path)
    return read_json(path)


def merged(parts: Iterable[dict[str, Figures]]) -> dict[str, Figures]:
    """Figures of several datasets or runs as one; no task is in two of them."""
    return {task: figures for part in parts for task, figures in part.items()}
