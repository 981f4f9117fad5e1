"""The measures against scikit-learn, brute force and the official evaluations' own numbers."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, recall_score, roc_auc_score

from training.metrics import (
    accuracy,
    area_under_roc,
    balanced_accuracy,
    gaze_distances,
    mean_average_precision,
    peak_point,
)


@st.composite
def scored(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Scores with many ties, and labels of 2 to 5 classes."""
    classes = draw(st.integers(2, 5))
    count = draw(st.integers(2, 40))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scores = random.integers(0, draw(st.sampled_from([3, 1000])), (count, classes)) / 10
    return scores, random.integers(0, classes, count)


@given(scored())
def test_average_precision_is_that_of_scikit_learn(case: tuple[np.ndarray, np.ndarray]) -> None:
    scores, labels = case
    present = np.unique(labels)
    reference = np.mean([average_precision_score(labels == c, scores[:, c]) for c in present])
    assert mean_average_precision(scores, labels) == pytest.approx(reference, abs=1e-12)


@given(scored())
def test_accuracies_are_those_of_scikit_learn(case: tuple[np.ndarray, np.ndarray]) -> None:
    scores, labels = case
    chosen = np.array([max(range(len(row)), key=lambda c: (row[c], -c)) for row in scores])
    assert accuracy(scores, labels) == pytest.approx(float(np.mean(chosen == labels)))
    present = np.unique(labels)
    reference = recall_score(labels, chosen, labels=present, average="macro")
    assert balanced_accuracy(scores, labels) == pytest.approx(reference)


@given(st.integers(0, 2**32 - 1), st.integers(2, 6))
def test_area_under_roc_is_that_of_scikit_learn(seed: int, levels: int) -> None:
    random = np.random.default_rng(seed)
    scores = random.integers(0, levels, (9, 7)) / levels
    truth = np.zeros((9, 7), dtype=bool)
    truth.reshape(-1)[random.choice(63, 5, replace=False)] = True
    assert area_under_roc(scores, truth) == pytest.approx(
        roc_auc_score(truth.reshape(-1), scores.reshape(-1)), abs=1e-12
    )


def test_area_under_roc_refuses_a_single_class() -> None:
    with pytest.raises(ValueError, match="both classes"):
        area_under_roc(np.zeros((2, 2)), np.zeros((2, 2), dtype=bool))


def test_average_precision_is_not_interpolated() -> None:
    # Labels 0 1 1 0 in order of score: precision at the two hits is 1/2 and 2/3; the interpolated
    # form would give 2/3 for both. The other class, scored in reverse, has hits at ranks 1 and 4.
    scores = np.array([[0.6, 0.9], [0.7, 0.8], [0.8, 0.7], [0.9, 0.6]])
    second, first = 0.5 * 0.5 + 0.5 * 2 / 3, 0.5 * 1 + 0.5 * 2 / 4
    assert mean_average_precision(scores, np.array([0, 1, 1, 0])) == pytest.approx(
        (first + second) / 2
    )


def test_the_gaze_point_is_the_corner_of_the_highest_cell() -> None:
    heatmap = np.zeros((64, 64))
    heatmap[16, 32] = 1
    assert peak_point(heatmap) == (0.5, 0.25)


def test_gaze_distances_are_to_the_mean_point_and_to_the_nearest() -> None:
    average, nearest = gaze_distances((0.5, 0.25), [(0.5, 0.25), (0.7, 0.25)])
    assert average == pytest.approx(0.1)
    assert nearest == 0
