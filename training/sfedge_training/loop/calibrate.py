"""Calibrated probabilities, and the threshold below which an answer is unsure.

A model's probabilities are mostly too high. One number for each task, its temperature, brings them
to what pictures show that it has not learned from (Guo et al., "On Calibration of Modern Neural
Networks", ICML 2017); the order of answers stays. Answers below a threshold are "unsure".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from sfedge.core.decode import decode, log_probabilities, values_of
from sfedge.core.errors import DataError
from sfedge.core.tasks import NO_GESTURE, TASKS, Task
from sfedge.scoring.figures import calibration_error
from sfedge_training.data.sample import Sample, Split
from sfedge_training.loop.card import CALIBRATION
from sfedge_training.loop.checkpoint import load_model
from sfedge_training.loop.evaluate import by_task, predict, usual_device
from sfedge_training.loop.json_files import write_json

_RIGHT = 0.9  # of sure answers, the share that is to be right
_FALSE = 0.02  # of hands without a gesture, the share that may get a sure answer that is one
_EVEN = 0.5  # probability below which an answer is more likely wrong than right
_UNSURE = 0.25  # share of answers that may be unsure for all three
_FEWEST = 50  # answers needed to calibrate a task
_RANGE = (-3.0, 3.0)  # of the temperature's logarithm


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a task's probabilities are divided by and held to, and how that was found."""

    temperature: float
    threshold: float
    answers: int  # that it was found on
    unsure: float  # share below the threshold
    right_if_sure: float  # share of the others
    error_before: float  # expected calibration error, with the temperature 1
    error: float


def calibrated(
    task: Task, probabilities: NDArray[np.floating], labels: Sequence[int]
) -> Calibration:
    """The temperature of the greatest likelihood, and the lowest threshold that is good enough.

    Args:
        task: whose answers they are.
        probabilities: (N, labels) at the temperature 1.
        labels: (N,) the truth.

    Raises:
        DataError: there are too few answers.
    """
    if len(labels) < _FEWEST:
        raise DataError(
            f"{task.name}: {len(labels)} answers are too few to calibrate by, {_FEWEST} are needed"
        )
    truth, bare = np.asarray(labels), replace(task, temperature=1.0)
    logits = np.log(np.clip(probabilities, 1e-12, 1.0))
    rows = np.arange(len(truth))

    def loss(log_temperature: float) -> float:
        scaled = log_probabilities(logits / np.exp(log_temperature))
        return -float(scaled[rows, truth].mean())

    found = minimize_scalar(loss, bounds=_RANGE, method="bounded")
    temperature = round(float(np.exp(found.x)), 3)
    best = replace(task, temperature=temperature)
    answer, certainty, _ = decode(best, values_of(best, logits))
    is_right = answer == truth
    is_idle = truth == (task.labels.index(NO_GESTURE) if NO_GESTURE in task.labels else -1)
    threshold = _threshold(certainty, is_right, is_idle)
    is_sure = certainty >= threshold
    before = decode(bare, probabilities)
    return Calibration(
        temperature=temperature,
        threshold=threshold,
        answers=len(truth),
        unsure=round(1 - float(is_sure.mean()), 4),
        right_if_sure=round(float(is_right[is_sure].mean()), 4),
        error_before=round(calibration_error(before.certainty, before.best == truth), 4),
        error=round(calibration_error(certainty, is_right), 4),
    )


def _threshold(
    certainty: NDArray[np.float64], is_right: NDArray[np.bool_], is_idle: NDArray[np.bool_]
) -> float:
    """The lowest at which enough of the sure answers are right, or as many are unsure as may be.

    Also, few enough hands without a gesture get a sure answer that is one, and nothing is sure
    that is more likely wrong.
    """
    order = np.argsort(certainty, kind="stable")
    sorted_certainty = certainty[order]
    rights = is_right[order][::-1].cumsum()[::-1]  # right answers from each place on
    shares = rights / np.arange(len(order), 0, -1)
    false = (~is_right & is_idle)[order][::-1].cumsum()[::-1]  # from each place on
    is_enough = (shares >= _RIGHT) & (false <= _FALSE * is_idle.sum())
    most = int(_UNSURE * len(order))
    enough = np.flatnonzero(is_enough[: most + 1])
    place = int(enough[0]) if len(enough) else most
    place = max(place, min(int(np.searchsorted(sorted_certainty, _EVEN)), most))
    return float(np.floor(sorted_certainty[place] * 1000) / 1000)


def calibrate(
    folder: Path, samples: Sequence[Sample], *, split: Split, workers: int = 0
) -> dict[str, Calibration]:
    """Calibrate a model's classification tasks, and write it into the model's card.

    Args:
        folder: of the model, as `save_model` wrote it.
        samples: real ones that it has not learned from.
        split: that they are of, for the card.
        workers: processes that read pictures.

    Returns:
        By task; one with too few samples is left out, and keeps what it has.

    Raises:
        DataError: the model is damaged, a picture cannot be read, or no task has enough samples.
    """
    model, _, card = load_model(folder)
    found: dict[str, Calibration] = {}
    for name, own in by_task(samples):
        task = TASKS[name]
        if task.output != "label" or len(own) < _FEWEST:
            continue
        answers = predict(model, own, device=usual_device(), workers=workers)
        labels = [sample.label for sample in own if sample.label is not None]
        found[name] = calibrated(task, answers, labels)
    if not found:
        raise DataError(f"no task has the {_FEWEST} samples that it needs", where=str(folder))
    shown = {
        name: {f: getattr(one, f) for f in Calibration.__slots__} for name, one in found.items()
    }
    calibration = {CALIBRATION: {**card.get(CALIBRATION, {}), **shown}}
    splits = {"splits": {**card.get("splits", {}), CALIBRATION: split}}
    write_json(folder / "card.json", {**card, **calibration, **splits})
    return found


def as_calibrated(task: Task, card: Mapping[str, Any]) -> Task:
    """The task with what a model's card has found for it, if anything."""
    found = card.get(CALIBRATION, {}).get(task.name)
    if found is None:
        return task
    return replace(
        task, temperature=float(found["temperature"]), threshold=float(found["threshold"])
    )
