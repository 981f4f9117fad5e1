"""Persons: their places by one network, 33 landmarks of each by another.

Constants and rules ported from MediaPipe's pose landmarker, Copyright The MediaPipe Authors,
Apache-2.0.
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sfedge.core.structures import Image
from sfedge.detect.mediapipe.detected_points import FoundPose, Values
from sfedge.detect.mediapipe.network_call import NetworkCall
from sfedge.detect.mediapipe.regions import Region, angle_between, around, others
from sfedge.detect.mediapipe.single_shot import decode, make_anchors
from sfedge.engines.small_network import SmallNetwork

_PERSON_SIZE, _POSE_SIZE = 224, 256
_OVERLAP = 0.5
_HIPS, _REACH = 0, 1  # a person's points: the centre, and one on the circle around the whole body
_GROWTH = 1.25
# The network's landmarks are those of the body, two that define where it will be seen again, as
# those of the person network, and others.
_POINTS, _CENTRE, _CIRCLE, _SEEN = 33, 33, 34, 35
_REACH_CELLS = 3  # a landmark is refined by the heatmap's cells up to this far from it
_SURE = 0.5  # least value of such a cell


class PoseFinder:
    """Finds persons.

    Args:
        person: the person network.
        pose: the landmark network; outputs: landmarks, presence, heatmap.
        most: persons in one picture.
        lowest: score of a person, and of a pose's presence, above which they count.
    """

    def __init__(
        self, person: SmallNetwork, pose: SmallNetwork, *, most: int, lowest: float
    ) -> None:
        self._person = NetworkCall(person, low=-1.0, high=1.0)
        self._pose = NetworkCall(pose, low=0.0, high=1.0)
        self._most, self._lowest = most, lowest
        self._anchors = make_anchors(_PERSON_SIZE, [(8, 2), (16, 2), (32, 6)])

    def find(self, image: Image, known: Sequence[Region] = ()) -> list[FoundPose]:
        """The persons in a picture, the surest first.

        Args:
            image: (H, W, 3).
            known: where persons were found already, who are not looked at.

        Raises:
            DetectorError: a network fails.
        """
        poses = [self.find_again(image, region) for region in others(self.regions(image), known)]
        return [pose for pose in poses if pose is not None]

    def regions(self, image: Image) -> list[Region]:
        """Where persons may be, the surest first."""
        whole = around(image)
        values, logits = self._person(image, whole, _PERSON_SIZE, is_black_outside=True)
        persons = decode(
            values[0],
            logits[0, :, 0],
            self._anchors,
            size=_PERSON_SIZE,
            lowest=self._lowest,
            overlap=_OVERLAP,
        )
        found = [person.in_picture(whole).points for person in persons[: self._most]]
        return [_region(points[_HIPS], points[_REACH]) for points in found]

    def find_again(self, image: Image, region: Region) -> FoundPose | None:
        """The person in a region; None where none is sure.

        Raises:
            DetectorError: the network fails.
        """
        values, presence, heatmap = self._pose(image, region, _POSE_SIZE, is_black_outside=False)
        if float(presence.item()) <= self._lowest:
            return None
        rows = values.reshape(-1, 5)
        points = refined((rows[:_SEEN, :2] / _POSE_SIZE).astype(np.float32), heatmap[0])
        placed = region.to_picture(points)
        visibility = 1 / (1 + np.exp(-rows[:_POINTS, 3].astype(np.float64)))
        again = _region(placed[_CENTRE], placed[_CIRCLE])
        return FoundPose(np.column_stack([placed[:_POINTS], visibility]), again)


def refined(places: NDArray[np.float32], heatmap: NDArray[np.float32]) -> Values:
    """Landmarks moved to the middle of what the heatmap shows around them.

    Args:
        places: (N, 2) in fractions of the region.
        heatmap: (H, W, at least N) logits.
    """
    height, width = heatmap.shape[:2]
    moved = places.astype(np.float64)
    for i, (x, y) in enumerate(places):
        column, row = int(x * np.float32(width)), int(y * np.float32(height))
        if not (0 <= column < width and 0 <= row < height):
            continue
        left, top = max(column - _REACH_CELLS, 0), max(row - _REACH_CELLS, 0)
        cells = heatmap[top : row + _REACH_CELLS + 1, left : column + _REACH_CELLS + 1, i]
        weights = 1 / (1 + np.exp(-cells.astype(np.float64)))
        if weights.max() < _SURE:
            continue
        total = weights.sum()
        moved[i, 0] = (weights.sum(axis=0) @ np.arange(left, left + cells.shape[1])) / total / width
        moved[i, 1] = (weights.sum(axis=1) @ np.arange(top, top + cells.shape[0])) / total / height
    return moved


def _region(centre: Values, edge: Values) -> Region:
    """The circle around a whole body as a square, rotated so that the person is upright.

    Args:
        centre: (2,) of the circle, between the hips.
        edge: (2,) of the circle, above the head.
    """
    reach = float(np.linalg.norm(edge - centre))
    return Region(
        float(centre[0]),
        float(centre[1]),
        2 * reach * _GROWTH,
        angle_between(centre, edge, math.pi / 2),
    )
