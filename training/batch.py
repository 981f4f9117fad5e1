"""What a step of training sees."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Samples of any classification tasks, of gaze alone (paper, section 3.2), or of both."""

    images: Tensor  # [B, 3, S, S] float32, normalised; or stored features [B, G*G, d_v]
    masks: Tensor  # [B, T] float32, 1 at image tokens whose patch a box touches
    tasks: tuple[str, ...]  # B task names
    labels: Tensor  # [B] int64, index into the task's labels; -1 for gaze
    heatmaps: Tensor | None = None  # [n, 64, 64] float32 in [0, 1], one for each gaze sample
    is_filler: bool = False  # keeps a process in step that has no row of its own

    @property
    def count(self) -> int:
        """What the loss is a mean over: samples."""
        return 0 if self.is_filler else len(self.tasks)

    def to(self, device: torch.device) -> "Batch":
        """The same batch on another device."""
        return Batch(
            images=self.images.to(device, non_blocking=True),
            masks=self.masks.to(device, non_blocking=True),
            tasks=self.tasks,
            labels=self.labels.to(device, non_blocking=True),
            heatmaps=None if self.heatmaps is None else self.heatmaps.to(device, non_blocking=True),
            is_filler=self.is_filler,
        )

    def rows_of_tasks(self) -> list[tuple[str, Tensor]]:
        """Each task that stands in the batch, and the rows [n] int64 that ask it."""
        rows: dict[str, list[int]] = {}
        for row, task in enumerate(self.tasks):
            rows.setdefault(task, []).append(row)
        device = self.images.device
        return [(task, torch.tensor(own, device=device)) for task, own in sorted(rows.items())]
