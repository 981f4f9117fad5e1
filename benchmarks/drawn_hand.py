"""A raised open hand, drawn: the photographs of `people_pictures` show none."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from sfedge.core.structures import Image

Point = tuple[float, float]
Limb = tuple[Sequence[Point], Sequence[float]]  # joints and the radius at each

# The palm side of a right hand that points up. Unit: about a palm's width; origin: the wrist.
_FINGERS: tuple[Limb, ...] = (
    (((-0.36, 1.02), (-0.47, 1.45), (-0.53, 1.72), (-0.57, 1.95)), (0.115, 0.105, 0.095, 0.075)),
    (((-0.13, 1.10), (-0.17, 1.63), (-0.19, 1.95), (-0.20, 2.20)), (0.135, 0.12, 0.11, 0.085)),
    (((0.11, 1.12), (0.13, 1.70), (0.14, 2.05), (0.145, 2.32)), (0.14, 0.125, 0.115, 0.09)),
    (((0.35, 1.06), (0.46, 1.58), (0.52, 1.88), (0.56, 2.13)), (0.135, 0.12, 0.11, 0.085)),
    (((0.30, 0.25), (0.62, 0.60), (0.86, 0.92), (1.00, 1.18)), (0.21, 0.165, 0.135, 0.10)),
)
_PALM: tuple[Limb, ...] = (
    (((0.0, -0.9), (0.0, 0.05)), (0.33, 0.30)),  # forearm
    (((0.22, 0.25), (0.34, 0.55)), (0.29, 0.23)),  # ball of the thumb
    (((-0.25, 0.25), (-0.30, 0.60)), (0.21, 0.18)),
    *(
        (((0.75 * x, 0.12), (1.15 * x, 0.98 - 0.25 * abs(x))), (0.20, 0.17))
        for x in (-0.3, -0.2, -0.1, 0.0, 0.1, 0.2, 0.3)
    ),
)
_CREASES: tuple[Sequence[Point], ...] = (
    ((0.42, 0.86), (0.34, 0.84), (0.18, 0.74), (0.05, 0.58), (-0.01, 0.36), (0.0, 0.12)),
    ((0.40, 0.88), (0.15, 0.75), (-0.2, 0.62), (-0.38, 0.5)),
    ((-0.44, 0.80), (-0.2, 0.82), (0.05, 0.92), (0.2, 1.03)),
    ((-0.26, 0.02), (0.0, -0.02), (0.26, 0.03)),
)
_LEFT, _RIGHT, _TOP, _BOTTOM = -1.1, 1.3, 2.6, -0.8  # the drawn part of the plane, in units
_LIGHT = np.array([-0.42, -0.52, 0.74], np.float32)  # from above left, as in the photographs


def draw_hand(unit: float, skin: Sequence[float]) -> tuple[Image, NDArray[np.float32], Point]:
    """A hand with a piece of forearm, lit and shaded.

    Args:
        unit: pixels of about a palm's width; the hand is 2.4 of them long.
        skin: its colour in full light, RGB.

    Returns:
        (H, W, 3) RGB, (H, W) opacity in [0, 1], and where the wrist is in pixels.
    """
    height, width = round((_TOP - _BOTTOM) * unit), round((_RIGHT - _LEFT) * unit)
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    x, y = _LEFT + columns / unit, _TOP - rows / unit
    bumps = [_bump(x, y, *limb) for limb in (*_PALM, *_FINGERS)]
    # A smooth maximum, so that fingers grow out of the palm without a seam.
    relief = np.log(np.exp(40 * np.stack(bumps)).sum(0) - len(bumps) + 1) / 40
    relief = cv2.GaussianBlur(relief.astype(np.float32), (0, 0), 0.022 * unit)
    light = 0.42 + 0.68 * _lit(relief, unit)
    random = np.random.default_rng(0)
    blotches = cv2.GaussianBlur(random.normal(0, 1, light.shape), (0, 0), 0.06 * unit)
    colour = light[..., None] * np.asarray(skin, np.float32)
    colour += np.clip(1 - light, 0, 1)[..., None] * (16, -6, -8)  # blood shows in the shade
    colour += (blotches / blotches.std())[..., None] * (2.5, -1.5, -1.5)
    for joints, _ in _FINGERS:
        tip_x, tip_y = joints[-1]
        near = np.exp(-((x - tip_x) ** 2 + (y - tip_y) ** 2) / 0.02)
        colour += near[..., None] * (8, -8, -4)
    creases = _creases(height, width, unit)[..., None]
    colour = colour * (1 - 0.2 * creases) + creases * (6, -2, -2)
    colour *= 0.72 + 0.28 * np.clip(relief / 0.1, 0, 1)[..., None]  # darker towards the edge
    opacity = (np.max(bumps, axis=0) > 0).astype(np.float32)
    opacity = cv2.GaussianBlur(opacity, (0, 0), max(0.01 * unit, 0.6))
    wrist = (-_LEFT * unit, _TOP * unit)
    return colour.clip(0, 255).astype(np.uint8), np.asarray(opacity, np.float32), wrist


def _bump(
    x: NDArray[np.float32], y: NDArray[np.float32], joints: Sequence[Point], radii: Sequence[float]
) -> NDArray[np.float32]:
    """Height of a limb above the plane: balls that roll from joint to joint, changing size."""
    height = np.zeros_like(x)
    for i in range(len(joints) - 1):
        (ax, ay), (bx, by) = joints[i], joints[i + 1]
        dx, dy = bx - ax, by - ay
        along = np.clip(((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy), 0, 1)
        radius = radii[i] + (radii[i + 1] - radii[i]) * along
        off = (x - ax - along * dx) ** 2 + (y - ay - along * dy) ** 2
        height = np.maximum(height, np.sqrt(np.maximum(radius**2 - off, 0)))
    return height


def _lit(relief: NDArray[np.float32], unit: float) -> NDArray[np.float32]:
    """Cosine between the surface and the light, at least 0."""
    across = cv2.Sobel(relief, cv2.CV_32F, 1, 0, scale=unit / 8)
    down = cv2.Sobel(relief, cv2.CV_32F, 0, 1, scale=unit / 8)
    cosine = -across * _LIGHT[0] - down * _LIGHT[1] + _LIGHT[2]
    length = np.sqrt(across**2 + down**2 + 1) * float(np.linalg.norm(_LIGHT))
    return np.asarray(np.maximum(cosine / length, 0), np.float32)


def _creases(height: int, width: int, unit: float) -> NDArray[np.float32]:
    """Depth of the lines of the palm and at the joints, in [0, 1]."""
    lines = [np.array(points) for points in _CREASES]
    for joints, radii in _FINGERS:
        for i in (1, 2):
            here, after = np.array(joints[i]), np.array(joints[i + 1])
            along = (after - here) / np.linalg.norm(after - here)
            across = 0.75 * radii[i] * np.array([-along[1], along[0]])
            lines.append(np.array([here - across, here + across]))
    canvas = np.zeros((height, width), np.float32)
    for points in lines:
        pixels = np.stack([points[:, 0] - _LEFT, _TOP - points[:, 1]], axis=1) * unit * 16
        thick = max(1, round(0.016 * unit))
        cv2.polylines(canvas, [pixels.round().astype(np.int32)], False, 0.8, thick, cv2.LINE_AA, 4)
    return np.asarray(cv2.GaussianBlur(canvas, (0, 0), max(0.012 * unit, 0.6)), np.float32)
