"""Which answers a label is compared with, and which of them counts."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from sfedge.core.boxes import Box
from sfedge.core.frame_result import FrameResult
from sfedge.core.structures import Frame, Hand, Prediction, Track
from sfedge.core.tasks import NO_GESTURE, TASKS
from sfedge.inference.crop import head_box
from sfedge.scoring.matching import judge, match

FRAME = Frame(np.zeros((90, 160, 3), np.uint8), 0, 0.0, starts_scene=True)
EXPRESSION, GESTURE, GAZE, RELATION = (
    TASKS[name] for name in ("expression", "gesture", "gaze", "relation")
)
HAND_VIEW = replace(GESTURE, view="hand", labels=(*GESTURE.labels, NO_GESTURE))
LEFT_FACE, RIGHT_FACE = Box(0.1, 0.2, 0.2, 0.4), Box(0.6, 0.2, 0.75, 0.5)


def person(number: int, face: Box | None, *hands: Hand) -> Track:
    x = 0.05 if number == 1 else 0.5
    return Track(number, Box(x, 0.1, x + 0.4, 1.0), face, hands, 0.0, 0.0)


def hand(number: int, x: float) -> Hand:
    return Hand(number, Box(x, 0.5, x + 0.08, 0.65), None, 0.9, 0.0)


def said(
    task: str,
    people: tuple[int, ...],
    probabilities: Mapping[str, float] | None = None,
    hands: tuple[int, ...] = (),
) -> Prediction:
    """An answer; its label is the first."""
    label = next(iter(probabilities)) if probabilities else None
    unsure = bool(probabilities) and max((probabilities or {}).values()) < 0.5
    return Prediction(
        task, people, 0, 0.0, label, probabilities, hands=hands, is_unsure=unsure, point=(0.5, 0.5)
    )


def result(
    tracks: tuple[Track, ...], *answers: Prediction, hands: tuple[Hand, ...] = ()
) -> FrameResult:
    return FrameResult(FRAME, tracks, answers, (), hands=hands)


TWO = (person(1, LEFT_FACE), person(2, RIGHT_FACE))
OF_TWO = (
    said("expression", (1,), {"fear": 0.6, "anger": 0.4}),
    said("expression", (2,), {"anger": 0.7, "fear": 0.3}),
)


@pytest.mark.parametrize(
    "box", [RIGHT_FACE, head_box(RIGHT_FACE), Box(0.62, 0.22, 0.77, 0.52)], ids=str
)
def test_a_box_is_about_the_face_that_overlaps_most(box: Box) -> None:
    found = match(result(TWO, *OF_TWO), EXPRESSION, [box])
    assert (found.outcome, found.answers) == ("answered", OF_TWO[1:])
    assert (found.overlap or 0) > 0.5


@pytest.mark.parametrize(
    ("box", "outcome"),
    [(Box(0.3, 0.2, 0.4, 0.4), "not found"), (Box(0.1, 0.2, 0.125, 0.4), "not found")],
)
def test_what_overlaps_too_little_is_not_found(box: Box, outcome: str) -> None:
    found = match(result(TWO, *OF_TWO), EXPRESSION, [box])
    assert (found.outcome, found.answers) == (outcome, ())


def test_somebody_who_is_found_but_was_not_asked_about_is_counted_separately() -> None:
    found = match(result(TWO, OF_TWO[0]), EXPRESSION, [RIGHT_FACE])
    assert (found.outcome, found.answers) == ("not asked", ())
    assert found.box == RIGHT_FACE


def test_without_a_box_every_answer_of_the_picture_may_be_meant() -> None:
    assert match(result(TWO, *OF_TWO), EXPRESSION, []).answers == OF_TWO
    assert match(result(TWO), EXPRESSION, []).outcome == "not asked"
    nobody = (person(1, None),)
    assert match(result(nobody), EXPRESSION, []).outcome == "not found"


def test_of_the_gaze_the_largest_face_answers() -> None:
    answers = (said("gaze", (1,)), said("gaze", (2,)))
    assert match(result(TWO, *answers), GAZE, []).answers == answers[1:]
    assert match(result(TWO, answers[0]), GAZE, []).outcome == "not asked"
    assert match(result(TWO, *answers), GAZE, [head_box(LEFT_FACE)]).answers == answers[:1]


def test_a_gesture_may_be_boxed_by_hand_by_both_hands_or_by_person() -> None:
    first, second, free = hand(1, 0.1), hand(2, 0.3), hand(3, 0.9)
    owner = person(1, LEFT_FACE, first, second)
    answers = tuple(
        said("gesture", people, {"ok": 0.9}, hands=(number,))
        for people, number in (((1,), 1), ((1,), 2), ((), 3))
    )
    whole = result((owner,), *answers, hands=(free,))
    both = Box(0.1, 0.5, 0.38, 0.65)
    for box, wanted in (
        (first.box, answers[:1]),
        (second.box, answers[1:2]),
        (both, answers[:2]),
        (owner.person, answers[:2]),
        (free.box, answers[2:]),
    ):
        assert match(whole, HAND_VIEW, [box]).answers == wanted
    resting = result((owner,), answers[0])
    assert match(resting, HAND_VIEW, [second.box]).outcome == "not asked"
    # The older view shows the person; its answer is about the hands that are held up.
    of_person = said("gesture", (1,), {"ok": 0.9}, hands=(1, 2))
    assert match(result((owner,), of_person), GESTURE, [owner.person]).answers == (of_person,)
    assert match(result((owner,), of_person), GESTURE, [second.box]).answers == (of_person,)


def test_a_pair_is_found_if_both_are_in_either_order() -> None:
    answer = said("relation", (1, 2), {"friends": 0.9})
    one, two = (track.person for track in TWO)
    for boxes in ([one, two], [two, one]):
        assert match(result(TWO, answer), RELATION, boxes).answers == (answer,)
    assert match(result(TWO), RELATION, [one, two]).outcome == "not asked"
    for boxes in ([one, one], [one, Box(0.0, 0.0, 0.1, 0.1)]):
        assert match(result(TWO, answer), RELATION, boxes).outcome == "not found"
    assert match(result(()), RELATION, [one, two]).outcome == "not found"


def test_any_right_answer_counts_the_surest_of_them() -> None:
    answers = [
        said("gesture", (1,), {"ok": 0.6, "fist": 0.4}),
        said("gesture", (1,), {"ok": 0.7, "fist": 0.3}),
        said("gesture", (1,), {"fist": 0.9, "ok": 0.1}),
    ]
    found = judge(answers, HAND_VIEW, "ok")
    assert (found.answer, found.is_right, found.rank) == (answers[1], True, 0)
    wrong = judge(answers, HAND_VIEW, "palm")
    assert (wrong.answer, wrong.is_right) == (answers[2], False)
    assert judge(answers[2:], HAND_VIEW, "ok").rank == 1


def test_a_hand_that_rests_hides_no_wrong_gesture() -> None:
    rests, wrong = (
        said("gesture", (1,), {NO_GESTURE: 0.99, "ok": 0.01}),
        said("gesture", (1,), {"fist": 0.5, "ok": 0.4}),
    )
    found = judge([rests, wrong], HAND_VIEW, "ok")
    assert (found.answer, found.is_right) == (wrong, False)
    assert judge([rests], HAND_VIEW, "ok").answer is rests


def test_no_gesture_is_right_only_if_no_hand_says_one() -> None:
    rests = said("gesture", (1,), {NO_GESTURE: 0.9, "ok": 0.1})
    sure, unsure = (
        said("gesture", (1,), {"ok": 0.8, NO_GESTURE: 0.2}),
        said("gesture", (1,), {"ok": 0.4, NO_GESTURE: 0.35}),
    )
    right = judge([rests, rests], HAND_VIEW, NO_GESTURE)
    assert (right.is_right, right.rank, right.sure_gestures) == (True, 0, 0)
    wrong = judge([rests, sure, unsure], HAND_VIEW, NO_GESTURE)
    assert (wrong.answer, wrong.is_right, wrong.rank, wrong.sure_gestures) == (sure, False, 1, 1)
    # A model without this answer is never right, and the label has no rank.
    older = judge([sure], GESTURE, NO_GESTURE)
    assert (older.is_right, older.rank) == (False, len(GESTURE.labels))


def test_of_two_labels_the_first_has_the_highest_probability_of_all_answers() -> None:
    task = TASKS["looking_at_me"]
    answers = [
        said("looking_at_me", (1,), {"not_looking": 0.8, "looking": 0.2}),
        said("looking_at_me", (2,), {"looking": 0.6, "not_looking": 0.4}),
    ]
    assert judge(answers, task, "not_looking").first == 0.6
    assert judge(answers, task, "not_looking").is_right
