"""The empty boxes of a labelled folder filled, and `landmarks.npz` written beside its table."""

import shutil
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from sfedge.core.boxes import Box, clamped
from sfedge.core.errors import DataError
from sfedge.core.landmarks import Landmarks
from sfedge.core.tasks import NO_GESTURE, TASKS, Task
from sfedge.scoring.labels_table import TABLE, Layout, Place, Problems, Row, read_labels
from sfedge_training.collection.boxed_table import read_boxed_table
from sfedge_training.collection.locating import Located, Outcome, Wanted, locate
from sfedge_training.collection.looking import Looker
from sfedge_training.collection.many_pictures import looked_at
from sfedge_training.data.landmark_store import STORE, landmark_key, read_landmarks, write_landmarks
from sfedge_training.data.people_tasks import PEOPLE_TASKS
from sfedge_training.data.reading import MISSING, existing
from sfedge_training.data.sample import Sample
from sfedge_training.data.sample_picture import read_picture

BEFORE = "labels.before-locate.csv"  # the table as it was

_Part = Literal["face", "hand"]
_Numbers = tuple[float, ...]


@dataclass(slots=True)
class Summary:
    """What became of the labels of a table."""

    outcomes: Counter[tuple[str, Outcome]] = field(default_factory=Counter)  # by task
    known: Counter[str] = field(default_factory=Counter)  # by task: from an earlier run
    others: int = 0  # labels of tasks that see neither face nor hand
    lines: dict[Outcome, list[int]] = field(default_factory=dict)
    lost: dict[int, str] = field(default_factory=dict)  # lines, and why nothing was looked at

    @property
    def tasks(self) -> list[str]:
        """Those that were looked at, in the order of TASKS."""
        met = {task for task, _ in self.outcomes} | self.known.keys()
        return [task for task in TASKS if task in met]


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is to be found for a row."""

    part: _Part
    place: Place | None  # that the table gives
    is_idle: bool

    def wanted(self, size: tuple[int, int]) -> Wanted:
        """The same in fractions of a picture of this size.

        Raises:
            DataError: the box lies outside the picture.
        """
        return Wanted(
            self.part, None if self.place is None else _box(self.place, size), self.is_idle
        )


@dataclass(frozen=True, slots=True)
class _Job:
    picture: Path
    asked: tuple[_Asked, ...]


@dataclass(frozen=True, slots=True)
class _Seen:
    size: tuple[int, int]  # width and height
    found: tuple[Located | str, ...]  # of each that was asked, or why it was not looked for


def locate_in(folder: Path, files: Mapping[str, Path], *, workers: int = 1) -> Summary:
    """Fill the empty boxes of a folder's table, and write landmarks beside it.

    A box that is there stays, and so does everything else of the table, which is kept as it was in
    `labels.before-locate.csv`, too. What is known from an earlier run is not looked for again, so
    that a run that was stopped goes on. Where nobody was found, or several could be meant, the row
    stays without a box, and the landmarks of the whole picture are known to be none.

    Args:
        folder: with `labels.csv`.
        files: the networks, see `looking.NETWORKS`.
        workers: processes that look at pictures.

    Raises:
        DataError: the table is missing, rows of it are wrong, or the landmarks are damaged.
        DetectorError: a network fails.
    """
    file = existing(folder, TABLE, what=TABLE)
    table = read_boxed_table(file)
    problems = Problems(file)
    rows = read_labels(file, problems, Layout(_tasks()))
    _check_lines(rows, problems)
    problems.raise_if_any()
    entries = read_landmarks(folder / STORE)
    summary = Summary()
    waiting: dict[str, list[Row]] = {}
    for row in rows:
        part = _part(row)
        if part is None:
            summary.others += 1
        elif row.people and _is_known(entries.get(_key(row)), part):
            summary.known[row.task] += 1
        else:
            waiting.setdefault(row.picture, []).append(row)
    jobs = {
        picture: _Job(folder / picture, tuple(map(_asked, of))) for picture, of in waiting.items()
    }

    def save() -> None:
        write_landmarks(folder / STORE, entries)
        table.write(file)

    if jobs and not (folder / BEFORE).exists():
        shutil.copyfile(file, folder / BEFORE)
    for picture, seen in looked_at(jobs, _look, files, workers=workers, save=save):
        for row, found in zip(waiting[picture], seen.found, strict=True):
            if isinstance(found, str):
                summary.lost[row.line] = found
                continue
            summary.outcomes[row.task, found.outcome] += 1
            summary.lines.setdefault(found.outcome, []).append(row.line)
            key = _key(row)
            if not row.people and found.box is not None:
                key = landmark_key(picture, table.set_box(row.line, found.box, seen.size))
            entries[key] = _joined(entries.get(key, Landmarks()), found.landmarks)
    if jobs:
        save()
    return summary


def _check_lines(rows: Iterable[Row], problems: Problems) -> None:
    """A line without a box may be about a face or about hands: the box cannot be of both."""
    parts: dict[int, set[_Part]] = {}
    for row in rows:
        part = _part(row)
        if part is None or row.people:
            continue
        parts.setdefault(row.line, set()).add(part)
        if parts[row.line] == {"face", "hand"}:
            problems.add(
                row.line,
                "one box cannot be that of face and hand; give each label a line of its own",
            )


def _tasks() -> dict[str, Task]:
    """All tasks, as models for real people are asked them."""
    return {**TASKS, **PEOPLE_TASKS}


def _part(row: Row) -> _Part | None:
    """What a label is about; None where that is neither a face nor a hand alone."""
    task = _tasks()[row.task]
    if task.boxes or task.people > 1:
        return None
    views: Mapping[str, _Part] = {"face": "face", "hand": "hand"}
    return views.get(task.view)


def _asked(row: Row) -> _Asked:
    part = _part(row)
    assert part is not None
    return _Asked(part, row.people[0] if row.people else None, row.label == NO_GESTURE)


def _key(row: Row) -> str:
    return landmark_key(row.picture, [value for place in row.people for value in place.values])


def _is_known(landmarks: Landmarks | None, part: _Part) -> bool:
    """Whether that part was looked at; results for another part do not count."""
    if landmarks is None:
        return False
    of_hand = bool(landmarks.hands) or landmarks.body is not None
    of_face = landmarks.face is not None
    return of_face or not of_hand if part == "face" else of_hand or not of_face


def _joined(one: Landmarks, other: Landmarks) -> Landmarks:
    """What is known of one box, by labels of faces and of hands."""
    body = one.body if other.body is None else other.body
    return Landmarks(other.hands or one.hands, body, one.face if other.face is None else other.face)


def _box(place: Place, size: tuple[int, int]) -> Box:
    x1, y1, x2, y2 = place.corners(size)
    return clamped(min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))


def _look(looker: Looker, job: _Job) -> _Seen:
    """What there is in one picture."""
    if not job.picture.is_file():
        return _Seen((0, 0), (MISSING,) * len(job.asked))
    try:
        image = read_picture(Sample(image=job.picture, task="", upright=True))
    except DataError as error:
        return _Seen((0, 0), (error.what,) * len(job.asked))
    height, width = image.shape[:2]
    wanted = [_wanted(asked, (width, height)) for asked in job.asked]
    clear = [one for one in wanted if isinstance(one, Wanted)]
    found = iter(locate(looker, image, clear))
    return _Seen(
        (width, height), tuple(one if isinstance(one, str) else next(found) for one in wanted)
    )


def _wanted(asked: _Asked, size: tuple[int, int]) -> Wanted | str:
    try:
        return asked.wanted(size)
    except DataError as error:
        return error.what
