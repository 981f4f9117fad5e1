"""The measures of the five benchmarks, each as its dataset's owners compute it where they do.

What counts right and wrong answers is in `sfedge.scoring.figures`; here is what ranks samples and
what looks at heatmaps. `docs/recipe.md` says which task is scored by which. Shares and areas lie
in [0, 1], distances are in fractions of the picture's width and height, for any aspect ratio.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, precision_recall_curve

from sfedge.core.decode import highest
from sfedge.scoring.figures import Points, area_under_roc

Scores = NDArray[np.floating]  # (N, C) probabilities or logits
Labels = NDArray[np.integer]  # (N,) class indices


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
