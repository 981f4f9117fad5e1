"""Linear probes: one linear layer a task on an encoder's flattened features (paper, section 3.3).

The paper measures frozen encoders with them. Here they also teach an encoder that has no published
weights (preset `tiny`): features from which a line can read the answers are what CLIP would bring.
"""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sfedge.errors import ConfigError
from sfedge.tasks import TASKS
from training.batch import Batch
from training.encoders import Encoder


class LinearProbes(nn.Module):
    """W_t flatten(f(x)) + b_t for each task t; the encoder learns where it is not frozen.

    Flattened features are divided by the root of their number, so that a learning rate that suits
    the encoder suits W_t, however wide it is.

    Args:
        encoder: f, from [B, 3, S, S] to [B, G*G, d_v].
        tasks: names of classification tasks; boxes are not seen.

    Raises:
        ConfigError: a task asks for a heatmap.
    """

    def __init__(self, encoder: Encoder, tasks: Iterable[str]) -> None:
        super().__init__()
        self.encoder = encoder
        width = encoder.grid**2 * encoder.width
        names = list(tasks)
        heatmaps = [name for name in names if TASKS[name].output == "heatmap"]
        if heatmaps:
            raise ConfigError(f"a linear probe answers no heatmap task ({', '.join(heatmaps)})")
        self.heads = nn.ModuleDict({n: nn.Linear(width, len(TASKS[n].labels)) for n in names})

    @property
    def token_grid(self) -> int:
        """Tokens per side; there is no pooling before a probe."""
        return self.encoder.grid

    def forward(self, images: Tensor, task: str) -> Tensor:
        """Logits of one task's labels: [B, labels]."""
        logits: Tensor = self.heads[task](self.flatten(images))
        return logits

    def flatten(self, images: Tensor) -> Tensor:
        """[B, 3, S, S] to flat features [B, G*G*d_v]."""
        features: Tensor = self.encoder(images).flatten(1)
        return features / features.shape[1] ** 0.5


def probe_loss(probes: LinearProbes, batch: Batch, _: float) -> tuple[Tensor, dict[str, Tensor]]:
    """Mean cross-entropy over the batch, each sample by its own task's head.

    Returns:
        The scalar to descend, and the same without gradient as `label_loss`.
    """
    flat = probes.flatten(batch.images)  # [B, G*G*d_v]
    losses = []
    for task in sorted(set(batch.tasks)):
        rows = torch.tensor([i for i, name in enumerate(batch.tasks) if name == task])
        rows = rows.to(flat.device)
        logits = probes.heads[task](flat[rows])
        losses.append(F.cross_entropy(logits.float(), batch.labels[rows], reduction="sum"))
    mean = torch.stack(losses).sum() / len(batch.tasks)
    return mean, {"label_loss": mean.detach()}
