"""Whom the caps leave, and whom a task may be asked of."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planning import ALL, keys, planner, scene, someone

from sfedge.core.boxes import Box
from sfedge.core.structures import Query, Track
from sfedge.core.tasks import TASKS
from sfedge.inference.plan import BudgetPlanner, IntervalPlanner


@given(st.integers(0, 12), st.integers(1, 9), st.integers(0, 9), st.booleans())
def test_the_caps_hold_in_every_frame(
    people: int, max_people: int, max_pairs: int, egocentric: bool
) -> None:
    plan = planner(max_people=max_people, max_pairs=max_pairs, egocentric=egocentric).plan
    tracks = [
        someone(i + 1, 0.0, x=0.07 * i, size=1 + 0.1 * (i % 5), raised=True) for i in range(people)
    ]

    counts = Counter(q.task.name for q in plan(scene(*tracks), 0.0))

    single = min(people, max_people)
    pairs = min(single * (single - 1) // 2, max_pairs)
    expected = {
        "expression": single,
        "gesture": single,
        "gaze": single,
        "looking_at_me": people if egocentric else single,
        "domain": pairs,
        "relation": pairs,
    }
    assert counts == Counter(expected)


def test_the_largest_people_and_the_nearest_pairs_come_first() -> None:
    tracks = [
        someone(1, 0.0, x=0.0, size=0.5),
        someone(2, 0.0, x=0.1, size=1.2),
        someone(3, 0.0, x=0.3, size=1.1),
        someone(4, 0.0, x=0.8, size=1.3),
    ]
    queries = planner(max_people=3, max_pairs=2).plan(scene(*tracks), 0.0)

    assert [q.people for q in queries if q.task.name == "expression"] == [(2,), (3,), (4,)]
    assert [q.people for q in queries if q.task.name == "relation"] == [(2, 3), (3, 4)]


@pytest.mark.parametrize("live", [False, True], ids=["file", "live"])
def test_people_beyond_the_cap_are_counted(live: bool) -> None:
    caps = {"max_people": 3, "max_pairs": 2}
    plan = BudgetPlanner(ALL, **caps) if live else IntervalPlanner(ALL, interval=1.0, **caps)
    people = [someone(i, 1.0, x=0.15 * i) for i in range(5)]
    away = someone(9, 0.9, x=0.9)

    assert plan.left_out(scene(*people, away), 1.0) == 2
    assert plan.left_out(scene(*people[:3], away), 1.0) == 0


def test_what_is_asked_of_everybody_with_a_worn_camera_is_said_by_the_task() -> None:
    people = [someone(i + 1, 0.0, x=0.15 * i) for i in range(5)]
    tasks = tuple(
        replace(TASKS[name], everyone_if_egocentric=name == "expression")
        for name in ("expression", "looking_at_me")
    )

    for egocentric in (False, True):
        plan = planner(tasks, max_people=2, egocentric=egocentric).plan
        counts = Counter(q.task.name for q in plan(scene(*people), 0.0))
        assert counts == {"expression": 5 if egocentric else 2, "looking_at_me": 2}


def test_a_task_that_needs_the_face_is_not_asked_without_one() -> None:
    faceless = replace(someone(1, 0.0, raised=True), face=None)
    posture = replace(TASKS["gesture"], name="posture", condition="person")
    tasks = (*ALL, posture)

    assert keys(planner(tasks).plan(scene(faceless), 0.0)) == [
        ("gesture", (1,)),
        ("posture", (1,)),
    ]
    lowered = replace(faceless, hands=())
    assert keys(planner(tasks).plan(scene(lowered), 0.0)) == [("posture", (1,))]


def test_who_is_not_seen_now_is_not_asked_about() -> None:
    tracks = [someone(1, 0.9, raised=True), someone(2, 1.0, x=0.5, raised=True)]

    assert {q.people for q in planner().plan(scene(*tracks), 1.0)} == {(2,)}
    budget = BudgetPlanner(ALL, max_people=8, max_pairs=6)
    assert {q.people for q in budget.plan(scene(*tracks), 1.0, 50)} == {(2,)}


@pytest.mark.parametrize("live", [False, True], ids=["file", "live"])
def test_the_order_of_the_tracks_does_not_matter(live: bool) -> None:
    def plan(tracks: list[Track]) -> list[Query]:
        if live:
            return BudgetPlanner(ALL, max_people=3, max_pairs=2).plan(scene(*tracks), 0.0, 9)
        return planner(max_people=3, max_pairs=2).plan(scene(*tracks), 0.0)

    tracks = [someone(i, 0.0, x=0.2 * i, raised=True) for i in (1, 2, 3, 4)]

    assert plan(tracks) == plan(tracks[::-1])


@given(
    st.lists(st.lists(st.floats(0.98, 1.02), min_size=30, max_size=30), min_size=2, max_size=8),
    st.integers(1, 8),
    st.integers(1, 30),
    st.booleans(),
)
@settings(max_examples=25)
def test_in_a_crowd_of_equal_sizes_the_same_people_are_asked_all_the_time(
    sizes: list[list[float]], most: int, count: int, live: bool
) -> None:
    def run() -> list[list[int]]:
        one = (TASKS["expression"],)
        budget = BudgetPlanner(one, max_people=most, max_pairs=2)
        interval = planner(one, interval=0.0, max_people=most, max_pairs=2)
        asked = []
        for time, row in enumerate(sizes):
            people = [someone(i, time, x=0.03 * i, size=size) for i, size in enumerate(row[:count])]
            found = scene(*people)
            queries = budget.plan(found, time, 99) if live else interval.plan(found, time)
            asked.append(sorted(query.people[0] for query in queries))
        return asked

    asked = run()

    assert len(asked[0]) == min(most, count)
    assert asked == [asked[0]] * len(sizes)
    assert asked == run()


def test_one_who_is_not_seen_for_a_moment_lends_the_place_and_nobody_else_loses_one() -> None:
    plan = planner((TASKS["expression"],), interval=0.0, max_people=2).plan
    sizes = [1.0, 0.99, 0.98, 0.97]
    asked = []
    for time in range(6):
        seen = [time - 1 if i == 0 and time in (2, 3) else time for i in range(4)]
        people = [someone(i, seen[i], x=0.2 * i, size=sizes[i]) for i in range(4)]
        asked.append([query.people[0] for query in plan(scene(*people), time)])

    assert asked == [[0, 1], [0, 1], [1, 2], [1, 2], [0, 1], [0, 1]]


@pytest.mark.parametrize(("size", "asked"), [(1.05, (1, 2)), (1.15, (2, 3))])
def test_one_who_is_clearly_larger_takes_the_place_of_the_smallest(
    size: float, asked: tuple[int, ...]
) -> None:
    plan = planner((TASKS["expression"],), interval=0.0, max_people=2).plan
    people = [someone(1, 0.0), someone(2, 0.0, x=0.3, size=1.01)]
    plan(scene(*people), 0.0)
    people = [replace(track, last_seen=1.0) for track in people]

    queries = plan(scene(*people, someone(3, 1.0, x=0.6, size=size)), 1.0)  # area: its square

    assert tuple(query.people[0] for query in queries) == asked
    assert [q.people for q in plan(scene(someone(1, 2.0), someone(3, 2.0, x=0.6)), 2.0)] == [
        (1,),
        (3,),
    ]  # who left has no place


def placed(id_: int, x: float, y: float, width: float = 0.1, height: float = 0.2) -> Track:
    return replace(someone(id_, 0.0), person=Box(x, y, x + width, y + height))


@pytest.mark.parametrize(
    ("people", "nearest"),
    [
        # One above the other, two heights apart; beside each other, three widths apart.
        ([placed(1, 0.1, 0.1), placed(2, 0.1, 0.5), placed(3, 0.4, 0.1)], (1, 2)),
        # Beside each other, two widths apart; one above the other, three heights apart.
        ([placed(1, 0.1, 0.1), placed(2, 0.3, 0.1), placed(3, 0.1, 0.7)], (1, 2)),
        # As far apart in the picture, but 1 and 2 are wide: 1.5 of their widths, not 3.
        ([placed(1, 0.0, 0.1, 0.2), placed(2, 0.3, 0.1, 0.2), placed(3, 0.6, 0.1)], (1, 2)),
        # Wide and narrow: their mean width counts.
        ([placed(1, 0.0, 0.5, 0.3), placed(2, 0.4, 0.5), placed(3, 0.4, 0.05)], (1, 2)),
    ],
)
def test_pairs_are_asked_by_their_distance_in_their_own_sizes(
    people: list[Track], nearest: tuple[int, int]
) -> None:
    task = TASKS["relation"]
    (query,) = planner((task,), max_pairs=1).plan(scene(*people), 0.0)
    assert query.people == nearest
