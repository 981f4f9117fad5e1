"""Labelled pictures through the product: each a scene of its own, asked as `sfedge run` asks."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from sfedge.core.boxes import Box, clamped
from sfedge.core.errors import DataError
from sfedge.core.frame_result import FrameResult
from sfedge.core.structures import Frame, Gap
from sfedge.core.tasks import Task
from sfedge.runtime.progress import showing
from sfedge.runtime.session import Session
from sfedge.scoring.labels_table import OUTSIDE, Row
from sfedge.scoring.matching import Judged, Matched, judge, match
from sfedge.sources.source import SourceInfo, shown
from sfedge.sources.stills import Still
from sfedge.system.closing import Closing


@dataclass(frozen=True, slots=True)
class Question:
    """A label of a picture, and of a gaze all annotators' rows."""

    row: Row
    rows: tuple[Row, ...]  # of the annotators; else only `row`

    @property
    def is_outside(self) -> bool:
        """Of a gaze: whether more than half of the annotators put it outside the picture."""
        return 2 * sum(row.label == OUTSIDE for row in self.rows) > len(self.rows)


@dataclass(frozen=True, slots=True)
class Answered:
    """A question with what the product says to it."""

    question: Question
    matched: Matched
    judged: Judged | None = None  # of a task with labels, where it was answered
    points: tuple[tuple[float, float], ...] = ()  # of a gaze, in fractions of the picture


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of a folder."""

    answered: list[Answered]
    missing: list[str]  # pictures that are not there
    unreadable: dict[str, str]  # pictures, and why
    outside: list[int]  # lines whose box or point lies outside their picture
    several: int  # questions that more than one answer could be meant by


class LabelledPictures(Closing):
    """A source of the pictures of a table, in its order; picture number i is at i seconds.

    Args:
        folder: of the table.
        names: of the pictures, relative to it.
    """

    warnings: tuple[str, ...] = ()
    gaps: tuple[Gap, ...] = ()

    def __init__(self, folder: Path, names: Sequence[str]) -> None:
        self._folder, self._names = folder, names
        self._is_closed = False
        self.unreadable: dict[str, str] = {}
        count = len(names)
        name = shown(folder)
        self.info = SourceInfo(
            name, 0, 0, 1.0, float(count), count, is_live=False, is_pictures=True, path=folder
        )

    @property
    def losses(self) -> tuple[str, ...]:
        """A sentence for each picture that could not be read so far."""
        return tuple(f"{name}: {why}" for name, why in self.unreadable.items())

    def close(self) -> None:
        """End the iteration."""
        self._is_closed = True

    def __iter__(self) -> Iterator[Frame]:
        """Each picture that can be read, upright, as the first frame of a scene."""
        for index, name in enumerate(self._names):
            if self._is_closed:
                return
            try:
                with Still(self._folder / name) as still:
                    image, _ = still.read()
            except Exception as error:  # damaged files make decoders raise anything
                self.unreadable[name] = " ".join(str(error).split()) or type(error).__name__
                continue
            yield Frame(image, index, float(index), name, starts_scene=True)


def questions_of(rows: Iterable[Row], tasks: Mapping[str, Task]) -> list[Question]:
    """The questions that rows put: one each; of a gaze, the annotators' rows are one."""
    found: dict[object, Question] = {}
    for row in rows:
        is_gaze = tasks[row.task].output == "heatmap"
        key = (row.picture, row.task, row.people) if is_gaze else len(found)
        first = found.setdefault(key, Question(row, ()))
        found[key] = replace(first, rows=(*first.rows, row))
    return list(found.values())


def ask(
    session: Session, source: LabelledPictures, questions: Sequence[Question], missing: list[str]
) -> Asked:
    """Run a session over its pictures and judge each question by what comes out.

    Args:
        session: over `source`, not iterated yet.
        source: the pictures of the questions.
        questions: in any order.
        missing: pictures that are not among those of the source.

    Raises:
        DataError: no picture could be read.
        SfedgeError: a detector or the model failed.
    """
    by_picture: dict[str, list[Question]] = {}
    for question in questions:
        by_picture.setdefault(question.row.picture, []).append(question)
    tasks = {task.name: task for task in session.tasks}
    asked = Asked([], missing, source.unreadable, [], 0)
    several = 0
    with showing(session, None) as advance:
        for result in session:
            for question in by_picture[result.frame.file]:
                try:
                    answered = _answered(question, result, tasks[question.row.task])
                except DataError:
                    asked.outside.append(question.row.line)
                    continue
                several += len(answered.matched.answers) > 1
                asked.answered.append(answered)
            advance()
    if not asked.answered and source.unreadable:
        name, why = next(iter(source.unreadable.items()))
        raise DataError(f"no picture could be read ({why})", where=name)
    return replace(asked, several=several)


def _answered(question: Question, result: FrameResult, task: Task) -> Answered:
    """A question with its answer.

    Raises:
        DataError: its box or point lies outside the picture.
    """
    height, width = result.frame.image.shape[:2]
    row, size = question.row, (width, height)
    boxes = [_box(place.corners(size)) for place in row.people]
    points = tuple(_point(r.gaze.at(size)) for r in question.rows if r.gaze is not None)
    matched = match(result, task, boxes)
    is_judged = task.output == "label" and matched.outcome == "answered"
    judged = judge(matched.answers, task, row.label) if is_judged else None
    return Answered(question, matched, judged, points)


def _box(corners: tuple[float, float, float, float]) -> Box:
    x1, y1, x2, y2 = corners
    return clamped(min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))


def _point(point: tuple[float, float]) -> tuple[float, float]:
    if not all(-0.5 <= value <= 1.5 for value in point):
        raise DataError(f"gaze point {point} lies far outside the picture")
    x, y = (min(max(value, 0.0), 1.0) for value in point)
    return x, y
