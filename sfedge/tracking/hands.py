"""Ids for hands over time, those of people and those of nobody in the picture."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from sfedge.core.boxes import iou
from sfedge.core.structures import Detection, Hand
from sfedge.tracking.assign import assign
from sfedge.tracking.place import Place, place_of
from sfedge.tracking.target import CARRY, Target

_GAP = 1.0  # seconds unseen after which a hand ends
# Distances are told in hands. Arms are quick and hands are looked for a few times a second only.
_NEAR, _SPEED, _FAR = 2.0, 10.0, 6.0
_OTHER_SIDE, _OTHER_OWNER = 0.5, 0.5  # costs
_LIMIT = 1.2  # a hand that fits worse is another one
_SAME_HAND = 0.3  # intersection over union from which a carried hand is the one seen elsewhere


@dataclass(frozen=True, slots=True)
class SeenHand:
    """A hand of one frame, and whose it is."""

    detection: Detection
    owner: Target | None  # None of a hand of nobody in the picture
    is_wearers: bool = False


@dataclass(slots=True, eq=False)
class _Followed:
    id: int
    seen: SeenHand
    last_seen: float
    start: tuple[float, float]  # how far the owner had travelled then
    is_down: bool = False  # its owner was looked at since, and it was not there

    def place(self) -> Place:
        """Where it should be now: it moves with its owner."""
        place, owner = place_of(self.seen.detection.box), self.seen.owner
        if owner is None:
            return place
        return place.moved(*(a - b for a, b in zip(owner.travelled, self.start, strict=True)))


class HandTracker:
    """Follows hands from frame to frame; ids count from 1 and are never given twice.

    A hand that was missed is shown for 0.3 s and keeps its id for 1 s, also when it is found
    to belong to somebody else, or to somebody at all.
    """

    def __init__(self) -> None:
        self._hands: list[_Followed] = []
        self._last_id = 0

    def update(self, seen: Sequence[SeenHand], looked_at: Collection[Target], time: float) -> None:
        """Take in the hands of a frame, after the people of the frame were updated.

        Args:
            seen: all hands of this frame.
            looked_at: people whose body was found, so that their hands would have been found, too.
            time: of the frame.
        """
        self._hands = [hand for hand in self._hands if time - hand.last_seen <= _GAP]
        costs = np.array([[_misfit(hand, new, time) for hand in self._hands] for new in seen])
        partners = assign(costs.reshape(len(seen), len(self._hands)), _LIMIT)
        known = list(self._hands)
        for new, partner in zip(seen, partners, strict=True):
            start = new.owner.travelled if new.owner else (0.0, 0.0)
            if partner is None:
                self._last_id += 1
                self._hands.append(_Followed(self._last_id, new, time, start))
                continue
            hand = known[partner]
            hand.seen, hand.last_seen, hand.start, hand.is_down = new, time, start, False
        self._lower(seen, looked_at, time)

    def of(self, owner: Target | None, time: float) -> tuple[Hand, ...]:
        """The hands of a person, or of nobody, by id."""
        hands = []
        for hand in self._hands:
            if hand.seen.owner is not owner or hand.is_down or time - hand.last_seen > CARRY:
                continue
            box, found = hand.place().box(), hand.seen.detection
            if box is not None:
                hands.append(
                    Hand(
                        id=hand.id,
                        box=box,
                        side=found.side,
                        score=found.score,
                        last_seen=hand.last_seen,
                        is_wearers=hand.seen.is_wearers,
                    )
                )
        return tuple(hands)

    def hand_over(self, giver: Target, taker: Target) -> None:
        """Give all hands of one to another, who turned out to be the same person."""
        for hand in self._hands:
            if hand.seen.owner is giver:
                hand.seen = SeenHand(hand.seen.detection, taker, hand.seen.is_wearers)
                (x, y), (x0, y0), (x1, y1) = hand.start, giver.travelled, taker.travelled
                hand.start = x1 - (x0 - x), y1 - (y0 - y)

    def _lower(self, seen: Sequence[SeenHand], looked_at: Collection[Target], time: float) -> None:
        """Give up carried hands that would have been found, or were found to be others'."""
        for hand in self._hands:
            if hand.last_seen == time:
                continue
            box = hand.place().box()
            hand.is_down |= hand.seen.owner in looked_at or (
                box is not None and any(iou(box, s.detection.box) > _SAME_HAND for s in seen)
            )


def _misfit(hand: _Followed, new: SeenHand, time: float) -> float:
    """How unlike it is that a hand just seen is this one; infinity where it cannot be."""
    old, found = hand.seen.detection, new.detection
    if old.track is not None and found.track is not None and old.track != found.track:
        return math.inf
    a, b = hand.place(), place_of(found.box)
    width, height = (a.width + b.width) / 2, (a.height + b.height) / 2
    away = math.hypot((a.centre[0] - b.centre[0]) / width, (a.centre[1] - b.centre[1]) / height)
    cost = away / min(_NEAR + _SPEED * (time - hand.last_seen), _FAR)
    if old.side is not None and found.side is not None:
        cost += _OTHER_SIDE * (old.side != found.side)
    return cost + _OTHER_OWNER * (hand.seen.owner is not new.owner)
