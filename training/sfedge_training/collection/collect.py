"""Collects the sources into one labelled folder: pictures, landmarks and a table of labels."""

import csv
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import get_args

import cv2
from tqdm import tqdm

from sfedge.core.boxes import Box
from sfedge.core.errors import DataError
from sfedge.core.landmarks import Landmarks
from sfedge.core.structures import Image
from sfedge.scoring.labels_table import TABLE
from sfedge_training.collection.balance import Class, weights
from sfedge_training.collection.item import Item, LabelSource, Subject, Trait
from sfedge_training.collection.lightness import lightness_of
from sfedge_training.collection.looking import Found, Looker
from sfedge_training.collection.many_pictures import looked_at
from sfedge_training.collection.rendered import rendered
from sfedge_training.collection.settle import settled
from sfedge_training.collection.sources import SOURCES
from sfedge_training.data.labelled_folder import NAME
from sfedge_training.data.landmark_store import STORE, landmark_key, read_landmarks, write_landmarks
from sfedge_training.data.sample import Split

_COLUMNS = (
    *("picture", "task", "label", "x1", "y1", "x2", "y2"),
    *("split", "group", "label_source", "weight", *get_args(Trait)),
)
_Job = tuple[Path, Subject, Box | None]


@dataclass(slots=True)
class Summary:
    """Counts of what was collected."""

    looked_at: Counter[str] = field(default_factory=Counter)  # by folder: pictures
    found: Counter[str] = field(default_factory=Counter)  # of these, with landmarks
    unsettled: Counter[str] = field(
        default_factory=Counter
    )  # ambiguous labels that the landmarks do not resolve
    rows: Counter[tuple[Class, Split]] = field(default_factory=Counter)
    draws: dict[Class, float] = field(default_factory=dict)  # of each class an epoch


@dataclass(frozen=True, slots=True)
class _Row:
    picture: str
    box: tuple[float, float, float, float]
    of: Class
    by: LabelSource
    split: Split
    group: str
    traits: Mapping[Trait, str]


def collect_into(
    out: Path,
    data: Path,
    files: Mapping[str, Path],
    *,
    renderings: Sequence[Path] = (),
    workers: int = 1,
) -> Summary:
    """Write `out/folder`, from all sources that lie in `data`, and from renderings.

    Pictures that are there are not written again, landmarks that are known not found again, so
    that a run that was stopped goes on.

    Args:
        out: folder, made where it is missing.
        data: holds files of SOURCES, not necessarily all.
        files: the networks, see `looking.NETWORKS`.
        renderings: folders that `sfedge-train render` wrote, of different names.
        workers: processes that look at pictures.

    Raises:
        DataError: no source is there, or one cannot be read.
        DetectorError: a network fails.
    """
    there = [name for name in SOURCES if (data / name).is_file()]
    if not there:
        raise DataError(
            "none of the sources is here", where=str(data), fix=f"Known are {', '.join(SOURCES)}."
        )
    root = out / NAME
    items: dict[str, Item] = {}
    for name in there:
        source = SOURCES[name]
        items |= _unpacked(source.read(data / name), source.folder, root)
    for folder in renderings:
        items |= _unpacked(rendered(folder), f"rendered-{folder.resolve().name}", root)
    store = root / STORE
    entries = read_landmarks(store)
    entries.update(
        {
            _key(picture, item.box): item.landmarks
            for picture, item in items.items()
            if item.landmarks is not None and item.box is not None
        }
    )
    seen = {key.rpartition("@")[0] for key in entries}
    # Mixed, so that what a stopped run has found is of all classes.
    waiting = sorted(items.keys() - seen, key=lambda name: hashlib.sha256(name.encode()).digest())
    jobs: dict[str, _Job] = {
        picture: (root / picture, items[picture].subject, items[picture].box) for picture in waiting
    }

    def save() -> None:
        write_landmarks(store, entries)

    for picture, found in looked_at(jobs, _look, files, workers=workers, save=save):
        entries.update({_key(picture, box): landmarks for box, landmarks in found})
        if not found:
            entries[_key(picture, None)] = Landmarks()
    save()
    summary = Summary()
    _write_table(root / TABLE, _rows(root, items, entries, summary), summary)
    return summary


def _unpacked(found: Iterable[Item], folder: str, root: Path) -> dict[str, Item]:
    """The items of a source by their pictures, which are written where they are missing."""
    items = {}
    for item in tqdm(found, desc=folder, unit="picture"):
        picture = f"{folder}/{item.name}"
        path = root / picture
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            growing = path.with_name(f".{path.name}")
            growing.write_bytes(item.picture)
            growing.replace(path)
        items[picture] = replace(item, picture=b"")
    return items


def _look(looker: Looker, job: _Job) -> list[Found]:
    path, subject, box = job
    return looker.find(_picture(path), subject, box)


def _picture(path: Path) -> Image:
    read = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    if read is None:
        raise DataError("this picture cannot be read", where=str(path), fix="Remove it.")
    return read.astype("uint8", copy=False)


def _key(picture: str, box: Box | None) -> str:
    return landmark_key(picture, _numbers(box) if box is not None else ())


def _numbers(box: Box) -> tuple[float, float, float, float]:
    """As they stand in the table."""
    x1, y1, x2, y2 = (round(value, 4) for value in (box.x1, box.y1, box.x2, box.y2))
    return x1, y1, x2, y2


def _rows(
    root: Path, items: Mapping[str, Item], entries: Mapping[str, Landmarks], summary: Summary
) -> list[_Row]:
    """A row for each answer about each subject that was found, or whose box is known."""
    found: dict[str, list[tuple[tuple[float, ...], Landmarks]]] = {}
    for key, landmarks in entries.items():
        picture, _, numbers = key.rpartition("@")
        if numbers:
            box = tuple(float(number) for number in numbers.split(","))
            found.setdefault(picture, []).append((box, landmarks))
    rows = []
    for picture, item in items.items():
        folder = picture.partition("/")[0]
        summary.looked_at[folder] += 1
        summary.found[folder] += picture in found
        places = found.get(picture, [])
        if not places and item.box is not None:
            places = [(_numbers(item.box), Landmarks())]
        for (x1, y1, x2, y2), landmarks in places:
            traits = dict(item.traits)
            if item.split != "train" and landmarks.face is not None:
                traits["lightness"] = lightness_of(_picture(root / picture), landmarks.face)
            for annotation in item.annotations:
                answer = settled(annotation, landmarks)
                if answer is None:
                    summary.unsettled[annotation.label] += 1
                    continue
                of = (answer.task, answer.label)
                box = (x1, y1, x2, y2)
                rows.append(_Row(picture, box, of, answer.by, item.split, item.group, traits))
    return rows


def _write_table(table: Path, rows: Sequence[_Row], summary: Summary) -> None:
    learned = [row for row in rows if row.split == "train"]
    drawn = dict(zip(map(id, learned), weights([(row.of, row.by) for row in learned]), strict=True))
    growing = table.with_name(f".{table.name}")
    with growing.open("w", newline="", encoding="utf-8") as file:
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(_COLUMNS)
        for row in rows:
            weight = f"{drawn[id(row)]:.4g}" if row.split == "train" else ""
            by = "" if row.by == "people" else row.by
            traits = (row.traits.get(trait, "") for trait in get_args(Trait))
            origin = (row.split, row.group, by, weight)
            lines.writerow((row.picture, *row.of, *row.box, *origin, *traits))
            summary.rows[row.of, row.split] += 1
            summary.draws[row.of] = summary.draws.get(row.of, 0.0) + drawn.get(id(row), 0.0)
    growing.replace(table)
