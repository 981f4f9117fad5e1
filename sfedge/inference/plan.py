"""Whom to ask what in a frame: every interval for files, the most urgent first when live."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from sfedge.core.boxes import Box, iou
from sfedge.core.structures import AnswerKey, Query, Scene, Track
from sfedge.core.tasks import Task
from sfedge.inference.crop import query_for
from sfedge.tracking.people import is_raised

# How soon an answer may have changed, relative to the others: signs are brief, ties last.
_WEIGHTS = {"gesture": 1.5, "domain": 0.1, "relation": 0.1}
_MATE_URGENCY = 0.5  # of the most urgent: so urgent, a query comes along when its view is encoded
_KEPT = 60.0  # seconds after which a question that can't be asked now counts as never asked


class IntervalPlanner:
    """Asks everything askable once in each interval of the stream's time, for files.

    The intervals lie on one grid for all, so that people share the encoder's pass over the frame.
    Whoever is first seen between two ticks is asked at once, and again after the next tick.

    Args:
        tasks: what to ask, in this order.
        interval: seconds; 0 asks in every frame.
        max_people: asked per frame, the largest first.
        max_pairs: asked per frame, the nearest first.
        egocentric: looking-at-me is asked of every face, however many there are.
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
        self._candidates = _Candidates(tuple(tasks), max_people, max_pairs, egocentric)
        self._interval = interval
        self._tick: int | None = None
        self._asked: set[AnswerKey] = set()  # since the last tick

    def plan(self, scene: Scene, time: float) -> list[Query]:
        """The questions to ask about this frame, by task, then by people.

        Args:
            scene: of this frame; people who were not seen in it are not asked about.
            time: of the frame.
        """
        # Frame times are rounded by their container; 1 µs keeps a tick on its own frame.
        tick = math.floor((time + 1e-6) / self._interval) if self._interval > 0 else None
        if tick is None or tick != self._tick:
            self._tick = tick
            self._asked.clear()
        queries = [q for q in self._candidates.of(scene.people, time) if q.key not in self._asked]
        self._asked.update(q.key for q in queries)
        return queries


class BudgetPlanner:
    """Asks the most urgent questions that a budget allows, for live video.

    What was never asked comes first. Then an answer's age counts, the more the sooner such answers
    change and the more the person has moved since. As age grows without end and the other factors
    do not, every question gets its turn. Questions on a view that is encoded anyway come along if
    they are nearly as urgent.

    Args:
        tasks: what to ask.
        max_people: considered per frame, the largest first.
        max_pairs: considered per frame, the nearest first.
        egocentric: looking-at-me is asked of every face, however many there are.
    """

    def __init__(
        self, tasks: Sequence[Task], *, max_people: int, max_pairs: int, egocentric: bool = False
    ) -> None:
        self._candidates = _Candidates(tuple(tasks), max_people, max_pairs, egocentric)
        self._asked: dict[
            AnswerKey, tuple[float, tuple[Box, ...]]
        ] = {}  # time, and where they were

    def plan(self, scene: Scene, time: float, limit: int) -> list[Query]:
        """At most `limit` questions about this frame, those on one view side by side.

        Args:
            scene: of this frame; people who were not seen in it are not asked about.
            time: of the frame.
            limit: how many questions there is time for.
        """
        self._asked = {
            key: asked for key, asked in self._asked.items() if 0 <= time - asked[0] <= _KEPT
        }
        where = {track.id: track.person for track in scene.people}
        queries = self._candidates.of(scene.people, time)
        urgency = {q.key: self._urgency(q, where, time) for q in queries}
        queue = sorted(queries, key=lambda q: -urgency[q.key])  # stable: ties by task and people
        chosen: list[Query] = []
        while queue and len(chosen) < limit:
            first = queue[0]
            floor = _MATE_URGENCY * urgency[first.key]
            mates = [q for q in queue if q.view == first.view and urgency[q.key] >= floor]
            chosen += mates[: limit - len(chosen)]
            queue = [q for q in queue if q not in mates]
        for query in chosen:
            self._asked[query.key] = time, tuple(where[id_] for id_ in query.people)
        return _side_by_side(chosen)

    def _urgency(self, query: Query, where: dict[int, Box], time: float) -> float:
        if query.key not in self._asked:
            return math.inf
        asked, then = self._asked[query.key]
        now = [where[id_] for id_ in query.people]
        change = max(1 - iou(a, b) for a, b in zip(now, then, strict=True))  # in [0, 1]
        return (time - asked) * _WEIGHTS.get(query.task.name, 1.0) * (1 + change)


@dataclass(frozen=True, slots=True)
class _Candidates:
    """All that could be asked about a frame, within the caps."""

    tasks: tuple[Task, ...]
    max_people: int
    max_pairs: int
    egocentric: bool

    def of(self, tracks: Sequence[Track], time: float) -> list[Query]:
        seen = [track for track in tracks if track.last_seen == time]
        largest = sorted(seen, key=lambda track: (-track.person.area, track.id))
        chosen = sorted(largest[: self.max_people], key=lambda track: track.id)
        pairs = sorted(combinations(chosen, 2), key=_closeness)[: self.max_pairs]
        queries = []
        for task in self.tasks:
            if task.people == 2:
                asked: Sequence[tuple[Track, ...]] = pairs
            elif self.egocentric and task.name == "looking_at_me":
                asked = [(track,) for track in sorted(seen, key=lambda track: track.id)]
            else:
                asked = [(track,) for track in chosen]
            queries += [query_for(task, people) for people in asked if _is_askable(task, people)]
        return [query for query in queries if query is not None]


def _is_askable(task: Task, people: Sequence[Track]) -> bool:
    """A task that sees the person asks about hands: only while one is held up."""
    if task.view != "person":
        return True
    return any(is_raised(hand.box, t.face, t.person) for t in people for hand in t.hands)


def _closeness(pair: tuple[Track, Track]) -> tuple[float, int, int]:
    """Distance of two people in their own mean width and height, which no picture's shape bends."""
    a, b = pair[0].person, pair[1].person
    across = (a.centre[0] - b.centre[0]) / ((a.width + b.width) / 2)
    down = (a.centre[1] - b.centre[1]) / ((a.height + b.height) / 2)
    return math.hypot(across, down), pair[0].id, pair[1].id


def _side_by_side(queries: Sequence[Query]) -> list[Query]:
    """The queries with those on one view together, views in order of their first."""
    views = list(dict.fromkeys(query.view for query in queries))
    return sorted(queries, key=lambda query: views.index(query.view))
