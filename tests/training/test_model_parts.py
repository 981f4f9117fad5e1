"""Connector, token pooling and gaze head, each against its definition."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from sfedge.core.boxes import Box, patch_mask
from sfedge_training.model.connector import Connector, pool_tokens, unpool_mask
from sfedge_training.model.gaze_head import GazeHead

fractions = st.floats(0, 1).map(lambda x: round(x, 3))


def test_the_connector_is_three_layers_with_relu_between() -> None:
    torch.manual_seed(0)
    connector, features = Connector(6, 10, 4), torch.randn(2, 9, 6)
    first, second, third = (m for m in connector.layers if isinstance(m, torch.nn.Linear))

    tokens = connector(features)

    inner = (features @ first.weight.T + first.bias).clamp(min=0)
    inner = (inner @ second.weight.T + second.bias).clamp(min=0)
    torch.testing.assert_close(tokens, inner @ third.weight.T + third.bias)
    shapes = [(m.in_features, m.out_features) for m in (first, second, third)]
    assert shapes == [(6, 10), (10, 10), (10, 4)]


def test_pooling_puts_the_four_patches_of_a_block_side_by_side() -> None:
    grid, width = 6, 5
    features = torch.randn(2, grid * grid, width)

    pooled = pool_tokens(features, 2)

    square = features.reshape(2, grid, grid, width)
    for row in range(3):
        for column in range(3):
            block = [
                square[:, 2 * row + down, 2 * column + right] for down in (0, 1) for right in (0, 1)
            ]
            assert torch.equal(pooled[:, row * 3 + column], torch.cat(block, dim=-1))


def test_the_pooled_connector_takes_four_patches_a_token() -> None:
    assert Connector(6, 10, 4, pool=2)(torch.randn(2, 16, 6)).shape == (2, 4, 4)


@settings(max_examples=100, deadline=None)
@given(st.tuples(fractions, fractions, fractions, fractions), st.sampled_from([2, 6, 12]))
def test_a_marked_cell_covers_every_patch_its_box_touches(
    corners: tuple[float, float, float, float], side: int
) -> None:
    x1, x2 = sorted(corners[::2])
    y1, y2 = sorted(corners[1::2])
    if x1 == x2 or y1 == y2:
        return
    box = Box(x1, y1, x2, y2)
    cells = torch.from_numpy(patch_mask([box], side)).float()[None]
    patches = torch.from_numpy(patch_mask([box], side * 2)).float()[None]

    widened = unpool_mask(cells, 2)

    assert bool((widened >= patches).all())
    blocks = F.max_pool2d(patches.reshape(1, 1, 2 * side, 2 * side), 2).reshape(1, -1)
    assert torch.equal(cells, blocks)


def test_the_gaze_head_is_linear_transposed_convolution_and_interpolation() -> None:
    torch.manual_seed(0)
    head, states = GazeHead(16, 24), torch.randn(2, 576, 16)
    with torch.no_grad():
        head.upsample.weight.normal_()
        head.upsample.bias.fill_(0.3)

    heatmaps = head(states)

    cells = (states @ head.project.weight[0] + head.project.bias).reshape(2, 24, 24)
    doubled = torch.zeros(2, 48, 48)
    for down in (0, 1):
        for right in (0, 1):
            weight = head.upsample.weight[0, 0, down, right]
            doubled[:, down::2, right::2] = cells * weight + 0.3
    expected = F.interpolate(doubled[:, None], (64, 64), mode="bilinear", align_corners=False)
    torch.testing.assert_close(heatmaps, expected[:, 0])
    assert sum(p.numel() for p in head.parameters()) == 16 + 1 + 4 + 1


@pytest.mark.parametrize(("grid", "pool"), [(24, 1), (12, 2), (12, 1), (6, 2)])
def test_a_token_lights_up_its_own_place(grid: int, pool: int) -> None:
    head, states = GazeHead(8, grid, pool=pool), torch.zeros(1, grid * grid, 8)
    row, column = grid // 3, 2 * grid // 3
    with torch.no_grad():
        head.project.weight.fill_(1.0)
        head.project.bias.zero_()
        states[0, row * grid + column] = 1.0

        heatmap = head(states)[0]

    assert heatmap.shape == (64, 64)
    peaks = (heatmap == heatmap.max()).nonzero().float() / 64
    middle = torch.tensor([row + 0.5, column + 0.5]) / grid
    assert bool(((peaks.mean(0) + 0.5 / 64 - middle).abs() < 1.5 / 64).all())


def test_a_pooled_token_tells_its_four_patches_apart() -> None:
    head, states = GazeHead(4, 2, pool=2), torch.zeros(1, 4, 4)
    with torch.no_grad():
        head.project.weight.copy_(torch.eye(4))
        head.project.bias.zero_()
        states[0, 0, 1] = 1.0  # the first token's upper right patch

        heatmap = head(states)[0]

    row, column = divmod(int(heatmap.argmax()), 64)
    assert row < 16 <= column < 32
