"""PISC: pairs of people and how they relate; the JSON release, or lists as GRM's code reads."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import PIL.Image

from sfedge.core.boxes import Box, from_pixels
from sfedge.core.csv_rows import number
from sfedge.core.errors import DataError
from sfedge.core.tasks import TASKS
from sfedge_training.data.reading import (
    MISSING,
    UNANNOTATED,
    UNREADABLE,
    existing,
    missing_pictures,
    read_json,
    whole,
)
from sfedge_training.data.sample import Dataset, Report, Sample, Split

NAME = "pisc"
_TASKS = ("domain", "relation")
# Names that the files of each task and split are known under; unofficial copies differ.
_LABELS = {"domain": "domain.json", "relation": "relationship.json"}
_SPLITS = {"domain": ("domain_split", "domain*"), "relation": ("relationship_split", "relation*")}
_LISTS = {"domain": "coarse", "relation": "fine"}
_PARTS = {"train": ("train",), "val": ("valid", "val"), "test": ("test",)}


@dataclass(frozen=True, slots=True)
class _Picture:
    """A picture's size and people, from `annotation_image_info.json`."""

    width: int
    height: int
    boxes: tuple[tuple[float, float, float, float], ...]  # x1 y1 x2 y2 in pixels


def load(root: Path, split: Split) -> Dataset:
    """Read both tasks of one split.

    The two tasks have picture lists of their own: a picture that one trains on may be the other's
    test picture. Such pairs stay, as the release has them, and the report counts them.

    Raises:
        DataError: neither release is there, or a file is malformed.
    """
    report = Report()
    info = root / "annotation_image_info.json"
    if info.is_file():
        pictures = _pictures(info, report)
        samples = [s for task in _TASKS for s in _from_json(root, task, split, pictures, report)]
    else:
        samples = [s for task in _TASKS for s in _from_list(root, task, split, report)]
    if split == "train":
        _count_shared(samples, root, report)
    absent = missing_pictures({sample.image for sample in samples})
    kept = []
    for sample in samples:
        if sample.image in absent:
            report.lose(MISSING, str(sample.image))
            continue
        assert sample.label is not None
        report.kept[sample.task, TASKS[sample.task].labels[sample.label]] += 1
        kept.append(sample)
    return Dataset(NAME, split, tuple(kept), report)


def _count_shared(samples: Sequence[Sample], root: Path, report: Report) -> None:
    """Count training pairs in pictures that the other task is tested on."""
    for task, other in (("domain", "relation"), ("relation", "domain")):
        tested = _test_pictures(root, other)
        for sample in samples:
            if sample.task == task and sample.group in tested:
                report.repair("kept, though a test picture of PISC's other task", sample.key)


def _test_pictures(root: Path, task: str) -> set[str]:
    """Groups of the samples that a task is tested on; empty where its test list is not there."""
    try:
        if (root / "annotation_image_info.json").is_file():
            return set(_split_ids(root, task, "test"))
        lines = _list_file(root, task, "test").read_text(encoding="utf-8-sig").splitlines()
    except DataError:
        return set()
    return {line.split()[0] for line in lines if line.strip()}


def _from_json(
    root: Path, task: str, split: Split, pictures: Mapping[str, _Picture], report: Report
) -> Iterator[Sample]:
    table = existing(root, _LABELS[task], what=f"the labels of task {task}")
    labels: dict[str, Any] = read_json(table, dict)
    images = existing(root, "image", "images", what="the folder of pictures")
    for key in _split_ids(root, task, split, report):
        pairs, picture = labels.get(key), pictures.get(key)
        if not isinstance(pairs, Mapping) or picture is None:
            report.lose(f"picture {UNANNOTATED}", f"{table}: {key}")
            continue
        for pair, mark in pairs.items():
            sample = _sample(images, task, key, pair, mark, picture, f"{table}: {key}", report)
            if sample is not None:
                yield sample


def _pictures(table: Path, report: Report) -> dict[str, _Picture]:
    pictures = {}
    for place, row in enumerate(read_json(table, list)):
        try:
            key, width, height = str(row["id"]), whole(row["imgW"]), whole(row["imgH"])
            boxes = tuple(_corners(box) for box in row["bbox"])
        except (KeyError, TypeError, ValueError):
            report.lose("picture's annotation is malformed", f"{table}: row {place}")
            continue
        if key in pictures:
            report.repair("picture is annotated twice, last taken", f"{table}: row {place}")
        pictures[key] = _Picture(width, height, boxes)
    return pictures


def _corners(box: Sequence[object]) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = (number(value) for value in box)
    return x1, y1, x2, y2


def _split_ids(root: Path, task: str, split: Split, report: Report | None = None) -> list[str]:
    folders = [
        *(f"{folder}/{deep}*" for folder in _SPLITS[task] for deep in ("", "*/")),
        f"{task}*",
    ]
    names = [f"{folder}{part}*idx*.json" for folder in folders for part in _PARTS[split]]
    path = existing(root, *names, what=f"the {split} split of task {task}")
    keys = [str(key) for key in read_json(path, list)]
    for key, times in Counter(keys).items():
        if times > 1 and report is not None:
            report.repair("picture is listed twice, taken once", f"{path}: {key}")
    return list(dict.fromkeys(keys))


def _sample(
    images: Path,
    task: str,
    key: str,
    pair: str,
    mark: object,
    picture: _Picture,
    where: str,
    report: Report,
) -> Sample | None:
    """A pair is "i j", counted from 1; labels are counted from 1, too."""
    try:
        first, second = (int(person) - 1 for person in pair.split())
        label = whole(mark) - 1
        if min(first, second, label) < 0 or first == second:
            raise IndexError(pair)
        boxes = picture.boxes[first], picture.boxes[second]
        report.meet(task, TASKS[task].labels[label])
    except (ValueError, IndexError):
        report.drop("pair or label is out of range", f"{where}, pair {pair!r}")
        return None
    marked = [_box(box, picture.width, picture.height, where, report) for box in boxes]
    if marked[0] is None or marked[1] is None:
        return None
    return Sample(
        image=images / f"{key.zfill(5)}.jpg",
        task=task,
        boxes=(marked[0], marked[1]),
        label=label,
        size=(picture.width, picture.height),
        group=key,
        key=f"{key} {pair}",
    )


def _box(
    corners: tuple[float, float, float, float], width: int, height: int, where: str, report: Report
) -> Box | None:
    x1, y1, x2, y2 = corners
    if x1 > x2 or y1 > y2:
        report.repair("box was inverted", where)
        x1, x2, y1, y2 = min(x1, x2), max(x1, x2), min(y1, y2), max(y1, y2)
    if x1 < 0 or y1 < 0 or x2 > width or y2 > height:
        report.repair("box left the picture", where)
    try:
        return from_pixels(x1, y1, x2, y2, width=width, height=height)
    except DataError:
        report.drop("box is empty or outside the picture", where)
        return None


def _from_list(root: Path, task: str, split: Split, report: Report) -> Iterator[Sample]:
    """Lines of `image x1 y1 x2 y2 x1 y1 x2 y2 label`, the label counted from 0."""
    table = _list_file(root, task, split)
    images = existing(root, "image", "images", what="the folder of pictures")
    sizes: dict[str, tuple[int, int] | str] = {}
    for line, text in enumerate(table.read_text(encoding="utf-8-sig").splitlines(), start=1):
        where = f"{table}:{line}"
        fields = text.split()
        if not fields:
            continue
        try:
            if len(fields) != 10:
                raise ValueError(f"{len(fields)} fields")
            values = [number(value) for value in fields[1:]]
            label = whole(values[8])
            if not 0 <= label < len(TASKS[task].labels):
                raise ValueError(f"label {label}")
        except ValueError:
            report.drop("line is malformed", where)
            continue
        report.meet(task, TASKS[task].labels[label])
        name = fields[0]
        if name not in sizes:
            sizes[name] = _size(images / name)
        size = sizes[name]
        if isinstance(size, str):
            report.lose(size, where)
            continue
        first = _box((values[0], values[1], values[2], values[3]), *size, where, report)
        second = _box((values[4], values[5], values[6], values[7]), *size, where, report)
        if first is None or second is None:
            continue
        yield Sample(
            image=images / name,
            task=task,
            boxes=(first, second),
            label=label,
            size=size,
            group=name,
            key=f"{name}#{line}",
        )


def _list_file(root: Path, task: str, split: Split) -> Path:
    names = [f"{folder}*{_LISTS[task]}*_{p}.txt" for folder in ("", "*/") for p in _PARTS[split]]
    return existing(root, *names, what=f"annotation_image_info.json or the {split} list of {task}")


def _size(path: Path) -> tuple[int, int] | str:
    """Width and height in pixels, or what is wrong with the picture."""
    try:
        with PIL.Image.open(path) as picture:
            return picture.size
    except FileNotFoundError:
        return MISSING
    except (OSError, ValueError):
        return UNREADABLE
