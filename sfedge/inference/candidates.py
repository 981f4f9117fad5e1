"""All queries that could be asked about a frame, within the caps."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeVar

from sfedge.core.structures import AnswerKey, Hand, Query, Scene, Track
from sfedge.core.tasks import Task
from sfedge.inference.conditions import CONDITIONS, raised_hands
from sfedge.inference.crop import free_hand_query, hand_queries, query_for

_Item = TypeVar("_Item", Track, Hand)


@dataclass(frozen=True, slots=True)
class Caps:
    """Caps on the queries about a frame.

    Args:
        max_people: the largest people in sight, and as many hands that belong to nobody.
        max_pairs: the nearest pairs among them.
        egocentric: the camera is worn: some tasks are asked of everybody, however many there are.
    """

    max_people: int
    max_pairs: int
    egocentric: bool = False


def candidates(
    tasks: Sequence[Task], scene: Scene, time: float, caps: Caps, aspect: float
) -> list[Query]:
    """Every query that may be asked now, by task, then by people, then by hands without a person.

    Args:
        tasks: what to ask, in this order.
        scene: who is in the frame; those who were not seen in it are not asked about.
        time: of the frame.
        caps: how much is asked.
        aspect: the picture's width divided by its height, in pixels.
    """
    seen = people_seen(scene, time)
    chosen = _largest(seen, caps.max_people)
    hands = _largest([h for h in scene.hands if h.last_seen == time], caps.max_people)
    pairs = sorted(combinations(chosen, 2), key=_closeness)[: caps.max_pairs]
    queries: list[Query] = []
    for task in tasks:
        may_ask = CONDITIONS[task.condition]
        if task.is_about_hands:
            able = [track for track in chosen if may_ask(track)]
            for track in able:
                queries += hand_queries(task, track, raised_hands(track), aspect)
            queries += [free_hand_query(task, hand, aspect) for hand in hands]
            continue
        if task.people == 2:
            asked: Sequence[tuple[Track, ...]] = pairs
        else:
            is_for_all = caps.egocentric and task.everyone_if_egocentric
            asked = [(track,) for track in (seen if is_for_all else chosen)]
        found = [query_for(task, people) for people in asked if all(map(may_ask, people))]
        queries += [query for query in found if query is not None]
    return queries


def people_seen(scene: Scene, time: float) -> list[Track]:
    """Those who were seen in this frame, by id."""
    return sorted((t for t in scene.people if t.last_seen == time), key=lambda track: track.id)


def slot(query: Query) -> AnswerKey:
    """The subject that one query at a time is asked about.

    That is its key; but a person whose two hands are seen at once is one, whichever is held up.
    """
    task, people, hands = query.key
    return task, people, hands if query.task.view == "hand" or not people else ()


def _largest(items: Sequence[_Item], most: int) -> list[_Item]:
    """The `most` largest of them, sorted by id."""
    ordered = sorted(items, key=lambda item: (-_area(item), item.id))
    return sorted(ordered[:most], key=lambda item: item.id)


def _area(item: Track | Hand) -> float:
    return item.person.area if isinstance(item, Track) else item.box.area


def _closeness(pair: tuple[Track, Track]) -> tuple[float, int, int]:
    """Distance of two people in their own mean width and height, which no picture's shape bends."""
    a, b = pair[0].person, pair[1].person
    across = (a.centre[0] - b.centre[0]) / ((a.width + b.width) / 2)
    down = (a.centre[1] - b.centre[1]) / ((a.height + b.height) / 2)
    return math.hypot(across, down), pair[0].id, pair[1].id
