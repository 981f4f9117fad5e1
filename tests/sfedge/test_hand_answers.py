"""Two hands close together: a gesture of both, or of each."""

import pytest

from sfedge.core.structures import Prediction
from sfedge.core.tasks import NO_GESTURE
from sfedge.inference.hand_answers import settled

Said = tuple[str, float, bool]  # label, probability, whether it is unsure


def answer(said: Said, *hands: int, people: tuple[int, ...] = (1,)) -> Prediction:
    label, probability, is_unsure = said
    return Prediction(
        "gesture",
        people,
        0,
        0.0,
        label=label,
        probabilities={label: probability},
        hands=hands,
        is_unsure=is_unsure,
    )


TIMEOUT, UNSURE_TIMEOUT = ("timeout", 0.98, False), ("timeout", 0.9, True)
STOP, UNSURE_STOP = ("stop", 0.99, False), ("stop", 0.8, True)
NONE, SURE_NONE = (NO_GESTURE, 0.7, True), (NO_GESTURE, 0.999, False)


@pytest.mark.parametrize(
    ("both", "first", "second", "is_of_both"),
    [
        (TIMEOUT, STOP, NONE, True),  # surely of both, though one alone looks like another
        (UNSURE_TIMEOUT, STOP, NONE, False),
        (UNSURE_TIMEOUT, UNSURE_STOP, NONE, True),
        (UNSURE_STOP, UNSURE_TIMEOUT, NONE, False),
        (UNSURE_TIMEOUT, SURE_NONE, SURE_NONE, True),
        (NONE, UNSURE_STOP, NONE, False),
        (SURE_NONE, UNSURE_STOP, SURE_NONE, False),
    ],
)
def test_a_gesture_is_of_both_hands_or_of_each(
    both: Said, first: Said, second: Said, *, is_of_both: bool
) -> None:
    together, left, right = answer(both, 1, 2), answer(first, 1), answer(second, 2)
    other = answer(STOP, 3, people=(2,))

    for asked in ([together, left, right, other], [right, other, left, together]):
        kept = settled(asked)
        dropped = [left, right] if is_of_both else [together]
        assert kept == [one for one in asked if one not in dropped]


def test_what_was_asked_of_both_alone_is_kept_and_so_are_other_tasks() -> None:
    together, face = answer(NONE, 1, 2), Prediction("expression", (1,), 0, 0.0, label="neutral")

    assert settled([together, face]) == [together, face]
    assert settled([]) == []
    of_nobody = [answer(UNSURE_TIMEOUT, 1, 2, people=()), answer(STOP, 1, people=())]
    assert settled(of_nobody) == of_nobody[1:]
