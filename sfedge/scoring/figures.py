"""The figures of right and wrong answers; training measures with the same.

Labels and answers are indices of C classes. C itself is no answer: nobody was found, or the
generated text cannot be parsed. It counts as wrong. Figures that are undefined are nan.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.integer]
Counts = NDArray[np.int64]  # (C, C + 1) as `confusion` makes it
Points = Sequence[tuple[float, float]]  # x, y in fractions, one of each annotator

BINS = 15  # of the calibration error
_FEWEST = 10  # answers in a bin


def confusion(labels: Indices, answers: Indices, classes: int) -> Counts:
    """How many samples of each class (rows) were answered by each (columns).

    Args:
        labels: (N,) in 0 to C - 1.
        answers: (N,) in 0 to C.
        classes: C.

    Returns:
        (C, C + 1); the last column counts samples without an answer.
    """
    cells = np.asarray(labels, np.int64) * (classes + 1) + answers
    return np.bincount(cells, minlength=classes * (classes + 1)).reshape(classes, classes + 1)


def accuracy(table: Counts) -> float:
    """Share of samples that are answered by their class (top 1).

    Also HaGRID's F1: with one label a picture, the micro average that its code takes is this.
    """
    return _share(np.trace(table), table.sum())


def class_recalls(table: Counts) -> NDArray[np.float64]:
    """(C,) share of each class's samples that are answered by it; PISC's papers report these.

    A class without a sample has nan.
    """
    return _shares(_hits(table), table.sum(axis=1))


def class_precisions(table: Counts) -> NDArray[np.float64]:
    """(C,) share of the answers of each class that are right; nan for one that is not answered."""
    return _shares(_hits(table), table[:, : len(table)].sum(axis=0))


def class_f1s(table: Counts) -> NDArray[np.float64]:
    """(C,) harmonic mean of recall and precision; nan for what neither occurs nor is answered."""
    return _shares(2 * _hits(table), table.sum(axis=1) + table[:, : len(table)].sum(axis=0))


def balanced_accuracy(table: Counts) -> float:
    """Mean over the classes that occur of the share that is recognised (macro recall)."""
    return _mean(class_recalls(table))


def macro_f1(table: Counts) -> float:
    """Mean over classes of F1; those that neither occur nor are answered are left out."""
    return _mean(class_f1s(table))


def area_under_roc(scores: NDArray[np.floating], truth: NDArray[np.bool_]) -> float:
    """Area under the ROC curve from ranks, ties at half: equal to scikit-learn's value.

    Only the smaller class is sorted, which for a few marked pixels costs next to nothing.

    Args:
        scores: of any shape, the higher the surer of True.
        truth: of the same shape.

    Raises:
        ValueError: all samples are of one class.
    """
    flat, hits = scores.reshape(-1), truth.reshape(-1)
    positive, negative = flat[hits], flat[~hits]
    if not len(positive) or not len(negative):
        raise ValueError("the area under the curve needs samples of both classes")
    few, many = sorted((positive, negative), key=len)
    ordered = np.sort(few)
    below = int(np.searchsorted(ordered, many, side="left").sum())
    upto = int(np.searchsorted(ordered, many, side="right").sum())
    share = (below + upto) / (2 * len(few) * len(many))  # of pairs in which `many` is the higher
    return share if many is positive else 1 - share


def calibration_error(certainty: NDArray[np.floating], right: NDArray[np.bool_]) -> float:
    """Expected calibration error, with bins that hold equally many answers.

    Mean over the bins of the distance between the mean certainty and the share that is right,
    each weighted by its answers.

    Args:
        certainty: (N,) probability of each answer.
        right: (N,) whether it is right. There are `BINS` bins; fewer where one would hold fewer
            than ten answers.
    """
    if not len(certainty):
        return float("nan")
    order = np.argsort(certainty, kind="stable")
    bins = np.array_split(order, min(BINS, max(len(order) // _FEWEST, 1)))
    gaps = [len(b) * abs(float(certainty[b].mean()) - float(right[b].mean())) for b in bins]
    return float(sum(gaps) / len(order))


def gaze_distances(point: tuple[float, float], annotated: Points) -> tuple[float, float]:
    """(average L2, minimum L2) of Gaze-LLE's evaluation, in fractions.

    Its average L2 is the distance to the mean of the annotators' points. The paper words it as a
    mean of the distances to each, which is larger; the numbers that it compares with are these.
    """
    truth = np.asarray(annotated, dtype=np.float64)
    own = np.asarray(point, dtype=np.float64)
    nearest = float(np.linalg.norm(truth - own, axis=1).min())
    return float(np.linalg.norm(truth.mean(axis=0) - own)), nearest


def _hits(table: Counts) -> Counts:
    return np.diagonal(table)


def _shares(part: Counts, whole: Counts) -> NDArray[np.float64]:
    return np.where(whole > 0, part / np.maximum(whole, 1), np.nan)


def _share(part: float, whole: float) -> float:
    return float(part / whole) if whole else float("nan")


def _mean(values: NDArray[np.float64]) -> float:
    """Of those that are defined."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
