"""What two hands close together say: a gesture of both, or of each."""

from collections.abc import Sequence

from sfedge.core.structures import Prediction
from sfedge.core.tasks import NO_GESTURE


def settled(answers: Sequence[Prediction]) -> list[Prediction]:
    """Drop either the answer about two hands or those about each of them.

    A gesture comes before none, a sure gesture before others, a sure one of both before a sure
    one of each; else the more probable answer is kept, and that about both where it is alone.

    Args:
        answers: about one frame.

    Returns:
        Those that are kept, in their order.
    """
    dropped: set[int] = set()
    for place, both in enumerate(answers):
        if len(both.hands) < 2:
            continue
        places = [i for i, one in enumerate(answers) if _is_about_one_of(both, one)]
        if places:
            each = max(_certainty(answers[i]) for i in places)
            dropped |= {*places} if _certainty(both) >= each else {place}
    return [answer for place, answer in enumerate(answers) if place not in dropped]


def _is_about_one_of(both: Prediction, one: Prediction) -> bool:
    is_of_same = (one.task, one.people) == (both.task, both.people)
    return is_of_same and len(one.hands) == 1 and one.hands[0] in both.hands


def _certainty(answer: Prediction) -> tuple[bool, bool, int, float]:
    """Orders by: a gesture at all, surely so, then surely of both hands, then by probability."""
    is_gesture, is_sure = answer.label != NO_GESTURE, not answer.is_unsure
    probability = (answer.probabilities or {}).get(answer.label or "", 0.0)
    return is_gesture, is_sure, len(answer.hands) if is_gesture and is_sure else 0, probability
