"""Square, possibly rotated regions of a picture, cut out at the size that a network takes.

Geometry ported from MediaPipe (ImageToTensorCalculator, DetectionsToRectsCalculator), Copyright The
MediaPipe Authors, Apache-2.0. Pixels are those that OpenCV 4 gives, which MediaPipe links; OpenCV 5
rounds otherwise in `warpPerspective`, but not in `remap`, which is therefore used here.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from sfedge.core.structures import Image

Points = NDArray[np.float64]

_STEPS = 32  # OpenCV 4 knows pixel positions to this part of a pixel
_BLOCK = 64  # pixels of a line that it computes from one start, which decides how sums are rounded
_LIMITS = -32768 * _STEPS, 32768 * _STEPS - 1  # of places, in steps
_LONGEST = 32766  # pixels of a side that `remap` takes
_SAME = 0.25  # sides from one region's centre to that of another that shows the same
_KEPT = 128  # maps that are kept: of whole frames, tiles and small faces, which come again


@dataclass(frozen=True, slots=True)
class Region:
    """A square of a picture, in its pixels."""

    x: float  # centre
    y: float
    side: float
    angle: float = 0.0  # radians, clockwise as the picture is seen

    def away(self, other: "Region") -> float:
        """How far another one's centre is away, in sides of this one."""
        return math.hypot(self.x - other.x, self.y - other.y) / self.side

    def to_picture(self, points: Points) -> Points:
        """Points from fractions of the region to pixels of the picture; (N, 2) both."""
        sine, cosine = math.sin(self.angle), math.cos(self.angle)
        turned = np.array([[cosine, sine], [-sine, cosine]])
        placed: Points = (points - 0.5) @ turned * self.side + (self.x, self.y)
        return placed


def around(image: Image) -> Region:
    """The square around a whole picture."""
    height, width = image.shape[:2]
    return Region(width / 2, height / 2, float(max(width, height)))


def angle_between(start: Points, end: Points, target: float) -> float:
    """The rotation of a region such that the line between two points is seen at an angle.

    Args:
        start: x, y in pixels.
        end: likewise.
        target: radians, counter-clockwise from the x-axis.

    Returns:
        Radians in [-pi, pi).
    """
    angle = target - math.atan2(start[1] - end[1], end[0] - start[0])
    return angle - 2 * math.pi * math.floor((angle + math.pi) / (2 * math.pi))


def others(regions: Sequence[Region], known: Sequence[Region]) -> list[Region]:
    """The regions without those that are about the same as known ones, each of which takes one."""
    rest = list(regions)
    for one in known:
        nearest = min(rest, key=one.away, default=None)
        if nearest is not None and one.away(nearest) < _SAME:
            rest.remove(nearest)
    return rest


def cut_out(image: Image, region: Region, size: int, *, is_black_outside: bool) -> Image:
    """The region as a picture of `size` x `size` pixels.

    Args:
        image: (H, W, 3).
        region: what to show.
        size: pixels a side of the result.
        is_black_outside: outside the picture is black; else the border pixels repeat.
    """
    if (longest := max(image.shape[:2])) > _LONGEST:  # a panorama, of which a network sees little
        step = -(-longest // _LONGEST)
        image = image[::step, ::step]
        region = Region(region.x / step, region.y / step, region.side / step, region.angle)
    maps = _kept_maps(region, size) if region.angle == 0 else _maps(region, size)
    border = cv2.BORDER_CONSTANT if is_black_outside else cv2.BORDER_REPLICATE
    return np.asarray(cv2.remap(image, *maps, cv2.INTER_LINEAR, borderMode=border), np.uint8)


def _maps(region: Region, size: int) -> tuple[NDArray[np.int16], NDArray[np.uint16]]:
    """The source of each pixel: whole pixels, and fractions of one."""
    corners = _corners(region)
    target = np.array([[0, size], [0, 0], [size, 0], [size, size]], np.float32)
    matrix = cv2.invert(cv2.getPerspectiveTransform(corners, target))[1]
    steps = np.arange(size)
    first = steps // _BLOCK * _BLOCK
    rest = steps - first
    # A square stays one, so the last row is (0, 0, 1) but for rounding, which decides ties.
    scale = matrix[2, 0] * first + matrix[2, 1] * steps[:, None]
    scale += matrix[2, 2]
    scale += matrix[2, 0] * rest
    np.divide(_STEPS, scale, out=scale)
    whole = np.empty((size, size, 2), np.int16)
    fine = []
    for axis in range(2):
        a, b, c = matrix[axis]
        places = a * first + b * steps[:, None]
        places += c
        places += a * rest
        places *= scale
        np.clip(np.rint(places, out=places), *_LIMITS, out=places)
        fine.append(places.astype(np.int32))
        whole[..., axis] = fine[axis] >> 5
    parts = (fine[1] & _STEPS - 1) * _STEPS + (fine[0] & _STEPS - 1)
    return whole, parts.astype(np.uint16)


_kept_maps = lru_cache(_KEPT)(_maps)


def _corners(region: Region) -> NDArray[np.float32]:
    """(4, 2) bottom left, top left, top right, bottom right, rounded as by cv::RotatedRect."""
    degrees = np.float32(float(np.float32(region.angle) * np.float32(180)) / math.pi)
    radians = float(degrees) * math.pi / 180
    b, a = np.float32(math.cos(radians)) / 2, np.float32(math.sin(radians)) / 2
    x, y, side = np.float32(region.x), np.float32(region.y), np.float32(region.side)
    first = (x - a * side - b * side, y + b * side - a * side)
    second = (x + a * side - b * side, y - b * side - a * side)
    opposite = [(2 * x - px, 2 * y - py) for px, py in (first, second)]
    return np.array([first, second, *opposite], np.float32)
