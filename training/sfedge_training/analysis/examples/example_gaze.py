"""Figure 4 of the paper: pictures with annotators' points, and the model's heatmaps over them."""

from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import ListedColormap, Normalize
from matplotlib.figure import Figure

from sfedge.core.structures import Image
from sfedge_training.analysis.examples.choice import Chosen, Example
from sfedge_training.analysis.examples.sheet import (
    HEAD,
    TEXT,
    columns_for,
    new_sheet,
    panel_height,
    picture_name,
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

_GAP, _BELOW = 0.2, 1.4  # inches: under a row of panels, and of scale and legend
_PALE = 0.5  # how far a picture under a heatmap is faded to white
_STRONGEST = 0.85  # opacity at the scale's end


def draw_gaze(chosen: Chosen, head: str) -> Figure:
    """For each example the picture with the annotators' points, and below it the heatmap.

    All heatmaps share one scale, which ends at their highest value.
    """
    views = [view_of(example.sample) for example in chosen.examples]
    columns = columns_for(len(views))
    heights = [
        panel_height(views[start : start + columns]) + _GAP
        for start in range(0, len(views), columns)
        for _ in ("annotators", "model")
    ]
    width = sheet_width(columns)
    title = wrapped(f"{head}\n{chosen}.", width, HEAD)
    figure = new_sheet(width, text_height(title, HEAD) + sum(heights) + _BELOW)
    set_head(figure, title)
    norm = Normalize(0.0, max(float(example.answer.max()) for example in chosen.examples))
    grid = figure.subplots(len(heights), columns, squeeze=False, height_ratios=heights)
    for place, (example, view) in enumerate(zip(chosen.examples, views, strict=True)):
        band, column = divmod(place, columns)
        upper, lower = grid[2 * band, column], grid[2 * band + 1, column]
        _show_truth(upper, example, view)
        _show_answer(lower, example, view, norm)
        if column == 0:
            upper.set_ylabel("annotators", fontsize=TEXT)
            lower.set_ylabel("model", fontsize=TEXT)
    for unused in grid[-2:, (len(views) - 1) % columns + 1 :].flat:
        unused.remove()
    bar = figure.colorbar(
        ScalarMappable(norm, _heat_colours()),
        ax=figure.axes,
        location="bottom",
        fraction=0.03,
        aspect=50,
        shrink=0.6,
        label="value of the heatmap, at most 1",
    )
    bar.ax.tick_params(labelsize=TEXT)
    marks = [axes.get_legend_handles_labels() for axes in grid[:2, 0]]
    figure.legend(
        [handle for handles, _ in marks for handle in handles],
        [label for _, labels in marks for label in labels],
        loc="outside lower center",
        ncols=3 if columns > 2 else 1,
        fontsize=TEXT,
        frameon=False,
    )
    return figure


def describe_gaze(chosen: Chosen, data: Path) -> str:
    """The prompt and the numbers behind the picture, in Markdown.

    Args:
        chosen: what the picture shows.
        data: the folder that names of pictures are relative to.
    """
    rows = [
        (
            picture_name(example.sample, data),
            example.sample.key,
            _place(example.point),
            f"{example.answer.max():.3f}",
            str(len(example.sample.points)),
            f"{example.nearest:.3f}",
            f"{example.mean:.3f}",
        )
        for example in chosen.examples
    ]
    header = (
        *("picture", "sample", "predicted point", "highest value"),
        *("annotators", "nearest", "mean"),
    )
    return (
        f"## {chosen.task}\n\n{chosen}.\n\n{quoted(chosen.task)}\n\n{table(header, rows)}\n\n"
        "Points and distances are in fractions of the picture's sides: to the nearest of the "
        "annotators' points, and to their mean.\n"
    )


def _show_truth(axes: Axes, example: Example, view: Image) -> None:
    boxes, points = in_view(example.sample)
    show(axes, view, boxes, "head of the person asked about")
    height, width = view.shape[:2]
    axes.plot(
        [x * width for x, _ in points],
        [y * height for _, y in points],
        linestyle="",
        marker="o",
        markersize=6,
        color="#009e73",  # bluish green of Okabe and Ito
        markeredgecolor="white",
        clip_on=False,
        label="an annotator's point",
    )
    axes.set_anchor("S")


def _show_answer(axes: Axes, example: Example, view: Image, norm: Normalize) -> None:
    boxes, _ = in_view(example.sample)
    show(axes, _faded(view), boxes)
    height, width = view.shape[:2]
    axes.imshow(
        example.answer,
        extent=(0, width, height, 0),
        interpolation="bilinear",
        cmap=_heat_colours(),
        norm=norm,
    )
    x, y = example.point
    axes.plot(
        x * width,
        y * height,
        linestyle="",
        marker="X",
        markersize=9,
        color="white",
        markeredgecolor="black",
        clip_on=False,
        label="predicted point",
    )
    to = f"off by {example.nearest:.2f}"
    axes.set_xlabel(
        to if len(example.sample.points) == 1 else f"{to} (nearest), {example.mean:.2f} (mean)",
        fontsize=TEXT,
    )


def _faded(view: Image) -> Image:
    """The picture in pale grey, on which the heatmap's colours are its own."""
    grey = view.astype(np.float32).mean(axis=2, keepdims=True)
    pale = grey + (255.0 - grey) * _PALE
    return np.repeat(pale, 3, axis=2).astype(np.uint8)


def _heat_colours() -> ListedColormap:
    """From clear to dark red, ever darker, so that it is read without colour vision, too."""
    colours = colormaps["YlOrRd"](np.linspace(0.0, 1.0, 256))
    colours[:, 3] = np.linspace(0.0, _STRONGEST, 256)
    return ListedColormap(colours, name="heat")


def _place(point: tuple[float, float]) -> str:
    return f"{point[0]:.3f} {point[1]:.3f}"
