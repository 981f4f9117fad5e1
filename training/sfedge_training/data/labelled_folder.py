"""A user's own pictures and the answers to them, given by a table `labels.csv` beside them."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import get_args

from sfedge.core.boxes import FULL, Box, clamped, with_margin
from sfedge.core.csv_rows import number
from sfedge.core.errors import DataError
from sfedge.core.landmarks import Landmarks
from sfedge.core.tasks import NO_GESTURE, TASKS, Task
from sfedge.inference.crop import hand_view
from sfedge.scoring.labels_table import (
    LABEL_SOURCE,
    OUTSIDE,
    TABLE,
    UNCLEAR,
    Layout,
    Problems,
    Row,
    near,
    read_labels,
    split_of_groups,
)
from sfedge_training.data.landmark_store import STORE, landmark_key, read_landmarks
from sfedge_training.data.reading import MISSING, UNREADABLE, existing
from sfedge_training.data.sample import Dataset, Report, Sample, Split
from sfedge_training.data.sample_picture import upright_size

NAME = "folder"
_LEFT_OUT = {UNCLEAR: "label is unclear", OUTSIDE: "gaze target is outside the picture"}
_WEAK = "pseudo-label, no truth to score by"
_NO_ANSWER = "hand without a gesture, for which the task has no answer"
_NOT_LOCATED = "picture in which no face or hand was located"
_PARTS = ("face", "hand")  # views of tasks that see no more of a person
_HEAVIEST = 1000.0  # draws of one row an epoch; more are a mistake


def load(root: Path, split: Split) -> Dataset:
    """Read one split of `labels.csv`, with the columns that `labels_table` names.

    Where the table names no splits, 15 % of the groups are for the test and 10 % for validation,
    at least one each if there are three; a hash of their names decides. A row's group is its
    picture, unless the table names another. In these two splits, gaze points of one person in one
    picture are its annotators' and make one sample; in training each is one. A pseudo-label is
    no truth to score by: it is left out of them. Landmarks come from `landmarks.npz`, where there
    is one; a row about a face or hand that has neither a box nor landmarks there is left out.

    Raises:
        DataError: the table is missing, or rows of it are wrong; the message names their lines.
    """
    table = existing(root, TABLE, what=TABLE)
    problems = Problems(table)
    rows = read_labels(table, problems, Layout(TASKS))
    splits = _splits(rows, problems)
    problems.raise_if_any()
    landmarks = read_landmarks(root / STORE)
    report = Report()
    samples: list[Sample] = []
    sizes: dict[Path, tuple[int, int] | str] = {}
    for row in rows:
        if splits[row.line] != split:
            continue
        report.meet(row.task, row.label)
        where = f"{table}:{row.line}"
        known = landmarks.get(_looked_at(row))
        if (why := _why_left_out(row, split, known)) is not None:
            report.drop(why, where)
            continue
        bare = Sample(
            image=root / row.picture,
            task=row.task,
            upright=True,
            landmarks=known,
        )
        if bare.image not in sizes:
            sizes[bare.image] = _size(bare)
        size = sizes[bare.image]
        if isinstance(size, str):
            report.lose(size, f"{where}: {row.picture}")
            continue
        try:
            samples.append(_sample(replace(bare, size=size), row, where, report))
        except DataError as error:
            problems.add(row.line, error.what)
    problems.raise_if_any()
    kept = _merged(samples, table, report, joins_gaze=split != "train")
    for sample in kept:
        label = "" if sample.label is None else TASKS[sample.task].labels[sample.label]
        report.kept[sample.task, label] += 1
    return Dataset(NAME, split, tuple(kept), report)


def tasks_in(samples: Iterable[Sample]) -> tuple[str, ...]:
    """Names of the tasks that occur, in the order of TASKS."""
    found = {sample.task for sample in samples}
    return tuple(task for task in TASKS if task in found)


def _why_left_out(row: Row, split: Split, known: Landmarks | None) -> str | None:
    if row.other.get(LABEL_SOURCE) and split != "train":
        return _WEAK
    if row.label == NO_GESTURE and row.label not in TASKS[row.task].labels:
        return _NO_ANSWER
    if _was_sought_in_vain(row, known):
        return _NOT_LOCATED
    return _LEFT_OUT.get(row.label)


def _was_sought_in_vain(row: Row, known: Landmarks | None) -> bool:
    """Whether `sfedge-train locate` found nothing to which a label without a box belongs."""
    if row.people or row.view or known is None or TASKS[row.task].view not in _PARTS:
        return False
    return not known.hands and known.body is None and known.face is None


def _size(sample: Sample) -> tuple[int, int] | str:
    """Width and height of the upright picture, or what is wrong with it."""
    if not sample.image.is_file():
        return MISSING
    try:
        return upright_size(sample)
    except DataError:
        return UNREADABLE


def _splits(rows: Sequence[Row], problems: Problems) -> dict[int, str]:
    """The split of each row, by its line."""
    if not any(row.split for row in rows):
        by_group = split_of_groups(rows)
        return {row.line: by_group[row.group] for row in rows}
    for row in rows:
        if not row.split:
            problems.add(row.line, "no split is given, as other rows have one")
        elif row.split not in get_args(Split):
            known = near(row.split, get_args(Split))
            problems.add(row.line, f"no split is called {row.split!r}{known}")
    return {row.line: row.split for row in rows}


def _sample(bare: Sample, row: Row, where: str, report: Report) -> Sample:
    """The row as a sample.

    Raises:
        DataError: a box or point lies outside the picture.
    """
    task, size = TASKS[row.task], bare.size or (1, 1)
    boxes = tuple(_box(person.corners(size), where, report) for person in row.people)
    view = FULL
    if task.boxes == 0 and boxes and row.view != "picture":
        view = boxes[0] if row.view == "box" else _shown(boxes[0], task, size)
    return replace(
        bare,
        view=view,
        boxes=boxes if task.boxes else (),
        label=task.labels.index(row.label) if row.label else None,
        weight=_weight(row.other.get("weight", "")),
        points=() if row.gaze is None else (_point(row.gaze.at(size), where, report),),
        group=row.group,
        key=f"{row.picture}#{row.line}",
    )


def _weight(text: str) -> float:
    """The column `weight`; nothing is one draw an epoch.

    Raises:
        DataError: it is out of range.
    """
    try:
        weight = number(text) if text else 1.0
    except ValueError as error:
        raise DataError(f"weight: {error}") from error
    if not 0 < weight <= _HEAVIEST:
        raise DataError(f"weight {text} is not above 0 and at most {_HEAVIEST:g}")
    return weight


def _shown(box: Box, task: Task, size: tuple[int, int]) -> Box:
    """What a run shows of a person or hand."""
    if task.view == "hand":
        return hand_view([box], task.margin, size[0] / size[1])
    return with_margin(box, task.margin)


def _looked_at(row: Row) -> str:
    numbers = [number for place in row.people for number in place.values]
    return landmark_key(row.picture, numbers)


def _box(corners: tuple[float, float, float, float], where: str, report: Report) -> Box:
    x1, y1, x2, y2 = corners
    if x1 > x2 or y1 > y2:
        report.repair("box was inverted", where)
        x1, x2, y1, y2 = min(x1, x2), max(x1, x2), min(y1, y2), max(y1, y2)
    if min(x1, y1) < 0 or max(x2, y2) > 1:
        report.repair("box left the picture", where)
    return clamped(x1, y1, x2, y2)


def _point(point: tuple[float, float], where: str, report: Report) -> tuple[float, float]:
    if not all(-0.5 <= value <= 1.5 for value in point):
        raise DataError(f"gaze point {point} lies far outside the picture")
    x, y = (min(max(value, 0.0), 1.0) for value in point)
    if (x, y) != point:
        report.repair("gaze point left the picture", where)
    return x, y


def _merged(
    samples: Sequence[Sample], table: Path, report: Report, *, joins_gaze: bool
) -> list[Sample]:
    """The samples without duplicate rows, with the points of one gaze's annotators joined.

    Raises:
        DataError: two rows of the same question contradict each other.
    """
    kept: dict[tuple[object, ...], Sample] = {}
    problems = Problems(table)
    for sample in samples:
        question: tuple[object, ...] = (sample.image, sample.task, sample.view, sample.boxes)
        if sample.points and not joins_gaze:
            question = (*question, sample.key)
        first, line = kept.setdefault(question, sample), sample.key.rpartition("#")[2]
        if first is sample:
            continue
        if sample.points:
            kept[question] = replace(first, points=first.points + sample.points)
        elif sample.label == first.label:
            report.drop("row repeats an earlier one", f"{table}:{line}")
        else:
            other = first.key.rpartition("#")[2]
            problems.add(int(line), f"the label contradicts that of line {other}")
    problems.raise_if_any()
    return list(kept.values())
