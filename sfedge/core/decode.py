"""From a task's logits to its answer: the one function for training, export and inference."""

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from sfedge.core.boxes import FULL, Box
from sfedge.core.structures import Prediction
from sfedge.core.tasks import HEATMAP_SIZE, Task

Values = NDArray[np.floating]


class Decoded(NamedTuple):
    """The decoded answers, one for each row of values."""

    best: NDArray[np.int64]  # (N,) index of the label, or of the heatmap's cell, row after row
    certainty: NDArray[np.float64]  # (N,) the value there: a probability, or a heatmap's peak
    is_unsure: NDArray[np.bool_]  # (N,) it is below the task's threshold


def values_of(task: Task, logits: Values) -> Values:
    """Logits (N, labels) to probabilities, float64; (N, 64, 64) to cells in [0, 1], float32."""
    if task.output == "heatmap":
        return cells_of(logits)
    return np.exp(log_probabilities(logits.astype(np.float64) / task.temperature))


def cells_of(logits: Values) -> NDArray[np.float32]:
    """A heatmap's logits to cells in [0, 1]."""
    # By tanh: exp overflows on large negative logits.
    return (0.5 * (1.0 + np.tanh(0.5 * logits.astype(np.float64)))).astype(np.float32)


def log_probabilities(logits: Values) -> NDArray[np.float64]:
    """The logarithm of the softmax over the last axis."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    logs: NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    return logs


def highest(values: Values) -> NDArray[np.int64]:
    """(N,) index of the highest element of each of (N, …), row after row; the first of equals."""
    found: NDArray[np.int64] = values.reshape(len(values), -1).argmax(axis=1)
    return found


def decode(task: Task, values: Values) -> Decoded:
    """The answers that the model's output values decode to.

    Args:
        task: that is answered.
        values: (N, labels) probabilities or (N, 64, 64) cells, as `values_of` gives them, or
            means of such.
    """
    is_unproven = np.isin(task.labels, task.unproven)
    best = highest(np.where(is_unproven, -1.0, values) if task.unproven else values)
    certainty = values.reshape(len(values), -1)[np.arange(len(values)), best].astype(np.float64)
    return Decoded(best, certainty, certainty < task.threshold)


def cell_centre(cell: int, view: Box = FULL) -> tuple[float, float]:
    """The middle of a heatmap's cell, in fractions of the picture of which `view` is a part."""
    row, column = divmod(cell, HEATMAP_SIZE)
    x, y = (column + 0.5) / HEATMAP_SIZE, (row + 0.5) / HEATMAP_SIZE
    return view.x1 + x * view.width, view.y1 + y * view.height


def answered(prediction: Prediction, task: Task, values: Values, view: Box = FULL) -> Prediction:
    """The prediction with the decoded answer of its values; an existing `raw` is kept.

    Args:
        prediction: whose people and time are kept.
        task: that is answered.
        values: (labels,) probabilities or (64, 64) cells.
        view: what the model saw; a heatmap's cells are parts of it.
    """
    ((best,), (certainty,), (is_unsure,)) = decode(task, values[None])
    if task.output == "heatmap":
        return replace(
            prediction,
            heatmap=values.astype(np.float32),
            point=cell_centre(int(best), view),
            peak=float(certainty),
            is_unsure=bool(is_unsure),
        )
    probabilities = dict(zip(task.labels, values.tolist(), strict=True))
    return replace(
        prediction,
        label=task.labels[best],
        probabilities=probabilities,
        raw=prediction.raw or probabilities,
        is_unsure=bool(is_unsure),
    )
