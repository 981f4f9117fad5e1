"""A model on a split: every task's scores, with those of the dataset's owners where they exist."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from sfedge.core.decode import highest, values_of
from sfedge.core.errors import DataError
from sfedge.core.tasks import TASKS
from sfedge.scoring.figures import (
    Counts,
    accuracy,
    balanced_accuracy,
    class_recalls,
    confusion,
    gaze_distances,
    macro_f1,
)
from sfedge_training.data.mixture import BatchDataset, ViewSpec, batch_loader
from sfedge_training.data.sample import Sample
from sfedge_training.loop.metrics import (
    gaze_area_under_roc,
    looking_average_precisions,
    mean_average_precision,
    peak_point,
)
from sfedge_training.model.encoder import Encoder

Figures = dict[str, float]
Answers = NDArray[np.floating]


class Predictor(Protocol):
    """A network that answers samples through an encoder: SocialFusion, Gaze-LLE, linear probes."""

    @property
    def encoder(self) -> Encoder:
        """What looks at a picture."""

    @property
    def token_grid(self) -> int:
        """Side of the grid that box masks come on."""

    def logits(
        self, images: Tensor, masks: Tensor, task: str, landmarks: Tensor | None = None
    ) -> Tensor:
        """[B, labels] of a classification task, [B, 64, 64] of a heatmap."""

    def to(self, device: torch.device) -> nn.Module:
        """Moves the network."""

    def eval(self) -> nn.Module:
        """Sets it to answer."""


@dataclass(frozen=True, slots=True)
class Measure:
    """A column of the paper's result tables, and where `evaluate` has it."""

    dataset: str  # as the table is headed
    name: str
    task: str
    key: str  # in the task's figures
    unit: float = 100.0  # what a figure of 1 is in the table: 100 for per cent
    less_is_better: bool = False


PAPER_MEASURES = (
    Measure("HaGRIDv2", "mAP", "gesture", "mean_average_precision"),
    Measure("HaGRIDv2", "Acc", "gesture", "accuracy"),
    Measure("PISC", "Domain mAP", "domain", "mean_average_precision"),
    Measure("PISC", "Relation mAP", "relation", "mean_average_precision"),
    Measure("LAM", "mAP", "looking_at_me", "mean_average_precision"),
    Measure("LAM", "Acc", "looking_at_me", "accuracy"),
    Measure("GazeFollow", "Min L2", "gaze", "minimum_l2", unit=1.0, less_is_better=True),
    Measure("GazeFollow", "Avg L2", "gaze", "average_l2", unit=1.0, less_is_better=True),
    Measure("GazeFollow", "AUC", "gaze", "area_under_roc"),
    Measure("AffectNet", "mAP", "expression", "mean_average_precision"),
    Measure("AffectNet", "Acc", "expression", "accuracy"),
)


def usual_device() -> torch.device:
    """The GPU where there is one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def evaluate(
    model: Predictor,
    samples: Sequence[Sample],
    *,
    device: torch.device,
    batch: int = 64,
    workers: int = 0,
) -> dict[str, Figures]:
    """Scores by task, for the tasks that occur in `samples`.

    Raises:
        DataError: a picture cannot be read, or an answer is no number.
    """
    figures = {}
    for name, of in by_task(samples):
        answers = predict(model, of, device=device, batch=batch, workers=workers)
        figures[name] = (
            gaze_figures(answers, of)
            if TASKS[name].output == "heatmap"
            else label_figures(name, answers, np.array([sample.label for sample in of]))
        )
    return figures


def by_task(samples: Iterable[Sample]) -> Iterator[tuple[str, list[Sample]]]:
    """The samples of each task that occurs, in the tasks' order."""
    found: dict[str, list[Sample]] = {}
    for sample in samples:
        found.setdefault(sample.task, []).append(sample)
    return ((task, found[task]) for task in TASKS if task in found)


@torch.inference_mode()
def predict(
    model: Predictor,
    samples: Sequence[Sample],
    *,
    device: torch.device,
    batch: int = 64,
    workers: int = 0,
) -> Answers:
    """Answers to samples of one task, in their order.

    Returns:
        (N, labels) float64, probabilities of the task's labels, or (N, 64, 64) float32, heatmaps
        in [0, 1].

    Raises:
        DataError: a picture cannot be read, or an answer is no number.
    """
    model.to(device)
    model.eval()
    spec = ViewSpec(model.encoder.input, model.token_grid)
    parts = [samples[start : start + batch] for start in range(0, len(samples), batch)]
    dataset = BatchDataset(parts, spec, augment=False)
    outputs = []
    loader = batch_loader(dataset, workers=workers)
    # A bar on a terminal alone.
    for held in tqdm(loader, desc=samples[0].task, unit="batch", leave=False, disable=None):
        on_device = held.to(device)
        task = on_device.tasks[0]
        logits = model.logits(on_device.images, on_device.masks, task, on_device.landmarks)
        outputs.append(values_of(TASKS[task], logits.float().cpu().numpy()))
    answers = np.concatenate(outputs)
    broken = int((~np.isfinite(answers)).any(axis=tuple(range(1, answers.ndim))).sum())
    if broken:
        raise diverged(f"{broken} of {len(answers)} answers are no numbers", samples[0].task)
    return answers


def diverged(what: str, task: str) -> DataError:
    """The error to raise where a model's answers to a task are not numbers."""
    return DataError(
        what,
        where=task,
        fix="The weights have diverged; train again with a lower learning rate.",
    )


def label_figures(task: str, answers: Answers, labels: NDArray[np.int64]) -> Figures:
    """Scores of a classification task, with what the owners of its dataset report.

    Args:
        task: a name in TASKS.
        answers: (N, labels) probabilities.
        labels: (N,) the true labels' indices.
    """
    names, dataset = TASKS[task].labels, TASKS[task].dataset
    figures = {
        "samples": float(len(labels)),
        **count_figures(task, confusion(labels, highest(answers), len(names))),
        "mean_average_precision": mean_average_precision(answers, labels),
    }
    if dataset == "ego4d_lam":
        looking = names.index("looking")
        precisions = looking_average_precisions(answers[:, looking], labels == looking)
        figures["mean_average_precision"] = float(np.nanmean(precisions))
        if not np.isnan(precisions[0]):
            figures["average_precision_looking"] = precisions[0]
    return figures


def count_figures(task: str, table: Counts) -> Figures:
    """The scores of a classification task that count answers; `table` is their `confusion`."""
    figures = {
        "accuracy": accuracy(table),
        "balanced_accuracy": balanced_accuracy(table),
        "macro_f1": macro_f1(table),
    }
    if TASKS[task].dataset == "pisc":
        pairs = zip(TASKS[task].labels, class_recalls(table).tolist(), strict=True)
        figures |= {f"recall_{name}": recall for name, recall in pairs if not np.isnan(recall)}
    return figures


def gaze_figures(heatmaps: Answers, samples: Sequence[Sample]) -> Figures:
    """Scores of (N, 64, 64) heatmaps in [0, 1]: means over people of Gaze-LLE's measures."""
    distances, areas = [], []
    for heatmap, sample in zip(heatmaps, samples, strict=True):
        distances.append(gaze_distances(peak_point(heatmap), sample.points))
        size = sample.size or heatmap.shape[::-1]
        areas.append(gaze_area_under_roc(heatmap, sample.points, size))
    return distance_figures(distances, samples) | {"area_under_roc": float(np.mean(areas))}


def distance_figures(
    distances: Sequence[tuple[float, float]], samples: Sequence[Sample]
) -> Figures:
    """Scores of gaze points: means over people of Gaze-LLE's distances.

    `centre_average_l2` is the average L2 of always answering the middle of the picture.

    Args:
        distances: the average and the minimum L2 of each sample's answer, in fractions.
        samples: what was answered.
    """
    average, nearest = np.mean(distances, axis=0)
    centre = [gaze_distances((0.5, 0.5), sample.points)[0] for sample in samples]
    return {
        "samples": float(len(samples)),
        "average_l2": float(average),
        "minimum_l2": float(nearest),
        "centre_average_l2": float(np.mean(centre)),
    }
