"""Writes a run's records and table as they come, flushed row by row."""

import csv
import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

from sfedge.core.boxes import Box
from sfedge.core.errors import OutputError
from sfedge.core.structures import FrameResult, Prediction, Track
from sfedge.core.tasks import Task
from sfedge.results.records import COLUMNS, Row, frame_row, output_error, prediction_row, table_row

# A live answer is written some frames after the one it was asked about; its boxes are those of
# that frame, which are kept for as long as an answer may take.
_LONGEST_ANSWER = 30.0


class RecordWriter:
    """Writes a run's records and its table; every row is flushed, so that none is lost.

    Args:
        records: file for the JSON lines, replaced.
        table: file for the comma separated table, replaced.
        tasks: what is asked; says which box belongs to an answer.
        model: name of the model, repeated in every answer.
        every_frame: write answers again with every frame that still shows them.

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
        every_frame: bool = False,
    ) -> None:
        self._paths = (records, table)
        self._tasks = {task.name: task for task in tasks}
        self._model = model
        self._every_frame = every_frame
        self._seen: dict[int, tuple[float, dict[int, Track]]] = {}  # by frame index
        try:
            self._records = records.open("w", encoding="utf-8", newline="\n")
        except OSError as error:
            raise output_error(error, records) from error
        try:
            self._table = table.open("w", encoding="utf-8", newline="")
        except OSError as error:
            self._records.close()
            raise output_error(error, table) from error
        self._csv = csv.writer(self._table, lineterminator="\n")
        try:
            self._write_table([COLUMNS])
        except OutputError:
            with suppress(OutputError):
                self.close()
            raise

    def start(self, row: Row) -> None:
        """Write the first row."""
        self._write([row])

    def write(self, result: FrameResult) -> None:
        """Write the people of a frame and its answers; nothing where nobody is seen."""
        self._remember(result)
        answers = result.predictions if self._every_frame else result.fresh
        rows = [self._row(answer, result) for answer in answers]
        self._write(([frame_row(result)] if result.tracks else []) + rows)
        self._write_table(table_row(row) for row in rows)

    def finish(self, row: Row) -> None:
        """Write the closing row."""
        self._write([row])

    def close(self) -> None:
        """Close both files, also where one of them can no longer be written."""
        failures = []
        for file, path in zip((self._records, self._table), self._paths, strict=True):
            try:
                file.close()
            except OSError as error:
                failures.append(output_error(error, path))
        if failures:
            raise failures[0]

    def _remember(self, result: FrameResult) -> None:
        self._seen[result.index] = (result.time, {track.id: track for track in result.tracks})
        for index, (time, _) in list(self._seen.items()):
            if time >= result.time - _LONGEST_ANSWER:
                break
            del self._seen[index]

    def _row(self, prediction: Prediction, result: FrameResult) -> Row:
        """An answer with what was marked or cut out of each person: the face or all of them."""
        task = self._tasks[prediction.task]
        is_face = task.mark == "face"
        _, seen = self._seen.get(prediction.frame, (0.0, {}))
        tracks = [seen.get(person) for person in prediction.people]
        boxes: list[Box | None] = []
        for track in tracks:
            face = track.face if track and is_face else None
            boxes.append(face or (track.person if track else None))
        names = [track.name if track else None for track in tracks]
        return prediction_row(prediction, result, boxes, self._model, names)

    def _write(self, rows: Iterable[Row]) -> None:
        lines = [json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows]
        try:
            self._records.writelines(lines)
            self._records.flush()
        except OSError as error:
            raise output_error(error, self._paths[0]) from error

    def _write_table(self, rows: Iterable[Sequence[str]]) -> None:
        try:
            self._csv.writerows(rows)
            self._table.flush()
        except OSError as error:
            raise output_error(error, self._paths[1]) from error
