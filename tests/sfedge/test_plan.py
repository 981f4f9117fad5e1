"""Recordings: everything once in each interval."""

from collections import defaultdict

from hypothesis import given
from hypothesis import strategies as st
from planning import ALL, RATE, keys, planner, scene, someone

from sfedge.core.tasks import TASKS


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
