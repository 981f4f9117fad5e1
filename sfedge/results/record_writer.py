"""Writes a run's records and table as they come, flushed row by row."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from sfedge.core.answer_table import Asked, AskedFrames, table_columns, table_row
from sfedge.core.errors import OutputError
from sfedge.core.frame_result import FrameResult
from sfedge.core.structures import Gap, Prediction
from sfedge.core.tasks import Task
from sfedge.results import rows
from sfedge.results.growing_file import GrowingFile, output_error
from sfedge.results.records import Row
from sfedge.sources.source import shown


class RecordWriter:
    """Writes a run's records and its table; every row is flushed, so that none is lost.

    Args:
        records: file for the JSON lines, replaced.
        table: file for the comma separated table, replaced.
        tasks: those that are run; their views decide which box belongs to an answer.
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
        tasks = tuple(tasks)
        self._model, self._source = model, shown(source)
        self._shot = 0
        self._every_frame = every_frame
        self._columns = table_columns(tasks if wide else ())
        self._frames = AskedFrames(tasks, self._source)
        self._files: list[GrowingFile] = []
        try:
            for path in (records, table):
                self._files.append(_open(path))
            self._write_table([self._columns])
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
        result = replace(result, frame=replace(result.frame, file=file))
        self._frames.remember(result.frame, result.shot, result.tracks, result.all_hands)
        self._shot = result.shot
        answers = result.predictions if self._every_frame else result.fresh
        asked = [
            (answer, self._frames.about(answer, result.frame, result.shot)) for answer in answers
        ]
        cut = [rows.cut_row(result, file)] if result.is_cut else []
        lines = [rows.prediction_row(answer, result, about, self._model) for answer, about in asked]
        self._write([*cut, rows.frame_row(result, file), *lines])
        self._write_table(self._cells(answer, about, result) for answer, about in asked)

    def gap(self, gap: Gap) -> None:
        """Write a gap: once when it begins, again when it ends."""
        self._write([rows.gap_row(gap, self._source, self._shot)])

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

    def _cells(self, answer: Prediction, asked: Asked, result: FrameResult) -> list[str]:
        """An answer's cells in the table."""
        values = table_row(
            answer,
            asked,
            age=result.age(answer),
            source=self._source,
            model=self._model,
            columns=self._columns,
        ).values()
        texts = [str(value).lower() if isinstance(value, bool) else value for value in values]
        return ["" if text is None else str(text) for text in texts]

    def _write(self, lines: Iterable[Row]) -> None:
        text = "".join(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in lines)
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
