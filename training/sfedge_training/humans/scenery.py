"""What is around people: backgrounds, light, things to look at, and the photograph's flaws."""

import functools
from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from sfedge.core.structures import Image
from sfedge_training.drawings.background import new_canvas
from sfedge_training.humans.makehuman import Floats
from sfedge_training.humans.render_camera import Camera, Light, Solid
from sfedge_training.humans.skeleton import Vector, about, unit
from sfedge_training.humans.surface import Surface


def background(rng: np.random.Generator, width: int, height: int) -> Image:
    """(H, W, 3) a room, the open air, clutter or a plain wall, mostly out of focus."""
    # Half as fine as the picture: what is behind people is out of focus.
    small = new_canvas(rng, width // 2, height // 2).picture()
    cells = int(rng.integers(3, 12))
    few = rng.normal(1, rng.uniform(0, 0.12), (cells, cells)).astype(np.float32)
    mottle = cv2.resize(few, (width // 2, height // 2), interpolation=cv2.INTER_CUBIC)
    grey = small.mean(axis=2, keepdims=True)
    pale = grey + (small - grey) * rng.uniform(0.15, 0.8)
    lit = np.clip(pale * mottle[..., None] * rng.uniform(0.35, 1.05), 0, 255).astype(np.uint8)
    if rng.random() < 0.6:
        lit = np.asarray(cv2.GaussianBlur(lit, (0, 0), float(rng.uniform(0.6, 3.0))), np.uint8)
    return np.asarray(cv2.resize(lit, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def random_light(rng: np.random.Generator) -> Light:
    """From above or the side, warm or cold, harsh or soft, seldom dim."""
    direction = unit((rng.normal(0, 0.8), rng.uniform(-0.1, 1.0), rng.uniform(0.2, 1.0)))
    warmth = rng.normal(0, 0.06)
    tint = np.array([1 + warmth, 1.0, 1 - warmth])
    strength = rng.uniform(0.75, 1.35)
    shadow = rng.uniform(0.22, 0.7)
    cast = np.array([1 - warmth, 1.0, 1 + warmth]) * shadow
    return Light(direction, strength * tint, strength * cast)


def aimed_camera(
    target: Vector, tall: float, width: int, height: int, rng: np.random.Generator
) -> Camera:
    """A camera that sees `tall` decimetres around a point from the front.

    Args:
        target: what is in the middle of the picture.
        tall: how much of the world the picture's height shows there, decimetres.
        width: of the picture, pixels.
        height: likewise.
        rng: decides the lens, and how far the camera stands aside, is raised, and tilted.
    """
    focal = float(rng.uniform(0.8, 2.0))
    aside, above, roll = rng.normal(0, 6), rng.normal(2, 5), rng.normal(0, 2.5)
    axes = about((0, 1, 0), aside) @ about((-1, 0, 0), above) @ about((0, 0, 1), roll)
    return Camera(target + axes[:, 2] * tall * focal, axes, focal, width, height)


def stepped_back(camera: Camera, target: Vector, points: NDArray[np.float64]) -> Camera:
    """The camera as far from its target as it takes to have all points in the picture."""
    while True:
        places = camera.project(points)
        if camera.seen(points)[:, 2].max() < -1 and np.abs(places[:, :2] - 0.5).max() < 0.49:
            return camera
        camera = replace(camera, place=target + 1.1 * (camera.place - target))


def photographed(image: Image, rng: np.random.Generator) -> Image:
    """The picture with uneven light, blur, noise, and the marks of a poor JPEG."""
    height, width = image.shape[:2]
    corners = rng.uniform(0.85, 1.1, (2, 2, 1)) * rng.uniform(0.95, 1.05, (1, 1, 3))
    lit = cv2.multiply(
        image, cv2.resize(corners.astype(np.float32), (width, height)), dtype=cv2.CV_32F
    )
    kind = rng.random()
    if kind < 0.35:
        lit = cv2.GaussianBlur(lit, (0, 0), float(rng.uniform(0.3, 1.1)))
    elif kind < 0.42:
        lit = cv2.filter2D(lit, -1, _smear(rng))
    top, left = rng.integers(0, 64, 2)
    grain = _grain(height + 64, width + 64)[top : top + height, left : left + width]
    noisy = lit + np.float32(rng.gamma(1.5, 2.0)) * grain
    return np.asarray(np.clip(noisy, 0, 255), np.uint8)


def ball(place: Vector, size: float, rng: np.random.Generator) -> Solid:
    """Something round."""
    return _formed(_sphere(), place, np.full(3, size), rng)


def box(place: Vector, size: float, rng: np.random.Generator) -> Solid:
    """Something with edges: a book, a parcel, a screen."""
    return _formed(_cube(), place, size * rng.uniform(0.4, 1.4, 3), rng)


THINGS: tuple[Callable[[Vector, float, np.random.Generator], Solid], ...] = (ball, box)


def _formed(
    shape: tuple[Floats, NDArray[np.int32]], place: Vector, size: Vector, rng: np.random.Generator
) -> Solid:
    points, faces = shape
    turned = (points * size) @ about(rng.normal(0, 1, 3), rng.uniform(0, 360)).T
    cells = int(rng.choice([1, 2, 4, 8]))
    few = rng.integers(20, 250, (cells, cells, 3)).astype(np.uint8)
    sheet = cv2.resize(few, (64, 64), interpolation=cv2.INTER_NEAREST)
    moved = (turned + place).astype(np.float32)
    places = np.clip((points[:, :2] + points[:, 2:] * 0.3) * 0.4 + 0.5, 0, 1).astype(np.float32)
    return Solid(
        moved,
        Surface.of(faces, faces, len(moved)).normals(moved),
        places,
        np.ones(len(points), np.float32),
        faces,
        np.asarray(sheet, np.uint8),
    )


@functools.cache
def _sphere() -> tuple[Floats, NDArray[np.int32]]:
    rings, steps = 10, 16
    down = np.linspace(0, np.pi, rings)[:, None]
    around = np.linspace(0, 2 * np.pi, steps)[None]
    points = np.stack(
        [np.sin(down) * np.sin(around), np.cos(down) + 0 * around, np.sin(down) * np.cos(around)],
        axis=2,
    )
    return points.reshape(-1, 3).astype(np.float32), _grid(rings, steps)


@functools.cache
def _cube() -> tuple[Floats, NDArray[np.int32]]:
    points: list[NDArray[np.float64]] = []
    faces: list[NDArray[np.int64]] = []
    for axis in range(3):
        for sign in (-1.0, 1.0):
            corners = np.full((4, 3), sign)
            u, v = ((axis + 1) % 3, (axis + 2) % 3)
            corners[:, u] = (-1, 1, 1, -1)
            corners[:, v] = (-1, -1, 1, 1)
            start = len(points) * 4
            order = [[0, 1, 2], [0, 2, 3]] if sign > 0 else [[0, 2, 1], [0, 3, 2]]
            points.append(corners)
            faces.append(np.array(order) + start)
    return np.concatenate(points).astype(np.float32), np.concatenate(faces).astype(np.int32)


def _grid(rows: int, columns: int) -> NDArray[np.int32]:
    first = (np.arange(rows - 1)[:, None] * columns + np.arange(columns - 1)).ravel()
    upper = np.column_stack([first, first + columns, first + columns + 1])
    lower = np.column_stack([first, first + columns + 1, first + 1])
    return np.concatenate([upper, lower]).astype(np.int32)


def _smear(rng: np.random.Generator) -> Floats:
    """A kernel that moves the picture along a line while the shutter is open."""
    reach = int(rng.integers(1, 4))
    kernel = np.zeros((7, 7), np.float32)
    x, y = np.round(unit(rng.normal(0, 1, 2)) * reach).astype(int).tolist()
    cv2.line(kernel, (3 - x, 3 - y), (3 + x, 3 + y), (1.0,))
    return np.asarray(kernel / kernel.sum(), np.float32)


@functools.cache
def _grain(height: int, width: int) -> Floats:
    """Noise that all pictures of a size take their piece of."""
    return np.random.default_rng(8).standard_normal((height, width, 3), np.float32)
