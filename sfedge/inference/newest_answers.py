"""The newest answer to each query about each person or hand, for as long as it holds."""

import math
from collections.abc import Iterable, Sequence

from sfedge.core.structures import AnswerKey, Prediction, Scene, Track
from sfedge.inference.conditions import raised_hands


class NewestAnswers:
    """Holds answers until a newer one comes, their person or hand leaves, or they are too old.

    An answer about hands is replaced by a newer one about any of them, and is not shown while none
    of them is held up, as nobody is then queried again. A hand that was lost and is held up again
    under another id counts as the one that was lost.

    Args:
        longest: seconds that an answer holds; infinity where only a newer one replaces it.
    """

    def __init__(self, longest: float = math.inf) -> None:
        self._longest = longest
        self._answers: dict[AnswerKey, Prediction] = {}

    def update(
        self, fresh: Sequence[Prediction], scene: Scene, now: float
    ) -> tuple[Prediction, ...]:
        """Take in fresh answers; return the older ones that hold for those in sight.

        Args:
            fresh: newest answers of each key.
            scene: of this frame.
            now: its time.
        """
        new = {answer.key: answer for answer in fresh}
        held = {
            key: answer
            for key, answer in self._answers.items()
            if key in new
            or (
                now - answer.time <= self._longest
                and not any(_is_of_same_hand(newer, answer) for newer in fresh)
            )
        }
        people = {track.id: track for track in scene.people}
        hands = {hand.id for hand in scene.hands}
        carried = tuple(
            answer
            for key, answer in held.items()
            if key not in new
            and people.keys() >= set(answer.people)
            and (
                not answer.hands
                or not hands.isdisjoint(answer.hands)
                or any(_is_held_up(answer, people[person]) for person in answer.people)
            )
        )
        # A hand without a person has no owner to come back with.
        held = {key: a for key, a in held.items() if a.people or hands.issuperset(a.hands)}
        self._answers = held | new  # in this order, so that answers keep their places
        return carried

    def forget(self, people: Iterable[int]) -> None:
        """Drop all that was said about people who have left."""
        left = set(people)
        if left:
            self._answers = {
                key: answer
                for key, answer in self._answers.items()
                if left.isdisjoint(answer.people)
            }


def _is_held_up(answer: Prediction, person: Track) -> bool:
    """Whether a hand that the answer is about is held up, or one that may have been it."""
    if known := [hand for hand in person.hands if hand.id in answer.hands]:
        return any(hand in known for hand in raised_hands(person))
    sides = (None, answer.side) if answer.side in ("left", "right") else (None, "left", "right")
    return any(hand.side in sides for hand in raised_hands(person))


def _is_of_same_hand(newer: Prediction, older: Prediction) -> bool:
    is_of_same = (newer.task, newer.people) == (older.task, older.people)
    return is_of_same and not {*newer.hands}.isdisjoint(older.hands)
