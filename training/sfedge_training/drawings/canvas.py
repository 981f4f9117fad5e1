"""A canvas finer than the picture it becomes, and pens that draw on it in units of their own."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from sfedge.core.structures import Image

Colour = tuple[int, int, int]  # RGB
Points = NDArray[np.float64]  # (N, 2): x right, y down
Extent = tuple[float, float, float, float]  # x1 y1 x2 y2 in pixels of the picture

_FINE = 2  # fine pixels per pixel of the picture: shrinking them is the antialiasing
_SHIFT = 4  # binary places of OpenCV's fixed-point coordinates


class Canvas:
    """The sheet; remembers the extent of what was drawn since `forget_extent`."""

    def __init__(self, background: Image) -> None:
        self.height, self.width = background.shape[:2]
        size = (self.width * _FINE, self.height * _FINE)
        self.fine = cv2.resize(background, size, interpolation=cv2.INTER_LINEAR)
        self.forget_extent()

    def forget_extent(self) -> None:
        """Start measuring anew."""
        self._low = np.full(2, math.inf)
        self._high = np.full(2, -math.inf)

    @property
    def extent(self) -> Extent:
        """The box in pixels around all drawn since `forget_extent`; it may leave the sheet."""
        (x1, y1), (x2, y2) = self._low, self._high
        return float(x1), float(y1), float(x2), float(y2)

    def cover(self, points: Points, reach: float) -> None:
        """Widen the extent to `points` (pixels) and `reach` around them."""
        self._low = np.minimum(self._low, points.min(axis=0) - reach)
        self._high = np.maximum(self._high, points.max(axis=0) + reach)

    def picture(self) -> Image:
        """(height, width, 3) uint8: the finished drawing."""
        size = (self.width, self.height)
        return np.asarray(cv2.resize(self.fine, size, interpolation=cv2.INTER_AREA), np.uint8)

    @property
    def pen(self) -> "Pen":
        """A pen whose unit is the pixel of the picture."""
        return Pen(self, np.eye(2), np.zeros(2))


@dataclass(frozen=True, slots=True, eq=False)
class Pen:
    """A frame of reference on a canvas: where, how large, how turned; draws in its own units."""

    canvas: Canvas
    matrix: NDArray[np.float64]  # (2, 2) from own units to pixels
    origin: NDArray[np.float64]  # (2,) in pixels

    def at(
        self, x: float, y: float, scale: float = 1.0, *, turn: float = 0.0, mirror: bool = False
    ) -> "Pen":
        """A pen at (x, y) of this one, `turn` radians clockwise; `mirror` flips left and right."""
        cos, sin = math.cos(turn) * scale, math.sin(turn) * scale
        local = np.array([[-cos if mirror else cos, -sin], [-sin if mirror else sin, cos]])
        return Pen(self.canvas, self.matrix @ local, self.place([(x, y)])[0])

    @property
    def unit(self) -> float:
        """Pixels of the picture in one unit of this pen."""
        return math.sqrt(abs(float(np.linalg.det(self.matrix))))

    def place(self, points: ArrayLike) -> Points:
        """(N, 2) points in pixels of the picture."""
        return np.asarray(points, np.float64) @ self.matrix.T + self.origin

    def unplace(self, points: ArrayLike) -> Points:
        """(N, 2) pixels of the picture in units of this pen."""
        return (np.asarray(points, np.float64) - self.origin) @ np.linalg.inv(self.matrix).T

    def fill(self, points: ArrayLike, colour: Colour) -> None:
        """A filled polygon."""
        placed = self.place(points)
        self.canvas.cover(placed, 0.0)
        cv2.fillPoly(self.canvas.fine, [_fixed(placed)], colour, cv2.LINE_8, _SHIFT)

    def stroke(
        self, points: ArrayLike, width: float, colour: Colour, *, is_closed: bool = False
    ) -> None:
        """A line with round ends and joints, `width` units thick."""
        placed = self.place(points)
        thickness = max(round(width * self.unit * _FINE), 1)
        self.canvas.cover(placed, thickness / _FINE / 2)
        cv2.polylines(
            self.canvas.fine, [_fixed(placed)], is_closed, colour, thickness, cv2.LINE_8, _SHIFT
        )

    def limb(self, points: ArrayLike, width: float, colour: Colour, edge: Colour) -> None:
        """A stroke with a thin dark edge, so that it stands out from its like."""
        self.stroke(points, width + max(0.14 * width, 1.0 / self.unit), edge)
        self.stroke(points, width, colour)

    def disc(
        self, x: float, y: float, radius: float, colour: Colour, *, inside: ArrayLike | None = None
    ) -> None:
        """A filled circle, cut to the polygon `inside` where one is given."""
        placed = self.place([(x, y)])
        reach = radius * self.unit
        centre, fixed = _fixed(placed)[0], max(round(reach * _FINE * 2**_SHIFT), 2**_SHIFT // 2)
        if inside is None:
            self.canvas.cover(placed, reach)
            cv2.circle(self.canvas.fine, centre.tolist(), fixed, colour, -1, cv2.LINE_8, _SHIFT)
            return
        region = _fixed(self.place(inside))
        left, top = np.maximum(region.min(axis=0) >> _SHIFT, 0)
        right, bottom = (region.max(axis=0) >> _SHIFT) + 2
        part = self.canvas.fine[top:bottom, left:right]
        if part.size == 0:
            return
        offset = np.array([left, top]) << _SHIFT
        mask, disc = (np.zeros(part.shape[:2], np.uint8) for _ in range(2))
        cv2.fillPoly(mask, [region - offset.astype(np.int32)], 1, cv2.LINE_8, _SHIFT)
        cv2.circle(disc, (centre - offset).tolist(), fixed, 1, -1, cv2.LINE_8, _SHIFT)
        part[(mask & disc) > 0] = colour

    def oval(self, x: float, y: float, rx: float, ry: float, colour: Colour) -> None:
        """A filled ellipse along this pen's axes."""
        self.fill(oval(x, y, rx, ry), colour)

    def block(self, x1: float, y1: float, x2: float, y2: float, colour: Colour) -> None:
        """A filled rectangle along this pen's axes."""
        self.fill([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], colour)


_TURN = np.linspace(0.0, 2 * np.pi, 28, endpoint=False)
_CIRCLE = np.stack([np.cos(_TURN), np.sin(_TURN)], axis=1)


def oval(x: float, y: float, rx: float, ry: float) -> Points:
    """(28, 2) points of an ellipse."""
    return _CIRCLE * (rx, ry) + (x, y)


def curve(points: Sequence[tuple[float, float]], steps: int = 5) -> Points:
    """A smooth line (Catmull-Rom) through `points`, `steps` pieces between two of them."""
    known = np.asarray(points, np.float64)
    padded = np.concatenate([2 * known[:1] - known[1:2], known, 2 * known[-1:] - known[-2:-1]])
    t = np.linspace(0.0, 1.0, steps, endpoint=False)[:, None]
    a, b, c, d = (padded[i : len(padded) - 3 + i, None] for i in range(4))
    pieces = 0.5 * (
        2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3
    )
    return np.concatenate([pieces.reshape(-1, 2), known[-1:]])


def shade(colour: Colour, factor: float) -> Colour:
    """Darker (factor < 1) or lighter."""
    red, green, blue = (min(max(round(value * factor), 0), 255) for value in colour)
    return red, green, blue


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """`share` of the second colour in the first."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(first, second, strict=True))
    return red, green, blue


def _fixed(placed: Points) -> NDArray[np.int32]:
    """Pixels of the picture as OpenCV's fixed-point fine pixels (centre of a pixel = whole)."""
    fine = placed * _FINE - 0.5
    return np.asarray(np.round(np.clip(fine, -20000, 20000) * 2**_SHIFT), np.int32)
