"""A reproduced table beside the paper's: the figures, their differences, Markdown and CSV."""

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sfedge_training.loop.evaluate import Figures, Measure
from sfedge_training.reproduce.recipe_rows import MEASURES, Part, Row, Table

NONE = "—"  # a cell without a figure, as in the paper
_MEASURED: dict[Part, str] = {
    "train": "Measured on all training samples.",
    "val": "Scored on the official validation sets, GazeFollow on its test set, as in the paper.",
    "test": "Scored on the test sets; AffectNet, which has none, on its validation set.",
}
_UNITS = (
    "L2 is in fractions of the picture's sides, GCD lies between 0 and 2, all others are per cent; "
    "↑ marks what should be high, ↓ what should be low. The difference is ours minus the paper's."
)
_CSV = ("row", "dataset", "measure", "ours", "paper", "difference", "samples", "run")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a row.

    Attributes:
        row: of the table.
        figures: by task, of what has been run.
        runs: names of the folders that they come from, by task.
        reason: why figures are missing, "" where none is.
        failed: names of the runs that could not be done.
    """

    row: Row
    figures: Mapping[str, Figures] = field(default_factory=dict)
    runs: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""
    failed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One figure of ours and the paper's, in the table's units; None where there is none."""

    heading: str
    ours: float | None
    paper: float | None
    samples: int | None = None
    run: str = ""

    @property
    def measure(self) -> Measure:
        """What it measures."""
        return MEASURES[self.heading]

    @property
    def difference(self) -> float | None:
        """Ours minus the paper's."""
        return None if self.ours is None or self.paper is None else self.ours - self.paper


def cells_of(table: Table, outcome: Outcome) -> list[Cell]:
    """A row's cells, in the table's columns."""
    return [_cell(heading, outcome) for heading in table.columns]


def _cell(heading: str, outcome: Outcome) -> Cell:
    measure, paper = MEASURES[heading], outcome.row.paper.get(heading)
    figures = outcome.figures.get(measure.task, {})
    if measure.key not in figures:
        return Cell(heading=heading, ours=None, paper=paper)
    return Cell(
        heading=heading,
        ours=figures[measure.key] * measure.unit,
        paper=paper,
        samples=int(figures["samples"]),
        run=outcome.runs[measure.task],
    )


def write_markdown(
    path: Path, table: Table, outcomes: Sequence[Outcome], remarks: Sequence[str] = ()
) -> None:
    """The table as a page: three lines a row, ours, the paper's and the difference.

    Args:
        path: the file.
        table: what was reproduced.
        outcomes: of its rows, in order.
        remarks: sentences on this reproduction that a reader must know first.
    """
    heads = list(outcomes[0].row.head)
    arrows = [f"{name} {'↓' if MEASURES[name].less_is_better else '↑'}" for name in table.columns]
    lines = [
        f"# {title_of(table)}",
        "",
        *(f"**{remark}**\n" for remark in remarks),
        f"{_MEASURED[table.part]} {_UNITS}",
        "",
        _line([*heads, "", *arrows]),
        _line(["---"] * (len(heads) + 1) + ["---:"] * len(arrows)),
    ]
    for outcome in outcomes:
        lines += _lines(table, outcome)
    notes = [*table.notes, *(note for outcome in outcomes for note in _notes(outcome))]
    lines += ["", *(f"- {note}" for note in notes)] if notes else []
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def title_of(table: Table) -> str:
    """A heading for the table."""
    return f"{table.name.replace('table', 'Table ')}: {table.title}"


def _lines(table: Table, outcome: Outcome) -> Iterator[str]:
    cells, head = cells_of(table, outcome), list(outcome.row.head.values())
    paper = [_published(cell.paper, cell.measure) for cell in cells]
    if outcome.row.system == "published":
        yield _line([*head, "paper", *paper])
        return
    beside = [""] * len(head)
    yield _line([*head, "ours", *(_shown(cell.ours, cell.measure) for cell in cells)])
    yield _line([*beside, "paper", *paper])
    yield _line(
        [*beside, "difference", *(_signed(cell.difference, cell.measure) for cell in cells)]
    )


def _notes(outcome: Outcome) -> Iterator[str]:
    title = outcome.row.title
    if outcome.reason:
        yield f"{title}: {outcome.reason}"
    lost = [
        f"{of['unparsable']:.0f} of {of['samples']:.0f} to {task}"
        for task, of in outcome.figures.items()
        if of.get("unparsable")
    ]
    if lost:
        yield f"{title}: answers that cannot be read count as wrong, {'; '.join(lost)}."


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _shown(value: float | None, measure: Measure) -> str:
    return NONE if value is None else f"{value:.{_digits(measure)}f}"


def _published(value: float | None, measure: Measure) -> str:
    """With all its digits, where it has more than the others of its column."""
    text = _shown(value, measure)
    return text if value is None or float(text) == value else f"{value:g}"


def _signed(value: float | None, measure: Measure) -> str:
    if value is None:
        return NONE
    text = f"{value:+.{_digits(measure)}f}"
    return text.replace("-", "−") if float(text) else text[1:]


def _digits(measure: Measure) -> int:
    return 1 if measure.unit == 100 else 3


def write_csv(path: Path, table: Table, outcomes: Sequence[Outcome]) -> None:
    """Every cell that holds a figure, a line each."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(_CSV)
        for outcome in outcomes:
            for cell in cells_of(table, outcome):
                if cell.ours is None and cell.paper is None:
                    continue
                numbers = (cell.ours, cell.paper, cell.difference)
                writer.writerow(
                    [
                        outcome.row.name,
                        cell.measure.dataset,
                        cell.measure.name,
                        *("" if number is None else f"{number:.6g}" for number in numbers),
                        "" if cell.samples is None else cell.samples,
                        cell.run,
                    ]
                )
