"""The paper's training objective: cross-entropy on answers, binary cross-entropy on heatmaps."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from sfedge.core.tasks import HEATMAP_SIZE, TASKS
from sfedge_training.loop.batch import Batch
from sfedge_training.model.social_fusion import SocialFusion


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


def answer_targets(model: SocialFusion, batch: Batch) -> Tensor:
    """[B] int64: the token of each sample's answer."""
    labels = batch.labels.tolist()
    ids = [
        model.answer_ids[TASKS[task].answers[label]]
        for task, label in zip(batch.tasks, labels, strict=True)
    ]
    return torch.tensor(ids, device=batch.labels.device)


def loss(model: SocialFusion, batch: Batch, gaze_weight: float) -> tuple[Tensor, dict[str, Tensor]]:
    """L = L_llm + lambda * L_heatmap of one batch (paper, section 3.4).

    Args:
        model: the network.
        batch: of classification samples, or of gaze alone.
        gaze_weight: the paper's lambda.

    Returns:
        The scalar to descend, and its unweighted part without gradient: `label_loss`, mean
        cross-entropy over the whole vocabulary at the answer's token, or `gaze_loss`, mean binary
        cross-entropy over cells.
    """
    if batch.heatmaps is None:
        logits = model.answer_logits(batch.images, batch.masks, batch.tasks)
        label_loss = F.cross_entropy(logits.float(), answer_targets(model, batch))
        return label_loss, {"label_loss": label_loss.detach()}
    heatmaps = model.gaze_logits(batch.images, batch.masks)
    gaze_loss = F.binary_cross_entropy_with_logits(heatmaps.float(), batch.heatmaps)
    return gaze_weight * gaze_loss, {"gaze_loss": gaze_loss.detach()}
