"""All queries that could be asked about a frame, within the caps."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TypeVar

from sfedge.core.structures import AnswerKey, Hand, Query, Scene, Track
from sfedge.core.tasks import Task
from sfedge.inference.conditions import CONDITIONS, raised_hands
from sfedge.inference.crop import free_hand_queries, hand_queries, query_for

_CLEARLY = 1.2  # another takes the place of one chosen before if it is this many times as large

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


class Candidates:
    """Finds every query that may be asked about a frame, within the caps.

    Who was among the largest stays chosen until another is clearly larger, or until they leave; so
    in a crowd of equal sizes the same people are asked again and again, and their answers last.

    Args:
        tasks: what to ask, in this order.
        caps: how much is asked.
    """

    def __init__(self, tasks: Sequence[Task], caps: Caps) -> None:
        self._tasks, self._caps = tuple(tasks), caps
        self._people, self._hands = _Largest(caps.max_people), _Largest(caps.max_people)

    def find(self, scene: Scene, time: float, aspect: float) -> list[Query]:
        """The queries of the next frame, by task, then by people, then by hands without a person.

        Args:
            scene: who is in the frame; those who were not seen in it are not asked about.
            time: of the frame.
            aspect: the picture's width divided by its height, in pixels.
        """
        seen = _people_seen(scene, time)
        chosen = self._people.choose(seen, scene.people)
        hands = self._hands.choose([h for h in scene.hands if h.last_seen == time], scene.hands)
        pairs = sorted(combinations(chosen, 2), key=_closeness)[: self._caps.max_pairs]
        queries: list[Query] = []
        for task in self._tasks:
            may_ask = CONDITIONS[task.condition]
            if task.is_about_hands:
                able = [track for track in chosen if may_ask(track)]
                for track in able:
                    queries += hand_queries(task, track, raised_hands(track), aspect)
                queries += free_hand_queries(task, hands, aspect)
                continue
            if task.people == 2:
                asked: Sequence[tuple[Track, ...]] = pairs
            else:
                is_for_all = self._caps.egocentric and task.everyone_if_egocentric
                asked = [(track,) for track in (seen if is_for_all else chosen)]
            found = [query_for(task, people) for people in asked if all(map(may_ask, people))]
            queries += [query for query in found if query is not None]
        return queries

    def left_out(self, scene: Scene, time: float) -> int:
        """How many people in sight at this frame are beyond `max_people`."""
        return max(len(_people_seen(scene, time)) - self._caps.max_people, 0)


def slot(query: Query) -> AnswerKey:
    """The subject that one query at a time is asked about.

    That is its key; but a person whose two hands are seen at once is one, whichever is held up.
    """
    task, people, hands = query.key
    return task, people, hands if query.task.view == "hand" or not people else ()


class _Largest:
    """Chooses the largest people or hands; those chosen before are preferred."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._chosen: set[int] = set()  # ids, also of those who are not seen for a moment

    def choose(self, seen: Sequence[_Item], present: Sequence[_Item]) -> list[_Item]:
        """As many of those `seen` as may be, by id; of those `present` some may not be seen."""
        ordered = sorted(seen, key=lambda item: (-self._weight(item), item.id))
        chosen = sorted(ordered[: self._most], key=lambda item: item.id)
        hidden = {item.id for item in present} - {item.id for item in seen}
        self._chosen = {item.id for item in chosen} | (self._chosen & hidden)
        return chosen

    def _weight(self, item: Track | Hand) -> float:
        area = item.person.area if isinstance(item, Track) else item.box.area
        return area * (_CLEARLY if item.id in self._chosen else 1.0)


def _people_seen(scene: Scene, time: float) -> list[Track]:
    """Those who were seen in this frame, by id."""
    return sorted((t for t in scene.people if t.last_seen == time), key=lambda track: track.id)


def _closeness(pair: tuple[Track, Track]) -> tuple[float, int, int]:
    """Distance of two people in their own mean width and height, which no picture's shape bends."""
    a, b = pair[0].person, pair[1].person
    across = (a.centre[0] - b.centre[0]) / ((a.width + b.width) / 2)
    down = (a.centre[1] - b.centre[1]) / ((a.height + b.height) / 2)
    return math.hypot(across, down), pair[0].id, pair[1].id
