"""A baseline on a split: the figures of `sfedge_training.loop.evaluate`, read from answers in text.

An answer that is none of those asked for counts as wrong, and `unparsable` says how many are.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from sfedge.core.decode import values_of
from sfedge.core.tasks import TASKS
from sfedge.scoring.figures import confusion, gaze_distances
from sfedge_training.baselines.vlm.batches import ChatDataset
from sfedge_training.baselines.vlm.prompts import point_text, read_label, read_point
from sfedge_training.baselines.vlm.vlm_model import VisionLanguageModel
from sfedge_training.data.mixture import batch_loader
from sfedge_training.data.sample import Sample
from sfedge_training.loop.evaluate import (
    Answers,
    Figures,
    by_task,
    count_figures,
    distance_figures,
    diverged,
    label_figures,
)

_LOST = math.sqrt(2)  # distance of an unparsable answer: as far apart as points of a picture can be


@dataclass(frozen=True, slots=True, eq=False)
class TextAnswers:
    """What a model answered to N samples of one task."""

    texts: tuple[str, ...]
    # (N, labels) probabilities by the first token; None where a label takes several tokens.
    scores: Answers | None


def evaluate_baseline(
    model: VisionLanguageModel,
    samples: Sequence[Sample],
    *,
    device: torch.device,
    batch: int = 32,
    workers: int = 0,
) -> dict[str, Figures]:
    """Scores by task, for the tasks that occur in `samples`.

    Gaze has no `area_under_roc`: a point is no heatmap (paper, section 4.1).

    Raises:
        DataError: a picture cannot be read, or an answer is no number.
    """
    figures = {}
    for task, own in by_task(samples):
        answers = ask(model, own, device=device, batch=batch, workers=workers)
        figures[task] = (
            point_figures(answers.texts, own)
            if TASKS[task].output == "heatmap"
            else answer_figures(task, answers, np.array([sample.label for sample in own]))
        )
    return figures


def ask(
    model: VisionLanguageModel,
    samples: Sequence[Sample],
    *,
    device: torch.device,
    batch: int = 32,
    workers: int = 0,
) -> TextAnswers:
    """Answers to samples of one task, in their order.

    Raises:
        DataError: a picture cannot be read, or an answer is no number.
    """
    model.to(device).eval()
    task = samples[0].task
    letters, limit = _letters(model, task), _limit(task)
    parts = [samples[start : start + batch] for start in range(0, len(samples), batch)]
    texts: list[str] = []
    scores = []
    for held in batch_loader(ChatDataset(parts, model.adapter, answers=False), workers=workers):
        answers, first = model.answer(held.to(device), limit)
        if not bool(torch.isfinite(first).all()):
            raise diverged("an answer is no number", task)
        texts += answers
        if letters is not None:
            scores.append(values_of(TASKS[task], first[:, letters].float().cpu().numpy()))
    return TextAnswers(tuple(texts), np.concatenate(scores) if scores else None)


def answer_figures(task: str, answers: TextAnswers, labels: NDArray[np.int64]) -> Figures:
    """Scores of a classification task.

    What counts answers is read from the texts. What ranks samples takes the probabilities of the
    first token, or else 1 for the label given. An unparsable answer ranks behind all others for its
    true label, and is for the rest what it is.

    Args:
        task: a name in TASKS.
        answers: the answers.
        labels: (N,) the true labels' indices.
    """
    names = TASKS[task].labels
    none = len(names)  # the index of no label
    read = [read_label(task, text) for text in answers.texts]
    chosen = np.array([none if label is None else label for label in read])
    lost = chosen == none
    picked = np.eye(none + 1)[chosen][:, :none]  # (N, labels)
    ranks = (picked if answers.scores is None else answers.scores).copy()
    ranks[lost, labels[lost]] = -1.0
    if none == 2:  # one score is the complement of the other
        ranks[lost, 1 - labels[lost]] = 2.0
    figures = label_figures(task, ranks, labels)
    figures |= count_figures(task, confusion(labels, chosen, none))
    return figures | {"unparsable": float(lost.sum())}


def point_figures(texts: Sequence[str], samples: Sequence[Sample]) -> Figures:
    """Scores of gaze answers: means over people of Gaze-LLE's distances.

    An unparsable answer is as far off as two points of a picture can be, the square root of 2.
    """
    distances, lost = [], 0
    for text, sample in zip(texts, samples, strict=True):
        point = read_point(text)
        lost += point is None
        distances.append((_LOST, _LOST) if point is None else gaze_distances(point, sample.points))
    return distance_figures(distances, samples) | {"unparsable": float(lost)}


def _letters(model: VisionLanguageModel, task: str) -> list[int] | None:
    """The token of each label where all have just one of their own, before the ending one."""
    tokens = [model.adapter.answer(answer)[:-1] for answer in TASKS[task].answers]
    if not tokens or any(len(own) != 1 for own in tokens):
        return None
    letters = [own[0] for own in tokens]
    return letters if len(set(letters)) == len(letters) else None


def _limit(task: str) -> int:
    """No tokenizer makes more tokens of an answer: its characters, a space before, an end."""
    answers = TASKS[task].answers or (point_text((1.0, 1.0)),)
    return max(len(answer) for answer in answers) + 2
