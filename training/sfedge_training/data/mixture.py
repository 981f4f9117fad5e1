"""Samples of several datasets to batches: the paper's sampling, in an order that can resume."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence, Sized
from dataclasses import dataclass
from functools import partial
from typing import Generic, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from sfedge.core.boxes import Box, patch_mask
from sfedge.core.errors import ConfigError, DataError
from sfedge.core.landmarks import INPUT_WIDTH, Vector, mirrored
from sfedge.core.preprocess import InputSpec, crop, encoder_input
from sfedge.core.structures import Image
from sfedge_training.data.augment import (
    augmented,
    coarse,
    flipped,
    in_view,
    known_landmarks,
    lit,
    thinned,
)
from sfedge_training.data.batch import Batch
from sfedge_training.data.features import FeatureStore
from sfedge_training.data.gaze_target import gaze_target
from sfedge_training.data.sample import Sample
from sfedge_training.data.sample_picture import read_picture, read_view

_SOME = 5000  # samples that means are taken of, about

Seed = tuple[int, ...]
Points = tuple[tuple[float, float], ...]
_Batch = TypeVar("_Batch")
_Opened = TypeVar("_Opened", covariant=True)


@dataclass(frozen=True, slots=True)
class ViewSpec:
    """What a model wants to see: the encoder's input and the grid of image tokens."""

    input: InputSpec
    token_grid: int
    features: FeatureStore | None = None  # of the encoder; pictures are then not opened


def plan_epoch(
    samples: Mapping[str, Sequence[Sample]],
    *,
    batch: int,
    seed: int,
    epoch: int,
    mixes_gaze: bool = False,
    most: int | None = None,
) -> list[list[Sample]]:
    """One epoch's batches (paper, section 3.2).

    A sample is drawn as often as its weight says. Every dataset is undersampled anew to the size
    of the smallest; where a dataset teaches two tasks (PISC), they share its quota by halves.
    Classification tasks are mixed within batches, gaze batches come between them at random places.
    The last batch of each kind may be smaller.

    Args:
        samples: of each dataset, by its name.
        batch: samples in a batch.
        seed: of the run.
        epoch: from 0; with the seed it decides everything.
        mixes_gaze: gaze is mixed into the batches, as every other task.
        most: samples of a dataset, where even the smallest has more.

    Raises:
        DataError: a dataset is empty.
    """
    empty = sorted(name for name, of in samples.items() if not of)
    if empty:
        raise DataError(f"no training samples in {', '.join(empty)}")
    random = np.random.default_rng([seed, epoch, 0])
    drawn = {name: _drawn(of, random) for name, of in samples.items()}
    quota = min(len(of) for of in drawn.values())
    quota = quota if most is None else min(quota, most)
    chosen = [s for of in drawn.values() for s in _undersampled(of, quota, random)]
    gaze = [] if mixes_gaze else _shuffled([s for s in chosen if s.points], random)
    labelled = _shuffled([s for s in chosen if mixes_gaze or not s.points], random)
    batches = [
        kind[start : start + batch]
        for kind in (labelled, gaze)
        for start in range(0, len(kind), batch)
    ]
    return [batches[i] for i in random.permutation(len(batches))]


def _drawn(samples: Sequence[Sample], random: np.random.Generator) -> list[Sample]:
    """Each sample as often as its weight says, rounded up or down by chance.

    Of each task every epoch has the same number: the sum of the weights, at least one.
    """
    by_task: dict[str, list[Sample]] = {}
    for sample in samples:
        by_task.setdefault(sample.task, []).append(sample)
    drawn: list[Sample] = []
    for of in by_task.values():
        if all(sample.weight == 1 for sample in of):
            drawn += of
            continue
        mixed = _shuffled(of, random)
        ends = np.cumsum([sample.weight for sample in mixed])
        count = max(round(float(ends[-1])), 1)
        # One draw in each stretch of equal length; a weight of 2.5 covers two or three of them.
        places = (np.arange(count) + random.random()) / count * ends[-1]
        found = np.searchsorted(ends, places, side="right")
        drawn += [mixed[min(i, len(mixed) - 1)] for i in found]
    return drawn


def _undersampled(
    samples: Sequence[Sample], quota: int, random: np.random.Generator
) -> list[Sample]:
    by_task: dict[str, list[Sample]] = {}
    for sample in samples:
        by_task.setdefault(sample.task, []).append(sample)
    chosen: list[Sample] = []
    # The smaller task first: what it cannot fill of its share goes to the other.
    for place, of in enumerate(sorted(by_task.values(), key=len)):
        share = (quota - len(chosen)) // (len(by_task) - place)
        picks = random.choice(len(of), size=min(share, len(of)), replace=False)
        chosen += [of[i] for i in picks]
    return chosen


def _shuffled(samples: list[Sample], random: np.random.Generator) -> list[Sample]:
    return [samples[i] for i in random.permutation(len(samples))]


@dataclass(frozen=True, slots=True)
class Share:
    """What one of several processes opens of every planned batch, and in how many parts."""

    process: int = 0
    processes: int = 1
    parts: int = 1  # for each process, one after the other


class Opener(Protocol[_Opened]):
    """Makes the dataset that opens planned batches as a model wants them."""

    def __call__(
        self,
        batches: Sequence[Sequence[Sample]],
        *,
        augment: bool,
        seed: Seed = (0,),
        share: Share = Share(),
    ) -> Dataset[_Opened]: ...


class PlannedDataset(Dataset[_Batch], Generic[_Batch]):
    """Opens, augments and stacks the samples of each planned batch.

    Item i is batch i, or its own part of it: with n parts, those of batch i are the items from
    n * i on. A sample's augmentation is drawn from its place in the whole plan, so that it does
    not depend on how the plan is shared out.
    """

    def __init__(
        self,
        batches: Sequence[Sequence[Sample]],
        *,
        augment: bool,
        seed: Seed = (0,),
        share: Share = Share(),
    ) -> None:
        self.batches, self.augment, self.seed, self.share = batches, augment, seed, share

    def __len__(self) -> int:
        return len(self.batches) * self.share.parts

    def __getitem__(self, index: int) -> _Batch:
        number, part = divmod(index, self.share.parts)
        batch, share = self.batches[number], self.share
        first, step = share.process + part * share.processes, share.processes * share.parts
        places = range(first, len(batch), step)
        rows: list[tuple[Sample, Seed | None]] = [
            (batch[place], (*self.seed, number, place) if self.augment else None)
            for place in places or (0,)
        ]
        return self.stack(rows, is_filler=not places)

    @abstractmethod
    def stack(self, rows: Sequence[tuple[Sample, Seed | None]], *, is_filler: bool) -> _Batch:
        """A batch of samples, each with the seed of its augmentation, None for none."""


class BatchDataset(PlannedDataset[Batch]):
    """Planned batches: square inputs or stored features, box masks, landmarks and heatmaps.

    Raises:
        ConfigError: stored features are to be augmented.
    """

    def __init__(
        self,
        batches: Sequence[Sequence[Sample]],
        spec: ViewSpec,
        *,
        augment: bool,
        seed: Seed = (0,),
        share: Share = Share(),
    ) -> None:
        super().__init__(batches, augment=augment, seed=seed, share=share)
        self.spec = spec
        if augment and spec.features is not None:
            raise ConfigError(
                "stored features are of pictures as they are",
                where="augment",
                fix="Train without augmentation, or without stored features.",
            )

    def stack(self, rows: Sequence[tuple[Sample, Seed | None]], *, is_filler: bool) -> Batch:
        images, masks, labels, heatmaps = [], [], [], []
        landmarks: list[Vector | None] = []
        for sample, seed in rows:
            image, shown, vector = self._opened(sample, seed)
            boxes, points = in_view(shown)
            images.append(image)
            landmarks.append(vector)
            mask = patch_mask(boxes, self.spec.token_grid)
            masks.append(torch.from_numpy(mask.astype(np.float32)))
            labels.append(-1 if sample.label is None else sample.label)
            if points:
                heatmaps.append(gaze_target(points[0]))
        return Batch(
            images=torch.stack(images),
            masks=torch.stack(masks),
            tasks=tuple(sample.task for sample, _ in rows),
            labels=torch.tensor(labels),
            heatmaps=torch.stack(heatmaps) if heatmaps else None,
            landmarks=_stacked(landmarks),
            is_filler=is_filler,
        )

    def _opened(self, sample: Sample, seed: Seed | None) -> tuple[Tensor, Sample, Vector | None]:
        if self.spec.features is not None:
            return self.spec.features.get(sample), sample, known_landmarks(sample)
        view, shown, vector = _open(sample, seed, self.spec.input.size)
        return torch.from_numpy(encoder_input(view, self.spec.input)), shown, vector


def _stacked(vectors: Sequence[Vector | None]) -> Tensor | None:
    """[B, INPUT_WIDTH], zeros where a sample's landmarks are not known."""
    if all(vector is None for vector in vectors):
        return None
    nothing = np.zeros(INPUT_WIDTH, np.float32)
    return torch.from_numpy(np.stack([nothing if v is None else v for v in vectors]))


def some_landmarks(samples: Sequence[Sample]) -> Tensor:
    """What is known in the views of some of these samples, evenly chosen: [N, INPUT_WIDTH].

    Raises:
        DataError: a picture cannot be read.
    """
    known = [sample for sample in samples if sample.landmarks is not None]
    chosen = known[:: max(len(known) // _SOME, 1)]
    vectors = [vector for vector in map(known_landmarks, chosen) if vector is not None]
    return torch.from_numpy(np.array(vectors, np.float32).reshape(-1, INPUT_WIDTH))


def pictures_opener(spec: ViewSpec) -> Opener[Batch]:
    """Opens batches for a network that looks through an encoder."""
    return partial(BatchDataset, spec=spec)


def open_view(
    sample: Sample, seed: Seed | None, *, size: int | None = None
) -> tuple[Image, tuple[Box, ...], Points]:
    """The view of a sample's picture with its boxes and gaze points in fractions of the view.

    Args:
        sample: what to open.
        seed: of its augmentation; None for none.
        size: of the square that the view will be stretched to; an augmented view is read for it
            with less decoding. Without augmentation pixels are those of the runtime.

    Raises:
        DataError: the picture cannot be read.
    """
    view, shown, _ = _open(sample, seed, size)
    return view, *in_view(shown)


def _open(
    sample: Sample, seed: Seed | None, size: int | None
) -> tuple[Image, Sample, Vector | None]:
    """The view, the sample as it is then, and its landmarks in the view."""
    if seed is None:
        return crop(read_picture(sample), sample.view), sample, known_landmarks(sample)
    random = np.random.default_rng(seed)
    sample = augmented(sample, random)
    view = crop(read_picture(sample), sample.view) if size is None else read_view(sample, size)
    vector = known_landmarks(sample)
    if random.random() < 0.5:
        sample, view = flipped(sample, view)
        vector = None if vector is None else mirrored(vector)
    view = coarse(lit(view, random), random)
    return view, sample, None if vector is None else thinned(vector, random)


def batch_loader(
    dataset: Dataset[_Batch], *, first: int = 0, workers: int = 0
) -> DataLoader[_Batch]:
    """The items from `first` on, in order, prepared ahead by `workers` processes."""
    assert isinstance(dataset, Sized)
    return DataLoader(
        dataset,
        batch_size=None,
        sampler=range(first, len(dataset)),
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        pin_memory=torch.cuda.is_available(),
    )
