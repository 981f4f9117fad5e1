"""The answers of a run over time: smoothed, and held until a newer one comes."""

import math
from collections.abc import Sequence

from sfedge.core.structures import Prediction, Scene
from sfedge.core.tasks import Task
from sfedge.inference.hand_answers import settled
from sfedge.inference.newest_answers import NewestAnswers
from sfedge.inference.smoother import Smoother

# In files, all possible queries are made in each interval. An answer that was not renewed for this
# long could not be: a face was turned away. Live, a slow model's answers hold at any age;
# the age is shown.
_HOLD_INTERVALS = 3.0
_HOLD_SECONDS = 2.0  # but at least


class AnswerHistory:
    """Smooths the model's answers and knows those that still hold.

    Args:
        tasks: those that are asked.
        smoothing: seconds, time constant of the running mean; 0 for none.
        interval: seconds between two answers to a query; None where that depends on the model.
    """

    def __init__(self, tasks: Sequence[Task], *, smoothing: float, interval: float | None) -> None:
        self._smoother = Smoother(tasks, smoothing)
        self._newest = NewestAnswers(
            math.inf if interval is None else max(_HOLD_INTERVALS * interval, _HOLD_SECONDS)
        )
        self._left: set[int] = set()  # ids of people that have ended and are not back

    def follow(self, scene: Scene) -> None:
        """Forget the people who have left with this frame; to be called with each."""
        self._forget(scene.ended)
        self._left = self._left.union(scene.ended).difference(track.id for track in scene.people)

    def update(
        self, answers: Sequence[Prediction], scene: Scene, now: float
    ) -> tuple[tuple[Prediction, ...], tuple[Prediction, ...]]:
        """Take in the answers that have arrived, all about one frame.

        Args:
            answers: about this frame or an earlier one.
            scene: of this frame.
            now: its time.

        Returns:
            The same answers, smoothed, of two hands close together only those that count
            (`settled`); and the older ones that hold for those in sight.
        """
        fresh: tuple[Prediction, ...] = ()
        if answers:
            fresh = tuple(settled(self._smoother.update(answers, answers[0].time)))
        carried = self._newest.update(fresh, scene, now)
        if fresh:  # of people who have left since they were asked about, too: not to be carried
            self._forget(self._left)
        return fresh, carried

    def _forget(self, people: Sequence[int] | set[int]) -> None:
        self._smoother.forget(people)
        self._newest.forget(people)
