"""The table of a user's own labels: its columns, and what is wrong with which line.

| column                  | what stands there                                                  |
|-------------------------|--------------------------------------------------------------------|
| picture                 | a picture file, relative to the table                              |
| task                    | one of the six tasks                                               |
| label                   | the answer, for every task but gaze                                |
| gaze_x, gaze_y          | for gaze: the point that the person looks at                       |
| x1, y1, x2, y2          | the person, or the first of two                                    |
| other_x1 … other_y2     | the second, for domain and relation                                |
| view                    | `picture` or `box`: what is shown; empty: as at run time           |
| split                   | train, val or test, in all rows or in none                         |
| group                   | who or what must not be spread over splits; empty: the picture     |

Coordinates are fractions of the upright picture, or its pixels in columns that end in `_px`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import Literal, cast, get_args

from sfedge.core.errors import DataError
from sfedge.core.tasks import TASKS
from sfedge_training.data.reading import csv_rows, number
from sfedge_training.data.sample import Split

View = Literal["", "picture", "box"]

_GAZE = ("gaze_x", "gaze_y")
_PERSON = ("x1", "y1", "x2", "y2")
_OTHER = tuple(f"other_{name}" for name in _PERSON)
_NUMBERS = (*_GAZE, *_PERSON, *_OTHER)
COLUMNS = (
    *("picture", "task", "label", "view", "split", "group"),
    *_NUMBERS,
    *(f"{name}_px" for name in _NUMBERS),
)
_PIXELS = 2.0  # a "fraction" beyond this is one by mistake
_SHOWN = 5  # problems that a message lists one by one


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
    """One line of the table, checked as far as that goes without the picture."""

    line: int
    picture: str
    task: str
    label: str  # empty for gaze
    gaze: Place | None
    people: tuple[Place, ...]
    view: View
    split: Split | None
    group: str


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


def read_labels(table: Path, problems: Problems) -> list[Row]:
    """The rows of a table; lines that are wrong are added to `problems` instead.

    Raises:
        DataError: it cannot be read, has no row, or lacks a column or has an unknown one.
    """
    lines = csv_rows(table)
    header = [name.strip() for name in next((values for _, values in lines if values), [])]
    _check_header(header, table)
    rows, count = [], 0
    for line, values in lines:
        if not any(value.strip() for value in values):
            continue
        count += 1
        try:
            if len(values) > len(header):
                raise ValueError(f"{len(values)} fields, the header has {len(header)}")
            named = zip(header, values, strict=False)
            rows.append(_row(line, {name: value.strip() for name, value in named}))
        except ValueError as error:
            problems.add(line, str(error))
    if not count:
        raise DataError("the table has no row", where=str(table), fix="Add one a label.")
    return rows


def _check_header(header: list[str], table: Path) -> None:
    fix = f"Columns are {', '.join(COLUMNS[:6])}, {', '.join(_NUMBERS)} (or {_NUMBERS[0]}_px …)."
    wrong = [f"column {name!r} is unknown{_near(name, COLUMNS)}" for name in header]
    problems = [text for text, name in zip(wrong, header, strict=True) if name not in COLUMNS]
    problems += [
        f"column {name!r} is missing" for name in ("picture", "task") if name not in header
    ]
    problems += [
        f"column {n!r} is a duplicate" for n in dict.fromkeys(header) if header.count(n) > 1
    ]
    if problems:
        raise DataError("; ".join(problems), where=f"{table}:1", fix=fix)


def _row(line: int, values: Mapping[str, str]) -> Row:
    """One line.

    Raises:
        ValueError: what is wrong with it.
    """
    picture, name = values.get("picture", ""), values.get("task", "")
    path = PurePosixPath(picture)
    if not picture or path.is_absolute() or ".." in path.parts:
        raise ValueError(f"picture {picture!r} is no file below the table's folder")
    if name not in TASKS:
        raise ValueError(f"no task is called {name!r}{_near(name, TASKS)}")
    task = TASKS[name]
    people = [place for place in (_place(values, _PERSON), _place(values, _OTHER)) if place]
    gaze, view = _place(values, _GAZE), values.get("view", "")
    split = values.get("split", "")
    for is_wrong, text in (
        (task.boxes > len(people), f"task {name} wants {task.boxes} boxed people"),
        (len(people) > max(task.boxes, 1), f"task {name} is about one person"),
        (view not in get_args(View), f"view {view!r} is none of picture, box or nothing"),
        (view == "box" and not people, "view 'box' wants a box"),
        (view == "box" and task.boxes > 0, f"task {name} always sees the whole picture"),
        (
            split not in ("", *get_args(Split)),
            f"no split is called {split!r}{_near(split, get_args(Split))}",
        ),
        (bool(task.labels) and gaze is not None, f"task {name} has a label, no gaze point"),
        (not task.labels and gaze is None, "task gaze wants gaze_x and gaze_y"),
        (not task.labels and bool(values.get("label")), "task gaze has a point, no label"),
    ):
        if is_wrong:
            raise ValueError(text)
    return Row(
        line=line,
        picture=str(path),
        task=name,
        label=_label(name, values.get("label", "")),
        gaze=gaze,
        people=tuple(people),
        view=cast(View, view),
        split=cast(Split, split) if split else None,
        group=values.get("group") or str(path),
    )


def _label(task: str, text: str) -> str:
    """One of the task's labels; case, blanks and hyphens are forgiven."""
    known = TASKS[task].labels
    label = text.lower().replace(" ", "_").replace("-", "_")
    if label in known or not known:
        return label
    if not text:
        raise ValueError(f"task {task} wants a label")
    raise ValueError(f"task {task} has no label {text!r}{_near(label, known)}")


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


def _near(name: str, known: Iterable[str]) -> str:
    names = list(known)
    near = get_close_matches(name.lower(), names, n=1, cutoff=0.55)
    if near:
        return f" (did you mean {near[0]!r}?)"
    return f" (known: {', '.join(names)})" if len(names) <= 8 else ""
