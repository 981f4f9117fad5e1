"""GazeFollow with the extended annotation, as text tables or Gaze-LLE's preprocessed JSON."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import PIL.Image

from sfedge.core.boxes import Box, from_pixels
from sfedge.core.csv_rows import csv_rows, number
from sfedge.core.errors import DataError
from sfedge_training.data.reading import (
    MISSING,
    UNREADABLE,
    existing,
    is_held_out,
    missing_pictures,
    read_json,
    whole,
)
from sfedge_training.data.sample import Dataset, Report, Sample, Split

NAME = "gazefollow"
_HELD_OUT = 0.05  # of the training pictures: GazeFollow has no validation split
_INVALID = "marked invalid (in/out or gaze is -1)"
_OUTSIDE = "target lies outside the frame"
_WIDEN = 1.0  # pixels that an empty head box is grown on each side


@dataclass(frozen=True, slots=True)
class _Row:
    """One annotation: pixels for the head, fractions for eye and gaze."""

    where: str
    path: str
    eye_x: str
    gaze: tuple[float, float]
    head: tuple[float, float, float, float]
    inout: int  # 1 inside the frame, 0 outside, -1 invalid


def load(root: Path, split: Split) -> Dataset:
    """Read one split; "val" is a held-out part of the training pictures.

    Training rows are kept where the target lies inside the frame, as Gaze-LLE trains. The rows of
    a test person, about ten annotators', are listed by picture and eye position and become one
    sample. The table is preferred where the preprocessed JSON is beside it.

    Raises:
        DataError: neither form is there, or a file is malformed.
    """
    part = "test" if split == "test" else "train"
    report = Report()
    text, entries = f"{part}_annotations_release.txt", f"{part}_preprocessed.json"
    # The archive unpacks to a folder of its own in some copies; pictures lie beside the table.
    table = existing(root, text, f"*/{text}", entries, f"*/{entries}", what=text)
    read = _from_table if table.name == text else _from_json
    samples = list(read(table, table.parent, split, report))
    report.kept["gaze", ""] = len(samples)
    return Dataset(NAME, split, tuple(samples), report)


def _is_of(split: Split, path: str) -> bool:
    return split == "test" or is_held_out(path, _HELD_OUT) == (split == "val")


def _from_table(table: Path, root: Path, split: Split, report: Report) -> Iterator[Sample]:
    rows = list(_rows(table, split, report))
    absent = missing_pictures({root / row.path for row in rows})
    groups: dict[tuple[str, str], list[_Row]] = {}
    for place, row in enumerate(rows):
        if root / row.path in absent:
            report.lose(MISSING, row.where)
        elif split == "test":
            groups.setdefault((row.path, row.eye_x), []).append(row)
        else:
            groups[row.path, str(place)] = [row]
    sizes: dict[str, tuple[int, int]] = {}
    for place, ((path, _), own) in enumerate(groups.items()):
        if path not in sizes:
            try:
                with PIL.Image.open(root / path) as picture:
                    sizes[path] = picture.size
            except (OSError, ValueError) as error:
                for row in own:
                    report.lose(UNREADABLE, f"{row.where}: {error}")
                continue
        width, height = sizes[path]
        head = _head(own[0].head, width, height, own[0].where, report)
        if head is None:
            continue
        for row in own[1:]:
            if row.head != own[0].head:
                report.repair("annotators differ in the head box, first taken", row.where)
        points = tuple(_inside(row.gaze, row.where, report) for row in own)
        yield Sample(
            image=root / path,
            task="gaze",
            boxes=(head,),
            points=points,
            size=sizes[path],
            group=path,
            key=f"{path}#{place}",
        )


def _rows(table: Path, split: Split, report: Report) -> Iterator[_Row]:
    """By position from the left: test rows lack `inout`, and trailing columns vary."""
    for line, values in csv_rows(table):
        where = f"{table}:{line}"
        if not values:
            continue
        try:
            numbers = [number(value) for value in values[8:14]]
            inout = 1 if split == "test" else whole(values[14])
            row = _Row(
                where=where,
                path=values[0],
                eye_x=values[6],
                gaze=(numbers[0], numbers[1]),
                head=(numbers[2], numbers[3], numbers[4], numbers[5]),
                inout=inout,
            )
        except (ValueError, IndexError):
            report.drop("row is malformed", where)
            continue
        if not _is_of(split, row.path):
            continue
        report.meet("rows")
        if row.inout == -1 or row.gaze == (-1.0, -1.0):
            report.drop(_INVALID, where)
        elif row.inout != 1:
            report.drop(_OUTSIDE, where)
        else:
            yield row


def _head(
    corners: tuple[float, float, float, float],
    width: int,
    height: int,
    where: str,
    report: Report,
) -> Box | None:
    x1, y1, x2, y2 = corners
    if x1 > x2 or y1 > y2:
        report.repair("head box was inverted", where)
        x1, x2, y1, y2 = min(x1, x2), max(x1, x2), min(y1, y2), max(y1, y2)
    if x1 == x2 or y1 == y2:
        report.repair("head box was empty, grown by a pixel", where)
        x1, y1, x2, y2 = x1 - _WIDEN, y1 - _WIDEN, x2 + _WIDEN, y2 + _WIDEN
    if x1 < 0 or y1 < 0 or x2 > width or y2 > height:
        report.repair("head box left the picture", where)
    try:
        return from_pixels(x1, y1, x2, y2, width=width, height=height)
    except DataError:
        report.drop("head box lies outside the picture", where)
        return None


def _inside(point: tuple[float, float], where: str, report: Report) -> tuple[float, float]:
    x, y = (min(max(value, 0.0), 1.0) for value in point)
    if (x, y) != point:
        report.repair("gaze point left the picture", where)
    return x, y


def _from_json(table: Path, root: Path, split: Split, report: Report) -> Iterator[Sample]:
    entries: list[dict[str, Any]] = read_json(table, list)
    try:
        yield from _from_entries(entries, table, root, split, report)
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"an entry is malformed ({error!r})", where=str(table)) from error


def _from_entries(
    entries: list[dict[str, Any]], table: Path, root: Path, split: Split, report: Report
) -> Iterator[Sample]:
    absent = missing_pictures({root / str(entry["path"]) for entry in entries})
    for entry in entries:
        path = str(entry["path"])
        if not _is_of(split, path):
            continue
        for place, head in enumerate(entry["heads"]):
            where = f"{table}: {path}, head {place}"
            report.meet("heads")
            inout = whole(head["inout"])
            if inout != 1:
                report.drop(_INVALID if inout == -1 else _OUTSIDE, where)
                continue
            if root / path in absent:
                report.lose(MISSING, where)
                continue
            size = int(entry["width"]), int(entry["height"])
            x1, y1, x2, y2 = (number(value) for value in head["bbox"])
            box = _head((x1, y1, x2, y2), *size, where, report)
            if box is None:
                continue
            pairs = zip(head["gazex_norm"], head["gazey_norm"], strict=True)
            yield Sample(
                image=root / path,
                task="gaze",
                boxes=(box,),
                points=tuple(_inside((number(x), number(y)), where, report) for x, y in pairs),
                size=size,
                group=path,
                key=f"{path}#{head.get('head_id', place)}",
            )
