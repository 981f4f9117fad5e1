"""What one step of training sees."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Samples of any classification tasks, or of gaze alone (paper, section 3.2)."""

    images: Tensor  # [B, 3, S, S] float32, normalised
    masks: Tensor  # [B, T] float32, 1 at image tokens whose patch a box touches
    tasks: tuple[str, ...]  # B task names
    labels: Tensor  # [B] int64, index into the task's labels; -1 for gaze
    heatmaps: Tensor | None = None  # [B, 64, 64] float32 in [0, 1], for a gaze batch

    def to(self, device: torch.device) -> "Batch":
        """The same batch on another device."""
        return Batch(
            images=self.images.to(device, non_blocking=True),
            masks=self.masks.to(device, non_blocking=True),
            tasks=self.tasks,
            labels=self.labels.to(device, non_blocking=True),
            heatmaps=None if self.heatmaps is None else self.heatmaps.to(device, non_blocking=True),
        )
