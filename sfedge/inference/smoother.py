"""Answers over time: a running mean per task and people, the raw values kept beside it."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sfedge.core.decode import answered
from sfedge.core.structures import AnswerKey, Prediction
from sfedge.core.tasks import Task

_FRESH_START = 3.0  # time constants after which an old answer would count for less than 5 %


@dataclass(frozen=True, slots=True, eq=False)
class _Mean:
    time: float
    value: NDArray[np.float64]  # probabilities in the task's order, or the heatmap


class Smoother:
    """An exponential running mean over the stream's time.

    A new answer has the weight 1 - exp(-dt / time_constant), where dt is the time between the two
    frames asked about; so the mean does not depend on how often is asked. After three time
    constants without an answer the mean is reset.

    Args:
        tasks: those that answers will name; they give the labels' order and the thresholds.
        time_constant: seconds; 0 passes every answer on with its own probabilities.
    """

    def __init__(self, tasks: Sequence[Task], time_constant: float) -> None:
        self._tasks: Mapping[str, Task] = {task.name: task for task in tasks}
        self._time_constant = time_constant
        self._means: dict[AnswerKey, _Mean] = {}

    def update(self, predictions: Sequence[Prediction], time: float) -> list[Prediction]:
        """The same answers, smoothed, in the same order.

        Labels, points and `is_unsure` follow the smoothed values; `raw` keeps the probabilities
        as they came. An answer about an earlier frame than the newest of its key changes nothing
        and gets the current mean.

        Args:
            predictions: new answers of the model.
            time: of the frame that they are about.
        """
        self._means = {
            key: mean for key, mean in self._means.items() if not self._is_over(time - mean.time)
        }
        return [self._smooth(prediction) for prediction in predictions]

    def forget(self, ids: Iterable[int]) -> None:
        """Reset the means of these people; for ids that the tracker has ended."""
        gone = set(ids)
        self._means = {key: m for key, m in self._means.items() if gone.isdisjoint(key[1])}

    def _is_over(self, gap: float) -> bool:
        return abs(gap) > _FRESH_START * self._time_constant

    def _smooth(self, prediction: Prediction) -> Prediction:
        task = self._tasks[prediction.task]
        if prediction.heatmap is not None:
            values = prediction.heatmap.astype(np.float64)
        elif prediction.probabilities is not None:
            values = np.array([prediction.probabilities[label] for label in task.labels])
        else:
            return prediction
        as_came = replace(prediction, raw=prediction.probabilities)
        return answered(as_came, task, self._mean(prediction, values))

    def _mean(self, prediction: Prediction, value: NDArray[np.float64]) -> NDArray[np.float64]:
        """The running mean with `value` taken in."""
        old = self._means.get(prediction.key)
        if old is not None and self._time_constant > 0:
            gap = prediction.time - old.time
            if not self._is_over(gap):
                if gap < 0:
                    return old.value
                share = 1 - math.exp(-gap / self._time_constant)
                value = old.value + share * (value - old.value)
        self._means[prediction.key] = _Mean(prediction.time, value)
        return value
