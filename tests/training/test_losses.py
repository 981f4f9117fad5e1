"""The training objective, computed a second time by hand."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sfedge_training.data.batch import Batch
from sfedge_training.data.gaze_target import gaze_target
from sfedge_training.loop.losses import loss
from sfedge_training.model.model_config import PRESETS
from sfedge_training.model.social_fusion import SocialFusion, build_model


@pytest.fixture(scope="module")
def model() -> SocialFusion:
    torch.manual_seed(0)
    return build_model(PRESETS["tiny"])


def heatmap_by_loops(x: float, y: float) -> np.ndarray:
    """The Gaussian cell by cell, as datasets.md's description of Gaze-LLE reads."""
    heatmap = np.zeros((64, 64))
    if x < 0 or y < 0:
        return heatmap
    middle_column, middle_row = int(x * 64), int(y * 64)
    for row in range(64):
        for column in range(64):
            right, down = column - middle_column, row - middle_row
            if abs(right) <= 9 and abs(down) <= 9:
                heatmap[row, column] = math.exp(-(right**2 + down**2) / 18)
    return heatmap / heatmap.max() if heatmap.max() > 0 else heatmap


def test_the_gaussian_has_its_known_values() -> None:
    heatmap = gaze_target((0.5, 0.5))

    assert heatmap.shape == (64, 64)
    assert heatmap.dtype == torch.float32
    assert heatmap[32, 32] == 1
    for row, column in ((32, 35), (35, 32), (32, 29), (29, 32)):
        assert heatmap[row, column].item() == pytest.approx(0.6065, abs=1e-4)
    assert heatmap[32, 41] > 0
    assert heatmap[32, 42] == 0
    assert heatmap[42, 32] == 0


@settings(max_examples=60, deadline=None)
@given(st.floats(0, 1), st.floats(0, 1))
def test_the_gaussian_equals_loops_over_all_cells(x: float, y: float) -> None:
    np.testing.assert_allclose(gaze_target((x, y)).numpy(), heatmap_by_loops(x, y), atol=1e-6)


@pytest.mark.parametrize("point", [(0.0, 0.0), (1.0, 1.0), (1.0, 0.3), (0.999, 0.0)])
def test_a_gaussian_cut_by_the_border_still_reaches_one(point: tuple[float, float]) -> None:
    assert gaze_target(point).max() == 1


@pytest.mark.parametrize("point", [(-0.1, 0.5), (0.5, -1.0), (-1.0, -1.0), (1.2, 0.5)])
def test_a_point_out_of_the_frame_gives_no_heat(point: tuple[float, float]) -> None:
    assert not gaze_target(point).any()


def test_the_column_is_x_and_the_row_is_y() -> None:
    row, column = divmod(int(gaze_target((0.75, 0.25)).argmax()), 64)

    assert (row, column) == (16, 48)


def test_the_label_loss_is_the_answers_mean_surprise_over_the_vocabulary(
    model: SocialFusion,
) -> None:
    images, masks = torch.randn(3, 3, 96, 96), torch.zeros(3, 36)
    tasks, labels = ("gesture", "looking_at_me", "gesture"), torch.tensor([26, 1, 0])
    batch = Batch(images, masks, tasks, labels)

    total, parts = loss(model, batch, 0.2)

    with torch.no_grad():
        logits = model.answer_logits(images, masks, tasks).double().numpy()
    surprise = []
    for row, answer in zip(logits, ("aa", "No", "a"), strict=True):
        token = model.tokenizer.convert_tokens_to_ids(answer)
        surprise.append(math.log(np.exp(row).sum()) - row[token])
    assert total.item() == pytest.approx(np.mean(surprise), rel=1e-5)
    assert parts.keys() == {"label_loss"}
    assert parts["label_loss"].item() == total.item()
    assert not parts["label_loss"].requires_grad


def test_the_gaze_loss_is_the_weighted_mean_over_cells(model: SocialFusion) -> None:
    images, masks = torch.randn(2, 3, 96, 96), torch.ones(2, 36)
    heatmaps = torch.stack([gaze_target((0.2, 0.7)), gaze_target((0.9, 0.1))])
    batch = Batch(images, masks, ("gaze", "gaze"), torch.tensor([-1, -1]), heatmaps)

    total, parts = loss(model, batch, 0.2)

    with torch.no_grad():
        chance = torch.sigmoid(model.gaze_logits(images, masks, batch.tasks).double()).numpy()
    truth = heatmaps.double().numpy()
    mean = -(truth * np.log(chance) + (1 - truth) * np.log(1 - chance)).mean()
    assert parts.keys() == {"gaze_loss"}
    assert parts["gaze_loss"].item() == pytest.approx(mean, rel=1e-5)
    assert total.item() == pytest.approx(0.2 * mean, rel=1e-5)
