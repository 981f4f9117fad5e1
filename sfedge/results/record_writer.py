"""Writes a run's records and table as they come, flushed row by row."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from sfedge.core.boxes import Box
from sfedge.core.errors import OutputError
from sfedge.core.structures import FrameResult, Gap, Hand, Prediction, Track
from sfedge.core.tasks import Task
from sfedge.results import rows
from sfedge.results.growing_file import GrowingFile, output_error
from sfedge.results.records import Row
from sfedge.results.rows import COLUMNS, Asked
from sfedge.sources.source import shown

# A live answer is written some frames after the one it was asked about; its boxes are those of
# that frame, which are kept for as long as an answer may take.
_LONGEST_ANSWER = 120.0


@dataclass(frozen=True, slots=True)
class _Seen:
    """Who and what was in a frame."""

    time: float
    file: str
    shot: int
    people: dict[int, Track]
    hands: dict[int, Hand]


class RecordWriter:
    """Writes a run's records and its table; every row is flushed, so that none is lost.

    Args:
        records: file for the JSON lines, replaced.
        table: file for the comma separated table, replaced.
        tasks: what is asked; says which box belongs to an answer.
        model: name of the model, repeated in every answer.
        source: name of the source, for frames that carry no file of their own.
        every_frame: write answers again with every frame that still shows them.
        wide: give the table a column for each label's probability.

    Raises:
        OutputError: a file cannot be written (this and every other method).
    """

    def __init__(
        self,
        records: Path,
        table: Path,
        *,
        tasks: Iterable[Task],
        model: str,
        source: str,
        every_frame: bool = False,
        wide: bool = False,
    ) -> None:
        self._tasks = {task.name: task for task in tasks}
        self._model, self._source = model, shown(source)
        self._every_frame = every_frame
        self._wide = rows.table_columns(self._tasks.values()) if wide else []
        self._seen: dict[int, _Seen] = {}  # by frame index
        self._files: list[GrowingFile] = []
        try:
            for path in (records, table):
                self._files.append(_open(path))
            self._write_table([(*COLUMNS, *self._wide)])
        except OutputError:
            with suppress(OutputError):
                self.close()
            raise

    def start(self, row: Row) -> None:
        """Write the first row."""
        self._write([row])

    def write(self, result: FrameResult) -> None:
        """Write who is in a frame, and its answers."""
        file = shown(result.frame.file) or self._source
        self._remember(result, file)
        answers = result.predictions if self._every_frame else result.fresh
        told = [self._row(answer, result, file) for answer in answers]
        cut = [rows.cut_row(result, file)] if result.is_cut else []
        self._write([*cut, rows.frame_row(result, file), *told])
        self._write_table(rows.table_row(row, self._source, self._wide) for row in told)

    def gap(self, gap: Gap) -> None:
        """Write a gap: once when it begins, again when it ends."""
        self._write([rows.gap_row(gap, self._source)])

    def finish(self, report: Row) -> None:
        """Write the closing row, from a report's JSON object."""
        self._write([rows.summary_row(report, self._source)])

    def sync(self) -> None:
        """Wait until the disk has it all."""
        for file in self._files:
            try:
                file.sync()
            except OSError as error:
                raise output_error(error, file.path) from error

    def close(self) -> None:
        """Close both files, also where one of them can no longer be written."""
        failures = []
        for file in self._files:
            try:
                file.close()
            except OSError as error:
                failures.append(output_error(error, file.path))
        if failures:
            raise failures[0]

    def _remember(self, result: FrameResult, file: str) -> None:
        people = {track.id: track for track in result.tracks}
        of_people = [hand for track in result.tracks for hand in track.hands]
        hands = {hand.id: hand for hand in (*of_people, *result.hands)}
        self._seen[result.index] = _Seen(result.time, file, result.shot, people, hands)
        for index, seen in list(self._seen.items()):
            if seen.time >= result.time - _LONGEST_ANSWER:
                break
            del self._seen[index]

    def _row(self, prediction: Prediction, result: FrameResult, file: str) -> Row:
        """An answer with the boxes that it is about: of each person the face or all of them."""
        seen = self._seen.get(prediction.frame)
        if seen is None:
            seen = _Seen(prediction.time, file, result.shot, {}, {})
        tracks = [seen.people.get(person) for person in prediction.people]
        hands = [seen.hands.get(hand) for hand in prediction.hands]
        asked = Asked(
            seen.file,
            seen.shot,
            tuple(_marked(track, self._tasks[prediction.task]) for track in tracks),
            tuple(hand.box if hand else None for hand in hands),
            tuple(track.name if track else None for track in tracks),
        )
        return rows.prediction_row(prediction, result, asked, self._model)

    def _write(self, told: Iterable[Row]) -> None:
        text = "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in told)
        self._append(0, text)

    def _write_table(self, lines: Iterable[Sequence[str]]) -> None:
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows(lines)
        self._append(1, text.getvalue())

    def _append(self, number: int, text: str) -> None:
        file = self._files[number]
        try:
            if text:
                file.write(text.encode("utf-8", "backslashreplace"))
        except OSError as error:
            raise output_error(error, file.path) from error


def _open(path: Path) -> GrowingFile:
    try:
        return GrowingFile(path)
    except OSError as error:
        raise output_error(error, path) from error


def _marked(track: Track | None, task: Task) -> Box | None:
    """What a question about a person is about: the face, or all of them."""
    if track is None:
        return None
    return (track.face if task.mark == "face" else None) or track.person
