"""The answers to a task with labels, and their figures."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sfedge.core.tasks import NO_GESTURE, Task
from sfedge.scoring.asking import Answered
from sfedge.scoring.figures import (
    accuracy,
    area_under_roc,
    balanced_accuracy,
    calibration_error,
    class_f1s,
    class_precisions,
    class_recalls,
    confusion,
    macro_f1,
)
from sfedge.scoring.labels_table import classes_of
from sfedge.scoring.matching import certainty_of

_TOP = 3
_Rows = NDArray[np.integer]  # indices of questions, which may repeat


class LabelAnswers:
    """The answers to questions of one task with labels, as arrays.

    Args:
        task: of all of them.
        answered: at least one.

    Attributes:
        names: the classes; those of the task, and that hands make no gesture where it occurs.
    """

    compared = "accuracy"  # the figure by which groups are compared

    def __init__(self, task: Task, answered: Sequence[Answered]) -> None:
        truths = [one.question.row.label for one in answered]
        self.names = classes_of(task) if NO_GESTURE in truths else task.labels
        self._task, count = task, len(answered)
        index = {label: place for place, label in enumerate(self.names)}
        outcomes = np.array([one.matched.outcome for one in answered])
        self._labels = np.array([index[label] for label in truths])
        self._is_lost = {"not_found": outcomes == "not found", "not_asked": outcomes == "not asked"}
        self._counts = np.array([len(one.matched.answers) for one in answered])
        # What is not answered keeps these values; they are read of answers alone.
        self._answers = np.full(count, len(self.names))
        self._ranks = np.full(count, len(self.names))
        self._certainty, self._first = np.zeros(count), np.zeros(count)
        self._is_unsure = np.zeros(count, np.bool_)
        self._gestures = np.zeros(count, np.int64)
        for place, one in enumerate(answered):
            if (judged := one.judged) is None:
                continue
            self._answers[place] = index[judged.answer.label or ""]
            self._ranks[place], self._first[place] = judged.rank, judged.first
            self._certainty[place] = certainty_of(judged.answer)
            self._is_unsure[place] = judged.answer.is_unsure
            self._gestures[place] = judged.sure_gestures

    def figures(self, of: _Rows) -> dict[str, float]:
        """The figures of some questions; nan where undefined."""
        labels, answers, is_unsure = self._labels[of], self._answers[of], self._is_unsure[of]
        table, only_sure = self._table(of), self._table(of, unsure_is_wrong=True)
        is_right, is_answered = answers == labels, answers < len(self.names)
        figures = {
            "accuracy": accuracy(table),
            "accuracy_unsure_wrong": accuracy(only_sure),
            "balanced_accuracy": balanced_accuracy(table),
            "balanced_accuracy_unsure_wrong": balanced_accuracy(only_sure),
            "macro_f1": macro_f1(table),
        }
        if len(self._task.labels) > _TOP:
            figures["top_3"] = float((self._ranks[of] < _TOP).mean())
        if len(self._task.labels) == 2:
            truth = labels[is_answered] == 0
            is_both = bool(truth.any() and not truth.all())
            scores = self._first[of][is_answered]
            figures["area_under_roc"] = area_under_roc(scores, truth) if is_both else float("nan")
        figures |= {
            "calibration_error": calibration_error(
                self._certainty[of][is_answered], is_right[is_answered]
            ),
            "unsure": mean(is_unsure[is_answered]),
            "accuracy_when_sure": mean(is_right[is_answered & ~is_unsure]),
            **{name: mean(is_lost[of]) for name, is_lost in self._is_lost.items()},
        }
        if self._task.is_about_hands and NO_GESTURE in self.names:
            without = of[labels == self.names.index(NO_GESTURE)]
            count, wrong = self._counts[without].sum(), self._gestures[without].sum()
            figures["gesture_where_none"] = float(wrong / count) if count else float("nan")
        return figures

    def class_figures(self, of: _Rows) -> dict[str, float]:
        """The figures of each class, as "figure:label"."""
        table, only_sure = self._table(of), self._table(of, unsure_is_wrong=True)
        by_class = {
            "recall": class_recalls(table),
            "recall_unsure_wrong": class_recalls(only_sure),
            "precision": class_precisions(table),
            "f1": class_f1s(table),
        }
        return {
            f"{figure}:{label}": value
            for figure, values in by_class.items()
            for label, value in zip(self.names, values.tolist(), strict=True)
        }

    def met(self) -> tuple[NDArray[np.int64], list[str]]:
        """The confusions of all questions, with the classes that occur or are answered."""
        table, none = self._table(np.arange(len(self._labels))), len(self.names)
        places = np.flatnonzero(table.sum(axis=1) + table[:, :none].sum(axis=0))
        return table[np.ix_(places, np.append(places, none))], [
            self.names[place] for place in places
        ]

    def _table(self, of: _Rows, *, unsure_is_wrong: bool = False) -> NDArray[np.int64]:
        answers, none = self._answers[of], len(self.names)
        if unsure_is_wrong:
            answers = np.where(self._is_unsure[of], none, answers)
        return confusion(self._labels[of], answers, none)


def mean(values: NDArray[np.bool_] | NDArray[np.floating]) -> float:
    """The mean; nan of nothing."""
    return float(values.mean()) if len(values) else float("nan")
