"""Answers as rows of plain values: the columns of the table and of a data frame."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sfedge.core.boxes import Box
from sfedge.core.structures import Frame, Hand, Prediction, Track
from sfedge.core.tasks import Mark, Task

Cell = str | int | float | bool | None
TableRow = dict[str, Cell]

_LONGEST_ANSWER = 120.0  # seconds from a frame to the answers about it
_CORNERS = ("x1", "y1", "x2", "y2")
COLUMNS = (
    "time",
    "frame",
    "source",
    "file",
    "shot",
    "task",
    "person_1",
    "person_2",
    "hands",
    "side",
    "label",
    "probability",
    "unsure",
    "gaze_x",
    "gaze_y",
    "peak",
    "in_frame",
    *(f"box_{number}_{corner}" for number in (1, 2) for corner in _CORNERS),
    "age",
    "model",
)


@dataclass(frozen=True, slots=True)
class Asked:
    """The subject of an answer, in the frame of its query."""

    file: str
    shot: int
    boxes: tuple[Box | None, ...] = ()  # of each of its people; None where no longer known
    hand_boxes: tuple[Box | None, ...] = ()  # of each of its hands
    names: tuple[str | None, ...] = ()  # of each of its people


def table_columns(wide: Iterable[Task] = ()) -> tuple[str, ...]:
    """The table's columns, and for each of the tasks of a wide one `task.label` of each label."""
    return (*COLUMNS, *(f"{task.name}.{label}" for task in wide for label in task.labels))


def table_row(
    answer: Prediction,
    asked: Asked,
    *,
    age: float,
    source: str,
    model: str,
    columns: Sequence[str] = COLUMNS,
) -> TableRow:
    """An answer by column; None where a column has no value.

    Args:
        answer: the answer.
        asked: what it is about.
        age: seconds from the frame that was asked about to the one that shows it.
        source: name of the source.
        model: name of the model.
        columns: as of `table_columns`.
    """
    first, second = (*answer.people, None, None)[:2]
    x, y = answer.point or (None, None)
    probabilities = answer.probabilities or {}
    boxes = asked.boxes or asked.hand_boxes
    corners = [value for box in (*boxes, None, None)[:2] for value in _corners(box)]
    values: tuple[Cell, ...] = (
        round(answer.time, 6),
        answer.frame,
        source,
        asked.file,
        asked.shot,
        answer.task,
        first,
        second,
        " ".join(map(str, answer.hands)),
        answer.side,
        answer.label,
        rounded(None if answer.label is None else probabilities.get(answer.label), 4),
        answer.is_unsure,
        rounded(x, 5),
        rounded(y, 5),
        rounded(answer.peak, 4),
        rounded(answer.in_frame, 4),
        *corners,
        round(age, 6),
        model,
    )
    known: TableRow = dict(zip(COLUMNS, values, strict=True))
    known |= {f"{answer.task}.{label}": rounded(value, 4) for label, value in probabilities.items()}
    return {column: known.get(column) for column in columns}


class AskedFrames:
    """Who and what was in the frames that answers are about, for as long as answers may take.

    A live answer arrives some frames after the one that was asked about; its boxes are those of
    that frame.

    Args:
        tasks: their views decide which box of a person an answer is about.
        source: name of the source, for frames that carry no file of their own.
    """

    def __init__(self, tasks: Iterable[Task], source: str) -> None:
        self._source = source
        self._marks: Mapping[str, Mark] = {task.name: task.mark for task in tasks}
        self._seen: dict[int, _Seen] = {}  # by frame index

    def remember(
        self, frame: Frame, shot: int, people: Iterable[Track], hands: Iterable[Hand]
    ) -> None:
        """Take in a frame; the oldest are forgotten."""
        self._seen[frame.index] = _Seen(
            frame.time,
            frame.file or self._source,
            shot,
            {track.id: track for track in people},
            {hand.id: hand for hand in hands},
        )
        for index, old in list(self._seen.items()):
            if old.time >= frame.time - _LONGEST_ANSWER:
                break
            del self._seen[index]

    def about(self, answer: Prediction, now: Frame, shot: int) -> Asked:
        """The subject of an answer that is shown with the frame `now`."""
        unknown = _Seen(answer.time, now.file or self._source, shot, {}, {})
        seen = self._seen.get(answer.frame, unknown)
        tracks = [seen.people.get(person) for person in answer.people]
        hands = [seen.hands.get(hand) for hand in answer.hands]
        mark = self._marks.get(answer.task, "person")
        return Asked(
            seen.file,
            seen.shot,
            tuple(_marked(track, mark) for track in tracks),
            tuple(hand.box if hand else None for hand in hands),
            tuple(track.name if track else None for track in tracks),
        )


@dataclass(frozen=True, slots=True)
class _Seen:
    """The people and hands in a frame."""

    time: float
    file: str
    shot: int
    people: Mapping[int, Track]
    hands: Mapping[int, Hand]


def _marked(track: Track | None, mark: Mark) -> Box | None:
    """The box that a query about a person is about: the face or the whole person."""
    if track is None:
        return None
    return (track.face if mark == "face" else None) or track.person


def _corners(box: Box | None) -> tuple[float | None, ...]:
    if box is None:
        return (None,) * 4
    return tuple(round(value, 5) for value in (box.x1, box.y1, box.x2, box.y2))


def rounded(value: float | None, digits: int) -> float | None:
    """A value as it is written; None stays."""
    return None if value is None else round(float(value), digits)
