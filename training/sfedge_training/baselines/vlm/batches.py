"""Samples to questions and answers, and to batches of them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import PIL.Image
import torch
from torch import Tensor

from sfedge_training.baselines.vlm.adapters import IGNORED, Adapter, answered
from sfedge_training.baselines.vlm.prompts import Point, label_text, point_text, question
from sfedge_training.data.mixture import Opener, PlannedDataset, Seed, Share, open_view
from sfedge_training.data.sample import Sample


@dataclass(frozen=True, slots=True, eq=False)
class ChatBatch:
    """Questions of any tasks, with their answers in training."""

    inputs: dict[str, Tensor]  # of the network; `input_ids` is [B, L]
    tasks: tuple[str, ...]  # B task names
    labels: Tensor | None = None  # [B, L] int64: the answers' tokens, IGNORED elsewhere
    is_filler: bool = False  # keeps a process in step that has no row of its own

    @property
    def count(self) -> int:
        """What the loss is a mean over: tokens of answers."""
        if self.is_filler or self.labels is None:
            return 0
        return int((self.labels != IGNORED).sum())

    def to(self, device: torch.device) -> "ChatBatch":
        """The same batch on another device."""
        return self._changed(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> "ChatBatch":
        """The same batch in memory that a GPU copies from by itself; a DataLoader asks for it."""
        return self._changed(Tensor.pin_memory)

    def _changed(self, change: Callable[[Tensor], Tensor]) -> "ChatBatch":
        return replace(
            self,
            inputs={name: change(tensor) for name, tensor in self.inputs.items()},
            labels=None if self.labels is None else change(self.labels),
        )


class ChatDataset(PlannedDataset[ChatBatch]):
    """Planned batches as questions, with the samples' answers where these are to be learned."""

    def __init__(
        self,
        batches: Sequence[Sequence[Sample]],
        adapter: Adapter,
        *,
        answers: bool,
        augment: bool = False,
        seed: Seed = (0,),
        share: Share = Share(),  # noqa: B008
    ) -> None:
        super().__init__(batches, augment=augment, seed=seed, share=share)
        self.adapter, self.answers = adapter, answers

    def stack(self, rows: Sequence[tuple[Sample, Seed | None]], *, is_filler: bool) -> ChatBatch:
        turns = []
        for sample, seed in rows:
            view, boxes, points = open_view(sample, seed)
            picture = PIL.Image.fromarray(np.ascontiguousarray(view))
            turn = self.adapter.ask(picture, question(sample.task, boxes))
            if self.answers:
                turn = answered(turn, self.adapter.answer(answer_text(sample, points)))
            turns.append(turn)
        inputs = self.adapter.stack(turns)
        labels = inputs.pop("labels", None)
        return ChatBatch(inputs, tuple(sample.task for sample, _ in rows), labels, is_filler)


def chat_opener(adapter: Adapter) -> Opener[ChatBatch]:
    """Opens batches of questions and answers for a baseline to learn."""
    return partial(ChatDataset, adapter=adapter, answers=True)


def answer_text(sample: Sample, points: Sequence[Point]) -> str:
    """What the model should answer: the first annotator's point, or the label's letter.

    Args:
        sample: the truth.
        points: its gaze points, in fractions of the view.
    """
    if points:
        return point_text(points[0])
    assert sample.label is not None
    return label_text(sample.task, sample.label)
