"""The answers to a task with a heatmap, and their figures."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from sfedge.scoring.asking import Answered
from sfedge.scoring.figures import area_under_roc, gaze_distances
from sfedge.scoring.label_answers import mean

_MIDDLE = (0.5, 0.5)  # the point of who knows nothing


class GazeAnswers:
    """The answers to questions about a gaze, as arrays.

    Args:
        answered: at least one, of one task.
    """

    compared = "distance"  # the figure by which groups are compared

    def __init__(self, answered: Sequence[Answered]) -> None:
        count = len(answered)
        outcomes = np.array([one.matched.outcome for one in answered])
        self._is_lost = {"not_found": outcomes == "not found", "not_asked": outcomes == "not asked"}
        self._is_answered = outcomes == "answered"
        self._is_inside = np.array([not one.question.is_outside for one in answered])
        self._is_unsure = np.zeros(count, np.bool_)
        self._inside = np.zeros(count)  # how surely the target is in the picture
        self._distance, self._nearest, self._middle = (
            np.zeros(count),
            np.zeros(count),
            np.zeros(count),
        )
        for place, one in enumerate(answered):
            answer = one.matched.answers[0] if one.matched.answers else None
            if answer is not None:
                self._is_unsure[place] = answer.is_unsure
                inside = answer.peak if answer.in_frame is None else answer.in_frame
                self._inside[place] = inside or 0.0
            if one.points and self._is_inside[place]:
                point = _MIDDLE if answer is None or answer.point is None else answer.point
                self._distance[place], self._nearest[place] = gaze_distances(point, one.points)
                self._middle[place] = gaze_distances(_MIDDLE, one.points)[0]

    def figures(self, of: NDArray[np.integer]) -> dict[str, float]:
        """The figures of some questions; nan where undefined."""
        is_answered, is_inside = self._is_answered[of], self._is_inside[of]
        pointed = of[is_inside]
        found = of[is_inside & is_answered]
        truth = is_inside[is_answered]
        is_both = bool(truth.any() and not truth.all())
        return {
            "distance": mean(self._distance[pointed]),
            "middle_distance": mean(self._middle[pointed]),
            "distance_when_answered": mean(self._distance[found]),
            "nearest_when_answered": mean(self._nearest[found]),
            "in_picture_area_under_roc": area_under_roc(self._inside[of][is_answered], truth)
            if is_both
            else float("nan"),
            "unsure": mean(self._is_unsure[of][is_answered]),
            **{name: mean(is_lost[of]) for name, is_lost in self._is_lost.items()},
        }
