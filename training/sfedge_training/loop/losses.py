"""The paper's training objective: cross-entropy on answers, binary cross-entropy on heatmaps."""

import torch
import torch.nn.functional as F
from torch import Tensor

from sfedge.core.tasks import TASKS
from sfedge_training.data.batch import Batch
from sfedge_training.model.social_fusion import SocialFusion


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
        logits = model.answer_logits(batch.images, batch.masks, batch.tasks, batch.landmarks)
        label_loss = F.cross_entropy(logits.float(), answer_targets(model, batch))
        return label_loss, {"label_loss": label_loss.detach()}
    heatmaps = model.gaze_logits(batch.images, batch.masks, batch.tasks, batch.landmarks)
    gaze_loss = F.binary_cross_entropy_with_logits(heatmaps.float(), batch.heatmaps)
    return gaze_weight * gaze_loss, {"gaze_loss": gaze_loss.detach()}
