"""A table of who answered what, as a picture that stays readable at 33 classes."""

from collections.abc import Sequence

import numpy as np
import PIL.Image
from numpy.typing import NDArray
from PIL import ImageDraw, ImageFont

_PAPER, _INK, _FAINT, _LINE = (255, 255, 255), (30, 30, 30), (120, 120, 120), (225, 225, 225)
# Full colours of right and of wrong; blue and orange are distinguished by nearly everyone.
_SAME, _OTHER = (21, 88, 158), (204, 85, 0)
_DARK = 0.5  # share of the full colour from which numbers are white on it
_PAD, _CELL = 8, 34  # pixels: around texts, and the least side of a cell
_TEXT, _TITLE = 14, 18  # pixels: heights of the fonts
_FONT, _LARGE = ImageFont.load_default(_TEXT), ImageFont.load_default(_TITLE)
_SMALL = ImageFont.load_default(12)
_NONE = "no answer"


def draw_confusion(table: NDArray[np.int64], labels: Sequence[str], title: str) -> PIL.Image.Image:
    """A square for each pair of classes, filled by its share of the row; numbers are samples.

    Args:
        table: (C, C + 1) counts; rows are the labels, columns the answers, the last one none.
        labels: the C classes.
        title: above it.
    """
    of = table.sum(axis=1)
    shares = table / np.maximum(of, 1)[:, None]
    recalls = [f"{100 * shares[i, i]:.0f} %" if of[i] else "" for i in range(len(labels))]
    columns = [*labels, _NONE]
    names = max(_width(label, _FONT) for label in columns)
    widest = max(_width(_shortened(int(n)), _SMALL) for n in (table.max(), 8888))
    cell = max(_CELL, widest + _PAD)
    left = names + _TEXT + 4 * _PAD
    top = names + _TEXT + _TITLE + 6 * _PAD
    across, down = cell * len(labels), cell * len(labels)
    last = _width("recall", _FONT) + 3 * _PAD
    none = left + across + _PAD  # left edge of the column without an answer
    right = none + cell
    width = max(right + last, _width(title, _LARGE) + 2 * _PAD)
    picture = PIL.Image.new("RGB", (width, top + down + 2 * _PAD), _PAPER)
    draw = ImageDraw.Draw(picture)

    draw.text((_PAD, _PAD), title, _INK, _LARGE)
    draw.text((left, 3 * _PAD + _TITLE), "answer", _FAINT, _FONT, "la")
    _write_up(picture, (_PAD, top + down), "label", _FAINT)
    draw.text((right + _PAD, top - 2 * _PAD), "recall", _FAINT, _FONT, "ls")
    edges = [left + place * cell for place in range(len(labels))] + [none]
    for place, (label, recall) in enumerate(zip(labels, recalls, strict=True)):
        middle = top + place * cell + cell // 2
        ink = _INK if of[place] else _FAINT
        draw.text((left - _PAD, middle), label, ink, _FONT, "rm")
        draw.text((right + last - 2 * _PAD, middle), recall, _INK, _FONT, "rm")
    for x, label in zip(edges, columns, strict=True):
        ink = _FAINT if label == _NONE else _INK
        _write_up(picture, (x + (cell - _TEXT) // 2, top - _PAD), label, ink)
    for row, column in np.ndindex(table.shape):
        x, y = edges[column], top + row * cell
        share = float(shares[row, column])
        full = _SAME if row == column else _OTHER
        draw.rectangle((x, y, x + cell, y + cell), _mixed(full, share), _LINE)
        if number := int(table[row, column]):
            ink = _PAPER if share > _DARK else _INK
            draw.text((x + cell // 2, y + cell // 2), _shortened(number), ink, _SMALL, "mm")
    draw.rectangle((left, top, left + across, top + down), outline=_FAINT)
    draw.rectangle((none, top, right, top + down), outline=_FAINT)
    return picture


def _mixed(full: tuple[int, int, int], share: float) -> tuple[int, int, int]:
    """White at 0, the full colour at 1; small shares are lifted, so that they are seen."""
    much = share**0.7
    red, green, blue = (round(255 + (value - 255) * much) for value in full)
    return red, green, blue


def _shortened(number: int) -> str:
    """At most five characters, of which three digits are true: 9999, 12.3k, 165k, 1.08M."""
    if number < 10_000:
        return str(number)
    value, sign = (number / 1e6, "M") if number >= 1_000_000 else (number / 1e3, "k")
    return f"{value:.3g}{sign}" if value < 999.5 else f"{value:.0f}{sign}"


def _width(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> int:
    return int(font.getlength(text)) + 1


def _write_up(
    picture: PIL.Image.Image, place: tuple[int, int], text: str, ink: tuple[int, int, int]
) -> None:
    """Text that reads upwards; `place` is its left edge and its lower end."""
    length, height = _width(text, _FONT), _TEXT * 4 // 3
    mask = PIL.Image.new("L", (length, height))
    ImageDraw.Draw(mask).text((0, height // 2), text, 255, _FONT, "lm")
    x, y = place
    picture.paste(ink, (x, y - length), mask.rotate(90, expand=True))
