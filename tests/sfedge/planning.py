"""People and hands for the planners' tests."""

from dataclasses import replace

from sfedge.core.boxes import Box
from sfedge.core.structures import Hand, Query, Scene, Track
from sfedge.core.tasks import TASKS, Task
from sfedge.inference.plan import IntervalPlanner

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
        Hand(each, Box(x + 0.1 * i, 0.22, x + 0.1 * i + 0.02, 0.25), side, 0.9, time)
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
