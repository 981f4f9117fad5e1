"""How differences between two outputs are measured and judged."""

import numpy as np
import pytest

from sfedge.core.boxes import patch_mask
from sfedge.core.errors import BundleError
from sfedge_export.calibration_pictures import noise, photographs
from sfedge_export.parity import check, difference


def test_the_difference_is_the_largest_of_all_samples() -> None:
    wanted = np.array([[1.0, 2.0, -8.0], [0.0, 3.0, 1.0]], np.float32)
    found = wanted + np.array([[0.0, 0.25, 0.0], [0.0, 0.0, -0.5]], np.float32)
    measured = difference(found, wanted)
    assert (measured.error, measured.scale, measured.agreement) == (0.5, 8.0, 1.0)


def test_another_choice_counts_against_agreement() -> None:
    wanted = np.array([[1.0, 2.0], [2.0, 1.0]], np.float32)
    found = np.array([[1.0, 2.0], [1.0, 2.0]], np.float32)
    assert difference(found, wanted).agreement == 0.5


def test_either_of_two_equal_peaks_of_a_heatmap_is_right() -> None:
    wanted = np.zeros((1, 4, 4), np.float32)
    wanted[0, 0, :2] = 1.0
    found = wanted.copy()
    found[0, 0, 1] += 1e-6
    assert found.argmax() != wanted.argmax()
    assert difference(found, wanted).agreement == 1.0


@pytest.mark.parametrize(
    ("shift", "message"),
    [(1e-3, "is 0.001 away from PyTorch"), (float("nan"), "is nan away from PyTorch")],
)
def test_a_difference_above_the_tolerance_is_refused(shift: float, message: str) -> None:
    wanted = np.array([[1.0, 0.5]], np.float32)
    with pytest.raises(BundleError, match=message):
        check(difference(wanted + np.float32(shift), wanted), where="x")


def test_a_changed_answer_is_refused_however_small_the_difference() -> None:
    wanted = np.array([[1.0, 1.0 - 4e-5]], np.float32)
    found = np.array([[1.0 - 4e-5, 1.0]], np.float32)
    with pytest.raises(BundleError, match="agree on 0% of the answers"):
        check(difference(found, wanted), where="x")


def test_bundles_are_compared_on_photographs_and_noise_with_boxes_of_their_own() -> None:
    views = [*photographs(), *noise(96)]
    assert len(views) == 6
    for view in views:
        assert view.image.dtype == np.uint8
        assert view.image.std() > 20  # a picture, not a flat field
        one, both = (patch_mask(view.boxes[:count], 12) for count in (1, 2))
        assert one.any()
        assert both.sum() > one.sum() or one.all()
