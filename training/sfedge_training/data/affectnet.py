"""AffectNet: the CSV release with whole pictures, and the cropped 8-class release.

Nobody outside has the test set, so everyone reports on the official validation set: it is the
split "test" here, and "val" is a held-out part of the training set.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image

from sfedge.core.boxes import from_pixels, with_margin
from sfedge.core.csv_rows import csv_rows, number
from sfedge.core.errors import DataError
from sfedge.core.tasks import TASKS
from sfedge_training.data.reading import (
    MISSING,
    UNREADABLE,
    existing,
    is_held_out,
    missing_pictures,
    whole,
)
from sfedge_training.data.sample import Dataset, Report, Sample, Split

NAME = "affectnet"
_HELD_OUT = 0.02
_COLUMNS = (
    "subDirectory_filePath",
    "face_x",
    "face_y",
    "face_width",
    "face_height",
    "facial_landmarks",
    "expression",
    "valence",
    "arousal",
)
_LABELS = TASKS["expression"].labels  # ids 0 to 7; 8 none, 9 uncertain, 10 no face
_UNKNOWN = ("", "null", "none", "nan")  # what copies of the table write where there is no face


def load(root: Path, split: Split, *, margin: float | None = None) -> Dataset:
    """Read whichever release `root` holds.

    Args:
        root: the folder that holds `train_set` (8 classes) or the file lists (CSV).
        split: "test" is the official validation set.
        margin: around the annotated face, as a fraction of it; None for the task's own. The
            8-class release is cropped already and shown whole.

    Raises:
        DataError: neither release is there, or a column is missing.
    """
    report = Report()
    if list(root.glob("train_set")) or list(root.glob("val_set")):
        samples = list(_cropped(root, split, report))
    else:
        samples = list(_whole(root, split, report, margin))
    absent = missing_pictures(sample.image for sample in samples)
    kept = []
    for sample in samples:
        if sample.image in absent:
            report.lose(MISSING, str(sample.image))
            continue
        assert sample.label is not None
        report.kept["expression", _LABELS[sample.label]] += 1
        kept.append(sample)
    return Dataset(NAME, split, tuple(kept), report)


def _is_of(split: Split, key: str) -> bool:
    return split == "test" or is_held_out(key, _HELD_OUT) == (split == "val")


def _cropped(root: Path, split: Split, report: Report) -> Iterator[Sample]:
    """The 8-class release: `<id>_exp.npy` holds the class as text, beside `<id>.jpg`."""
    part = existing(root, "val_set" if split == "test" else "train_set", what="the split's folder")
    marks = existing(part, "annotations", what="the folder of annotations")
    _tell_unannotated(part, marks, split, report)
    for path in sorted(marks.glob("*_exp.npy"), key=lambda p: (len(p.stem), p.stem)):
        key = path.name.removesuffix("_exp.npy")
        if not _is_of(split, key):
            continue
        try:
            label = whole(str(np.load(path, allow_pickle=False).item()))
        except (ValueError, OSError, EOFError) as error:
            report.lose("annotation cannot be read", f"{path}: {error}")
            continue
        report.meet("expression", _LABELS[label] if 0 <= label < len(_LABELS) else "")
        if not 0 <= label < len(_LABELS):
            report.drop("expression is none of the eight", f"{path}: {label}")
            continue
        image = part / "images" / f"{key}.jpg"
        group = f"{part.name}/{key}"  # both parts count their pictures from 0
        yield Sample(image=image, task="expression", label=label, group=group, key=key)


def _tell_unannotated(part: Path, marks: Path, split: Split, report: Report) -> None:
    """Count the pictures that no `<id>_exp.npy` belongs to."""
    pictures = {path.stem: path for path in (part / "images").glob("*.jpg")}
    known = {path.name.removesuffix("_exp.npy") for path in marks.glob("*_exp.npy")}
    for key in sorted(pictures.keys() - known):
        if _is_of(split, key):
            report.lose("picture has no annotation", str(pictures[key]))


def _whole(root: Path, split: Split, report: Report, margin: float | None) -> Iterator[Sample]:
    """The CSV release: whole pictures with a face box in pixels."""
    name = "validation.csv" if split == "test" else "training.csv"
    table = existing(root, name, f"*/{name}", f"Manually*/{name}", f"**/{name}", what=name)
    pictures = existing(
        root,
        "Manually_Annotated_Images",
        "*/Manually_Annotated_Images",
        "Manually_Annotated",
        what="the folder of manually annotated pictures",
    )
    nested = pictures / "Manually_Annotated_Images"
    pictures = nested if nested.is_dir() else pictures
    grown = TASKS["expression"].margin if margin is None else margin
    for where, row in _rows(table, report):
        key = row["subDirectory_filePath"]
        if not _is_of(split, key):
            continue
        report.meet("rows")
        try:
            label = whole(row["expression"])
        except ValueError:
            report.drop("row is malformed", where)
            continue
        if not 0 <= label < len(_LABELS):
            report.drop("expression is none of the eight", where)
            continue
        try:
            face = _face(row)
        except ValueError:
            report.drop("row is malformed", where)
            continue
        if face is None:
            report.drop("face box is unknown", where)
            continue
        x, y, width, height = face
        sample = Sample(image=pictures / key, task="expression", label=label, group=key, key=key)
        try:
            with PIL.Image.open(sample.image) as picture:
                size = picture.size
        except FileNotFoundError:
            yield sample
            continue
        except (OSError, ValueError) as error:
            report.lose(UNREADABLE, f"{where}: {error}")
            continue
        try:
            box = from_pixels(x, y, x + width, y + height, width=size[0], height=size[1])
        except DataError as error:
            report.drop("face box lies outside the picture", f"{where}: {error}")
            continue
        if x < 0 or y < 0 or x + width > size[0] or y + height > size[1]:
            report.repair("face box left the picture", where)
        yield replace(sample, view=with_margin(box, grown) if grown > 0 else box, size=size)


def _face(row: dict[str, str]) -> tuple[float, float, float, float] | None:
    """Corner and size in pixels; None where they are null, or the size is -1."""
    values = [row[f"face_{side}"] for side in ("x", "y", "width", "height")]
    if any(value.strip().lower() in _UNKNOWN for value in values):
        return None
    x, y, width, height = (number(value) for value in values)
    return (x, y, width, height) if width > 0 and height > 0 else None


def _rows(table: Path, report: Report) -> Iterator[tuple[str, dict[str, str]]]:
    """Each row with its place; a copy of the table without header is read by position."""
    header: list[str] | None = None
    for line, values in csv_rows(table):
        where = f"{table}:{line}"
        if header is None:
            is_header = _COLUMNS[0] in values
            header = values if is_header else list(_COLUMNS)
            absent = [name for name in _COLUMNS[:7] if name not in header]
            if absent:
                raise DataError(f"columns {', '.join(absent)} are missing", where=where)
            if is_header:
                continue
            report.repair("table has no header, columns taken by position", where)
        row = dict(zip(header, values, strict=False))
        if all(name in row for name in _COLUMNS[:7]):
            yield where, row
        elif values:
            report.drop("row is malformed", where)
