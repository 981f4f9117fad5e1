"""The measures of the five benchmarks, each as its dataset's owners compute it where they do."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.floating]  # (N, C) probabilities or logits
Labels = NDArray[np.integer]  # (N,) class indices


def accuracy(scores: Scores, labels: Labels) -> float:
    """Share of samples whose highest score is the true class (top 1)."""
    return float((scores.argmax(axis=1) == labels).mean())


def balanced_accuracy(scores: Scores, labels: Labels) -> float:
    """Mean over the classes present of the share that is recognised (macro recall)."""
    hits = scores.argmax(axis=1) == labels
    return float(np.mean([hits[labels == label].mean() for label in np.unique(labels)]))


def mean_average_precision(scores: Scores, labels: Labels) -> float:
    """Mean over classes of one-against-rest average precision, without interpolation.

    The form of scikit-learn's `average_precision_score(average="macro")`, as published code for
    PISC uses it: sum over distinct thresholds of (recall step) * precision. Classes without a
    sample are left out.
    """
    present = np.unique(labels)
    return float(np.mean([_average_precision(scores[:, c], labels == c) for c in present]))


def _average_precision(scores: NDArray[np.floating], truth: NDArray[np.bool_]) -> float:
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(truth[order])
    # Equal scores make one threshold: only the last of each run counts.
    last = np.append(np.diff(scores[order]) != 0, True)
    hits, ranks = hits[last], (np.arange(len(order)) + 1)[last]
    return float(np.sum(np.diff(hits, prepend=0) * hits / ranks) / hits[-1])


def peak_point(heatmap: NDArray[np.floating]) -> tuple[float, float]:
    """The point that a heatmap names in the official evaluation of GazeFollow by Gaze-LLE.

    The upper left corner of the highest cell, in fractions, without a half-cell shift.
    """
    row, column = np.unravel_index(int(heatmap.argmax()), heatmap.shape)
    return float(column) / heatmap.shape[1], float(row) / heatmap.shape[0]


def gaze_distances(
    point: tuple[float, float], annotated: Sequence[tuple[float, float]]
) -> tuple[float, float]:
    """(to the mean of the annotators' points, to the nearest of them), in fractions.

    Gaze-LLE's evaluation: "avg L2" is the distance to the mean point, not the mean of distances.
    """
    truth = np.asarray(annotated, dtype=np.float64)
    own = np.asarray(point, dtype=np.float64)
    nearest = float(np.linalg.norm(truth - own, axis=1).min())
    return float(np.linalg.norm(truth.mean(axis=0) - own)), nearest


def area_under_roc(scores: NDArray[np.floating], truth: NDArray[np.bool_]) -> float:
    """Area under the ROC curve from ranks, ties at half: equal to scikit-learn's value.

    Raises:
        ValueError: all samples are of one class.
    """
    flat, hits = scores.reshape(-1), truth.reshape(-1)
    positive, negative = flat[hits], flat[~hits]
    if not len(positive) or not len(negative):
        raise ValueError("the area under the curve needs samples of both classes")
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, side="left")
    upto = np.searchsorted(ordered, positive, side="right")
    return float((below + upto).sum() / (2 * len(positive) * len(negative)))
