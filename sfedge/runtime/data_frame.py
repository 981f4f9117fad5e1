"""A run's answers as a pandas data frame, with the columns of the table."""

from typing import TYPE_CHECKING

from sfedge.core.answer_table import AskedFrames, TableRow, table_columns, table_row
from sfedge.core.errors import MissingExtraError
from sfedge.core.frame_result import FrameResult, RunFacts

if TYPE_CHECKING:
    import pandas

_WHOLE = ("frame", "shot", "person_1", "person_2")
_TEXT = ("source", "file", "task", "hands", "side", "label", "model")
_FLAG = ("unsure",)


class AnswerTable:
    """A sink that keeps a row for each answer.

    Args:
        run: whose answers they are.
        wide: with a column `task.label` for the probability of each label.

    Raises:
        MissingExtraError: pandas is not installed.
    """

    def __init__(self, run: RunFacts, *, wide: bool) -> None:
        try:
            import pandas
        except ImportError as error:
            raise MissingExtraError(
                "data frames need pandas, which is not installed",
                fix="Run: pip install 'sfedge[pandas]'.",
            ) from error
        self._pandas = pandas
        self._run = run
        self._columns = table_columns(run.tasks if wide else ())
        self._frames = AskedFrames(run.tasks, run.source)
        self._rows: list[TableRow] = []

    def write(self, result: FrameResult) -> None:
        """Take the answers that arrived with a frame."""
        self._frames.remember(result.frame, result.shot, result.tracks, result.all_hands)
        self._rows += [
            table_row(
                answer,
                self._frames.about(answer, result.frame, result.shot),
                age=result.age(answer),
                source=self._run.source,
                model=self._run.model,
                columns=self._columns,
            )
            for answer in result.fresh
        ]

    def to_dataframe(self) -> "pandas.DataFrame":
        """All of them, in the order in which they came."""
        table = self._pandas.DataFrame(self._rows, columns=list(self._columns))
        return table.astype({column: _dtype(column) for column in self._columns})


def _dtype(column: str) -> str:
    if column in _WHOLE:
        return "Int64"  # which knows of missing values
    if column in _TEXT:
        return "string"
    return "bool" if column in _FLAG else "float64"
