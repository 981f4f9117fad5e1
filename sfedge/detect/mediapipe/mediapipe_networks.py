"""MediaPipe's networks, run as ONNX by the engine that is there."""

from collections.abc import Mapping
from pathlib import Path

from sfedge.core.structures import Image
from sfedge.detect.mediapipe.face_finder import FaceFinder
from sfedge.detect.mediapipe.hand_finder import HandFinder
from sfedge.detect.mediapipe.landmarks import FoundFace, FoundHand, FoundPose, Range
from sfedge.detect.mediapipe.pose_finder import PoseFinder

MOST_HANDS, MOST_PERSONS = 8, 6  # in one picture
HAND_SCORE = PERSON_SCORE = 0.5  # of a palm or person, and of a hand's or pose's presence


class MediaPipeNetworks:
    """The networks in one thread (see `sfedge.detect.mediapipe.landmarks.Networks`).

    Args:
        files: of each network in `sfedge.detect.conversion.networks.DETECTING`.

    Raises:
        DetectorError: a network does not start.
    """

    def __init__(self, files: Mapping[str, Path]) -> None:
        self._faces: dict[Range, FaceFinder] = {
            "short": FaceFinder(files["face-short-range"], "short"),
            "full": FaceFinder(files["face-full-range"], "full"),
        }
        self._hands = HandFinder(
            files["palm"], files["hand-landmarks"], most=MOST_HANDS, lowest=HAND_SCORE
        )
        self._poses = PoseFinder(
            files["person"], files["pose-landmarks"], most=MOST_PERSONS, lowest=PERSON_SCORE
        )

    def find_faces(self, image: Image, reach: Range, lowest: float) -> list[FoundFace]:
        return self._faces[reach].find(image, lowest)

    def find_hands(self, image: Image) -> list[FoundHand]:
        return self._hands.find(image)

    def find_poses(self, image: Image) -> list[FoundPose]:
        return self._poses.find(image)

    def close(self) -> None:
        """Nothing to wait for: the networks go with the last reference to them."""
