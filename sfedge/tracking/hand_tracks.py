"""Ids for hands over time, those of people and those without a person in the picture."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sfedge.core.boxes import iou
from sfedge.core.landmarks import moved
from sfedge.core.structures import Detection, Hand
from sfedge.tracking.assign import assign
from sfedge.tracking.people import may_be_one
from sfedge.tracking.place import Place, place_of
from sfedge.tracking.target import CARRY, Target

_LOOK = 0.2  # seconds between two looks of a detector at a body and its hands
_GAP = 1.0  # seconds unseen after which a hand ends
# A hand near nobody is believed at a second sight, or at once where it is clear: clothes and
# furniture are taken for hands at times.
_SURE = 0.9
_SURE_AT_ONCE = 0.8  # in a photograph, where there is no second sight
# Distances are in sizes of the hand. Arms are quick and hands are detected a few times a second.
_NEAR, _SPEED, _FAR = 2.0, 10.0, 6.0
_OTHER_SIDE, _OTHER_OWNER = 0.5, 0.5  # costs
_GATE = 1.2  # gating threshold: a hand with a higher cost is another one
_SAME_HAND = 0.3  # intersection over union from which a carried hand is the one seen elsewhere


@dataclass(frozen=True, slots=True)
class SeenHand:
    """A hand of one frame, and whose it is."""

    detection: Detection
    owner: Target | None  # None of a hand without a person in the picture
    is_wearers: bool = False


@dataclass(slots=True, eq=False)
class _Followed:
    seen: SeenHand
    last_seen: float
    start: tuple[float, float]  # how far the owner had travelled then
    id: int | None = None  # None as long as unproven
    is_down: bool = False  # its owner was detected since, and it was not there

    @property
    def owner(self) -> Target | None:
        """Whose it is, if that is a person with an id."""
        owner = self.seen.owner
        return owner if owner is not None and owner.id is not None else None

    def place(self) -> Place:
        """Its expected place now: it moves with its owner."""
        place, owner = place_of(self.seen.detection.box), self.seen.owner
        if owner is None:
            return place
        return place.moved(owner.travelled[0] - self.start[0], owner.travelled[1] - self.start[1])


class HandTracker:
    """Follows hands from frame to frame; ids count from 1 and are never given twice.

    A hand that was missed is shown for 0.3 s and keeps its id for 1 s, also when it is found
    to belong to somebody else, or to somebody at all. A camera wearer's hand stays the wearer's
    as long as it is followed.
    """

    def __init__(self) -> None:
        self._hands: list[_Followed] = []
        self._last_id = 0

    def update(
        self,
        seen: Sequence[SeenHand],
        looked_at: Collection[Target],
        time: float,
        *,
        is_photograph: bool = False,
    ) -> None:
        """Take in the hands of a frame, after the people of the frame were updated.

        Args:
            seen: all hands of this frame.
            looked_at: people whose body was found, so that their hands would have been found, too.
            time: of the frame.
            is_photograph: there will be no second sight.
        """
        lowest = _SURE_AT_ONCE if is_photograph else _SURE
        kept = [hand for hand in self._hands if time - hand.last_seen <= _GAP]
        costs = np.array([[_matching_cost(hand, new, time) for hand in kept] for new in seen])
        partners = assign(costs.reshape(len(seen), len(kept)), _GATE)
        self._hands = kept
        for new, partner in zip(seen, partners, strict=True):
            hand = self._observe(new, None if partner is None else kept[partner], time)
            is_sure = partner is not None or new.detection.score >= lowest
            is_somebodys = hand.owner is not None or hand.seen.is_wearers
            if hand.id is None and (is_sure or is_somebodys):
                self._last_id += 1
                hand.id = self._last_id
        self._lower(seen, looked_at, time)

    def of(self, owner: Target | None, time: float) -> tuple[Hand, ...]:
        """The hands of a person, or those without a person, by id."""
        hands = []
        for hand in self._hands:
            is_shown = not hand.is_down and time - hand.last_seen <= CARRY
            place, found = hand.place(), hand.seen.detection
            box, landmarks = place.box(), found.landmarks
            if hand.id is None or hand.owner is not owner or not is_shown or box is None:
                continue
            hands.append(
                Hand(
                    id=hand.id,
                    box=box,
                    side=found.side,
                    score=found.score,
                    last_seen=hand.last_seen,
                    is_wearers=hand.seen.is_wearers,
                    from_body=found.from_body,
                    landmarks=None if landmarks is None else moved(landmarks, found.box, place),
                )
            )
        return tuple(sorted(hands, key=lambda hand: hand.id))

    def hand_over(self, giver: Target, taker: Target) -> None:
        """Give all hands of one to another, who turned out to be the same person."""
        for hand in self._hands:
            if hand.seen.owner is giver:
                hand.seen = replace(hand.seen, owner=taker)
                (x, y), (x0, y0), (x1, y1) = hand.start, giver.travelled, taker.travelled
                hand.start = x1 - (x0 - x), y1 - (y0 - y)

    def end_all(self) -> None:
        """Give up all hands."""
        self._hands.clear()

    def _observe(self, new: SeenHand, hand: _Followed | None, time: float) -> _Followed:
        start = new.owner.travelled if new.owner else (0.0, 0.0)
        if hand is None:
            hand = _Followed(new, time, start)
            self._hands.append(hand)
            return hand
        if hand.seen.is_wearers:
            new = SeenHand(new.detection, None, is_wearers=True)
        hand.seen, hand.last_seen, hand.start, hand.is_down = new, time, start, False
        return hand

    def _lower(self, seen: Sequence[SeenHand], looked_at: Collection[Target], time: float) -> None:
        """Give up carried hands that would have been found, or were found to be others'."""
        for hand in self._hands:
            if hand.last_seen == time:
                continue
            box = hand.place().box()
            is_due = time - hand.last_seen >= _LOOK - 1e-6  # else it has a look of its own
            hand.is_down |= (is_due and hand.seen.owner in looked_at) or (
                box is not None and any(iou(box, s.detection.box) > _SAME_HAND for s in seen)
            )


def _matching_cost(hand: _Followed, new: SeenHand, time: float) -> float:
    """Matching cost of a hand just seen and this one; infinity where they cannot match."""
    old, found = hand.seen.detection, new.detection
    if not may_be_one(old.track, found.track):
        return math.inf
    a, b = hand.place(), place_of(found.box)
    width, height = (a.width + b.width) / 2, (a.height + b.height) / 2
    away = math.hypot((a.centre[0] - b.centre[0]) / width, (a.centre[1] - b.centre[1]) / height)
    cost = away / min(_NEAR + _SPEED * (time - hand.last_seen), _FAR)
    if old.side is not None and found.side is not None:
        cost += _OTHER_SIDE * (old.side != found.side)
    return cost + _OTHER_OWNER * (hand.seen.owner is not new.owner)
