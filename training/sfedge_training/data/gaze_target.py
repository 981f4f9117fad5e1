"""The heatmap that a gaze answer is compared with."""

import math

import torch
from torch import Tensor

from sfedge.core.tasks import HEATMAP_SIZE


def gaze_target(
    point: tuple[float, float], *, size: int = HEATMAP_SIZE, sigma: float = 3.0
) -> Tensor:
    """The heatmap to learn for a person who looks at `point`; Gaze-LLE's `get_heatmap`.

    A Gaussian around the cell that holds the point, cut off beyond 3 sigma of either axis and at
    the borders, its highest value 1.

    Args:
        point: x, y in fractions of the picture; negative means out of the frame.
        size: cells per side.
        sigma: of the Gaussian, in cells.

    Returns:
        [size, size] float32; all zeros for a point out of the frame.
    """
    x, y = point
    if x < 0 or y < 0:
        return torch.zeros(size, size)
    reach = math.floor(3 * sigma)
    cells = torch.arange(size)
    columns = _bell(cells - int(x * size), sigma, reach)
    rows = _bell(cells - int(y * size), sigma, reach)
    heatmap = rows[:, None] * columns[None, :]
    peak = heatmap.max()
    return heatmap / peak if peak > 0 else heatmap


def _bell(offsets: Tensor, sigma: float, reach: int) -> Tensor:
    bell = torch.exp(-offsets.float().square() / (2 * sigma**2))
    return torch.where(offsets.abs() <= reach, bell, 0.0)
