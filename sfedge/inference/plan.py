"""Whom to ask what in a frame: every interval for files, the most urgent first when live."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from sfedge.core.boxes import Box, iou
from sfedge.core.config import RunConfig
from sfedge.core.structures import AnswerKey, Query, Scene
from sfedge.core.tasks import Task
from sfedge.inference.candidates import Candidates, Caps, slot

_MATE_URGENCY = 0.5  # of the most urgent: so urgent, a query comes along when its view is encoded
_REST = 0.25  # seconds for which a live answer is new enough
_KEPT = 60.0  # seconds after which a query that can't be asked now counts as never asked


class IntervalPlanner:
    """Asks everything askable once in each interval of the stream's time, for files.

    All people have the same grid of intervals, so that they share the encoder's pass.
    Whoever is first seen between two ticks is asked at once, and again after the next tick.

    Args:
        tasks: what to ask, in this order.
        interval: seconds; 0 asks in every frame.
        max_people: asked per frame, the largest first; also the most hands without a person.
        max_pairs: asked per frame, the nearest first.
        egocentric: the camera is worn; see `Task.everyone_if_egocentric`.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        *,
        interval: float,
        max_people: int,
        max_pairs: int,
        egocentric: bool = False,
    ) -> None:
        self._candidates = Candidates(tasks, Caps(max_people, max_pairs, egocentric))
        self._interval = interval
        self._tick: int | None = None
        self._asked: set[AnswerKey] = set()  # slots since the last tick

    def plan(self, scene: Scene, time: float, *, aspect: float = 1.0) -> list[Query]:
        """The queries to ask about this frame, by task, then by people.

        Args:
            scene: of this frame; people who were not seen in it are not asked about.
            time: of the frame.
            aspect: the frame's width divided by its height, in pixels.
        """
        # Frame times are rounded by their container; 1 µs keeps a tick on its own frame.
        tick = math.floor((time + 1e-6) / self._interval) if self._interval > 0 else None
        if tick is None or tick != self._tick:
            self._tick = tick
            self._asked.clear()
        queries = self._candidates.find(scene, time, aspect)
        queries = [query for query in queries if slot(query) not in self._asked]
        self._asked.update(slot(query) for query in queries)
        return queries

    def left_out(self, scene: Scene, time: float) -> int:
        """Number of people in sight at this frame beyond `max_people`."""
        return self._candidates.left_out(scene, time)

    def forget(self, people: Iterable[int]) -> None:
        """Ask of these people as if for the first time; for ids that the tracker has ended."""
        gone = set(people)
        self._asked = {key for key in self._asked if gone.isdisjoint(key[1])}


class _Asked(NamedTuple):
    time: float
    places: tuple[Box, ...]  # of the people or hands, then


class BudgetPlanner:
    """Asks the most urgent queries that a budget allows, for live video.

    What was never asked comes first. Then an answer's age counts, the more the sooner such answers
    change and the more the person has moved since. As age grows without end and the other factors
    do not, every query gets its turn. A new hand of one whose hands were asked about is as
    urgent as if it had moved far, no more: ids of hands change often. Queries on a view that is
    encoded anyway come along if they are nearly as urgent, and those about two hands close together
    along with those about each. What is too dear for the rest of a round waits until it is the most
    urgent, which is always asked.

    Args:
        tasks: what to ask.
        max_people: considered per frame, the largest first; also the most hands without a person.
        max_pairs: considered per frame, the nearest first.
        egocentric: the camera is worn; see `Task.everyone_if_egocentric`.
        rest: seconds for which an answer is new enough.
    """

    def __init__(
        self,
        tasks: Sequence[Task],
        *,
        max_people: int,
        max_pairs: int,
        egocentric: bool = False,
        rest: float = 0.0,
    ) -> None:
        self._candidates = Candidates(tasks, Caps(max_people, max_pairs, egocentric))
        self._rest = rest
        self._asked: dict[AnswerKey, _Asked] = {}  # by slot

    def plan(
        self,
        scene: Scene,
        time: float,
        budget: float,
        *,
        cost: Callable[[Sequence[Query]], float] = len,
        aspect: float = 1.0,
    ) -> list[Query]:
        """The queries of a round about this frame, those on one view next to each other.

        Args:
            scene: of this frame; people who were not seen in it are not asked about.
            time: of the frame.
            budget: most that the round may cost; its first query may cost more.
            cost: of queries that are asked together, as `Costs.of`; each costs 1 by default.
            aspect: the frame's width divided by its height, in pixels.
        """
        self._asked = {
            key: asked for key, asked in self._asked.items() if 0 <= time - asked.time <= _KEPT
        }
        queries = [
            query
            for query in self._candidates.find(scene, time, aspect)
            if not self._is_new_enough(query, time)
        ]
        places = {slot(query): _places(query, scene) for query in queries}
        urgency = {slot(query): self._urgency(query, places, time) for query in queries}
        # Stable: ties by task and people; what was never asked is first among equals.
        queue = sorted(queries, key=lambda q: (-urgency[slot(q)], slot(q) in self._asked))
        chosen: list[Query] = []
        while queue:
            first = queue[0]
            floor = _MATE_URGENCY * urgency[slot(first)]
            hands = _of_hands_together(first, queue)
            mates = [q for q in queue if q.view == first.view and urgency[slot(q)] >= floor]
            taken = hands or mates
            queue = [q for q in queue if q not in taken]
            if chosen and hands and cost([*chosen, *hands]) > budget:
                continue  # in another round, together
            for query in taken:
                if not chosen or cost([*chosen, query]) <= budget:
                    chosen.append(query)
            for query in (*hands, *chosen):  # where both are all that there is time for, each waits
                self._asked[slot(query)] = _Asked(time, places[slot(query)])
        return _side_by_side(chosen)

    def left_out(self, scene: Scene, time: float) -> int:
        """Number of people in sight at this frame beyond `max_people`."""
        return self._candidates.left_out(scene, time)

    def _is_new_enough(self, query: Query, time: float) -> bool:
        asked = self._asked.get(slot(query))
        return asked is not None and time - asked.time < self._rest

    def forget(self, people: Iterable[int]) -> None:
        """Ask of these people as if for the first time; for ids that the tracker has ended."""
        gone = set(people)
        self._asked = {key: asked for key, asked in self._asked.items() if gone.isdisjoint(key[1])}

    def _urgency(
        self, query: Query, places: Mapping[AnswerKey, tuple[Box, ...]], time: float
    ) -> float:
        own = slot(query)
        if own in self._asked:
            asked, then = self._asked[own]
            change = max(1 - iou(a, b) for a, b in zip(places[own], then, strict=True))
        else:
            of_others = [each.time for key, each in self._asked.items() if key[:2] == own[:2]]
            asked, change = max(of_others, default=-math.inf), 1.0
        return (time - asked) * query.task.urgency * (1 + change)  # change is in [0, 1]


def planner_for(
    config: RunConfig, tasks: Sequence[Task], *, is_live: bool
) -> BudgetPlanner | IntervalPlanner:
    """Live, the most urgent that there is time for is asked; else everything, at an interval."""
    people, pairs, worn = config.max_people, config.max_pairs, config.egocentric
    if is_live:
        return BudgetPlanner(tasks, max_people=people, max_pairs=pairs, egocentric=worn, rest=_REST)
    return IntervalPlanner(
        tasks, interval=config.interval, max_people=people, max_pairs=pairs, egocentric=worn
    )


def _places(query: Query, scene: Scene) -> tuple[Box, ...]:
    """The boxes of the people or hands that a query is about."""
    people = [track for track in scene.people if track.id in query.people]
    if query.task.view != "hand" and people:
        return tuple(track.person for track in people)
    hands = (*scene.hands, *(hand for track in people for hand in track.hands))
    return tuple(hand.box for hand in hands if hand.id in query.hands)


def _of_hands_together(first: Query, queries: Sequence[Query]) -> list[Query]:
    """The query about both of two hands close together and those about each; none of one hand."""
    of_same = [q for q in queries if q.key[:2] == first.key[:2] and q.task.view == "hand"]
    for both in of_same:
        if len(both.hands) > 1 and {*first.hands} <= {*both.hands}:
            each = [q for q in of_same if q is not both and {*q.hands} <= {*both.hands}]
            return [both, *each]
    return []


def _side_by_side(queries: Sequence[Query]) -> list[Query]:
    """The queries with those on one view together, views in order of their first."""
    views = list(dict.fromkeys(query.view for query in queries))
    return sorted(queries, key=lambda query: views.index(query.view))
