"""Figure 5 of the paper: what the model answers to each classification task, with the truth."""

import math
from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from sfedge.core.structures import Image
from sfedge.core.tasks import TASKS
from sfedge_training.analysis.examples.choice import Chosen, Example
from sfedge_training.analysis.examples.sheet import (
    HEAD,
    PANEL,
    TEXT,
    columns_for,
    new_sheet,
    panel_height,
    picture_name,
    question,
    quoted,
    set_head,
    sheet_width,
    show,
    table,
    text_height,
    view_of,
    wrapped,
)
from sfedge_training.data.augment import in_view

_GAP = 0.2  # inches around a row of panels


def draw_answers(chosen: Sequence[Chosen], head: str) -> Figure:
    """For each task the prompt's question, and views with the model's answer and the truth.

    A word above each view says whether the answer is right.
    """
    columns = columns_for(len(chosen[0].examples))
    width = sheet_width(columns)
    title = wrapped(head, width, HEAD)
    heads = [wrapped(_asked(of), width, HEAD) for of in chosen]
    views = [[view_of(example.sample) for example in of.examples] for of in chosen]
    heights = [
        text_height(asked, HEAD) + _rows_height(of, own, columns)
        for asked, of, own in zip(heads, chosen, views, strict=True)
    ]
    figure = new_sheet(width, text_height(title, HEAD) + sum(heights) + _GAP)
    set_head(figure, title)
    parts = figure.subfigures(len(chosen), 1, height_ratios=heights, squeeze=False)[:, 0]
    for part, asked, of, own in zip(parts, heads, chosen, views, strict=True):
        set_head(part, asked)
        grid = part.subplots(math.ceil(len(own) / columns), columns, squeeze=False).flat
        for axes, example, view in zip(grid, of.examples, own, strict=False):
            _show_answer(axes, example, view)
        for unused in grid[len(own) :]:
            unused.remove()
    return figure


def describe_answers(chosen: Sequence[Chosen], data: Path) -> str:
    """Each task's prompt and the answers behind the picture, in Markdown.

    Args:
        chosen: what the picture shows.
        data: the folder that names of pictures are relative to.
    """
    header = ("picture", "sample", "answer", "probability", "truth", "verdict")
    parts = []
    for of in chosen:
        rows = [
            (
                picture_name(example.sample, data),
                example.sample.key,
                _named(of.task, example.label),
                f"{example.answer.max():.4f}",
                _named(of.task, example.sample.label),
                _verdict(example),
            )
            for example in of.examples
        ]
        parts.append(f"## {of.task}\n\n{of}.\n\n{quoted(of.task)}\n\n{table(header, rows)}\n")
    return "\n".join(parts) + "\nProbabilities are among the task's own answers.\n"


def _asked(chosen: Chosen) -> str:
    marked = " The boxes mark them." if TASKS[chosen.task].boxes else ""
    return f"{chosen.task}: {chosen}.\n{question(chosen.task)}{marked}"


def _rows_height(chosen: Chosen, views: Sequence[Image], columns: int) -> float:
    """Inches of a task's rows of panels, with the texts above and below each."""
    longest = max((_caption(example) for example in chosen.examples), key=text_height)
    texts = text_height(_verdict(chosen.examples[0])) + text_height(longest)
    return math.ceil(len(views) / columns) * (panel_height(views) + texts + 2 * _GAP)


def _show_answer(axes: Axes, example: Example, view: Image) -> None:
    show(axes, view, in_view(example.sample)[0])
    axes.set_title(_verdict(example), fontsize=TEXT, fontweight="bold")
    axes.set_xlabel(_caption(example), fontsize=TEXT)


def _caption(example: Example) -> str:
    task = example.sample.task
    answer = f"model: {_named(task, example.label)}, {100 * example.answer.max():.0f} %"
    return wrapped(f"{answer}\ntruth: {_named(task, example.sample.label)}", PANEL)


def _named(task: str, label: int | None) -> str:
    """A label with the token that stands for it."""
    assert label is not None
    return f"{TASKS[task].labels[label]} ({TASKS[task].answers[label]})"


def _verdict(example: Example) -> str:
    return "✓ right" if example.is_success else "✗ wrong"
