"""Decodes what single-shot detector networks give: a box and a score for each anchor.

Ported from MediaPipe (SsdAnchorsCalculator, TensorsToDetectionsCalculator,
NonMaxSuppressionCalculator), Copyright The MediaPipe Authors, Apache-2.0.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sfedge.detect.mediapipe.regions import Points, Region

Values = NDArray[np.float64]

_LARGEST_LOGIT = 100.0


@dataclass(frozen=True, slots=True, eq=False)
class RawDetection:
    """Something found."""

    box: Values  # (4,) x1 y1 x2 y2
    points: Points  # (K, 2)
    score: float

    def in_picture(self, region: Region) -> "RawDetection":
        """The same in pixels of the picture that an unrotated region was cut from."""
        box = region.to_picture(self.box.reshape(2, 2)).reshape(4)
        return RawDetection(box, region.to_picture(self.points), self.score)


def make_anchors(size: int, strides: Iterable[tuple[int, int]]) -> Points:
    """(N, 2) centres of the anchors in fractions of the picture.

    Args:
        size: pixels a side of what the network sees.
        strides: of each feature map: pixels between two anchors, and how many there are at each
            place.
    """
    centres = []
    for stride, count in strides:
        cells = (np.arange(size // stride) + 0.5) * stride / size
        y, x = np.meshgrid(cells, cells, indexing="ij")
        centres.append(np.repeat(np.stack([x.ravel(), y.ravel()], axis=1), count, axis=0))
    return np.concatenate(centres)


def decode(
    values: NDArray[np.float32],
    logits: NDArray[np.float32],
    anchors: Points,
    *,
    size: int,
    lowest: float,
    overlap: float,
) -> list[RawDetection]:
    """A network's detections, the surest first, in fractions of its input.

    Args:
        values: (N, 4 + 2 K) of each anchor: centre, width and height of the box, and points, in
            pixels from the anchor.
        logits: (N,) of each anchor.
        anchors: (N, 2)
        size: pixels a side of what the network sees.
        lowest: score from which a find counts.
        overlap: intersection over union above which two finds are one.
    """
    # Most anchors see nothing: no score is computed for those clearly below.
    (near,) = np.nonzero(logits >= math.log(lowest / (1 - lowest)) - 0.01)
    clipped = np.clip(logits[near].astype(np.float64), -_LARGEST_LOGIT, _LARGEST_LOGIT)
    scores = 1 / (1 + np.exp(-clipped))
    order = np.argsort(-scores, kind="stable")
    order = order[scores[order] >= lowest]
    kept, scores = near[order], scores[order]
    rows = values[kept].astype(np.float64) / size
    places = anchors[kept]
    centres, sizes = rows[:, :2] + places, rows[:, 2:4]
    points = rows[:, 4:].reshape(len(rows), (values.shape[1] - 4) // 2, 2) + places[:, None]
    is_right = (sizes > 0).all(axis=1)
    boxes = np.concatenate([centres - sizes / 2, centres + sizes / 2], axis=1)
    return _suppressed(boxes[is_right], points[is_right], scores[is_right], overlap)


def _suppressed(
    boxes: Values, points: Values, scores: Values, overlap: float
) -> list[RawDetection]:
    """One find for those that overlap: their mean, weighted by score, with the best score."""
    rest, means = np.arange(len(boxes)), []
    while len(rest):
        is_same = overlaps(boxes[rest[0]], boxes[rest]) > overlap
        same, score = rest[is_same], float(scores[rest[0]])
        weights = scores[same] / scores[same].sum()
        means.append(
            RawDetection(weights @ boxes[same], np.tensordot(weights, points[same], axes=1), score)
        )
        rest = rest[~is_same]
    return means


def overlaps(box: Values, others: Values) -> Values:
    """Intersection over union of one box, (4,), with each of others, (N, 4); (N,) in [0, 1]."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=1)
    whole = np.prod(box[2:] - box[:2]) + np.prod(others[:, 2:] - others[:, :2], axis=1) - shared
    iou: Values = np.divide(shared, whole, out=np.zeros_like(shared), where=whole > 0)
    return iou
