"""Questions about hands: one's own and those of nobody."""

from dataclasses import replace
from typing import Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planning import ALL, free_hand, keys, planner, raising, scene, someone

from sfedge.core.boxes import Box
from sfedge.core.structures import Hand, Scene
from sfedge.core.tasks import TASKS
from sfedge.inference.plan import BudgetPlanner


def test_a_gesture_is_asked_only_while_a_hand_is_raised() -> None:
    plan = planner((TASKS["gesture"],), interval=0).plan

    assert plan(scene(someone(1, 0.0, raised=False)), 0.0) == []
    assert keys(plan(scene(someone(1, 0.1, raised=True)), 0.1)) == [("gesture", (1,))]
    assert plan(scene(replace(someone(1, 0.2, raised=True), hands=())), 0.2) == []


def test_a_gesture_belongs_to_the_raised_hands_and_is_asked_once_about_both() -> None:
    plan = planner((TASKS["gesture"],), interval=0).plan
    lowered = Hand(7, Box(0.1, 0.6, 0.12, 0.63), "right", 0.9, 0.0)
    one = raising(1, 0.0, 4)

    (query,) = plan(scene(replace(one, hands=(lowered, *one.hands))), 0.0)
    assert (query.people, query.hands, query.side) == ((1,), (4,), "left")
    (query,) = plan(scene(raising(1, 0.0, 4, 7)), 0.0)
    assert (query.people, query.hands, query.side) == ((1,), (4, 7), "both")


def test_a_task_that_sees_the_hand_is_asked_once_about_each() -> None:
    task = replace(TASKS["gesture"], view="hand", margin=0.5)
    plan = planner((task,), interval=0.5).plan

    queries = plan(Scene((raising(1, 0.0, 4, 7),), (free_hand(9, 0.0),)), 0.0, aspect=2.0)

    assert [(q.people, q.hands, q.side) for q in queries] == [
        ((1,), (4,), "left"),
        ((1,), (7,), "right"),
        ((), (9,), "right"),
    ]
    assert len({q.view for q in queries}) == 3
    assert plan(Scene((raising(1, 0.1, 4, 7),), (free_hand(9, 0.1),)), 0.1, aspect=2.0) == []


@pytest.mark.parametrize(
    ("view", "in_a_row"), [("hand", [(4,), (7,), (4,), (7,)]), ("person", [(4, 7)] * 4)]
)
def test_hands_that_are_seen_each_by_itself_take_turns(
    view: Literal["hand", "person"], in_a_row: list[tuple[int, ...]]
) -> None:
    budget = BudgetPlanner((replace(TASKS["gesture"], view=view),), max_people=8, max_pairs=6)

    queries = [budget.plan(scene(raising(1, t, 4, 7)), t, 1) for t in (0.0, 1.0, 2.0, 3.0)]

    assert [query.hands for (query,) in queries] == in_a_row


@pytest.mark.parametrize(("view", "new"), [("hand", [(7,)]), ("person", [])])
def test_a_second_hand_is_asked_at_once_where_it_is_seen_by_itself(
    view: Literal["hand", "person"], new: list[tuple[int, ...]]
) -> None:
    plan = planner((replace(TASKS["gesture"], view=view),), interval=1.0).plan
    plan(scene(raising(1, 0.0, 4)), 0.0)

    assert [q.hands for q in plan(scene(raising(1, 0.1, 4, 7)), 0.1)] == new
    assert {hand for q in plan(scene(raising(1, 1.0, 4, 7)), 1.0) for hand in q.hands} == {4, 7}


def test_a_hand_of_nobody_is_asked_for_its_gesture_and_is_in_no_pair_or_count() -> None:
    hands = (free_hand(1, 0.0), free_hand(2, 0.0, x=0.7), free_hand(3, -1.0, x=0.9))
    both = planner(max_people=1)

    queries = both.plan(Scene((someone(1, 0.0),), hands), 0.0)

    of_hands = [(q.task.name, q.hands) for q in queries if not q.people]
    assert of_hands == [("gesture", (1,))]  # the caps hold for hands, too
    assert {q.task.name for q in queries if q.people} == {"expression", "looking_at_me", "gaze"}
    assert both.left_out(Scene((someone(1, 0.0),), hands), 0.0) == 0
    assert keys(planner().plan(Scene((), hands), 0.0)) == [("gesture", ())] * 2


def test_of_more_hands_than_the_cap_the_largest_are_asked() -> None:
    hands = tuple(free_hand(i, 0.0, x=0.15 * i, size=0.01 * (i + 1)) for i in range(1, 5))

    queries = planner(max_people=2).plan(Scene((), hands), 0.0)

    assert [q.hands for q in queries] == [(3,), (4,)]


@settings(deadline=None, max_examples=15)
@given(st.booleans(), st.integers(1, 4), st.integers(1, 4))
def test_hands_whose_ids_change_all_the_time_starve_nobody(
    sees_hands: bool, limit: int, hands: int
) -> None:
    gesture = TASKS["gesture"]
    if sees_hands:
        gesture = replace(gesture, view="hand")
    budget = BudgetPlanner((TASKS["expression"], gesture), max_people=8, max_pairs=6)
    last: dict[object, int] = {}
    longest = 0
    for index in range(200):
        time = index * 0.1
        new = index * 10
        free = tuple(free_hand(new + i, time, x=0.1 * i) for i in range(hands))
        people = (raising(1, time, new + 8, new + 9), raising(2, time, 3, 4, x=0.5))
        for query in budget.plan(Scene(people, free), time, limit):
            # The new hands of one place stand for each other.
            key = (query.task.name, query.people, query.hands if 3 in query.hands else ())
            longest = max(longest, index - last.get(key, -1))
            last[key] = index
    assert {("expression", (1,), ()), ("expression", (2,), ()), ("gesture", (), ())} <= set(last)
    assert {key[:2] for key in last} >= {("gesture", (1,)), ("gesture", (2,))}
    longest = max(longest, *(200 - index for index in last.values()))
    assert longest <= 3 * (4 + 2 + hands)


@pytest.mark.parametrize(("urgency", "first"), [(1.8, "gesture"), (2.2, "expression")])
def test_a_new_hand_is_twice_as_urgent_as_one_that_stays_and_no_more(
    urgency: float, first: str
) -> None:
    gesture = replace(TASKS["gesture"], urgency=1.0)
    tasks = (gesture, replace(TASKS["expression"], urgency=urgency))
    budget = BudgetPlanner(tasks, max_people=8, max_pairs=6)
    budget.plan(Scene((someone(1, 0.0),), (free_hand(1, 0.0),)), 0.0, 9)

    (query,) = budget.plan(Scene((someone(1, 1.0),), (free_hand(2, 1.0),)), 1.0, 1)

    assert query.task.name == first


@pytest.mark.parametrize("live", [False, True], ids=["file", "live"])
@pytest.mark.parametrize("aspect", [None, 2.0, 0.5])
def test_a_hand_is_seen_in_a_square_of_pixels(live: bool, aspect: float | None) -> None:
    """A frame is square where nothing is said of it."""
    shape = {} if aspect is None else {"aspect": aspect}
    shown = Scene((), (free_hand(1, 0.0),))
    if live:
        (query,) = BudgetPlanner(ALL, max_people=8, max_pairs=6).plan(shown, 0.0, 1, **shape)
    else:
        (query,) = planner().plan(shown, 0.0, **shape)

    assert query.view.height / query.view.width == pytest.approx(aspect or 1.0)


def test_live_two_hands_close_together_are_asked_about_in_one_round() -> None:
    gesture = replace(TASKS["gesture"], view="hand", margin=0.5)
    tasks = (TASKS["expression"], gesture, TASKS["gaze"])
    hands = tuple(
        Hand(id_, Box(x, 0.2, x + 0.05, 0.3), "left", 0.9, 0.0) for id_, x in ((4, 0.3), (7, 0.36))
    )

    def rounds(limit: int) -> list[list[tuple[int, ...]]]:
        found = []
        live = BudgetPlanner(tasks, max_people=2, max_pairs=1)
        for number in range(12):
            person = replace(someone(1, number / 10, raised=True), hands=())
            seen = tuple(replace(hand, last_seen=number / 10) for hand in hands)
            queries = live.plan(scene(replace(person, hands=seen)), number / 10, limit)
            found.append([query.hands for query in queries if query.task.name == "gesture"])
        return found

    in_one = [round_ for round_ in rounds(3) if round_]
    assert 3 <= len(in_one) < 12
    assert all(round_ == [(4, 7), (4,), (7,)] for round_ in in_one)
    # Where there is time for one query only, it is about both.
    assert {hands for round_ in rounds(1) for hands in round_} == {(4, 7)}
