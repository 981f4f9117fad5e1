"""Linear probes: one linear layer a task on an encoder's flattened features (paper, section 3.3).

The paper measures frozen encoders with them. Here they also teach an encoder that has no published
weights (preset `tiny`), together with probes on the mean over tokens: the flat ones learn fast but
leave each token to its own patch, the pooled ones make all tokens know of the whole, as CLIP's do
and as the language model needs it.
"""

import math
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
        with_pooled: also learn by probes on the mean over tokens.

    Raises:
        ConfigError: a task asks for a heatmap.
    """

    def __init__(
        self, encoder: Encoder, tasks: Iterable[str], *, with_pooled: bool = False
    ) -> None:
        super().__init__()
        self.encoder = encoder
        names = list(tasks)
        heatmaps = [name for name in names if TASKS[name].output == "heatmap"]
        if heatmaps:
            raise ConfigError(f"a linear probe answers no heatmap task ({', '.join(heatmaps)})")
        self.heads = _heads(encoder.grid**2 * encoder.width, names)
        self.pooled_heads = _heads(encoder.width, names) if with_pooled else None

    @property
    def token_grid(self) -> int:
        """Tokens per side; there is no pooling before a probe."""
        return self.encoder.grid

    def forward(self, images: Tensor, task: str) -> Tensor:
        """Logits of one task's labels, from the flattened features: [B, labels]."""
        logits: Tensor = self.heads[task](_flat(self.encoder(images)))
        return logits


def _heads(width: int, tasks: Iterable[str]) -> nn.ModuleDict:
    return nn.ModuleDict({name: nn.Linear(width, len(TASKS[name].labels)) for name in tasks})


def _flat(features: Tensor) -> Tensor:
    """[B, G*G, d_v] to [B, G*G*d_v]."""
    return features.flatten(1) / math.sqrt(features[0].numel())


def probe_loss(probes: LinearProbes, batch: Batch, _: float) -> tuple[Tensor, dict[str, Tensor]]:
    """Mean cross-entropy over the batch, each sample by its own task's heads.

    Returns:
        The scalar to descend, and the flat heads' part of it without gradient as `label_loss`.
    """
    features = probes.encoder(batch.images)  # [B, G*G, d_v]
    flat_loss = _mean_loss(probes.heads, _flat(features), batch)
    told = {"label_loss": flat_loss.detach()}
    if probes.pooled_heads is None:
        return flat_loss, told
    return flat_loss + _mean_loss(probes.pooled_heads, features.mean(1), batch), told


def _mean_loss(heads: nn.ModuleDict, inputs: Tensor, batch: Batch) -> Tensor:
    losses = []
    for task in sorted(set(batch.tasks)):
        own = torch.tensor([i for i, name in enumerate(batch.tasks) if name == task])
        rows = own.to(inputs.device)
        logits = heads[task](inputs[rows])
        losses.append(F.cross_entropy(logits.float(), batch.labels[rows], reduction="sum"))
    return torch.stack(losses).sum() / len(batch.tasks)
