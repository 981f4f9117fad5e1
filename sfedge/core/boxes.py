"""Boxes in fractions of a picture: making, measuring, moving, and the patches they touch."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sfedge.core.errors import DataError


@dataclass(frozen=True, slots=True, order=True)
class Box:
    """A rectangle in fractions of a picture: 0 <= x1 < x2 <= 1, the same for y.

    Build one from unchecked numbers with `clamped` or `from_pixels`.

    Raises:
        DataError: a coordinate is not finite or outside [0, 1], or the box is empty.
    """

    x1: float
    y1: float
    x2: float
    y2: float

    def __post_init__(self) -> None:
        values = (self.x1, self.y1, self.x2, self.y2)
        if not all(math.isfinite(v) for v in values):
            raise DataError(f"box {values} has a coordinate that is not a number")
        if not (0.0 <= self.x1 < self.x2 <= 1.0 and 0.0 <= self.y1 < self.y2 <= 1.0):
            raise DataError(
                f"box {values} is empty or leaves the picture",
                fix="Boxes are x1 y1 x2 y2 with x1 < x2 and y1 < y2, in fractions of the picture.",
            )

    @property
    def width(self) -> float:
        return self.x2 - self.x1

    @property
    def height(self) -> float:
        return self.y2 - self.y1

    @property
    def area(self) -> float:
        return self.width * self.height

    @property
    def centre(self) -> tuple[float, float]:
        return (self.x1 + self.x2) / 2, (self.y1 + self.y2) / 2


FULL = Box(0.0, 0.0, 1.0, 1.0)


def clamped(x1: float, y1: float, x2: float, y2: float) -> Box:
    """The part of a box that lies inside the picture.

    Raises:
        DataError: a coordinate is not finite, or nothing of the box lies inside.
    """
    values = (x1, y1, x2, y2)
    if not all(math.isfinite(v) for v in values):
        raise DataError(f"box {values} has a coordinate that is not a number")
    cut = tuple(min(max(float(v), 0.0), 1.0) for v in values)
    if cut[0] >= cut[2] or cut[1] >= cut[3]:
        raise DataError(f"box {values} is empty or lies outside the picture")
    return Box(*cut)


def from_pixels(x1: float, y1: float, x2: float, y2: float, *, width: int, height: int) -> Box:
    """A box given in pixels of a picture of `width` x `height`, clamped to it."""
    return clamped(x1 / width, y1 / height, x2 / width, y2 / height)


def to_pixels(box: Box, *, width: int, height: int) -> tuple[int, int, int, int]:
    """Whole pixels (x1, y1, x2, y2) that cover the box; at least one pixel each way."""
    x1 = min(math.floor(box.x1 * width + 1e-9), width - 1)  # 1e-9: 0.145 * 200 is below 29
    y1 = min(math.floor(box.y1 * height + 1e-9), height - 1)
    x2 = min(max(math.ceil(box.x2 * width - 1e-9), x1 + 1), width)
    y2 = min(max(math.ceil(box.y2 * height - 1e-9), y1 + 1), height)
    return x1, y1, x2, y2


def with_margin(box: Box, margin: float) -> Box:
    """The box grown on each side by `margin` of its own width and height, cut at the picture."""
    dx, dy = box.width * margin, box.height * margin
    return clamped(box.x1 - dx, box.y1 - dy, box.x2 + dx, box.y2 + dy)


def union(boxes: Sequence[Box]) -> Box:
    """The smallest box around all of `boxes` (at least one)."""
    return Box(
        min(b.x1 for b in boxes),
        min(b.y1 for b in boxes),
        max(b.x2 for b in boxes),
        max(b.y2 for b in boxes),
    )


def intersection(a: Box, b: Box) -> float:
    """Area that two boxes share, in fractions of the picture."""
    width = min(a.x2, b.x2) - max(a.x1, b.x1)
    height = min(a.y2, b.y2) - max(a.y1, b.y1)
    return max(width, 0.0) * max(height, 0.0)


def iou(a: Box, b: Box) -> float:
    """Intersection over union, in [0, 1]."""
    shared = intersection(a, b)
    whole = a.area + b.area - shared
    return shared / whole if whole > 0 else 0.0


def within(box: Box, view: Box) -> Box:
    """`box`, given in fractions of the picture, in fractions of the part `view` of it."""
    return clamped(
        (box.x1 - view.x1) / view.width,
        (box.y1 - view.y1) / view.height,
        (box.x2 - view.x1) / view.width,
        (box.y2 - view.y1) / view.height,
    )


def patch_mask(boxes: Sequence[Box], grid: int) -> NDArray[np.bool_]:
    """Which patches of a grid the boxes touch; any overlap counts (paper, section 3.4).

    However small, a box marks at least the patch that holds its centre.

    Args:
        boxes: any number, in fractions of the view.
        grid: patches per side.

    Returns:
        (grid * grid,) bool, row-major: the union over the boxes.
    """
    mask = np.zeros((grid, grid), dtype=np.bool_)
    for box in boxes:
        columns, rows = _cells(box.x1, box.x2, grid), _cells(box.y1, box.y2, grid)
        mask[rows, columns] = True
    return mask.reshape(-1)


def _cells(low: float, high: float, grid: int) -> slice:
    """The cells of [0, 1] cut in `grid` that the open interval (low, high) overlaps."""
    first = min(math.floor(low * grid), grid - 1)
    return slice(first, max(math.ceil(high * grid), first + 1))
