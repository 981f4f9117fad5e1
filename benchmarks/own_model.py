"""What the default model learns from a few pictures of one person, and what it forgets.

The person is the man of the held-out part of `xsign-frames.zip`, whom no training has seen. Half of
his pictures are learned from, with and without hands of other people beside them; the other half
and pictures of others are scored before and after, all by the commands that a user runs.
"""

import csv
import hashlib
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from benchmarks import measured_on as machine
from sfedge.core.boxes import Box
from sfedge.scoring.labels_table import TABLE
from sfedge_training.collection.archive import pictures_in, table_in
from sfedge_training.collection.bodies import crossed_arms
from sfedge_training.collection.faces import fairface
from sfedge_training.collection.hand_sources import crops
from sfedge_training.collection.item import Item

HIS, FRAMES = "xsign-frames.zip", "gesture-frames.zip"
FACES, CROPS = "faces-fairface.zip", "gesture-crops.zip"
DEFAULT, OWN, BESIDE = "default model", "his pictures", "his pictures, others beside"

_EACH = 10  # whole pictures of each gesture that are scored, and hands of each that lie beside
_SOME = 0.25  # of the held-out faces that are scored
_PROGRAMS = {
    "sfedge": "sfedge",
    "sfedge_training": "sfedge-train",
    "sfedge_export": "sfedge-export",
}
_COLUMNS = ("picture", "task", "label", "split", "x1", "y1", "x2", "y2")
_FIGURES = {
    "accuracy": "right",
    "accuracy_unsure_wrong": "right and sure",
    "balanced_accuracy": "mean of the classes",
    "gesture_where_none": "sure false positives, of hands without a gesture",
    "not_found": "not found",
}


@dataclass(frozen=True, slots=True)
class Labelled:
    """A picture with its labels."""

    name: str
    data: bytes
    labels: tuple[tuple[str, str], ...]  # task and label
    split: str = ""
    box: Box | None = None


def halves(items: Iterable[Item]) -> Iterator[Labelled]:
    """The held-out person's pictures; of each label the first half is learned from."""
    his = [item for item in items if item.split == "test"]
    counts = Counter(item.annotations[0].label for item in his)
    met: Counter[str] = Counter()
    for item in his:
        label = item.annotations[0].label
        met[label] += 1
        split = "train" if met[label] <= counts[label] / 2 else "test"
        yield Labelled(item.name, item.picture, _labels(item), split)


def hands_beside(items: Iterable[Item]) -> Iterator[Labelled]:
    """Hands of other people that training of the default model has seen, as many of each label."""
    met: Counter[str] = Counter()
    for item in items:
        label = item.annotations[0].label
        if item.split != "train" or item.annotations[0].by != "people" or met[label] >= _EACH:
            continue
        met[label] += 1
        yield Labelled(f"beside/{item.name}", item.picture, _labels(item), "train", item.box)


def others(data: Path) -> Iterator[Labelled]:
    """Whole pictures of hands and faces of many people, which nothing has learned from."""
    rows = sorted(table_in(data / FRAMES, ("file", "label")), key=lambda row: _mixed(row["file"]))
    met: Counter[str] = Counter()
    chosen: dict[str, str] = {}
    for row in rows:
        met[row["label"]] += 1
        if met[row["label"]] <= _EACH:
            chosen[row["file"]] = row["label"]
    for name, picture in pictures_in(data / FRAMES, chosen):
        yield Labelled(f"hands/{name}", picture, (("gesture", chosen[name]),))
    for item in fairface(data / FACES):
        labels = _labels(item)
        if item.split == "test" and labels and _mixed(item.name)[0] < 256 * _SOME:
            yield Labelled(f"faces/{item.name}", item.picture, labels)


def lay_out(folder: Path, pictures: Iterable[Labelled]) -> None:
    """Write a labelled folder, unless it is there."""
    if (folder / TABLE).exists():
        return
    rows: list[tuple[object, ...]] = []
    for one in pictures:
        path = folder / one.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(one.data)
        box = one.box
        corners = ("",) * 4 if box is None else (box.x1, box.y1, box.x2, box.y2)
        rows += [(one.name, task, label, one.split, *corners) for task, label in one.labels]
    with (folder / TABLE).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([_COLUMNS, *rows])


@dataclass(slots=True)
class Runs:
    """Runs commands, and keeps how long each took."""

    folder: Path
    seconds: dict[str, float]

    def call(self, module: str, words: Sequence[str]) -> None:
        """Run a command in the folder, unless it ran there before.

        Raises:
            CalledProcessError: it failed.
        """
        shown = " ".join([_PROGRAMS[module], *words])
        if shown in self.seconds:
            return
        click.echo(f"$ {shown}")
        begun = time.monotonic()
        subprocess.run([sys.executable, "-m", module, *words], cwd=self.folder, check=True)
        self.seconds[shown] = round(time.monotonic() - begun, 1)
        (self.folder / "seconds.json").write_text(json.dumps(self.seconds, indent=1))

    def score(self, bundle: Path | None, folder: str, out: str, *more: str) -> dict[str, Any]:
        """The tasks of `sfedge score`, by name."""
        first = [] if bundle is None else [str(bundle)]
        self.call("sfedge", ["score", *first, folder, *more, "--out", out])
        tasks: dict[str, Any] = json.loads((self.folder / out / "score.json").read_text())["tasks"]
        return tasks


def measure(runs: Runs, kinds: Mapping[str, str], learn: Sequence[str]) -> dict[str, Any]:
    """Score the default model, then learn from each folder of `kinds` and score again.

    Args:
        runs: in a folder that holds the folders of `kinds`, and "others".
        kinds: folders that hold a folder `folder`, by what is learned from.
        learn: options of training.

    Returns:
        By model and by what was scored ("his", "others"), the tasks of `sfedge score`.
    """
    first = next(iter(kinds.values()))
    for name in kinds.values():
        runs.call("sfedge_training", ["locate", f"{name}/folder"])
    his, rest = f"{first}/folder", "others"
    found = {DEFAULT: _both(runs, None, his, rest, "default")}
    for kind, name in kinds.items():
        words = ["train", name, "--datasets", "folder", "--start-from", "default", "--keep-tasks"]
        runs.call("sfedge_training", [*words, *learn, "--out", f"runs/{name}"])
        bundle = Path(f"{name}.zip")
        words = [f"runs/{name}/model", "--out", str(bundle), "--name", name, "--mirrored"]
        runs.call("sfedge_export", words)
        found[kind] = _both(runs, bundle, his, rest, name)
    return found


def _both(runs: Runs, bundle: Path | None, his: str, rest: str, name: str) -> dict[str, Any]:
    return {
        "his": runs.score(bundle, his, f"scores/{name}-his", "--split", "test"),
        "others": runs.score(bundle, rest, f"scores/{name}-others"),
    }


def page(found: Mapping[str, Any], seconds: Mapping[str, float]) -> list[str]:
    """The tables, and how they came to be."""
    header = ("scored", "labels", "figure", *found)
    rows = []
    for where in ("his", "others"):
        for task, of in found[DEFAULT][where].items():
            for name, title in _FIGURES.items():
                if of["figures"].get(name, {}).get("value") is None:
                    continue
                cells = [_cell(model[where][task]["figures"][name]) for model in found.values()]
                rows.append((f"{where}, {task}", str(of["samples"]), title, *cells))
    times = [(f"`{command}`", f"{taken:.0f}") for command, taken in seconds.items()]
    return [
        "All by `sfedge score`, in per cent, with 95 % intervals; what the detectors miss counts "
        "as wrong. *His*: the second half of his pictures, whose neighbours were learned from. "
        "*Others*: whole pictures of HaGRID and faces of FairFace that nothing has learned from.",
        machine.table(header, rows),
        machine.table(("command", "seconds"), times),
    ]


def _cell(figure: Mapping[str, float | None]) -> str:
    value, low, high = (100 * (figure[name] or 0.0) for name in ("value", "low", "high"))
    return f"{value:.1f} ({low:.0f} – {high:.0f})"


def _labels(item: Item) -> tuple[tuple[str, str], ...]:
    return tuple((one.task, one.label) for one in item.annotations if one.by == "people")


def _mixed(name: str) -> bytes:
    return hashlib.sha256(name.encode()).digest()


@click.command()
@click.argument("data", type=click.Path(path_type=Path, exists=True))
@click.argument("runs", type=click.Path(path_type=Path))
@click.option("--epochs", default=10, show_default=True)
@click.option("--batch", default=8, show_default=True)
@click.option("--learning-rate", default="1e-4", show_default=True)
@click.option("--warmup", default=10, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=machine.RESULTS / "own_model.md")
def main(data: Path, runs: Path, out: Path, **learn: object) -> None:
    """Let the default model learn one person, on DATA, the sources of docs/default-model.md.

    RUNS holds the folders and models; what is there is not made again.
    """
    about = machine.describe()
    lay_out(runs / "data" / "folder", halves(crossed_arms(data / HIS)))
    both = [*halves(crossed_arms(data / HIS)), *hands_beside(crops(data / CROPS))]
    lay_out(runs / "beside" / "folder", both)
    lay_out(runs / "others", others(data))
    kept = runs / "seconds.json"
    seconds = json.loads(kept.read_text()) if kept.exists() else {}
    words = [word for name, value in learn.items() for word in (_option(name), str(value))]
    calls = Runs(runs, seconds)
    found = measure(calls, {OWN: "data", BESIDE: "beside"}, words)
    command = "python -m benchmarks.own_model DATA RUNS"
    machine.write_page(out, "A model of one's own", command, about, page(found, calls.seconds))


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


if __name__ == "__main__":
    main()
