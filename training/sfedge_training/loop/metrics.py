"""The measures of the five benchmarks, each as its dataset's owners compute it where they do.

`docs/recipe.md` says which task is scored by which. Shares and areas lie in [0, 1], distances are
in fractions of the picture's width and height, for any aspect ratio.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import (
    average_precision_score,
    cohen_kappa_score,
    confusion_matrix,
    f1_score,
    precision_recall_curve,
    recall_score,
)

from sfedge.core.decode import highest

Scores = NDArray[np.floating]  # (N, C) probabilities or logits
Labels = NDArray[np.integer]  # (N,) class indices
Points = Sequence[tuple[float, float]]  # x, y in fractions, one of each annotator


def accuracy(scores: Scores, labels: Labels) -> float:
    """Share of samples whose highest score is the true class (top 1).

    Also HaGRID's F1: with one label a picture, the micro average that its code takes is this.
    """
    return float((highest(scores) == labels).mean())


def confusion(labels: Labels, answers: Labels, classes: int) -> NDArray[np.int64]:
    """(C, C) number of samples of each class (rows) that were answered by each (columns)."""
    table: NDArray[np.int64] = confusion_matrix(labels, answers, labels=range(classes))
    return table


def class_recalls(table: NDArray[np.int64]) -> NDArray[np.float64]:
    """(C,) share of each class that is recognised, from its row of `confusion`.

    PISC's papers report these. A class without a sample has nan.
    """
    of = table.sum(axis=1)
    return np.where(of > 0, np.diag(table) / np.maximum(of, 1), np.nan)


def balanced_accuracy(scores: Scores, labels: Labels) -> float:
    """Mean over the classes present of the share that is recognised (macro recall)."""
    answers = highest(scores)
    return float(recall_score(labels, answers, labels=np.unique(labels), average="macro"))


def macro_f1(scores: Scores, labels: Labels) -> float:
    """Mean over classes of F1; those that neither occur nor are answered are left out."""
    return float(f1_score(labels, highest(scores), average="macro"))


def cohens_kappa(table: NDArray[np.int64]) -> float:
    """Agreement of two raters beyond chance, from their `confusion`: 1 is full, 0 is chance.

    Where both give one and the same label to every sample, chance is full agreement too, and the
    measure is undefined: nan.
    """
    if np.count_nonzero(table.sum(axis=0) + table.sum(axis=1)) < 2:
        return float("nan")
    first, second = np.indices(table.shape)
    counts = table.ravel()
    return float(cohen_kappa_score(first.ravel(), second.ravel(), sample_weight=counts))


def mean_average_precision(scores: Scores, labels: Labels) -> float:
    """Mean over classes of one-against-rest average precision, without interpolation.

    Published code for PISC takes scikit-learn's, too. HaGRID and AffectNet have no official one and
    take the same. Classes without a sample are left out.
    """
    present = np.unique(labels)
    return float(np.mean([average_precision_score(labels == c, scores[:, c]) for c in present]))


def interpolated_average_precision(scores: NDArray[np.floating], truth: NDArray[np.bool_]) -> float:
    """Area under the curve of the best precision at each recall or a higher one (VOC, Ego4D).

    Equal scores make one threshold. The official code takes them one by one in whatever order its
    sorting leaves them; this is the least of all the values it could give.

    Args:
        scores: (N,) of the class in question.
        truth: (N,) whether the sample is of that class.

    Returns:
        nan where no sample is of the class; the official code stops there.
    """
    if not truth.any():
        return float("nan")
    precision, recall, _ = precision_recall_curve(truth, scores)  # from full recall to none
    return float(-np.diff(recall) @ np.maximum.accumulate(precision[:-1]))


def looking_average_precisions(
    scores: NDArray[np.floating], looking: NDArray[np.bool_]
) -> tuple[float, float]:
    """(of "looking", of "not looking"); Ego4D's mAP for looking at me is the mean of the two.

    EGO4D/social-interactions, branch lam, common/metrics.py: for the second, labels and scores
    are inverted.

    Args:
        scores: (N,) probability of "looking".
        looking: (N,) the truth.
    """
    return (
        interpolated_average_precision(scores, looking),
        interpolated_average_precision(1 - scores, ~looking),
    )


def peak_point(heatmap: NDArray[np.floating]) -> tuple[float, float]:
    """The point that a heatmap names in the official evaluation of GazeFollow by Gaze-LLE.

    The upper left corner of the highest cell, in fractions, without a half-cell shift.
    """
    row, column = divmod(int(highest(heatmap[None])[0]), heatmap.shape[1])
    return column / heatmap.shape[1], row / heatmap.shape[0]


def gaze_distances(point: tuple[float, float], annotated: Points) -> tuple[float, float]:
    """(average L2, minimum L2) of Gaze-LLE's evaluation, in fractions.

    Its average L2 is the distance to the mean of the annotators' points. The paper words it as a
    mean of the distances to each, which is larger; the numbers that it compares with are these.
    """
    truth = np.asarray(annotated, dtype=np.float64)
    own = np.asarray(point, dtype=np.float64)
    nearest = float(np.linalg.norm(truth - own, axis=1).min())
    return float(np.linalg.norm(truth.mean(axis=0) - own)), nearest


def gaze_area_under_roc(
    heatmap: NDArray[np.float32], annotated: Points, size: tuple[int, int]
) -> float:
    """AUC of Gaze-LLE's evaluation: the map at the picture's size against single marked pixels.

    Args:
        heatmap: (H, W) confidence in [0, 1], so after the sigmoid; it is enlarged bilinearly.
        annotated: each marks the one pixel it lies in; those with a negative x are skipped.
        size: the picture's width and height in pixels.
    """
    width, height = size
    full = torch.nn.functional.interpolate(
        torch.from_numpy(heatmap)[None, None], size=(height, width), mode="bilinear"
    )[0, 0].numpy()
    truth = np.zeros((height, width), dtype=np.bool_)
    for x, y in annotated:
        if x >= 0:
            truth[min(int(y * height), height - 1), min(int(x * width), width - 1)] = True
    return area_under_roc(full, truth)


def area_under_roc(scores: NDArray[np.floating], truth: NDArray[np.bool_]) -> float:
    """Area under the ROC curve from ranks, ties at half: equal to scikit-learn's value.

    Only the smaller class is sorted, which for a few marked pixels costs next to nothing.

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
