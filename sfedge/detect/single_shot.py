"""Decodes what single-shot detector networks give: a box and a score for each anchor.

Ported from MediaPipe (SsdAnchorsCalculator, TensorsToDetectionsCalculator,
NonMaxSuppressionCalculator), Copyright The MediaPipe Authors, Apache-2.0.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sfedge.detect.regions import Points, Region

_LARGEST_LOGIT = 100.0


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """Something found."""

    box: NDArray[np.float64]  # (4,) x1 y1 x2 y2
    points: Points  # (K, 2)
    score: float

    def in_picture(self, region: Region) -> "Shot":
        """The same in pixels of the picture that an unrotated region was cut from."""
        box = region.to_picture(self.box.reshape(2, 2)).reshape(4)
        return Shot(box, region.to_picture(self.points), self.score)


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
) -> list[Shot]:
    """What a network found, the surest first, in fractions of what it saw.

    Args:
        values: (N, 4 + 2 K) of each anchor: centre, width and height of the box, and points, in
            pixels from the anchor.
        logits: (N,) of each anchor.
        anchors: (N, 2)
        size: pixels a side of what the network sees.
        lowest: score from which a find counts.
        overlap: intersection over union above which two finds are one.
    """
    clipped = np.clip(logits.astype(np.float64), -_LARGEST_LOGIT, _LARGEST_LOGIT)
    scores = 1 / (1 + np.exp(-clipped))
    (kept,) = np.nonzero(scores >= lowest)
    rows = values[kept].astype(np.float64) / size
    centres, sizes = rows[:, :2] + anchors[kept], rows[:, 2:4]
    points = rows[:, 4:].reshape(len(rows), (values.shape[1] - 4) // 2, 2) + anchors[kept][:, None]
    boxes = np.concatenate([centres - sizes / 2, centres + sizes / 2], axis=1)
    order = np.argsort(-scores[kept], kind="stable")
    shots = [Shot(boxes[i], points[i], float(scores[kept[i]])) for i in order]
    return _suppressed([shot for shot in shots if (shot.box[2:] > shot.box[:2]).all()], overlap)


def _suppressed(shots: Sequence[Shot], overlap: float) -> list[Shot]:
    """One find for those that overlap: their mean, weighted by score, with the best score."""
    rest, means = list(shots), []
    while rest:
        best = rest[0]
        shares = overlaps(best.box, np.array([shot.box for shot in rest]))
        same = [shot for shot, share in zip(rest, shares, strict=True) if share > overlap]
        rest = [shot for shot, share in zip(rest, shares, strict=True) if share <= overlap]
        weights = [shot.score for shot in same]
        box = np.average([shot.box for shot in same], axis=0, weights=weights)
        points = np.average([shot.points for shot in same], axis=0, weights=weights)
        means.append(Shot(box, points, best.score))
    return means


def overlaps(box: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intersection over union of one box, (4,), with each of others, (N, 4); (N,) in [0, 1]."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=1)
    whole = np.prod(box[2:] - box[:2]) + np.prod(others[:, 2:] - others[:, :2], axis=1) - shared
    shares: NDArray[np.float64] = np.divide(
        shared, whole, out=np.zeros_like(shared), where=whole > 0
    )
    return shares
