"""Gradient conflict between tasks: 1 - cosine of their full gradients (paper, 3.3 and table 4)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from sfedge.core.errors import DataError
from sfedge.core.tasks import TASKS
from sfedge_training.data.batch import Batch
from sfedge_training.data.mixture import Opener, batch_loader
from sfedge_training.data.sample import Sample
from sfedge_training.loop.train import Loss

_Model = TypeVar("_Model", bound=nn.Module)


@dataclass(frozen=True, slots=True, eq=False)
class Conflict:
    """Degrees of conflict between tasks.

    Attributes:
        tasks: T names.
        degrees: [T, T] in [0, 2], 0 where two gradients point the same way, above 1 where they
            conflict (Chai et al. 2024).
        norms: [T], lengths of the gradients.
        samples: T numbers of samples behind them.
    """

    tasks: tuple[str, ...]
    degrees: NDArray[np.float64]
    norms: NDArray[np.float64]
    samples: tuple[int, ...]

    @property
    def pairs(self) -> dict[tuple[str, str], float]:
        """The degree of each pair of tasks, once."""
        places = combinations(range(len(self.tasks)), 2)
        return {(self.tasks[i], self.tasks[j]): float(self.degrees[i, j]) for i, j in places}

    @property
    def mean(self) -> float:
        """Mean degree over the pairs: one figure for an encoder."""
        return float(np.mean(list(self.pairs.values())))


def measure_conflict(
    model: _Model,
    samples: Sequence[Sample],
    *,
    loss: Loss[_Model, Batch],
    opener: Opener[Batch],
    device: torch.device,
    batch: int = 32,
    workers: int = 0,
) -> Conflict:
    """The conflict between all tasks that occur in `samples`, as the model stands.

    The paper measures SocialFusion at its random start, so a model just built, with the seed set
    before; its active parameters are those that learn: connector, box embedding, gaze head and
    LoRA. A task that leaves a parameter alone has no gradient there. Memory holds one vector of
    that length in float64 for each task, however many samples there are. Scaling a task's loss,
    as the paper's lambda does, changes no angle.

    Args:
        model: what `requires_grad` in it counts; it is set to evaluate, so that dropout is off
            and nothing is drawn.
        samples: at least one of each of two tasks or more; pictures are not augmented.
        loss: of model, batch and heatmap weight, a mean over the batch's samples.
        opener: opens batches as the model wants them.
        device: where to compute.
        batch: samples at a time; more is faster, the result is the same.
        workers: processes that prepare batches.

    Raises:
        DataError: there are fewer than two tasks, or a task gives no gradient at all.
    """
    by_task = {name: [s for s in samples if s.task == name] for name in TASKS}
    by_task = {name: own for name, own in by_task.items() if own}
    if len(by_task) < 2:
        raise DataError(
            f"conflict is between two tasks or more, and the samples have {len(by_task)}",
            fix="Name more datasets.",
        )
    model.to(device)
    gradients = {}
    for name, own in by_task.items():
        parts = [own[start : start + batch] for start in range(0, len(own), batch)]
        batches = batch_loader(opener(parts, augment=False), workers=workers)
        shown = tqdm(batches, desc=name, total=len(parts), unit="batch", leave=False)
        gradients[name] = full_gradient(model, shown, loss=loss, device=device)
    norms = np.array([float(gradient.norm()) for gradient in gradients.values()])
    still = [name for name, norm in zip(by_task, norms, strict=True) if norm == 0]
    if still:
        raise DataError(f"no parameter that learns has a gradient from {', '.join(still)}")
    return Conflict(
        tasks=tuple(by_task),
        degrees=np.array(
            [[conflict_degree(a, b) for b in gradients.values()] for a in gradients.values()]
        ),
        norms=norms,
        samples=tuple(len(own) for own in by_task.values()),
    )


def full_gradient(
    model: _Model, batches: Iterable[Batch], *, loss: Loss[_Model, Batch], device: torch.device
) -> Tensor:
    """The gradient of the mean loss over all samples of all batches, as if they were one batch.

    Each batch counts by its number of samples, and sums are taken in float64: how the samples are
    parted and in which order they come leaves no more than rounding within a batch.

    Returns:
        [d] float64 on the CPU: the parameters that learn, in the model's order, end to end.

    Raises:
        DataError: there is no batch.
    """
    free = [p for p in model.parameters() if p.requires_grad]
    sums = [torch.zeros_like(p, dtype=torch.float64) for p in free]
    model.eval()
    seen = 0
    for batch in batches:
        mean, _ = loss(model, batch.to(device), 1.0)
        for total, part in zip(
            sums, torch.autograd.grad(mean, free, allow_unused=True), strict=True
        ):
            if part is not None:
                total.add_(part, alpha=len(batch.tasks))
        seen += len(batch.tasks)
    if not seen:
        raise DataError("there are no samples to take a gradient from")
    return torch.cat([total.flatten().cpu() for total in sums]) / seen


def conflict_degree(one: Tensor, other: Tensor) -> float:
    """1 - cosine of the angle between two gradients [d], in [0, 2]."""
    cosine = torch.dot(one, other) / (one.norm() * other.norm())
    return 1.0 - min(max(float(cosine), -1.0), 1.0)
