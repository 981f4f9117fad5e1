"""What stands behind drawn people, and the light that falls on the finished picture."""

import functools

import cv2
import numpy as np
from numpy.typing import NDArray

from sfedge.core.structures import Image
from sfedge_training.drawings.canvas import Canvas, Colour, Pen, shade
from sfedge_training.drawings.look import bright


def new_canvas(rng: np.random.Generator, width: int, height: int) -> Canvas:
    """A canvas with a random background: plain, shaded, blotched, a room or the open air."""
    canvas = Canvas(_paper(rng, width, height))
    kind = rng.random()
    pen = canvas.pen
    if kind < 0.25:
        _draw_room(pen, rng, width, height)
    elif kind < 0.4:
        _draw_outdoors(pen, rng, width, height)
    elif kind < 0.6:
        _draw_clutter(pen, rng, width, height)
    canvas.forget_extent()
    return canvas


def _paper(rng: np.random.Generator, width: int, height: int) -> Image:
    cells = int(rng.choice([1, 2, 2, 3, 5, 9]))
    base = np.asarray(bright(rng), np.float64)
    spread = 0 if cells == 1 else float(rng.uniform(5, 60))
    small = np.clip(base + rng.normal(0, spread, (cells, cells, 3)), 0, 255).astype(np.uint8)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _draw_room(pen: Pen, rng: np.random.Generator, width: int, height: int) -> None:
    wall, line = bright(rng), float(rng.uniform(0.6, 0.85)) * height
    pen.block(0, 0, width, height, wall)
    pen.block(0, line, width, height, shade(bright(rng), 0.8))
    pen.block(0, line, width, line + 0.015 * height, shade(wall, 0.6))
    for _ in range(int(rng.integers(1, 4))):
        x, y = rng.uniform(0, width), rng.uniform(0, line * 0.6)
        w, h = rng.uniform(0.1, 0.3) * width, rng.uniform(0.1, 0.35) * height
        pen.block(x, y, x + w, y + h, shade(wall, 0.55))
        inner = (150, 190, 226) if rng.random() < 0.5 else bright(rng)
        pen.block(x + 4, y + 4, x + w - 4, y + h - 4, inner)


def _draw_outdoors(pen: Pen, rng: np.random.Generator, width: int, height: int) -> None:
    line = float(rng.uniform(0.45, 0.75)) * height
    pen.block(0, 0, width, height, shade((150, 196, 236), float(rng.uniform(0.6, 1.05))))
    ground: Colour = ((96, 140, 70), (168, 164, 158), (206, 188, 140))[rng.integers(3)]
    for _ in range(int(rng.integers(1, 6))):
        x, w = rng.uniform(-0.1, 1) * width, rng.uniform(0.1, 0.25) * width
        top = line - rng.uniform(0.1, 0.5) * height
        if rng.random() < 0.5:
            pen.block(x, top, x + w, line, bright(rng, 0.8))
        else:
            pen.block(x + w * 0.4, top, x + w * 0.6, line, (92, 64, 42))
            pen.disc(x + w * 0.5, top, w * 0.6, shade((70, 120, 60), float(rng.uniform(0.6, 1.2))))
    pen.block(0, line, width, height, shade(ground, float(rng.uniform(0.7, 1.1))))


def _draw_clutter(pen: Pen, rng: np.random.Generator, width: int, height: int) -> None:
    for _ in range(int(rng.integers(2, 9))):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        w, h = rng.uniform(0.04, 0.3, 2) * min(width, height)
        kind, colour = rng.integers(3), bright(rng)
        if kind == 0:
            pen.block(x, y, x + w, y + h, colour)
        elif kind == 1:
            pen.oval(x, y, w, h, colour)
        else:
            pen.stroke([(x, y), (x + 3 * (w - h), y + 3 * (h - 0.1 * w))], w * 0.2, colour)


def photographed(canvas: Canvas, rng: np.random.Generator) -> Image:
    """The finished picture as a camera sees it: uneven light, a cast, slight blur and noise."""
    image = canvas.picture()
    corners = rng.uniform(0.72, 1.12, (2, 2, 1)) * rng.uniform(0.93, 1.07, (1, 1, 3))
    light = cv2.resize(corners.astype(np.float32), (canvas.width, canvas.height))
    if rng.random() < 0.4:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.4, 0.9))), np.uint8)
    lit = np.asarray(cv2.multiply(image, light, dtype=cv2.CV_32F), np.float32)
    height, width = image.shape[:2]
    y, x = rng.integers(0, 64, 2)
    lit += _grain()[y : y + height, x : x + width] * np.float32(rng.uniform(0, 7))
    return np.asarray(np.clip(lit, 0, 255), np.uint8)


@functools.cache
def _grain() -> NDArray[np.float32]:
    """Noise that all pictures take their piece of."""
    return np.random.default_rng(7).standard_normal((576, 576, 3), np.float32)
