"""Live: what is asked when there is no time for everything."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planning import ALL, keys, planner, scene, someone

from sfedge.core.tasks import TASKS
from sfedge.inference.plan import BudgetPlanner


@settings(deadline=None, max_examples=15)
@given(st.integers(1, 5), st.integers(1, 8), st.integers(0, 1000))
def test_under_any_budget_every_question_gets_its_turn(people: int, limit: int, seed: int) -> None:
    budget = BudgetPlanner(ALL, max_people=8, max_pairs=10)
    last: dict[tuple[str, tuple[int, ...]], int] = {}
    longest = 0
    rounds = 300
    for index in range(rounds):
        time = index * 0.1
        # The first person moves all the time and so always has the most urgent questions.
        sway = 0.05 * ((index * (seed + 1)) % 7)
        tracks = [
            someone(i + 1, time, x=0.15 * i + (sway if i == 0 else 0), raised=True)
            for i in range(people)
        ]
        queries = budget.plan(scene(*tracks), time, limit)
        assert len(queries) <= limit
        assert len(set(keys(queries))) == len(queries)
        for key in keys(queries):
            longest = max(longest, index - last.get(key, -1))
            last[key] = index
    total = 4 * people + people * (people - 1)
    assert len(last) == total
    longest = max(longest, *(rounds - index for index in last.values()))
    # The dullest question (weight 0.1) waits at most 30 times as long as the liveliest (1.5 x 2),
    # which itself is asked no more than once a round.
    assert longest <= 30 * (total / limit + 1)


def test_an_urgent_task_is_asked_sooner_by_its_weight() -> None:
    """With one question a round, questions are asked as often as their weights say."""
    sign = replace(TASKS["gesture"], urgency=4.5)  # the fifth turn is the other's
    for tasks in ((TASKS["expression"], sign), (sign, TASKS["expression"])):
        budget = BudgetPlanner(tasks, max_people=8, max_pairs=6)
        asked = Counter(
            query.task.name
            for index in range(500)
            for query in budget.plan(scene(someone(1, float(index), raised=True)), index, 1)
        )
        assert asked["gesture"] / asked["expression"] == pytest.approx(4.0, rel=0.1)


def test_the_paper_s_tasks_have_the_urgencies_that_live_running_was_tuned_with() -> None:
    """A sign is brief: with one question a round, it is asked more often than a face."""
    budget = BudgetPlanner(ALL, max_people=8, max_pairs=6)
    asked = Counter(
        query.task.name
        for index in range(3000)
        for query in budget.plan(
            scene(someone(1, index, raised=True), someone(2, index, x=0.5)), index, 1
        )
    )
    assert asked["gesture"] > 1.2 * asked["gaze"] / 2
    assert asked["gaze"] / 2 > 5 * asked["relation"]
    assert min(asked.values()) > 10


@pytest.mark.parametrize(("urgency", "comes_along"), [(0.55, True), (0.45, False)])
def test_a_question_on_the_same_view_comes_along_if_it_is_half_as_urgent(
    urgency: float, comes_along: bool
) -> None:
    tasks = (TASKS["expression"], replace(TASKS["looking_at_me"], urgency=urgency))
    budget = BudgetPlanner((*tasks, TASKS["gaze"]), max_people=8, max_pairs=6)
    budget.plan(scene(someone(1, 0.0)), 0.0, 9)

    # The gaze is as urgent as the expression, and more than its mate.
    names = [q.task.name for q in budget.plan(scene(someone(1, 1.0)), 1.0, 2)]

    assert names == ["expression", "looking_at_me" if comes_along else "gaze"]


@pytest.mark.parametrize(("away", "first"), [(59.0, "posture"), (61.0, "gaze")])
def test_a_question_that_could_not_be_asked_for_a_minute_counts_as_never_asked(
    away: float, first: str
) -> None:
    posture = replace(TASKS["gesture"], name="posture", condition="person", urgency=100.0)
    budget = BudgetPlanner((posture, TASKS["gaze"]), max_people=8, max_pairs=6)
    budget.plan(scene(someone(1, 0.0)), 0.0, 9)
    budget.plan(scene(replace(someone(1, away - 1), face=None)), away - 1, 9)

    (query,) = budget.plan(scene(someone(1, away)), away, 1)

    assert query.task.name == first


def test_what_was_never_asked_comes_first_and_then_the_oldest() -> None:
    task = (TASKS["expression"],)
    budget = BudgetPlanner(task, max_people=8, max_pairs=6)
    tracks = [someone(i, 0.0, x=0.2 * i) for i in (1, 2, 3)]

    order = []
    for index in range(6):
        now = [replace(t, last_seen=index * 0.1) for t in tracks]
        order += [q.people[0] for q in budget.plan(scene(*now), index * 0.1, 1)]

    assert order == [1, 2, 3, 1, 2, 3]
    newcomer = someone(4, 0.6, x=0.85)
    assert keys(budget.plan(scene(replace(tracks[0], last_seen=0.6), newcomer), 0.6, 1)) == [
        ("expression", (4,))
    ]


def test_whoever_moved_is_asked_before_whoever_stayed() -> None:
    budget = BudgetPlanner((TASKS["expression"],), max_people=8, max_pairs=6)
    budget.plan(scene(someone(1, 0.0), someone(2, 0.0, x=0.5)), 0.0, 2)

    (query,) = budget.plan(scene(someone(1, 1.0), someone(2, 1.0, x=0.58)), 1.0, 1)

    assert query.people == (2,)


def test_whoever_was_given_up_is_asked_as_if_for_the_first_time() -> None:
    budget = BudgetPlanner((TASKS["expression"],), max_people=8, max_pairs=6)
    budget.plan(scene(someone(1, 0.0), someone(2, 0.0, x=0.5)), 0.0, 2)
    budget.forget([2])

    # The first has moved far, the second is back where it was.
    (query,) = budget.plan(scene(someone(1, 1.0, x=0.3), someone(2, 1.0, x=0.5)), 1.0, 1)

    assert query.people == (2,)


def test_questions_on_one_view_go_together() -> None:
    tracks = [someone(i, 0.0, x=0.2 * i) for i in (1, 2, 3)]

    queries = BudgetPlanner(ALL, max_people=8, max_pairs=6).plan(scene(*tracks), 0.0, 7)

    views = [q.view for q in queries]
    changes = sum(a != b for a, b in pairwise(views))
    assert changes == len(set(views)) - 1
    assert {q.task.name for q in queries if q.people == (1,)} >= {"expression", "looking_at_me"}


@given(st.integers(1, 12), st.integers(1, 6))
def test_a_round_has_as_many_queries_as_there_is_time_for(limit: int, people: int) -> None:
    plan = BudgetPlanner(ALL, max_people=8, max_pairs=6)
    shown = scene(*(someone(i, 0.0, x=0.12 * i, raised=True) for i in range(people)))
    every = planner().plan(shown, 0.0)
    assert len(plan.plan(shown, 0.0, limit)) == min(limit, len(every))
