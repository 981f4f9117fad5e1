"""What a round of queries is predicted to cost, learned from rounds before."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planning import ALL, planner, scene, someone

from sfedge.core.structures import Query
from sfedge.core.tasks import TASKS
from sfedge.inference.costs import Costs
from sfedge.inference.plan import BudgetPlanner

FACE, WHOLE = 0.004, 0.03  # made costs in seconds: of encoding a face, and other views
SECONDS = {"expression": 0.002, "looking_at_me": 0.003, "gesture": 0.004, "gaze": 0.05}


def taken(queries: list[Query]) -> float:
    """What a round really takes here."""
    views = {query.view: FACE if query.task.view == "face" else WHOLE for query in queries}
    return sum(views.values()) + sum(SECONDS.get(q.task.name, 0.01) for q in queries)


def people(count: int, time: float = 0.0) -> list[Query]:
    tracks = [someone(i, time, x=0.12 * i, raised=True) for i in range(count)]
    return planner().plan(scene(*tracks), time)


def test_nothing_is_predicted_before_the_first_round() -> None:
    assert Costs().of(people(1)) is None


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 10_000))
def test_after_some_rounds_any_other_round_is_predicted(seed: int) -> None:
    random = np.random.default_rng(seed)
    every, costs = people(4), Costs()

    def some() -> list[Query]:
        return [every[i] for i in sorted(random.permutation(len(every))[: random.integers(1, 9)])]

    for _ in range(300):
        queries = some()
        costs.learn(queries, taken(queries))

    for _ in range(20):
        queries = some()
        assert costs.of(queries) == pytest.approx(taken(queries), rel=0.1, abs=0.004)


def test_a_machine_that_becomes_slower_is_noticed_in_a_few_rounds() -> None:
    queries, costs = people(2), Costs()
    for factor in (1.0, *[5.0] * 6):
        costs.learn(queries, factor * taken(queries))
    assert costs.of(queries) == pytest.approx(5 * taken(queries), rel=0.05)


def test_costs_are_never_below_zero_and_a_new_task_counts_as_the_dearest_known_one() -> None:
    costs = Costs()
    gaze = [q for q in people(1) if q.task.name == "gaze"]
    faces = [q for q in people(1) if q.task.name in ("expression", "looking_at_me")]
    costs.learn(faces, 1.0)
    assert costs.of(gaze) == pytest.approx(1.0 / 3 * 2)  # a view and two tasks took one second
    for _ in range(50):
        costs.learn(faces, 0.0)
    assert costs.of(faces) == pytest.approx(0.0, abs=1e-6)


def test_within_a_budget_cheap_questions_come_along_and_dear_ones_get_their_turn() -> None:
    tasks = (TASKS["expression"], TASKS["gaze"])
    budget = BudgetPlanner(tasks, max_people=8, max_pairs=6)
    asked: list[set[str]] = []
    for index in range(12):
        tracks = [someone(i, float(index), x=0.2 * i) for i in (1, 2, 3)]
        queries = budget.plan(scene(*tracks), index, 0.02, cost=lambda q: taken(list(q)))
        asked.append({query.task.name for query in queries})
        assert taken(queries) <= 0.02 or len(queries) == 1
    assert {"gaze"} in asked  # over the budget, alone
    assert {"expression"} in asked


def test_an_answer_that_is_new_enough_is_not_asked_for_again() -> None:
    budget = BudgetPlanner(ALL, max_people=8, max_pairs=6, rest=0.25)
    first = budget.plan(scene(someone(1, 0.0)), 0.0, 99)
    assert first
    assert budget.plan(scene(someone(1, 0.2)), 0.2, 99) == []
    assert len(budget.plan(scene(someone(1, 0.25)), 0.25, 99)) == len(first)
