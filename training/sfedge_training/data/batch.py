"""What a step of training sees."""

from collections.abc import Callable
from dataclasses import dataclass, replace

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
    landmarks: Tensor | None = None  # [B, INPUT_WIDTH] float32; None where no sample has any
    is_filler: bool = False  # keeps a process in step that has no row of its own

    @property
    def count(self) -> int:
        """What the loss is a mean over: samples."""
        return 0 if self.is_filler else len(self.tasks)

    def to(self, device: torch.device) -> "Batch":
        """The same batch on another device."""
        return self._changed(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> "Batch":
        """The same batch in memory that a GPU copies from by itself; a DataLoader asks for it."""
        return self._changed(Tensor.pin_memory)

    def _changed(self, change: Callable[[Tensor], Tensor]) -> "Batch":
        return replace(
            self,
            images=change(self.images),
            masks=change(self.masks),
            labels=change(self.labels),
            heatmaps=None if self.heatmaps is None else change(self.heatmaps),
            landmarks=None if self.landmarks is None else change(self.landmarks),
        )

    def rows_of_tasks(self) -> list[tuple[str, Tensor]]:
        """Each task in the batch, and the rows [n] int64 that ask it."""
        rows: dict[str, list[int]] = {}
        for row, task in enumerate(self.tasks):
            rows.setdefault(task, []).append(row)
        device = self.images.device
        return [(task, torch.tensor(own, device=device)) for task, own in sorted(rows.items())]
