"""A model on a split: every task's scores, with those of the dataset's owners where they exist."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from sfedge.tasks import TASKS
from training.data.mixture import BatchDataset, ViewSpec, batch_loader
from training.data.sample import Sample
from training.metrics import (
    accuracy,
    area_under_roc,
    balanced_accuracy,
    gaze_distances,
    mean_average_precision,
    peak_point,
)
from training.model import SocialFusion

Figures = dict[str, float]


def evaluate(
    model: SocialFusion,
    samples: Sequence[Sample],
    *,
    device: torch.device,
    batch: int = 64,
    workers: int = 0,
) -> dict[str, Figures]:
    """Scores by task, for the tasks that occur in `samples`."""
    by_task: dict[str, list[Sample]] = {}
    for sample in samples:
        by_task.setdefault(sample.task, []).append(sample)
    model.to(device).eval()
    figures = {}
    for name in [task for task in TASKS if task in by_task]:
        of = by_task[name]
        outputs = predict(model, of, device=device, batch=batch, workers=workers)
        figures[name] = (
            _gaze_figures(outputs, of)
            if TASKS[name].output == "heatmap"
            else _label_figures(outputs, of)
        )
    return figures


@torch.inference_mode()
def predict(
    model: SocialFusion,
    samples: Sequence[Sample],
    *,
    device: torch.device,
    batch: int = 64,
    workers: int = 0,
) -> NDArray[np.float32]:
    """Answers to samples of one task, in their order.

    Returns:
        (N, labels) logits over the task's labels, or (N, 64, 64) heatmap logits.
    """
    spec = ViewSpec(model.encoder.input, model.token_grid)
    parts = [samples[start : start + batch] for start in range(0, len(samples), batch)]
    dataset = BatchDataset(parts, spec, augment=False)
    outputs = []
    for held in batch_loader(dataset, workers=workers):
        on_device = held.to(device)
        if on_device.heatmaps is not None:
            outputs.append(model.gaze_logits(on_device.images, on_device.masks))
        else:
            outputs.append(
                model.label_logits(on_device.images, on_device.masks, on_device.tasks[0])
            )
    return torch.cat(outputs).float().cpu().numpy()


def _label_figures(logits: NDArray[np.float32], samples: Sequence[Sample]) -> Figures:
    labels = np.array([sample.label for sample in samples], dtype=np.int64)
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    scores = shifted / shifted.sum(axis=1, keepdims=True)
    return {
        "samples": float(len(samples)),
        "accuracy": accuracy(scores, labels),
        "balanced_accuracy": balanced_accuracy(scores, labels),
        "mean_average_precision": mean_average_precision(scores, labels),
    }


def _gaze_figures(heatmaps: NDArray[np.float32], samples: Sequence[Sample]) -> Figures:
    distances, centre, areas = [], [], []
    for heatmap, sample in zip(heatmaps, samples, strict=True):
        distances.append(gaze_distances(peak_point(heatmap), sample.points))
        centre.append(gaze_distances((0.5, 0.5), sample.points)[0])
        areas.append(_gaze_area(heatmap, sample))
    average, nearest = np.mean(distances, axis=0)
    return {
        "samples": float(len(samples)),
        "average_l2": float(average),
        "minimum_l2": float(nearest),
        "area_under_roc": float(np.mean(areas)),
        "centre_average_l2": float(np.mean(centre)),
    }


def _gaze_area(heatmap: NDArray[np.float32], sample: Sample) -> float:
    """Gaze-LLE's AUC: the heatmap at the picture's size against the annotators' pixels."""
    width, height = sample.size or heatmap.shape[::-1]
    full = torch.nn.functional.interpolate(
        torch.from_numpy(heatmap)[None, None], size=(height, width), mode="bilinear"
    )[0, 0].numpy()
    truth = np.zeros((height, width), dtype=np.bool_)
    for x, y in sample.points:
        if x >= 0:
            truth[min(int(y * height), height - 1), min(int(x * width), width - 1)] = True
    return area_under_roc(full, truth)
