"""MediaPipe's networks, run as ONNX by an engine of the run."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from sfedge.core.config import DEFAULT_DETECTOR
from sfedge.core.structures import Image
from sfedge.detect.mediapipe.detected_points import FoundFace, FoundHand, FoundPose, Range
from sfedge.detect.mediapipe.face_finder import FaceFinder
from sfedge.detect.mediapipe.hand_finder import HandFinder
from sfedge.detect.mediapipe.pose_finder import PoseFinder
from sfedge.detect.mediapipe.regions import Region
from sfedge.detect.open_networks import open_networks
from sfedge.engines.small_network import AUTO, NetworkSet, Place

MOST_HANDS, MOST_PERSONS = 8, 6  # in one picture
HAND_SCORE = PERSON_SCORE = 0.5  # of a palm or person, and of a hand's or pose's presence


class MediaPipeNetworks:
    """The networks in one thread (see `sfedge.detect.mediapipe.detected_points.Networks`).

    Args:
        files: of each network in `sfedge.detect.conversion.networks.DETECTING`.
        place: where they run.

    Attributes:
        device: where they really run, as shown to the user.
        engine_note: why they do not run where the model does, a sentence; else "".

    Raises:
        DetectorError: a network does not start.
    """

    follows = True

    def __init__(self, files: Mapping[str, Path], place: Place = AUTO) -> None:
        opened = open_networks(NetworkSet(DEFAULT_DETECTOR, files), place, is_compared=True)
        self.device, self.engine_note = opened.device, opened.note
        networks = opened.networks
        self._faces: dict[Range, FaceFinder] = {
            "short": FaceFinder(networks["face-short-range"], "short"),
            "full": FaceFinder(networks["face-full-range"], "full"),
        }
        self._hands = HandFinder(
            networks["palm"], networks["hand-landmarks"], most=MOST_HANDS, lowest=HAND_SCORE
        )
        self._poses = PoseFinder(
            networks["person"], networks["pose-landmarks"], most=MOST_PERSONS, lowest=PERSON_SCORE
        )

    def find_faces(self, image: Image, reach: Range, lowest: float) -> list[FoundFace]:
        return self._faces[reach].find(image, lowest)

    def find_hands(self, image: Image, known: Sequence[Region] = ()) -> list[FoundHand]:
        return self._hands.find(image, known)

    def find_hand_at(self, image: Image, likely: Region) -> FoundHand | None:
        return self._hands.find_at(image, likely)

    def find_hand_again(self, image: Image, region: Region) -> FoundHand | None:
        return self._hands.find_again(image, region)

    def find_poses(self, image: Image, known: Sequence[Region] = ()) -> list[FoundPose]:
        return self._poses.find(image, known)

    def find_pose_again(self, image: Image, region: Region) -> FoundPose | None:
        return self._poses.find_again(image, region)

    def close(self) -> None:
        """Nothing to wait for: the networks go with the last reference to them."""
