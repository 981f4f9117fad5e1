"""Samples to questions and answers, and to batches of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import PIL.Image
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from sfedge.boxes import Box
from sfedge.preprocess import crop
from training.data.augment import augmented, flipped, in_view, lit
from training.data.pictures import read_picture
from training.data.sample import Sample
from training.vlm.adapters import Adapter, answered
from training.vlm.prompts import Point, label_text, point_text, question


@dataclass(frozen=True, slots=True, eq=False)
class ChatBatch:
    """Questions of any tasks, with their answers in training."""

    inputs: dict[str, Tensor]  # of the network; `input_ids` is [B, L]
    tasks: tuple[str, ...]  # B task names
    labels: Tensor | None = None  # [B, L] int64: the answers' tokens, IGNORED elsewhere

    def to(self, device: torch.device) -> "ChatBatch":
        """The same batch on another device."""
        return ChatBatch(
            inputs={name: v.to(device, non_blocking=True) for name, v in self.inputs.items()},
            tasks=self.tasks,
            labels=None if self.labels is None else self.labels.to(device, non_blocking=True),
        )


class ChatDataset(Dataset[ChatBatch]):
    """Opens, augments and stacks the samples of each planned batch; item i is batch i.

    Args:
        batches: samples of each batch.
        adapter: of the model.
        answers: whether the samples' answers stand behind the questions, to be learnt.
        augment: as for SocialFusion: flips, small shifts and changes of light.
        seed: decides the augmentation.
    """

    def __init__(
        self,
        batches: Sequence[Sequence[Sample]],
        adapter: Adapter,
        *,
        answers: bool,
        augment: bool = False,
        seed: tuple[int, ...] = (0,),
    ) -> None:
        self.batches, self.adapter = batches, adapter
        self.answers, self.augment, self.seed = answers, augment, seed

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> ChatBatch:
        turns = []
        for place, sample in enumerate(self.batches[index]):
            seed = (*self.seed, index, place) if self.augment else None
            picture, boxes, points = open_view(sample, seed)
            turn = self.adapter.ask(picture, question(sample.task, boxes))
            if self.answers:
                turn = answered(turn, self.adapter.answer(answer_text(sample, points)))
            turns.append(turn)
        inputs = self.adapter.stack(turns)
        labels = inputs.pop("labels", None)
        return ChatBatch(inputs, tuple(s.task for s in self.batches[index]), labels)


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


def open_view(
    sample: Sample, seed: tuple[int, ...] | None
) -> tuple[PIL.Image.Image, tuple[Box, ...], tuple[Point, ...]]:
    """The view of a sample's picture with its boxes and gaze points; augmented if `seed` is given.

    Raises:
        DataError: the picture cannot be read.
    """
    picture = read_picture(sample)
    if seed is not None:
        random = np.random.default_rng(seed)
        sample = augmented(sample, random)
        if random.random() < 0.5:
            sample, picture = flipped(sample, picture)
    view = crop(picture, sample.view)
    if seed is not None:
        view = lit(view, random)
    return PIL.Image.fromarray(np.ascontiguousarray(view)), *in_view(sample)


def chat_loader(dataset: ChatDataset, *, first: int = 0, workers: int = 0) -> DataLoader[ChatBatch]:
    """The batches from `first` on, in order, prepared ahead by `workers` processes."""
    return DataLoader(
        dataset,
        batch_size=None,
        sampler=range(first, len(dataset)),
        num_workers=workers,
        prefetch_factor=4 if workers else None,
    )
