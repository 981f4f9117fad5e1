"""Places for tags: near what they belong to, inside the picture, on no face and no other tag."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Area = tuple[int, int, int, int]  # x1, y1, x2, y2 in pixels; x2 and y2 are exclusive
Key = tuple[str, int]  # what a tag is about: "person" or "hand", and the id

_GAPS = (0.0, 1.0, 2.0, 4.0, 6.0)  # distances to try, in texts' heights
# Costs, in the same unit of distance.
_SIDES = {"above": 0.0, "right": 0.4, "left": 0.6, "below": 0.8, "corner": 0.9}
_HIDES = 4.0  # for hiding hair, a hand or a gaze point wholly, or being wholly on it
_NEARER = 3.0  # for a place nearer to somebody else
_MOVED = 3.0  # for leaving the place of the frame before: tags must not jump
_ENOUGH = 0.75  # share of the tags that must get their full size, before all try a smaller one
_CALM = 1.0  # seconds that larger tags must have fitted, before they are drawn again
_KEPT = 0.8  # of a certainty that is carried from frame to frame, so that the order is steady


@dataclass(frozen=True, slots=True)
class Wanted:
    """A tag that needs a place."""

    key: Key
    anchor: Area  # what it belongs to
    certainty: float  # in [0, 1]; the most certain are placed first


@dataclass(frozen=True, slots=True)
class Place:
    """A tag's position and size."""

    area: Area
    rung: int  # 0 for the largest


@dataclass(frozen=True, slots=True)
class Obstacles:
    """The obstacles in a picture of `width` x `height` pixels, besides the tags."""

    width: int
    height: int
    never: Sequence[Area]  # no tag may touch them: faces, the status line
    rather_not: Sequence[Area]  # hair, hands, gaze points


class Placer:
    """Places the tags of one frame after the other.

    All tags are made smaller, rung by rung, until everybody has one; who finds no place even then,
    the least certain first, gets none. It remembers which side of its anchor each tag had, and how
    large tags were, so that they rest while people move.
    """

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Reset, for a picture that has nothing to do with the one before."""
        self._slots: dict[Key, int] = {}
        self._certainty: dict[Key, float] = {}
        self._rung = 0
        self._larger_since: float | None = None  # time from which larger tags would have fitted

    def arrange(
        self,
        wanted: Sequence[Wanted],
        size: Callable[[Key, int], tuple[int, int]],
        rungs: range,
        unit: int,
        obstacles: Obstacles,
        time: float,
    ) -> dict[Key, Place]:
        """Places by key; a tag without one is left out.

        Args:
            wanted: the tags.
            size: width and height in pixels of a tag on a rung.
            rungs: the sizes to try, the largest first; the last is the smallest there is.
            unit: height of texts, in pixels.
            obstacles: what tags avoid.
            time: seconds of the stream.
        """
        self._certainty = {
            tag.key: _KEPT * self._certainty.get(tag.key, tag.certainty)
            + (1 - _KEPT) * tag.certainty
            for tag in wanted
        }
        order = sorted(wanted, key=lambda tag: (-self._certainty[tag.key], tag.key))
        trials = _Trials(order, size, rungs.stop, unit, obstacles, self._slots)
        rung = next((rung for rung in rungs if trials.is_enough(rung)), None)
        if rung is None:  # not all fit: as many as can be, as large as can be
            rung = max(rungs, key=lambda rung: (len(trials[rung]), -rung))
        placed = trials[self._steady(rung, time)]
        self._slots = {key: slot for key, (_, slot) in placed.items()}
        return {key: place for key, (place, _) in placed.items()}

    def _steady(self, rung: int, time: float) -> int:
        """The rung to take: a smaller one at once, a larger one when it has fitted for a while."""
        if rung >= self._rung or not self._slots:
            self._larger_since = None
        elif self._larger_since is None or time < self._larger_since:
            self._larger_since = time
            return self._rung
        elif time - self._larger_since < _CALM:
            return self._rung
        self._rung = rung
        return rung


class _Trials:
    """The places that all tags get if none is larger than a rung, worked out when asked for."""

    def __init__(
        self,
        order: Sequence[Wanted],
        size: Callable[[Key, int], tuple[int, int]],
        rungs: int,
        unit: int,
        obstacles: Obstacles,
        slots: dict[Key, int],
    ) -> None:
        self._order, self._size, self._rungs = order, size, rungs
        self._unit, self._obstacles, self._slots = unit, obstacles, slots
        self._done: dict[int, dict[Key, tuple[Place, int]]] = {}

    def __getitem__(self, rung: int) -> dict[Key, tuple[Place, int]]:
        """Place and slot of each tag that fits on this rung or a lower one."""
        if rung not in self._done:
            placed: dict[Key, tuple[Place, int]] = {}
            never = [*self._obstacles.never]
            for tag in self._order:
                for lower in range(rung, self._rungs):
                    found = self._place(tag, lower, never)
                    if found is not None:
                        area, slot = found
                        placed[tag.key] = Place(area, lower), slot
                        never.append(area)
                        break
            self._done[rung] = placed
        return self._done[rung]

    def is_enough(self, rung: int) -> bool:
        """Whether everybody gets a tag, and most get one of this size."""
        places = [place for place, _ in self[rung].values()]
        full = sum(place.rung == rung for place in places)
        return len(places) == len(self._order) and full >= _ENOUGH * len(places)

    def _place(self, tag: Wanted, rung: int, never: Sequence[Area]) -> tuple[Area, int] | None:
        """The best free area for a tag, and the number of its slot; None if there is none."""
        width, height = self._size(tag.key, rung)
        room = self._obstacles
        if width > room.width or height > room.height:
            return None
        areas, costs = _slots(tag.anchor, width, height, self._unit)
        shift_x = np.clip(areas[:, 0], 0, room.width - width) - areas[:, 0]
        shift_y = np.clip(areas[:, 1], 0, room.height - height) - areas[:, 1]
        areas = areas + np.stack([shift_x, shift_y, shift_x, shift_y], axis=1)
        away = _distances(areas, [tag.anchor])[:, 0] / self._unit
        costs = costs + away
        free = _shared(areas, never).sum(axis=1) == 0
        if not free.any():
            return None
        whole = np.array([(x2 - x1) * (y2 - y1) for x1, y1, x2, y2 in room.rather_not], np.int64)
        hidden = _shared(areas, room.rather_not) / np.clip(whole, 1, width * height)
        costs += _HIDES * hidden.sum(axis=1)
        others = [other.anchor for other in self._order if other is not tag]
        if others:
            costs += _NEARER * (_distances(areas, others).min(axis=1) / self._unit < away)
        if tag.key in self._slots:
            costs[self._slots[tag.key]] -= _MOVED
        slot = int(np.where(free, costs, math.inf).argmin())
        x1, y1, x2, y2 = (int(value) for value in areas[slot])
        return (x1, y1, x2, y2), slot


def _slots(
    anchor: Area, width: int, height: int, unit: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """(N, 4) areas to try around an anchor, and (N,) what each costs; always the same N."""
    x1, y1, x2, y2 = anchor
    middle_x, middle_y = (x1 + x2 - width) // 2, (y1 + y2 - height) // 2
    corners, costs = [], []
    for gap in (round(gap * unit) for gap in _GAPS):
        above, below = y1 - height - gap, y2 + gap
        left, right = x1 - width - gap, x2 + gap
        for side, places in (
            ("above", ((x1, above), (middle_x, above), (x2 - width, above))),
            ("right", ((right, y1), (right, middle_y), (right, y2 - height))),
            ("left", ((left, y1), (left, middle_y), (left, y2 - height))),
            ("below", ((x1, below), (middle_x, below), (x2 - width, below))),
            ("corner", ((right, above), (left, above), (right, below), (left, below))),
        ):
            for number, corner in enumerate(places):
                corners.append(corner)
                costs.append(_SIDES[side] + 0.1 * number)
    found = np.array(corners, np.int64)
    return np.concatenate([found, found + np.array([width, height])], axis=1), np.array(costs)


def grown(area: Area, margin: int) -> Area:
    """The area with a margin on every side."""
    return area[0] - margin, area[1] - margin, area[2] + margin, area[3] + margin


def is_free(area: Area, others: Sequence[Area]) -> bool:
    """Whether an area overlaps no other."""
    x1, y1, x2, y2 = area
    return all(x1 >= o[2] or x2 <= o[0] or y1 >= o[3] or y2 <= o[1] for o in others)


def _shared(areas: NDArray[np.int64], others: Sequence[Area]) -> NDArray[np.int64]:
    """(N, M) pixels that N areas share with M others."""
    a, b = areas[:, None], np.array(others, np.int64).reshape(1, -1, 4)
    across = np.minimum(a[..., 2], b[..., 2]) - np.maximum(a[..., 0], b[..., 0])
    down = np.minimum(a[..., 3], b[..., 3]) - np.maximum(a[..., 1], b[..., 1])
    shared: NDArray[np.int64] = np.maximum(across, 0) * np.maximum(down, 0)
    return shared


def _distances(areas: NDArray[np.int64], others: Sequence[Area]) -> NDArray[np.float64]:
    """(N, M) distances between the nearest points of N areas and M others."""
    a, b = areas[:, None], np.array(others, np.int64).reshape(1, -1, 4)
    dx = np.maximum(np.maximum(a[..., 0] - b[..., 2], b[..., 0] - a[..., 2]), 0)
    dy = np.maximum(np.maximum(a[..., 1] - b[..., 3], b[..., 1] - a[..., 3]), 0)
    distances: NDArray[np.float64] = np.hypot(dx, dy)
    return distances
