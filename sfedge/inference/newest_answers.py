"""The newest answer to each question about each person, for as long as it holds."""

from collections.abc import Iterable

from sfedge.core.structures import AnswerKey, Prediction, Track


class NewestAnswers:
    """Holds answers until a newer one comes, their person leaves, or they are too old.

    Args:
        longest: seconds that an answer holds.
    """

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._answers: dict[AnswerKey, Prediction] = {}

    def update(
        self, fresh: Iterable[Prediction], tracks: Iterable[Track], now: float
    ) -> tuple[Prediction, ...]:
        """Take in fresh answers; return the older ones that hold for the people in sight."""
        new = {answer.key: answer for answer in fresh}
        present = {track.id for track in tracks}
        self._answers = {
            key: answer
            for key, answer in (self._answers | new).items()
            if now - answer.time <= self._longest
        }
        return tuple(
            answer
            for key, answer in self._answers.items()
            if key not in new and present.issuperset(answer.people)
        )

    def forget(self, people: Iterable[int]) -> None:
        """Drop all that was said about people who have left."""
        left = set(people)
        if left:
            self._answers = {
                key: answer
                for key, answer in self._answers.items()
                if left.isdisjoint(answer.people)
            }
