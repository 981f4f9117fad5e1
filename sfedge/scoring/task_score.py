"""The figures of one task, with intervals, by class and by columns of the user's own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import isnan

import numpy as np
from numpy.typing import NDArray

from sfedge.core.tasks import Task
from sfedge.scoring.asking import Answered
from sfedge.scoring.bootstrap import Figures, intervals
from sfedge.scoring.gaze_answers import GazeAnswers
from sfedge.scoring.label_answers import LabelAnswers

_Rows = NDArray[np.int64]  # indices of questions, which may repeat
_NONE: NDArray[np.int64] = np.zeros((0, 1), np.int64)


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure with its 95 % interval; nan where undefined."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ClassScore:
    """The figures of one label."""

    label: str
    samples: int
    answers: int  # how often it was answered
    figures: Mapping[str, Figure]


@dataclass(frozen=True, slots=True)
class Parts:
    """The figures by the values of a column, and how far apart they are."""

    column: str
    samples: Mapping[str, int]  # by value
    figures: Mapping[str, Mapping[str, Figure]]  # by value
    compared: str  # name of the figure that the spread is of
    spread: Figure  # the highest minus the lowest
    beyond: float  # how far the intervals of these two lie apart; 0 where they meet


@dataclass(frozen=True, slots=True)
class TaskScore:
    """How right the answers to one task are."""

    task: Task
    samples: int
    groups: int  # of which the samples are; the intervals are over these
    figures: Mapping[str, Figure]
    labels: Sequence[str]  # that occur or are answered; none of a heatmap
    classes: Sequence[ClassScore]
    confusion: NDArray[np.int64]  # (C, C + 1) counts over `labels`; the last column is no answer
    parts: Sequence[Parts]


@dataclass(frozen=True, slots=True)
class Draws:
    """How the bootstrap draws."""

    rounds: int
    seed: int


def score_task(
    task: Task, answered: Sequence[Answered], *, by: Sequence[str], draws: Draws
) -> TaskScore:
    """The figures of questions of one task.

    Args:
        task: of all of them.
        answered: at least one.
        by: columns whose values are scored apart, too.
        draws: of the intervals.
    """
    is_gaze = task.output == "heatmap"
    answers = GazeAnswers(answered) if is_gaze else LabelAnswers(task, answered)
    groups = np.unique([one.question.row.group for one in answered], return_inverse=True)[1]
    of_classes: Mapping[str, Figure] = {}
    table, labels = _NONE, list[str]()
    if isinstance(answers, LabelAnswers):
        of_classes = _with_intervals(answers.class_figures, groups, draws)
        table, labels = answers.met()
    return TaskScore(
        task=task,
        samples=len(answered),
        groups=int(groups.max()) + 1,
        figures=_with_intervals(answers.figures, groups, draws),
        labels=labels,
        classes=[
            ClassScore(
                label,
                samples=int(table[place].sum()),
                answers=int(table[:, place].sum()),
                figures={
                    name.removesuffix(f":{label}"): figure
                    for name, figure in of_classes.items()
                    if name.endswith(f":{label}")
                },
            )
            for place, label in enumerate(labels)
        ],
        confusion=table,
        parts=[_parts(column, answered, answers, groups, draws) for column in by],
    )


def _parts(
    column: str,
    answered: Sequence[Answered],
    answers: GazeAnswers | LabelAnswers,
    groups: NDArray[np.integer],
    draws: Draws,
) -> Parts:
    values = np.array([one.question.row.other[column] for one in answered])
    names = [name for name in sorted(set(values.tolist())) if name]
    figures: dict[str, Mapping[str, Figure]] = {}
    for name in names:
        own = np.flatnonzero(values == name)
        figures[name] = _with_intervals(partial(_figures, answers, own), groups[own], draws)
    compared = answers.compared

    def spread(of: _Rows) -> Figures:
        met = [
            answers.figures(of[values[of] == name])[compared]
            for name in names
            if (values[of] == name).any()
        ]
        known = [value for value in met if not isnan(value)]
        return {"spread": max(known) - min(known) if len(known) > 1 else float("nan")}

    means = [each[compared] for each in figures.values() if not isnan(each[compared].value)]
    apart = 0.0
    if means:
        highest, lowest = max(means, key=_value), min(means, key=_value)
        apart = max(highest.low - lowest.high, 0.0)
    return Parts(
        column=column,
        samples={name: int((values == name).sum()) for name in names},
        figures=figures,
        compared=compared,
        spread=_with_intervals(spread, groups, draws)["spread"],
        beyond=apart,
    )


def _figures(
    answers: GazeAnswers | LabelAnswers, own: NDArray[np.integer], of: _Rows
) -> dict[str, float]:
    """The figures of some of a part's own questions."""
    return answers.figures(own[of])


def _value(figure: Figure) -> float:
    return figure.value


def _with_intervals(
    figures_of: Callable[[_Rows], Figures], groups: NDArray[np.integer], draws: Draws
) -> dict[str, Figure]:
    found = intervals(groups, figures_of, rounds=draws.rounds, seed=draws.seed)
    values = figures_of(np.arange(len(groups)))
    return {name: Figure(value, *found[name]) for name, value in values.items()}
