"""The table of labelled pictures: its columns, and what is wrong with which line.

| column                  | contents                                                           |
|-------------------------|--------------------------------------------------------------------|
| picture                 | a picture file, relative to the table                              |
| task                    | one of the tasks                                                   |
| label                   | the answer; for gaze "outside", or nothing where there is a point  |
| gaze_x, gaze_y          | for gaze: the point that the person looks at                       |
| x1, y1, x2, y2          | the person, or the first of two                                    |
| other_x1 … other_y2     | the second, for domain and relation                                |
| view                    | `picture` or `box`: what is shown in training; empty: as in a run  |
| split                   | such as train, val or test, in all rows or in none                 |
| group                   | who or what must not be spread over splits; empty: the picture     |

Coordinates are fractions of the upright picture, or its pixels in columns that end in `_px`. Other
columns are kept as they are. `Layout` reads tables that come without `task`, too.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Literal, cast, get_args

from sfedge.core.csv_rows import csv_rows, number
from sfedge.core.errors import DataError
from sfedge.core.tasks import NO_GESTURE, Task

View = Literal["", "picture", "box"]

TABLE = "labels.csv"
LABEL_SOURCE = "label_source"  # column that names who gave a label that is no truth to score by
UNCLEAR = "unclear"  # in place of a label: whoever labelled could not tell
OUTSIDE = "outside"  # in place of a gaze point: the person looks out of the picture

_GAZE = ("gaze_x", "gaze_y")
_PERSON = ("x1", "y1", "x2", "y2")
_OTHER = tuple(f"other_{name}" for name in _PERSON)
_NUMBERS = (*_GAZE, *_PERSON, *_OTHER)
COLUMNS = (
    *("picture", "task", "label", "view", "split", "group"),
    *_NUMBERS,
    *(f"{name}_px" for name in _NUMBERS),
)
_PICTURE_TOO = ("file", "filename", "image", "path")  # other names of the column `picture`
_UNCLEAR_TOO = (UNCLEAR, "unknown", "unsure")
_YES_NO = {"yes", "no"}
_PIXELS = 2.0  # a "fraction" beyond this is one by mistake
_SHOWN = 5  # problems that a message lists one by one
_SEPARATORS = frozenset(";\t|")  # of tables that are not separated by commas
_LIKE = 0.75  # so alike, a strange column is a known one misspelt
_TEST, _VAL = 0.15, 0.10  # of the groups, where the table names no splits


@dataclass(frozen=True, slots=True)
class Layout:
    """How a table may be laid out beside the full form.

    Args:
        tasks: that may occur, by name.
        given: tasks that a table without the column `task` is about.
        column: holds the labels of the only task in `given`, in place of `label`.
        is_for_training: a task that marks people needs their boxes. Else only a task about two
            people does.
        renamed: labels of the table by what they are called in it; "" for a row without one.
    """

    tasks: Mapping[str, Task]
    given: tuple[str, ...] = ()
    column: str | None = None
    is_for_training: bool = True
    renamed: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Place:
    """Numbers that alternate between across and down, as the table has them."""

    values: tuple[float, ...]
    in_pixels: bool

    def corners(self, size: tuple[int, int]) -> tuple[float, float, float, float]:
        """A box's x1 y1 x2 y2 in fractions of a picture of `size`, unchecked."""
        x1, y1, x2, y2 = self._fractions(size)
        return x1, y1, x2, y2

    def at(self, size: tuple[int, int]) -> tuple[float, float]:
        """A point's x and y in fractions of a picture of `size`, unchecked."""
        x, y = self._fractions(size)
        return x, y

    def _fractions(self, size: tuple[int, int]) -> tuple[float, ...]:
        if not self.in_pixels:
            return self.values
        return tuple(value / size[place % 2] for place, value in enumerate(self.values))


@dataclass(frozen=True, slots=True)
class Row:
    """One label of the table, checked as far as that goes without the picture."""

    line: int
    picture: str
    task: str
    label: str  # or UNCLEAR; of gaze OUTSIDE, or empty where there is a point
    gaze: Place | None
    people: tuple[Place, ...]
    view: View
    split: str  # empty where the table has none
    group: str
    other: Mapping[str, str] = field(default_factory=dict)  # columns of the user's own


class Problems:
    """What is wrong with lines of a table, reported in one error."""

    def __init__(self, table: Path) -> None:
        self._table, self._found = table, list[tuple[int, str]]()

    def add(self, line: int, text: str) -> None:
        self._found.append((line, text))

    def raise_if_any(self) -> None:
        """Raise one DataError if anything was added."""
        if not self._found:
            return
        found = sorted(self._found)
        listed = "; ".join(f"line {line}: {text}" for line, text in found[:_SHOWN])
        more = len(found) - _SHOWN
        raise DataError(
            listed + (f"; and {more} more" if more > 0 else ""),
            where=str(self._table),
            fix="docs/own-data.md lists the columns.",
        )


def read_labels(table: Path, problems: Problems, layout: Layout) -> list[Row]:
    """The labels of a table; lines that are wrong are added to `problems` instead.

    Raises:
        DataError: it cannot be read, has no row, lacks a column or has one that is misspelt.
    """
    lines = csv_rows(table)
    header = [name.strip() for name in next((values for _, values in lines if values), [])]
    if "picture" not in header:
        other = next((name for name in _PICTURE_TOO if name in header), "picture")
        header = ["picture" if name == other else name for name in header]
    columns = _label_columns(header, layout)
    _check_header(header, columns, layout, table)
    rows, count = [], 0
    for line, values in lines:
        if not any(value.strip() for value in values):
            continue
        count += 1
        try:
            if len(values) > len(header):
                raise ValueError(f"{len(values)} fields, the header has {len(header)}")
            pairs = zip(header, values, strict=False)
            named = dict.fromkeys(header, "") | {name: value.strip() for name, value in pairs}
            if not columns:
                rows.append(_row(line, named, layout, ""))
            for task, column in columns.items():
                if named[column]:  # a table of several columns need not fill all of them
                    own = named | {"task": task, "label": named[column]}
                    rows.append(_row(line, own, layout, column))
        except ValueError as error:
            problems.add(line, str(error))
    if not count:
        raise DataError("the table has no row", where=str(table), fix="Add one a label.")
    return rows


def split_of_groups(rows: Iterable[Row]) -> dict[str, str]:
    """The split of each group where the table names none: "train", "val" or "test".

    15 % of the groups are for the test and 10 % for validation, at least one each if there are
    three; a hash of their names decides.
    """
    groups = sorted({row.group for row in rows}, key=lambda g: hashlib.sha256(g.encode()).digest())
    tests = max(round(_TEST * len(groups)), 1) if len(groups) > 1 else 0
    vals = max(round(_VAL * len(groups)), 1) if len(groups) > 2 else 0
    ends = ((tests, "test"), (tests + vals, "val"), (len(groups), "train"))
    return {
        group: next(name for end, name in ends if place < end) for place, group in enumerate(groups)
    }


def _label_columns(header: Sequence[str], layout: Layout) -> dict[str, str]:
    """The column that holds each task's labels; empty where the column `task` names the task."""
    if layout.column is not None and len(layout.given) == 1:
        return {layout.given[0]: layout.column}
    if "task" in header:
        return {}
    if named := [name for name in layout.given or layout.tasks if name in header]:
        return {name: name for name in named}
    return {layout.given[0]: "label"} if len(layout.given) == 1 else {}


def _check_header(
    header: Sequence[str], columns: Mapping[str, str], layout: Layout, table: Path
) -> None:
    fix = f"Columns are {', '.join(COLUMNS[:6])}, {', '.join(_NUMBERS)} (or {_NUMBERS[0]}_px …)."
    taken = {*COLUMNS, *columns.values()}
    alike = {
        name: get_close_matches(name.lower(), COLUMNS, n=1, cutoff=_LIKE)
        for name in header
        if name not in taken
    }
    if "task" not in header and not columns and not layout.is_for_training:
        fix = "Name the task, and the column with its labels if it is not `label`."
    problems = [
        f"column {name!r} is unknown{f' (did you mean {known[0]!r}?)' if known else ''}"
        for name, known in alike.items()
        if (known and known[0] not in header) or not _SEPARATORS.isdisjoint(name)
    ]
    wanted = ["picture", *(columns.values() or ["task"])]
    problems += [f"column {name!r} is missing" for name in wanted if name not in header]
    problems += [
        f"column {n!r} is a duplicate" for n in dict.fromkeys(header) if header.count(n) > 1
    ]
    if problems:
        raise DataError("; ".join(problems), where=f"{table}:1", fix=fix)


def _row(line: int, values: Mapping[str, str], layout: Layout, column: str) -> Row:
    """One label of a line.

    Raises:
        ValueError: what is wrong with it.
    """
    picture, name = values.get("picture", ""), values.get("task", "")
    path = PurePosixPath(picture)
    if not picture or path.is_absolute() or ".." in path.parts:
        raise ValueError(f"picture {picture!r} is no file below the table's folder")
    if name not in layout.tasks:
        raise ValueError(f"no task is called {name!r}{near(name, layout.tasks)}")
    task = layout.tasks[name]
    people = [place for place in (_place(values, _PERSON), _place(values, _OTHER)) if place]
    gaze, view = _place(values, _GAZE), values.get("view", "")
    label = values.get("label", "")
    label = layout.renamed.get(label, label) or UNCLEAR if label else ""
    has_point = not task.labels and label.lower() not in (OUTSIDE, *_UNCLEAR_TOO)
    needed = task.boxes if layout.is_for_training or task.people > 1 else 0
    for is_wrong, text in (
        (needed > len(people), f"task {name} wants {needed} boxed people"),
        (len(people) > task.people, f"task {name} is about one person"),
        (view not in get_args(View), f"view {view!r} is none of picture, box or nothing"),
        (view == "box" and not people, "view 'box' wants a box"),
        (view == "box" and task.boxes > 0, f"task {name} always sees the whole picture"),
        (bool(task.labels) and gaze is not None, f"task {name} has a label, no gaze point"),
        (has_point and gaze is None, f"task {name} wants gaze_x and gaze_y, or {OUTSIDE!r}"),
        (has_point and bool(label), f"task {name} has a point, no label but {OUTSIDE!r}"),
    ):
        if is_wrong:
            raise ValueError(text)
    known = {*COLUMNS, column}
    return Row(
        line=line,
        picture=str(path),
        task=name,
        label=_label(task, label, classes_of(task)) if task.labels or label else "",
        gaze=gaze if has_point else None,
        people=tuple(people),
        view=cast(View, view),
        split=values.get("split", ""),
        group=values.get("group") or str(path),
        other={own: value for own, value in values.items() if own not in known},
    )


def _label(task: Task, text: str, classes: Sequence[str]) -> str:
    """One of the task's labels; case, blanks and hyphens are forgiven.

    "Yes" and "no" are taken where they are what the model answers with.
    """
    label = text.lower().replace(" ", "_").replace("-", "_")
    if not task.labels:
        return OUTSIDE if label == OUTSIDE else UNCLEAR
    if label in classes:
        return label
    if label in _UNCLEAR_TOO:
        return UNCLEAR
    answers = [answer.lower() for answer in task.answers]
    if label in _YES_NO and {*answers} == _YES_NO:
        return task.labels[answers.index(label)]
    if not text:
        raise ValueError(f"task {task.name} wants a label")
    raise ValueError(f"task {task.name} has no label {text!r}{near(label, task.labels)}")


def classes_of(task: Task) -> tuple[str, ...]:
    """The labels that a table may give: the task's, and of hands that they make none."""
    is_more = task.is_about_hands and NO_GESTURE not in task.labels
    return (*task.labels, NO_GESTURE) if is_more else task.labels


def _place(values: Mapping[str, str], names: tuple[str, ...]) -> Place | None:
    """A box or point; None where all its fields are empty."""
    given = {unit: [values.get(f"{n}{unit}", "") for n in names] for unit in ("", "_px")}
    used = [unit for unit, texts in given.items() if any(texts)]
    if not used:
        return None
    if len(used) > 1:
        raise ValueError(f"{names[0]} is given in fractions and in pixels")
    (unit,) = used
    for name, text in zip(names, given[unit], strict=True):
        if not text:
            raise ValueError(f"{name}{unit} is empty")
    numbers = tuple(number(text) for text in given[unit])
    if not unit and max(abs(value) for value in numbers) > _PIXELS:
        raise ValueError(f"{', '.join(names)} are no fractions; pixels stand in {names[0]}_px …")
    return Place(numbers, in_pixels=bool(unit))


def near(name: str, known: Iterable[str]) -> str:
    """A remark on what was meant by a name that is not known; "" where nothing can be said."""
    names = list(known)
    alike = get_close_matches(name.lower(), names, n=1, cutoff=0.55)
    if alike:
        return f" (did you mean {alike[0]!r}?)"
    return f" (known: {', '.join(names)})" if len(names) <= 8 else ""
