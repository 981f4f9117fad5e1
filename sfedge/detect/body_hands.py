"""Where the landmarks of a body lead to a hand that was not found by its palm."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sfedge.core.boxes import Box, from_pixels
from sfedge.core.errors import DataError
from sfedge.core.landmarks import Points
from sfedge.detect.mediapipe.detected_points import Values
from sfedge.detect.mediapipe.person_box import measure_pose
from sfedge.detect.mediapipe.regions import Region
from sfedge.detect.mediapipe.wrist_regions import region_of_wrist

# Landmark numbers, by MediaPipe's documentation of the pose landmarker.
_NOSE, _SHOULDERS, _HIPS = 0, (11, 12), (23, 24)
_ARMS: tuple[tuple[Literal["left", "right"], tuple[int, int, int]], ...] = (
    ("left", (15, 17, 19)),  # wrist, little finger, index finger
    ("right", (16, 18, 20)),
)
_ELBOWS = (13, 14)
# Hands that lie on the chest where forearms cross: shoulder widths to the side of the neck that
# they may be, and the length of a hand.
_ASIDE, _HAND = 0.55, 0.4
_SEEN, _HIDDEN = 0.5, 0.3  # visibility of a wrist that is looked at; of one that is not in sight
_RAISED = 0.75  # of the way from the shoulders to the hips: a wrist below it hangs
_KNOWN, _REACH = 0.3, 0.6  # shoulder widths from an arm's wrist to that of a hand: seen, looked for
_SQUARES = 1.8, 3.2  # sides of the squares around the hand, in shoulder widths
_NECK = 1.5  # shoulder widths in the length from the shoulders to the nose


@dataclass(frozen=True, slots=True, eq=False)
class Arm:
    """An arm that is held up and whose hand was not found; in pixels of the frame."""

    side: Literal["left", "right"]
    wrist: Values  # (2,)
    likely: Region  # where the hand should be
    sides: tuple[float, ...]  # of the squares to look for it in, one after the other
    reach: float  # from the wrist to that of its hand at most
    hand: float  # length of the hand
    seen: float  # visibility of the wrist

    def place(self, width: int, height: int) -> Box | None:
        """Where the hand is likely to be; None where that is outside the frame."""
        x, y = (self.wrist[0] + self.likely.x) / 2, (self.wrist[1] + self.likely.y) / 2
        half = self.hand / 2
        with suppress(DataError):
            return from_pixels(x - half, y - half, x + half, y + half, width=width, height=height)
        return None

    def may_have(self, wrist: Values) -> bool:
        """Whether a hand with its wrist there may be this arm's."""
        return float(np.linalg.norm(wrist - self.wrist)) <= self.reach

    def squares(self, width: int, height: int) -> Iterator[Box]:
        """The parts of a frame of this size to look for the hand in, until it is found."""
        x, y = self.likely.x, self.likely.y
        for side in self.sides:
            half = side / 2
            yield from_pixels(x - half, y - half, x + half, y + half, width=width, height=height)


@dataclass(frozen=True, slots=True, eq=False)
class Torso:
    """A body in pixels of the frame."""

    places: Values  # (33, 2)
    visibility: Values  # (33,)
    width: int  # pixels of the frame
    height: int

    @property
    def neck(self) -> Values:
        """(2,) the middle between the shoulders."""
        neck: Values = self.places[list(_SHOULDERS)].mean(axis=0)
        return neck

    @property
    def scale(self) -> float:
        """The width of the shoulders; from the side, where these fall together, by the neck."""
        left, right = self.places[list(_SHOULDERS)]
        neck = float(np.linalg.norm(self.places[_NOSE] - self.neck))
        return max(float(np.linalg.norm(left - right)), _NECK * neck, 1.0)

    def is_on_face(self, hand: Box) -> bool:
        """Whether what looks like a hand is in the middle of the face, and no wrist in sight."""
        x1, y1, x2, y2 = measure_pose(np.column_stack([self.places, self.visibility])).head
        x, y = hand.centre[0] * self.width, hand.centre[1] * self.height
        is_in_head = x1 < x < x2 and y1 < y < y2
        wrists = [joints[0] for _, joints in _ARMS]
        return is_in_head and bool((self.visibility[wrists] < _HIDDEN).all())

    def is_raised(self, wrist: int) -> bool:
        """Whether a wrist is seen and held up."""
        hips = float(self.places[list(_HIPS), 1].mean())
        lowest = self.neck[1] + _RAISED * (hips - self.neck[1])
        return bool(self.visibility[wrist] >= _SEEN and self.places[wrist, 1] <= lowest)

    def has_wrist_near(self, wrist: Values) -> bool:
        """Whether a hand with its wrist there, (2,), may be one of this body."""
        own = self.places[[joints[0] for _, joints in _ARMS]]
        return bool((np.linalg.norm(own - wrist, axis=1) <= _REACH * self.scale).any())

    def has_crossed_arms(self) -> bool:
        """Whether both hands lie before the chest: over the elbows and under the nose.

        Which is left and which right the network often mistakes there, so that sides don't count.
        """
        wrists = [joints[0] for _, joints in _ARMS]
        aside = np.abs(self.places[wrists, 0] - self.neck[0])
        elbows, nose = self.places[list(_ELBOWS), 1], self.places[_NOSE, 1]
        heights = self.places[wrists, 1]
        return (
            all(map(self.is_raised, wrists))
            and bool((aside < _ASIDE * self.scale).all())
            and bool(((heights < elbows) & (heights > nose)).all())
        )


def torso_of(body: Points, width: int, height: int) -> Torso:
    """A body as it lies in the frame.

    Args:
        body: (33, 3) landmarks in fractions of the frame, and visibility.
        width: pixels of the frame.
        height: likewise.
    """
    places = body[:, :2].astype(np.float64) * (width, height)
    return Torso(places, body[:, 2].astype(np.float64), width, height)


def arms_without_hand(torso: Torso, hands: Sequence[Points]) -> Iterator[Arm]:
    """The arms of a body that are held up and whose hand was not found.

    Args:
        torso: of the body.
        hands: (21, 3) landmarks of each hand that was found, in fractions of the frame.
    """
    size, scale = np.array([torso.width, torso.height]), torso.scale
    wrists = [hand[0, :2].astype(np.float64) * size for hand in hands]
    for side, joints in _ARMS:
        wrist, little, index = (torso.places[joint] for joint in joints)
        likely = region_of_wrist(wrist, little, index)
        is_in_frame = 0 <= likely.x < torso.width and 0 <= likely.y < torso.height
        if not is_in_frame or not torso.is_raised(joints[0]):
            continue
        if any(np.linalg.norm(wrist - other) < _KNOWN * scale for other in wrists):
            continue
        sides = tuple(square * scale for square in _SQUARES)
        seen = float(torso.visibility[joints[0]])
        yield Arm(side, wrist, likely, sides, _REACH * scale, _HAND * scale, seen)
