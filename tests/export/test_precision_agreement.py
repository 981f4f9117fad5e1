"""The figures that say how far two precisions are apart."""

import numpy as np
import pytest

from sfedge_export.precision_agreement import compare_heatmaps, compare_labels, cosine


def test_label_figures_of_two_views_by_hand() -> None:
    wanted = np.array([[2.0, 0.0, 0.0], [0.0, 3.0, 4.0]], np.float32)
    found = np.array([[2.0, 0.0, 0.0], [0.0, 4.0, 3.0]], np.float32)
    measured = compare_labels(found, wanted)
    assert measured.same == 0.5
    assert measured.worst_cosine == pytest.approx(24 / 25)
    assert measured.cosine == pytest.approx((1 + 24 / 25) / 2)
    p = np.exp(wanted[1]) / np.exp(wanted[1]).sum()
    q = np.exp(found[1]) / np.exp(found[1]).sum()
    assert measured.divergence == pytest.approx((p * np.log(p / q)).sum() / 2, rel=1e-6)


def test_heatmap_figures_by_hand() -> None:
    wanted = np.full((2, 8, 8), -20.0, np.float32)
    found = wanted.copy()
    wanted[0, 1, 1] = found[0, 1, 1] = 20
    wanted[1, 0, 0] = found[1, 3, 4] = 20  # five cells apart
    measured = compare_heatmaps(found, wanted)
    assert measured.distance == pytest.approx(5 / 8 / 2)
    assert measured.difference == pytest.approx(2 / 128, rel=1e-6)
    assert measured.cosine == pytest.approx((1 + 60 / 64) / 2)


def test_large_logits_do_not_overflow() -> None:
    logits = np.array([[1e4, -1e4], [0.0, 1.0]], np.float32)
    assert compare_labels(logits, logits).divergence == 0
    assert cosine(logits, logits) == pytest.approx([1, 1])
    assert cosine(np.zeros((1, 2), np.float32), logits[:1]) == 0
