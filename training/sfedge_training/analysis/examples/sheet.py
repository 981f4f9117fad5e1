"""The sheet that examples stand on: panels, marks, texts, and its two files."""

import math
import re
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from sfedge.core.boxes import Box
from sfedge.core.errors import OutputError, UsageError
from sfedge.core.preprocess import crop
from sfedge.core.structures import Image
from sfedge.core.tasks import TASKS
from sfedge_training.data.sample import Sample
from sfedge_training.data.sample_picture import read_picture

PANEL = 2.3  # inches: width of a panel
TEXT, HEAD = 9, 10  # points: sizes of the letters
ENDINGS = (".png", ".pdf", ".svg")
_PER_ROW = 5  # panels beside each other, at most
_DPI = 200
# Inches for each point of the letters' size: mean width of a letter, and height of a line.
_LETTER, _LINE = 0.54 / 72, 1.3 / 72
# The first and the second marked box: sky blue and orange of Okabe and Ito's palette.
_BOXES = (("#56b4e9", "solid"), ("#e69f00", "dashed"))
_QUESTION = re.compile(r"\b(You must|Your task is)\b[^.]*\.")


def columns_for(count: int) -> int:
    """Panels beside each other, so that `count` of them fill their rows evenly."""
    return math.ceil(count / math.ceil(count / _PER_ROW))


def sheet_width(columns: int) -> float:
    """Inches of a sheet with this number of panels beside each other; texts need some, too."""
    return max(columns, 2) * PANEL


def new_sheet(width: float, height: float) -> Figure:
    """An empty sheet; sizes in inches."""
    return Figure((width, height), dpi=_DPI, layout="constrained")


def panel_height(views: Sequence[Image]) -> float:
    """Inches that suit most of the views in panels; others are shown smaller, but whole."""
    ratios: list[float] = sorted(view.shape[0] / view.shape[1] for view in views)
    return PANEL * min(max(ratios[len(ratios) // 2], 0.5), 1.4)


def set_head(part: Figure | SubFigure, text: str) -> None:
    """Lines over a sheet or a part of it, from the left."""
    part.suptitle(text, x=0.01, ha="left", fontsize=HEAD)


def wrapped(text: str, width: float, size: float = TEXT) -> str:
    """The text in lines that fit `width` inches; longer words are broken."""
    letters = int(width / (size * _LETTER))
    return "\n".join(textwrap.fill(line, letters) for line in text.splitlines())


def text_height(text: str, size: float = TEXT) -> float:
    """Inches that the lines of a text take."""
    return (text.count("\n") + 1) * size * _LINE


def view_of(sample: Sample) -> Image:
    """What the model is shown of the sample's picture, before it is made square.

    Raises:
        DataError: the picture cannot be read.
    """
    return crop(read_picture(sample), sample.view)


def show(axes: Axes, view: Image, boxes: Iterable[Box], label: str = "") -> None:
    """A view, whole and in its own shape, with marked boxes in fractions of it.

    Args:
        axes: the panel.
        view: the picture.
        boxes: drawn with a dark rim, which shows them on any ground.
        label: of the boxes, in a legend.
    """
    height, width = view.shape[:2]
    axes.imshow(view, extent=(0, width, height, 0))
    axes.set(xticks=[], yticks=[], autoscale_on=False)
    axes.set_anchor("N")
    for box, (colour, line) in zip(boxes, _BOXES, strict=False):
        corner = box.x1 * width, box.y1 * height
        axes.add_patch(
            Rectangle(
                corner,
                box.width * width,
                box.height * height,
                fill=False,
                edgecolor=colour,
                linestyle=line,
                linewidth=1.8,
                path_effects=[withStroke(linewidth=3.4, foreground="black")],
                label=label,
            )
        )


def question(task: str) -> str:
    """The sentence of a task's prompt that asks, as a quotation."""
    found = _QUESTION.search(TASKS[task].prompt)
    assert found is not None, task  # every prompt of the paper has such a sentence
    return f"“… {found.group()} …”"


def quoted(task: str) -> str:
    """A task's whole prompt as a quotation, in Markdown."""
    return "\n".join(f"> {line}  " for line in TASKS[task].prompt.splitlines())


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table, in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(c.replace("|", "\\|") for c in row) + " |" for row in lines)


def picture_name(sample: Sample, data: Path) -> str:
    """A sample's file below `data`, with the number of the frame of a video."""
    name = sample.image.relative_to(data).as_posix()
    return name if sample.frame is None else f"{name}#{sample.frame}"


def companion(out: Path) -> Path:
    """The file of the text that goes with the picture `out`.

    Raises:
        UsageError: the picture's name has no ending that can be written.
    """
    if out.suffix.lower() not in ENDINGS:
        raise UsageError(
            "a picture with such a name cannot be written",
            where=str(out),
            fix=f"Let it end in one of {', '.join(ENDINGS)}.",
        )
    return out.with_suffix(".md")


def write_sheet(out: Path, sheet: Figure, text: str) -> None:
    """Write a picture and its companion text, which take their places when both are whole.

    Raises:
        UsageError: the picture's name has no ending that can be written.
        OutputError: they cannot be written.
    """
    files = {path: path.with_name(f".{path.name}.part") for path in (out, companion(out))}
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        try:
            sheet.savefig(files[out], format=out.suffix[1:].lower())
            files[companion(out)].write_text(text, encoding="utf-8")
            for path, part in files.items():
                part.replace(path)
        finally:
            for part in files.values():
                part.unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"this file cannot be written ({error})", where=str(out)) from error
