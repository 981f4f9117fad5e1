"""Linear probes: a linear layer a task on an encoder's flattened features (paper, section 3.3)."""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sfedge.core.errors import ConfigError
from sfedge.core.tasks import TASKS
from sfedge_training.data.batch import Batch
from sfedge_training.model.encoder import Encoder, features_of
from sfedge_training.model.label_heads import flattened, label_heads


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
        names = list(tasks)
        heatmaps = [name for name in names if TASKS[name].output == "heatmap"]
        if heatmaps:
            raise ConfigError(f"a linear probe answers no heatmap task ({', '.join(heatmaps)})")
        self.heads = label_heads(encoder.grid**2 * encoder.width, names)

    def train(self, mode: bool = True) -> "LinearProbes":
        """Training mode for all but a frozen encoder, which always evaluates."""
        super().train(mode)
        if not any(parameter.requires_grad for parameter in self.encoder.parameters()):
            self.encoder.eval()
        return self

    @property
    def token_grid(self) -> int:
        """Side of the grid of tokens."""
        return self.encoder.grid

    def logits(self, images: Tensor, _: Tensor, task: str, __: Tensor | None = None) -> Tensor:
        """Logits of one task's labels, from the flattened features alone: [B, labels]."""
        logits: Tensor = self.heads[task](flattened(features_of(self.encoder, images)))
        return logits


def probe_loss(probes: LinearProbes, batch: Batch, _: float) -> tuple[Tensor, dict[str, Tensor]]:
    """Mean cross-entropy over the batch, each sample by its own task's probe.

    Returns:
        The scalar to descend, and itself without gradient as `label_loss`.
    """
    inputs = flattened(features_of(probes.encoder, batch.images))
    losses = []
    for task, rows in batch.rows_of_tasks():
        logits = probes.heads[task](inputs[rows]).float()
        losses.append(F.cross_entropy(logits, batch.labels[rows], reduction="sum"))
    loss = torch.stack(losses).sum() / len(batch.tasks)
    return loss, {"label_loss": loss.detach()}
