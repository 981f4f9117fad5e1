"""What the detector networks find in a picture, in its pixels, and who can look for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from sfedge.core.structures import Image
from sfedge.detect.mediapipe.regions import Region

Values = NDArray[np.float64]
Range = Literal["short", "full"]


@dataclass(frozen=True, slots=True, eq=False)
class FoundFace:
    """A face."""

    box: tuple[float, float, float, float]  # x1 y1 x2 y2; may reach beyond the picture
    points: Values  # (6, 2) the person's right eye, left eye, nose, mouth, right ear, left ear
    score: float


@dataclass(frozen=True, slots=True, eq=False)
class FoundHand:
    """A hand with its 21 landmarks.

    `side` is the person's own hand in a picture that is not mirrored, and the other one in a mirror
    or the picture of a front camera that mirrors. MediaPipe's documents say the opposite of its
    hand network; of 171 hands in photographs that are mostly not mirrored, 165 had the side of the
    pose network's wrist next to them.
    """

    points: Values  # (21, 3) x, y and depth, all in pixels
    side: Literal["left", "right"]
    side_score: float  # probability of the side, at least 0.5
    presence: float = 1.0  # probability that it is a hand; 1 where that is not known


@dataclass(frozen=True, slots=True, eq=False)
class FoundPose:
    """A person with the 33 landmarks of MediaPipe's pose landmarker."""

    points: Values  # (33, 3) x, y in pixels, also outside the picture, and visibility in [0, 1]
    # Where to look for the person in the next picture of a film; None where that cannot be done.
    again: Region | None = None


class Networks(Protocol):
    """The four networks that the detector looks at pictures with; they belong to one thread."""

    @property
    def follows(self) -> bool:
        """Whether they find hands and persons again where they were."""
        ...

    def find_faces(self, image: Image, reach: Range, lowest: float) -> list[FoundFace]:
        """Faces of at least this score."""
        ...

    def find_hands(self, image: Image, known: Sequence[Region] = ()) -> list[FoundHand]:
        """The hands in a picture; those that are known already need not be found again."""
        ...

    def find_hand_at(self, image: Image, likely: Region) -> FoundHand | None:
        """The hand that a body's arm leads to, in the part of a picture around it."""
        ...

    def find_hand_again(self, image: Image, region: Region) -> FoundHand | None:
        """The hand in a region, where one was a moment ago."""
        ...

    def find_poses(self, image: Image, known: Sequence[Region] = ()) -> list[FoundPose]:
        """The persons in a picture, likewise."""
        ...

    def find_pose_again(self, image: Image, region: Region) -> FoundPose | None:
        """The person in a region, where one was a moment ago."""
        ...

    def close(self) -> None:
        """Release the networks; returns at once even where one of them hangs."""
        ...
