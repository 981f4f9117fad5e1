import math
from dataclasses import replace

import pytest

from sfedge.core.boxes import Box
from sfedge.core.structures import Hand, Prediction, Scene, Side, Track
from sfedge.inference.newest_answers import NewestAnswers

FACE, BODY = Box(0.45, 0.1, 0.55, 0.2), Box(0.3, 0.05, 0.7, 0.9)
UP, DOWN = Box(0.6, 0.2, 0.65, 0.3), Box(0.6, 0.7, 0.65, 0.8)


def hand(id_: int, box: Box = UP, side: Side | None = "left") -> Hand:
    return Hand(id_, box, side, 0.9, 0.0)


def scene(*hands: Hand, free: tuple[Hand, ...] = (), people: tuple[int, ...] = (1,)) -> Scene:
    return Scene(tuple(Track(id_, BODY, FACE, hands, 0.0, 0.0) for id_ in people), free)


def answer(
    task: str, time: float, people: tuple[int, ...] = (1,), hands: tuple[int, ...] = ()
) -> Prediction:
    return Prediction(task, people, round(time * 10), time, label="x", hands=hands)


def test_an_answer_holds_until_a_newer_one_of_its_key_comes() -> None:
    newest, first = NewestAnswers(), answer("gaze", 0.0)

    assert newest.update([first], scene(), 0.0) == ()
    assert newest.update([answer("expression", 900.0)], scene(), 900.0) == (first,)
    (carried,) = newest.update([second := answer("gaze", 901.0)], scene(), 901.0)
    assert carried.task == "expression"
    assert second in newest.update([], scene(), 902.0)


@pytest.mark.parametrize(("age", "is_shown"), [(2.0, True), (2.01, False)])
def test_where_answers_age_they_hold_that_long_and_no_longer(age: float, is_shown: bool) -> None:
    newest = NewestAnswers(2.0)
    newest.update([answer("gaze", 0.0)], scene(), 0.0)

    assert bool(newest.update([], scene(), age)) == is_shown


def test_answers_wait_for_those_who_are_out_of_sight_and_are_dropped_with_those_who_left() -> None:
    newest, pair = NewestAnswers(), answer("relation", 0.0, (1, 2))
    newest.update([pair], scene(people=(1, 2)), 0.0)

    assert newest.update([], scene(people=(1,)), 1.0) == ()
    assert newest.update([], scene(people=(1, 2)), 2.0) == (pair,)
    newest.forget([2])
    assert newest.update([], scene(people=(1, 2)), 3.0) == ()


def test_an_answer_about_a_hand_is_shown_while_that_hand_is_held_up() -> None:
    newest, sign = NewestAnswers(), answer("gesture", 0.0, hands=(5,))
    newest.update([sign], scene(hand(5)), 0.0)

    assert newest.update([], scene(hand(5), hand(6)), 0.1) == (sign,)
    assert newest.update([], scene(hand(5, DOWN), hand(6)), 0.2) == ()
    assert newest.update([], scene(hand(5)), 0.3) == (sign,)


@pytest.mark.parametrize(
    ("side", "other", "is_shown"),
    [("left", "left", True), ("left", None, True), (None, "right", True), ("left", "right", False)],
)
def test_a_hand_that_is_held_up_again_under_another_id_keeps_its_answer(
    side: Side | None, other: Side | None, is_shown: bool
) -> None:
    newest, sign = NewestAnswers(), replace(answer("gesture", 0.0, hands=(5,)), side=side)
    newest.update([sign], scene(hand(5, side=side)), 0.0)

    assert newest.update([], scene(), 1.0) == ()
    assert newest.update([], scene(hand(6, DOWN, side=other)), 2.0) == ()
    assert bool(newest.update([], scene(hand(6, side=other)), 3.0)) == is_shown


def test_an_answer_about_both_hands_replaces_that_about_one_and_the_other_way_round() -> None:
    newest = NewestAnswers()
    newest.update([answer("gesture", 0.0, hands=(5,)), face := answer("gaze", 0.0)], scene(), 0.0)

    both = answer("gesture", 0.5, hands=(5, 6))
    assert newest.update([both], scene(hand(5), hand(6)), 0.5) == (face,)
    assert newest.update([], scene(hand(5), hand(6)), 0.6) == (face, both)
    one = answer("gesture", 1.0, hands=(6,))
    assert newest.update([one], scene(hand(6)), 1.0) == (face,)
    assert newest.update([], scene(hand(6)), 1.1) == (face, one)


def test_answers_about_the_two_hands_of_one_person_stand_side_by_side() -> None:
    newest = NewestAnswers()
    left, right = (answer("gesture", 0.0, hands=(id_,)) for id_ in (5, 6))
    newest.update([left, right], scene(hand(5), hand(6)), 0.0)

    assert newest.update([], scene(hand(5), hand(6)), 0.1) == (left, right)


def test_an_answer_about_a_hand_of_nobody_ends_with_that_hand() -> None:
    newest, sign = NewestAnswers(math.inf), answer("gesture", 0.0, (), (7,))
    newest.update([sign], scene(free=(hand(7),), people=()), 0.0)

    assert newest.update([], scene(free=(hand(7, DOWN),), people=()), 0.1) == (sign,)
    assert newest.update([], scene(people=()), 0.2) == ()
    assert newest.update([], scene(free=(hand(7),), people=()), 0.3) == ()
