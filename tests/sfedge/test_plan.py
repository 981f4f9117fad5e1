from collections import Counter, defaultdict
from dataclasses import replace
from itertools import pairwise
from typing import Literal

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


def raising(id_: int, time: float, *ids: int, x: float = 0.1) -> Track:
    """Somebody who holds up the hands with these ids."""
    hands = tuple(
        Hand(each, Box(x + 0.03 * i, 0.22, x + 0.03 * i + 0.02, 0.25), side, 0.9, time)
        for i, (each, side) in enumerate(zip(ids, ("left", "right"), strict=False))
    )
    return replace(someone(id_, time, x=x), hands=hands)


def free_hand(id_: int, time: float, x: float = 0.5, size: float = 0.05) -> Hand:
    return Hand(id_, Box(x, 0.4, x + size, 0.4 + size), "right", 0.9, time)


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


@given(st.integers(1, 12), st.integers(1, 6))
def test_a_round_has_as_many_queries_as_there_is_time_for(limit: int, people: int) -> None:
    plan = BudgetPlanner(ALL, max_people=8, max_pairs=6)
    shown = scene(*(someone(i, 0.0, x=0.12 * i, raised=True) for i in range(people)))
    every = planner().plan(shown, 0.0)
    assert len(plan.plan(shown, 0.0, limit)) == min(limit, len(every))
