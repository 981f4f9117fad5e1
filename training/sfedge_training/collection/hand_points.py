"""The landmarks of a hand whose box is known, where a detector of palms may see none."""

import math

import numpy as np

from sfedge.core.boxes import Box
from sfedge.core.landmarks import HandLandmarks
from sfedge.core.structures import Image
from sfedge.detect.mediapipe.hand_finder import HandFinder
from sfedge.detect.mediapipe.regions import Region
from sfedge.detect.mediapipe.wrist_regions import region_of_hand

_AROUND = 1.4  # side of the square that is seen, of the box's longer side
_TURNS = (0.0, math.pi / 2, -math.pi / 2, math.pi)
_SURE = 0.985  # presence from which no other rotation is tried; wrong ones reach .98
_LOWEST = 0.5
_TURNED, _GROWN, _MOVED = 0.4, 1.3, 0.15  # radians; times; of the side: more is worth another look


def hand_in(finder: HandFinder, image: Image, box: Box) -> HandLandmarks | None:
    """The hand in a box, in fractions of the picture; None where the network sees none.

    The landmark network sees the box in up to four rotations. Where its landmarks say that the hand
    lies otherwise, it looks once more.

    Args:
        finder: whose networks look.
        image: (H, W, 3).
        box: around the hand.

    Raises:
        DetectorError: the network fails.
    """
    height, width = image.shape[:2]
    side = _AROUND * max(box.width * width, box.height * height)
    looks = []
    for turn in _TURNS:
        region = Region(box.centre[0] * width, box.centre[1] * height, side, turn)
        looks.append((finder.look(image, region), region))
        if looks[-1][0].presence >= _SURE:
            break
    found, region = max(looks, key=lambda look: look[0].presence)
    again = region_of_hand(found.points)
    if not _are_alike(region, again):
        found = max(found, finder.look(image, again), key=lambda hand: hand.presence)
    if found.presence <= _LOWEST:
        return None
    points = found.points / (width, height, width)
    return HandLandmarks(points.astype(np.float32), found.side)


def _are_alike(a: Region, b: Region) -> bool:
    turned = abs(math.remainder(a.angle - b.angle, 2 * math.pi))
    moved = math.hypot(a.x - b.x, a.y - b.y) / a.side
    return turned < _TURNED and moved < _MOVED and 1 / _GROWN < a.side / b.side < _GROWN
