"""Looks at pictures with the detectors' networks: whose landmarks are there, and where."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from sfedge.core.boxes import Box, clamped, from_pixels, union
from sfedge.core.errors import DataError
from sfedge.core.landmarks import HandLandmarks, Landmarks, Points
from sfedge.core.structures import Detection, Frame, Hand, Image, Scene
from sfedge.detect.conversion.networks import DETECTING, OF_A_FACE
from sfedge.detect.frame_crop import around_hand
from sfedge.detect.mediapipe.face_mesh import FaceMesh
from sfedge.detect.mediapipe.hand_finder import HandFinder
from sfedge.detect.mediapipe.mediapipe_networks import MOST_HANDS, MediaPipeNetworks
from sfedge.detect.open_networks import open_networks
from sfedge.detect.tiled_detector import TiledDetector
from sfedge.engines.small_network import AUTO, NetworkSet
from sfedge.inference.crop import hands_together
from sfedge.tracking.track import Tracker
from sfedge_training.collection.hand_points import hand_in
from sfedge_training.collection.item import Subject

NETWORKS = (*DETECTING, *OF_A_FACE)
Found = tuple[Box, Landmarks]  # the box of a subject, and all that is known beside it

_SCORE = 0.5  # of a face
_HAND_NETWORKS = ("palm", "hand-landmarks")


class Looker:
    """Finds the subjects of pictures, with what a run has.

    Args:
        files: of each network in NETWORKS, as ONNX.

    Raises:
        DetectorError: a network does not start.
    """

    def __init__(self, files: Mapping[str, Path]) -> None:
        own = NetworkSet("hands", {name: files[name] for name in _HAND_NETWORKS})
        palm, hand = (open_networks(own, AUTO).networks[name] for name in _HAND_NETWORKS)
        self._hands = HandFinder(palm, hand, most=MOST_HANDS, lowest=_SCORE)
        self._networks = MediaPipeNetworks({name: files[name] for name in DETECTING})
        mesh = FaceMesh(files["face-mesh"], files["iris"])
        self._detector = TiledDetector(self._networks, mesh)

    def find(self, image: Image, subject: Subject, box: Box | None) -> list[Found]:
        """What there is of a subject; of a person a find for each hand, or for two that are close.

        Args:
            image: (H, W, 3).
            subject: what is looked for.
            box: of the hand, where the subject is one.

        Raises:
            DetectorError: a network fails.
        """
        if subject == "hand":
            assert box is not None
            hand = hand_in(self._hands, image, box)
            if hand is None:
                return []
            try:
                seen = clamped(*around_hand(hand.points))  # as a run sees it
            except DataError:  # nothing of it is in the picture
                return []
            return [(seen, Landmarks((hand,)))]
        return self._face(image) if subject == "face" else self._person(image)

    def scene(self, image: Image) -> Scene:
        """Everybody in a picture, as a run sees them in a photograph.

        Args:
            image: (H, W, 3).

        Raises:
            DetectorError: a network fails.
        """
        self._detector.reset()
        frame = _frame(image)
        return Tracker().update(self._detector.detect(frame), frame)

    def faces_near(self, image: Image, box: Box) -> list[Detection]:
        """The faces of about a box's size around it, however small in the picture.

        Raises:
            DetectorError: a network fails.
        """
        return self._detector.find_face(_frame(image), box)

    def face_points(self, image: Image, face: Box, key_points: Points | None) -> Points | None:
        """The points of a face that was found, as `TiledDetector.face_points`.

        Raises:
            DetectorError: a network fails.
        """
        return self._detector.face_points(_frame(image), face, key_points)

    def _face(self, image: Image) -> list[Found]:
        """The largest face."""
        found = self._networks.find_faces(image, "short", _SCORE)
        found = found or self._networks.find_faces(image, "full", _SCORE)
        largest = max(found, key=lambda face: face.box[2] - face.box[0], default=None)
        if largest is None:
            return []
        height, width = image.shape[:2]
        try:
            box = from_pixels(*largest.box, width=width, height=height)
        except DataError:  # nothing of it is in the picture
            return []
        key_points = (largest.points / (width, height)).astype("float32")
        points = self._detector.face_points(_frame(image), box, key_points)
        return [(box, Landmarks(face=points))]

    def _person(self, image: Image) -> list[Found]:
        """The surest person's hands, as a run groups them, with body and face."""
        self._detector.reset()
        frame = _frame(image)
        detections = sorted(self._detector.detect(frame), key=lambda one: -one.score)
        body = next((one.landmarks for one in detections if one.kind == "person"), None)
        face = next((one for one in detections if one.kind == "face"), None)
        points = None
        if face is not None:
            points = self._detector.face_points(frame, face.box, face.landmarks)
        found = [one for one in detections if one.kind == "hand"][:2]
        hands = [
            Hand(place, one.box, one.side, one.score, 0.0, landmarks=one.landmarks)
            for place, one in enumerate(found)
        ]
        height, width = image.shape[:2]
        groups = hands_together(hands, width / height)
        return [
            (
                union([hand.box for hand in group]),
                Landmarks(
                    known_hands([*group, *(h for h in hands if h not in group)]), body, points
                ),
            )
            for group in groups
        ]


def _frame(image: Image) -> Frame:
    return Frame(image, 0, 0.0, starts_scene=True)


def known_hands(hands: Sequence[Hand]) -> tuple[HandLandmarks, ...]:
    """Landmarks of the hands in their order; none where the first one's are not known."""
    if hands[0].landmarks is None:
        return ()
    return tuple(
        HandLandmarks(hand.landmarks, hand.side if hand.side != "both" else None)
        for hand in hands
        if hand.landmarks is not None
    )
