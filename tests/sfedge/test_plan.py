from collections import Counter, defaultdict
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfedge.core.boxes import Box
from sfedge.core.structures import Hand, Query, Scene, Track
from sfedge.core.tasks import TASKS, Task
from sfedge.inference.plan import BudgetPlanner, IntervalPlanner

ALL = tuple(TASKS.values())
RATE = 30.0


def someone(
    id_: int, time: float, *, x: float = 0.1, size: float = 1.0, raised: bool = False
) -> Track:
    face = Box(x, 0.20, x + 0.04 * size, 0.20 + 0.06 * size)
    person = Box(x, 0.15, x + 0.1 * size, 0.15 + 0.5 * size)
    hand = Box(x, 0.22, x + 0.02, 0.25) if raised else Box(x, 0.6, x + 0.02, 0.63)
    return Track(id_, person, face, (Hand(id_, hand, None, 0.9, time),), 0.0, time)


def scene(*people: Track) -> Scene:
    return Scene(people)


def keys(queries: list[Query]) -> list[tuple[str, tuple[int, ...]]]:
    return [(q.task.name, q.people) for q in queries]


def planner(
    tasks: tuple[Task, ...] = ALL,
    interval: float = 0.5,
    max_people: int = 8,
    max_pairs: int = 6,
    egocentric: bool = False,
) -> IntervalPlanner:
    return IntervalPlanner(
        tasks,
        interval=interval,
        max_people=max_people,
        max_pairs=max_pairs,
        egocentric=egocentric,
    )


@given(
    st.dictionaries(st.integers(1, 6), st.floats(0.0, 2.0), min_size=1),
    st.sampled_from([0.1, 0.5, 0.7]),
    st.sampled_from([24.0, 30000 / 1001, 60.0]),
)
def test_everybody_is_asked_at_first_sight_and_once_in_every_interval(
    arrivals: dict[int, float], interval: float, rate: float
) -> None:
    plan = planner(interval=interval, max_pairs=100).plan
    asked: dict[tuple[str, tuple[int, ...]], list[float]] = defaultdict(list)
    first: dict[tuple[str, tuple[int, ...]], float] = {}
    for index in range(int(3 * rate)):
        time = index / rate
        tracks = [
            someone(i, time, x=0.1 * i, raised=True) for i, t in arrivals.items() if t <= time
        ]
        for key in keys(plan(scene(*tracks), time)):
            asked[key].append(time)
        ids = sorted(t.id for t in tracks)
        for task in ALL:
            for a in ids:
                for b in ids if task.people == 2 else [a]:
                    if a < b or task.people == 1:
                        first.setdefault((task.name, (a, b)[: task.people]), time)

    assert set(asked) == set(first)
    for key, times in asked.items():
        assert times[0] == first[key]
        ticks = [int((t + 1e-6) / interval) for t in times]
        assert len(set(ticks)) == len(ticks)
        assert ticks == list(range(ticks[0], ticks[-1] + 1))


def test_after_their_first_sight_all_are_asked_in_the_same_frame() -> None:
    plan = planner((TASKS["gaze"],), interval=0.5).plan
    frames = {}
    for index in range(60):
        time = index / RATE
        tracks = [someone(i, time, x=0.2 * i) for i in (1, 2) if time >= 0.2 * (i - 1)]
        frames[index] = [q.people for q in plan(scene(*tracks), time)]

    assert {i: p for i, p in frames.items() if p} == {
        0: [(1,)],
        6: [(2,)],
        15: [(1,), (2,)],
        30: [(1,), (2,)],
        45: [(1,), (2,)],
    }


def test_interval_zero_asks_in_every_frame() -> None:
    plan = planner((TASKS["expression"],), interval=0).plan

    assert [len(plan(scene(someone(1, i / RATE)), i / RATE)) for i in range(5)] == [1] * 5


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


def test_a_gesture_is_asked_only_while_a_hand_is_raised() -> None:
    plan = planner((TASKS["gesture"],), interval=0).plan

    assert plan(scene(someone(1, 0.0, raised=False)), 0.0) == []
    assert keys(plan(scene(someone(1, 0.1, raised=True)), 0.1)) == [("gesture", (1,))]
    assert plan(scene(replace(someone(1, 0.2, raised=True), hands=())), 0.2) == []


def test_who_is_not_seen_now_is_not_asked_about() -> None:
    tracks = [someone(1, 0.9, raised=True), someone(2, 1.0, x=0.5, raised=True)]

    assert {q.people for q in planner().plan(scene(*tracks), 1.0)} == {(2,)}
    budget = BudgetPlanner(ALL, max_people=8, max_pairs=6)
    assert {q.people for q in budget.plan(scene(*tracks), 1.0, 50)} == {(2,)}


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


def test_questions_on_one_view_go_together() -> None:
    tracks = [someone(i, 0.0, x=0.2 * i) for i in (1, 2, 3)]

    queries = BudgetPlanner(ALL, max_people=8, max_pairs=6).plan(scene(*tracks), 0.0, 7)

    views = [q.view for q in queries]
    changes = sum(a != b for a, b in pairwise(views))
    assert changes == len(set(views)) - 1
    assert {q.task.name for q in queries if q.people == (1,)} >= {"expression", "looking_at_me"}


@pytest.mark.parametrize("live", [False, True], ids=["file", "live"])
def test_the_order_of_the_tracks_does_not_matter(live: bool) -> None:
    def plan(tracks: list[Track]) -> list[Query]:
        if live:
            return BudgetPlanner(ALL, max_people=3, max_pairs=2).plan(scene(*tracks), 0.0, 9)
        return planner(max_people=3, max_pairs=2).plan(scene(*tracks), 0.0)

    tracks = [someone(i, 0.0, x=0.2 * i, raised=True) for i in (1, 2, 3, 4)]

    assert plan(tracks) == plan(tracks[::-1])
