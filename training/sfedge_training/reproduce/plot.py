"""A reproduced table as a picture: a panel a measure, ours and the paper's figure on one line."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from sfedge_training.reproduce.recipe_rows import MEASURES, Table
from sfedge_training.reproduce.table import Cell, Outcome, cells_of, title_of

_OURS, _PAPER = "#15589e", "#cc5500"  # blue and orange are distinguished by nearly everyone
_ACROSS = 4  # panels in a line
_WIDTH, _HEIGHT = 2.6, 0.26  # inches: of a panel, and of a row in it


def write_plot(path: Path, table: Table, outcomes: Sequence[Outcome]) -> None:
    """Write the picture of a table as PNG."""
    across = min(_ACROSS, len(table.columns))
    down = -(-len(table.columns) // across)
    size = (max(6.4, 2.2 + _WIDTH * across), 1.1 + down * (0.9 + _HEIGHT * len(outcomes)))
    figure = Figure(figsize=size, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(down, across, sharey=True, squeeze=False).ravel()
    rows = [cells_of(table, outcome) for outcome in outcomes]
    for place, (panel, heading) in enumerate(zip(panels, table.columns, strict=False)):
        _draw(panel, heading, [cells[place] for cells in rows])
    for panel in panels[len(table.columns) :]:
        panel.axis("off")
    panels[0].set_yticks(range(len(outcomes)), [outcome.row.title for outcome in outcomes])
    panels[0].set_ylim(len(outcomes) - 0.5, -0.5)
    figure.suptitle(title_of(table))
    shown: dict[str, Artist] = {}
    for panel in panels:
        handles, labels = panel.get_legend_handles_labels()
        shown |= dict(zip(labels, handles, strict=True))
    figure.legend(
        list(shown.values()), list(shown), loc="outside lower center", ncols=2, frameon=False
    )
    figure.savefig(path, dpi=150)


def _draw(panel: Axes, heading: str, cells: Sequence[Cell]) -> None:
    for place, cell in enumerate(cells):
        if cell.ours is not None and cell.paper is not None:
            panel.plot([cell.paper, cell.ours], [place, place], color="0.7", zorder=1)
    for name, colour, fill, values in (
        ("the paper's figure", _PAPER, "white", [cell.paper for cell in cells]),
        ("ours", _OURS, _OURS, [cell.ours for cell in cells]),
    ):
        known = [(value, place) for place, value in enumerate(values) if value is not None]
        if not known:
            continue
        panel.scatter(
            [value for value, _ in known],
            [place for _, place in known],
            s=28,
            edgecolors=colour,
            facecolors=fill,
            label=name,
            zorder=2,
        )
    worse = "lower" if MEASURES[heading].less_is_better else "higher"
    panel.set_title(f"{heading}\n({worse} is better)", fontsize=9)
    panel.grid(axis="x", color="0.9")
    panel.margins(x=0.12)
    panel.tick_params(labelsize=8)
    for side in ("top", "right"):
        panel.spines[side].set_visible(False)
