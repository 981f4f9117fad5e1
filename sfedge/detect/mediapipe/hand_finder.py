"""Hands: palms by one network, 21 landmarks of each by another.

Constants and rules ported from MediaPipe's hand landmarker, Copyright The MediaPipe Authors,
Apache-2.0.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sfedge.core.structures import Image
from sfedge.detect.mediapipe.detected_points import FoundHand, Values
from sfedge.detect.mediapipe.network_call import NetworkCall
from sfedge.detect.mediapipe.regions import Region, angle_between, around, others
from sfedge.detect.mediapipe.single_shot import RawDetection, decode, make_anchors, overlaps
from sfedge.detect.mediapipe.wrist_regions import region_of_hand
from sfedge.engines.small_network import SmallNetwork

_PALM_SIZE, _HAND_SIZE = 192, 224
_OVERLAP = 0.3
_WRIST, _MIDDLE = 0, 2  # a palm's points that define its rotation
# MediaPipe's hand landmarker means 90 degrees and says 90 radians: hands are shown turned 26.6
# degrees too far. Results are to be MediaPipe's, and of 79 hands in gestures no other was found.
_UPRIGHT = 90.0
_SHIFT, _GROWTH = -0.5, 2.6  # from a palm to its hand, in its height and size
_DEPTH = 0.4  # what MediaPipe divides the depth of landmarks by
_SPAN = [(0, 5), (5, 17), (17, 0)]  # landmarks of the palm whose distances measure a hand
# Of a hand that the body leads to: a palm's least score, how many are looked at, presence that is
# enough, and that with which the search ends.
_WEAK_PALM, _MOST_WEAK, _CLOSE_PRESENCE, _CLEAR_PRESENCE = 0.15, 2, 0.5, 0.9
_NEAR, _MOST_NEAR, _SAME = 0.2, 10, 0.2  # duplicates: in spans; landmarks; intersection over union


@dataclass(frozen=True, slots=True, eq=False)
class _Hand:
    found: FoundHand
    box: Values  # (4,) around the landmarks
    span: float


class HandFinder:
    """Finds hands.

    Args:
        palm: the palm network.
        hand: the landmark network; outputs: landmarks, presence, whether it is a right one.
        most: hands in one picture.
        lowest: score of a palm, and of a hand's presence, above which they count.
    """

    def __init__(self, palm: SmallNetwork, hand: SmallNetwork, *, most: int, lowest: float) -> None:
        self._palm = NetworkCall(palm, low=0.0, high=1.0)
        self._hand = NetworkCall(hand, low=0.0, high=1.0)
        self._most, self._lowest = most, lowest
        self._anchors = make_anchors(_PALM_SIZE, [(8, 2), (16, 6)])

    def find(self, image: Image, known: Sequence[Region] = ()) -> list[FoundHand]:
        """The hands in a picture, the surest palm first.

        Args:
            image: (H, W, 3).
            known: where hands were found already, which are not looked at.

        Raises:
            DetectorError: a network fails.
        """
        hands: list[_Hand] = []
        for region in others(self.regions(image), known):
            hand = self._look_at(image, region, self._lowest)
            if hand is not None and not any(_is_same(hand, other) for other in hands):
                hands.append(hand)
        return [hand.found for hand in hands]

    def find_at(self, image: Image, likely: Region) -> FoundHand | None:
        """The hand of an arm, looked for more closely than `find` does.

        The body shows its place, so that weak palms count, too, and the place itself where no palm
        is seen. Each is looked at twice, the second time from where the first look sees a hand.

        Args:
            image: the part of a picture around the hand.
            likely: where in it the hand should be.

        Returns:
            The surest hand, with its presence; None where none is sure.

        Raises:
            DetectorError: a network fails.
        """
        best: _Hand | None = None
        for region in [*self.regions(image, _WEAK_PALM)[:_MOST_WEAK], likely]:
            first = self._look_at(image, region, 0.0)
            if first is None:
                continue
            hand = self._look_at(image, region_of_hand(first.found.points), _CLOSE_PRESENCE)
            if hand is not None and (best is None or hand.found.presence > best.found.presence):
                best = hand
            if best is not None and best.found.presence > _CLEAR_PRESENCE:
                break
        return best.found if best is not None else None

    def find_again(self, image: Image, region: Region) -> FoundHand | None:
        """The hand in a region, where one was a moment ago; None where none is sure.

        Raises:
            DetectorError: the network fails.
        """
        hand = self._look_at(image, region, _CLOSE_PRESENCE)
        return None if hand is None else hand.found

    def look(self, image: Image, region: Region) -> FoundHand:
        """What the landmark network sees in a region; `presence` says how sure it is of a hand.

        Raises:
            DetectorError: the network fails.
        """
        hand = self._look_at(image, region, -1.0)
        assert hand is not None  # no presence is as low
        return hand.found

    def regions(self, image: Image, lowest: float | None = None) -> list[Region]:
        """Where hands may be, by palms of at least this score; the surest first."""
        whole = around(image)
        values, logits = self._palm(image, whole, _PALM_SIZE, is_black_outside=True)
        palms = decode(
            values[0],
            logits[0, :, 0],
            self._anchors,
            size=_PALM_SIZE,
            lowest=self._lowest if lowest is None else lowest,
            overlap=_OVERLAP,
        )
        return [_region(palm.in_picture(whole)) for palm in palms[: self._most]]

    def _look_at(self, image: Image, region: Region, lowest: float) -> _Hand | None:
        points, found, is_right = self._hand(image, region, _HAND_SIZE, is_black_outside=False)
        presence = float(found.item())
        if presence <= lowest:
            return None
        parts = points.reshape(21, 3).astype(np.float64) / _HAND_SIZE
        placed = region.to_picture(parts[:, :2])
        right = float(is_right.item())
        hand = FoundHand(
            np.column_stack([placed, parts[:, 2] / _DEPTH * region.side]),
            "right" if right > 0.5 else "left",
            max(right, 1 - right),
            presence,
        )
        span = max(float(np.linalg.norm(placed[i] - placed[j])) for i, j in _SPAN)
        return _Hand(hand, np.concatenate([placed.min(axis=0), placed.max(axis=0)]), span)


def _region(palm: RawDetection) -> Region:
    """Where the hand of a palm is."""
    angle = angle_between(palm.points[_WRIST], palm.points[_MIDDLE], _UPRIGHT)
    (x1, y1, x2, y2) = palm.box.tolist()
    shift = _SHIFT * (y2 - y1)
    return Region(
        (x1 + x2) / 2 - shift * math.sin(angle),
        (y1 + y2) / 2 + shift * math.cos(angle),
        _GROWTH * max(x2 - x1, y2 - y1),
        angle,
    )


def _is_same(a: _Hand, b: _Hand) -> bool:
    distances = np.linalg.norm(a.found.points[:, :2] - b.found.points[:, :2], axis=1)
    near = int((distances < _NEAR * max(a.span, b.span)).sum())
    return near >= _MOST_NEAR and float(overlaps(a.box, b.box[None])[0]) > _SAME
