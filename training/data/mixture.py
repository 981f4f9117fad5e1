"""Samples of several datasets to batches: the paper's sampling, in an order that can resume."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset

from sfedge.boxes import patch_mask
from sfedge.errors import DataError
from sfedge.preprocess import InputSpec, crop, encoder_input
from training.batch import Batch
from training.data.augment import augmented, flipped, in_view, lit
from training.data.pictures import read_picture
from training.data.sample import Sample
from training.losses import gaze_target


@dataclass(frozen=True, slots=True)
class ViewSpec:
    """What a model wants to see: the encoder's input and the grid of image tokens."""

    input: InputSpec
    token_grid: int


def plan_epoch(
    samples: Mapping[str, Sequence[Sample]],
    *,
    batch: int,
    seed: int,
    epoch: int,
    mixes_gaze: bool = False,
) -> list[list[Sample]]:
    """One epoch's batches (paper, section 3.2).

    Every dataset is undersampled anew to the size of the smallest; where a dataset teaches two
    tasks (PISC), they share its quota by halves. Classification tasks are mixed within batches,
    gaze batches stand between them at random places. The last batch of each kind may be smaller.

    Args:
        samples: of each dataset, by its name.
        batch: samples in a batch.
        seed: of the run.
        epoch: from 0; with the seed it decides everything.
        mixes_gaze: gaze stands within the batches, as every other task.
    """
    empty = sorted(name for name, of in samples.items() if not of)
    if empty:
        raise DataError(f"no training samples in {', '.join(empty)}")
    random = np.random.default_rng([seed, epoch, 0])
    quota = min(len(of) for of in samples.values())
    chosen = [s for of in samples.values() for s in _undersampled(of, quota, random)]
    gaze = [] if mixes_gaze else _shuffled([s for s in chosen if s.points], random)
    labelled = _shuffled([s for s in chosen if mixes_gaze or not s.points], random)
    batches = [
        kind[start : start + batch]
        for kind in (labelled, gaze)
        for start in range(0, len(kind), batch)
    ]
    return [batches[i] for i in random.permutation(len(batches))]


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


class BatchDataset(Dataset[Batch]):
    """Opens, augments and stacks the samples of each planned batch; item i is batch i."""

    def __init__(
        self,
        batches: Sequence[Sequence[Sample]],
        spec: ViewSpec,
        *,
        augment: bool,
        seed: tuple[int, ...] = (0,),
    ) -> None:
        self.batches, self.spec, self.augment, self.seed = batches, spec, augment, seed

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> Batch:
        images, masks, labels, heatmaps = [], [], [], []
        samples = self.batches[index]
        for place, sample in enumerate(samples):
            seed = (*self.seed, index, place) if self.augment else None
            image, mask, points = _open(sample, self.spec, seed)
            images.append(torch.from_numpy(image))
            masks.append(torch.from_numpy(mask.astype(np.float32)))
            labels.append(-1 if sample.label is None else sample.label)
            if points:
                heatmaps.append(gaze_target(points[0]))
        return Batch(
            images=torch.stack(images),
            masks=torch.stack(masks),
            tasks=tuple(sample.task for sample in samples),
            labels=torch.tensor(labels),
            heatmaps=torch.stack(heatmaps) if heatmaps else None,
        )


def _open(
    sample: Sample, spec: ViewSpec, seed: tuple[int, ...] | None
) -> tuple[np.ndarray, np.ndarray, tuple[tuple[float, float], ...]]:
    picture = read_picture(sample)
    if seed is not None:
        random = np.random.default_rng(seed)
        sample = augmented(sample, random)
        if random.random() < 0.5:
            sample, picture = flipped(sample, picture)
    view = crop(picture, sample.view)
    if seed is not None:
        view = lit(view, random)
    boxes, points = in_view(sample)
    return encoder_input(view, spec.input), patch_mask(boxes, spec.token_grid), points


def batch_loader(dataset: BatchDataset, *, first: int = 0, workers: int = 0) -> DataLoader[Batch]:
    """The batches from `first` on, in order, prepared ahead by `workers` processes."""
    return DataLoader(
        dataset,
        batch_size=None,
        sampler=range(first, len(dataset)),
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        pin_memory=torch.cuda.is_available(),
    )
