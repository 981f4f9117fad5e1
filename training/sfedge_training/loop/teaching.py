"""What teaches an encoder without published weights (preset `tiny`): shallow heads on its tokens.

CLIP's tokens know of the whole picture after its pre-training, and the language model needs that.
Probes on flattened features learn fast, but leave each token to its own patch; probes on the mean
over tokens make every token carry what the picture shows; those on the mean over the marked tokens
do so for people and their company. The marked head gives the direction it looks in; gaze is then a
choice among tokens, by how well each answers that head, and from each token alone, since the
language model reads in order and a token above the marked head never learns of the mark.
"""

import math
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sfedge.core.tasks import TASKS
from sfedge_training.data.batch import Batch
from sfedge_training.model.encoder import Encoder
from sfedge_training.model.label_heads import flattened, label_heads


class EncoderTeacher(nn.Module):
    """Heads for `tasks` on an encoder that learns.

    Args:
        encoder: from [B, 3, S, S] to [B, G*G, d_v].
        tasks: names of tasks.
    """

    def __init__(self, encoder: Encoder, tasks: Iterable[str]) -> None:
        super().__init__()
        self.encoder = encoder
        width, names = encoder.width, list(tasks)
        cells = encoder.grid**2
        labelled = [name for name in names if TASKS[name].output == "label"]
        alone = [name for name in labelled if not TASKS[name].boxes]
        self.flat_heads = label_heads(cells * width, alone)
        # Of the mean over all tokens, and over the marked ones (zeros where none is marked).
        self.mean_heads = label_heads(2 * width, labelled)
        self.direction = nn.Linear(width, 2)  # from the marked head to where it looks, x and y
        self.looker, self.looked_at = nn.Linear(width, width), nn.Linear(width, width)
        self.target = nn.Linear(width, 1)  # is a token looked at by anyone?


def teaching_loss(
    teacher: EncoderTeacher, batch: Batch, _: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """Mean over the batch of each sample's cross-entropies, those of all its task's heads added.

    Returns:
        The scalar to descend, and means without gradient: `label_loss` of the heads on means,
        `gaze_loss` of the tokens' answers; each where the batch has such samples.
    """
    features = teacher.encoder(batch.images)  # [B, G*G, d_v]
    counts = batch.masks.sum(1, keepdim=True).clamp(min=1)
    marked = (features * batch.masks[..., None]).sum(1) / counts  # [B, d_v]
    means = torch.cat([features.mean(1), marked], dim=1)  # [B, 2 * d_v]
    flat = flattened(features)
    losses: list[Tensor] = []
    parts: dict[str, list[Tensor]] = {}
    for task, rows in batch.rows_of_tasks():
        if TASKS[task].output == "heatmap":
            assert batch.heatmaps is not None
            wanted = _shares(batch.heatmaps, teacher.encoder.grid)
            query, keys = teacher.looker(marked[rows]), teacher.looked_at(features[rows])
            answers = torch.einsum("bd,btd->bt", query, keys) / math.sqrt(features.shape[-1])
            turned = teacher.direction(marked[rows]) - _directions(batch.masks[rows], wanted)
            own = [
                _each(answers, wanted),
                _each(teacher.target(features[rows]).squeeze(-1), wanted),
                2 * turned.square().sum(1) * wanted.sum(1),  # no direction without a target
            ]
            parts["gaze_loss"] = [own[0]]
        else:
            own = [_each(teacher.mean_heads[task](means[rows]), batch.labels[rows])]
            parts.setdefault("label_loss", []).append(own[0])
            if task in teacher.flat_heads:
                own.append(_each(teacher.flat_heads[task](flat[rows]), batch.labels[rows]))
        losses += own
    return (
        torch.cat(losses).sum() / len(batch.tasks),
        {name: torch.cat(part).detach().mean() for name, part in parts.items()},
    )


def _each(logits: Tensor, wanted: Tensor) -> Tensor:
    return F.cross_entropy(logits.float(), wanted, reduction="none")


def _shares(heatmaps: Tensor, grid: int) -> Tensor:
    """[n, 64, 64] to what share of each heatmap lies on each token, [n, G*G]; zeros of zeros."""
    cells = F.adaptive_avg_pool2d(heatmaps[:, None], grid).flatten(1)
    return cells / cells.sum(1, keepdim=True).clamp(min=torch.finfo(cells.dtype).tiny)


def _directions(masks: Tensor, shares: Tensor) -> Tensor:
    """Unit vectors [n, 2] from the centre of the marked tokens to that of the heatmap's shares."""
    return F.normalize(_centres(shares) - _centres(masks), dim=1)


def _centres(weights: Tensor) -> Tensor:
    """Means of the tokens' columns and rows, weighted: [n, G*G] to [n, 2]."""
    grid = round(weights.shape[1] ** 0.5)
    tokens = torch.arange(grid**2, device=weights.device)
    places = torch.stack([tokens % grid, tokens // grid], dim=1).to(weights.dtype)
    return weights @ places / weights.sum(1, keepdim=True).clamp(min=1e-6)
