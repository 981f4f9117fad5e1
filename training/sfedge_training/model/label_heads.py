"""Linear heads on features, one for each task with labels."""

import math
from collections.abc import Iterable

from torch import Tensor, nn

from sfedge.core.tasks import TASKS


def label_heads(width: int, tasks: Iterable[str]) -> nn.ModuleDict:
    """A linear layer from `width` features to the labels of each task."""
    return nn.ModuleDict({name: nn.Linear(width, len(TASKS[name].labels)) for name in tasks})


def flattened(features: Tensor) -> Tensor:
    """[B, G*G, d_v] to [B, G*G*d_v]."""
    return features.flatten(1) / math.sqrt(features[0].numel())
