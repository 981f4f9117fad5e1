"""Tiled inference: faces, hands and persons in whole frames, tiles and crops around faces."""

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from sfedge.core.boxes import FULL, Box, from_pixels, iou, to_pixels
from sfedge.core.errors import DataError
from sfedge.core.face_points import face_points
from sfedge.core.landmarks import Points
from sfedge.core.structures import Detection, Frame, Image
from sfedge.detect.body_hands import Arm, arms_without_hand, torso_of
from sfedge.detect.mediapipe.detected_points import FoundFace, Networks, Range
from sfedge.detect.mediapipe.face_mesh import FaceMesh
from sfedge.detect.mediapipe.person_box import Corners, measure_pose
from sfedge.detect.tiling import (
    SAME,
    Candidate,
    body_squares,
    face_square,
    fuse,
    hand_squares,
    is_cut_off,
    is_of,
    small_faces,
    tiles,
)

# Scores from which a detection counts. Things that resemble faces do pass: docs/detectors.md names
# a motorcycle's headlamp. `python -m benchmarks.detectors` counts what is found at these values. In
# tiles the full-range face network only makes proposals.
FACE_SCORE = 0.6
CANDIDATE_SCORE = 0.5  # of a face in a tile
HAND_SIDE_SCORE = 0.6  # of left or right; what can be either is seldom a hand
PERSON_SCORE = 0.5
FACE_PRESENCE = 0.5  # probability that the mesh is one of a face

BODY_INTERVAL = 0.2  # seconds of the stream between two searches for hands and persons
SEARCH_INTERVAL = 0.5  # seconds of the stream between two searches for small faces

_MOST_SMALL_FACES = 64  # followed from frame to frame
_MOST_BODIES = 2  # people with crops of their own at a time; they take turns
_HAND_FLESH = 0.12  # of the landmarks' extent: how far a hand reaches beyond its joints
_SMALLEST_SIDE = 16  # pixels; there is nothing to see in less


class TiledDetector:
    """Finds faces in every frame, hands and persons every `BODY_INTERVAL`.

    A network sees a picture of at most 256 pixels a side, and so in a whole frame only what is
    large. Every `SEARCH_INTERVAL` tiles of the frame are therefore searched for small faces. Until
    the next search each is looked for in a square around it; and hands and bodies are looked for
    around the faces, too. All this depends on the frames and their times alone, so the
    same video gives the same boxes.

    Args:
        networks: what detects in one picture.
        mesh: finds the points of faces, for models that read them.

    Attributes:
        device: where the networks run, as shown to the user; "" where they do not say it.
        engine_note: why they do not run where the model does, a sentence; else "".
    """

    def __init__(self, networks: Networks, mesh: FaceMesh | None = None) -> None:
        self._networks, self._mesh = networks, mesh
        self.device = str(getattr(networks, "device", ""))
        self.engine_note = str(getattr(networks, "engine_note", ""))
        self.reset()

    def reset(self) -> None:
        """Forget the frames so far: the next one shows another scene."""
        self._searched_at: float | None = None  # stream times of the latest searches
        self._bodies_at: float | None = None
        self._small: list[Box] = []
        self._turn = 0

    def detect(self, frame: Frame) -> list[Detection]:
        """The detections in this frame; between two searches for bodies only faces.

        Raises:
            DetectorError: a network fails.
        """
        height, width = frame.image.shape[:2]
        if min(width, height) < _SMALLEST_SIDE:
            return []
        whole = _crop_of(frame.image, FULL)
        faces = self._faces(frame, whole)
        return faces + self._bodies(frame, whole, [face.box for face in faces])

    def find_face(self, frame: Frame, box: Box) -> list[Detection]:
        """The faces around a box of a frame, which need not be the newest one.

        Raises:
            DetectorError: a network fails.
        """
        return fuse([*self._find_faces_around(frame.image, box)])

    def face_points(self, frame: Frame, face: Box, key_points: Points | None) -> Points | None:
        """The points of a face that a model reads, see `sfedge.core.face_points.face_points`.

        Args:
            frame: any, which need not be the newest one.
            face: a face's box.
            key_points: its landmarks, as of a `Detection`.

        Returns:
            In fractions of the frame, depth in its widths. None where no face is seen there, or
            the detector has no mesh.

        Raises:
            DetectorError: a network fails.
        """
        if self._mesh is None or key_points is None:
            return None
        height, width = frame.image.shape[:2]
        size = np.array([width, height])
        corners = face.x1 * width, face.y1 * height, face.x2 * width, face.y2 * height
        mesh = self._mesh.find(frame.image, FoundFace(corners, key_points * size, 1.0))
        if mesh.presence <= FACE_PRESENCE:
            return None
        parts = (mesh.points, mesh.right_eye.iris, mesh.left_eye.iris)
        points = face_points(*(part.astype(np.float32) for part in parts))
        return _crop_of(frame.image, FULL).points_in_frame(points)

    def find_hands(self, image: Image) -> list[Candidate]:
        """The hands in a whole picture."""
        return [*self._find_hands(_crop_of(image, FULL))]

    def close(self) -> None:
        """Release the networks; returns within 2 s even where one of them hangs."""
        self._networks.close()

    def _faces(self, frame: Frame, whole: "_Crop") -> list[Detection]:
        candidates = [
            *self._find_faces("short", whole, FACE_SCORE),
            *self._find_faces("full", whole, FACE_SCORE),
        ]
        if _is_due(frame.time, self._searched_at, SEARCH_INTERVAL):
            self._searched_at = frame.time
            self._small = self._search(frame.image, candidates)
        for face in self._small:
            candidates += self._find_faces_around(frame.image, face)
        return fuse(candidates)

    def _find_faces_around(self, image: Image, face: Box) -> Iterator[Candidate]:
        """Faces of about the same size in the square around a face."""
        height, width = image.shape[:2]
        crop = _crop_of(image, face_square(face, width, height))
        for candidate in self._find_faces("short", crop, FACE_SCORE):
            if 0.5 < candidate.box.width / face.width < 2.0:
                yield candidate

    def _search(self, image: Image, candidates: Sequence[Candidate]) -> list[Box]:
        """Places where a small face may be."""
        height, width = image.shape[:2]
        everything = list(candidates)
        for tile in tiles(width, height):
            crop = _crop_of(image, tile)
            everything += self._find_faces("full", crop, CANDIDATE_SCORE)
        faces = [face.box for face in fuse(everything)]
        return small_faces(faces, width, height)[:_MOST_SMALL_FACES]

    def _bodies(self, frame: Frame, whole: "_Crop", faces: Sequence[Box]) -> list[Detection]:
        if not _is_due(frame.time, self._bodies_at, BODY_INTERVAL):
            return []
        self._bodies_at = frame.time
        height, width = frame.image.shape[:2]
        candidates = [*self._find_persons(whole), *self._find_hands(whole)]
        heads = [candidate.key for candidate in candidates if candidate.kind == "person"]
        for face in self._whose_turn(sorted(faces)):  # by place: their sizes change all the time
            for square in hand_squares(face, width, height):
                candidates += self._find_hands(_crop_of(frame.image, square))
            if any(is_of(face, head) for head in heads):
                continue
            for square in body_squares(face, width, height):
                candidates += self._find_persons(_crop_of(frame.image, square))
        found = fuse(candidates)
        others = [one for one in found if one.kind != "hand"]
        return others + self._hands_of_bodies(frame, found)

    def _hands_of_bodies(self, frame: Frame, found: Sequence[Detection]) -> list[Detection]:
        """The hands that were found, without those that are faces, and with those of bodies."""
        height, width = frame.image.shape[:2]
        bodies = [(one, one.landmarks) for one in found if one.kind == "person"]
        torsos = [torso_of(points, width, height) for _, points in bodies if points is not None]
        hands = [
            one
            for one in found
            if one.kind == "hand" and not any(torso.is_on_face(one.box) for torso in torsos)
        ]
        for torso in torsos:
            known = [one.landmarks for one in hands if one.landmarks is not None]
            for arm in arms_without_hand(torso, known):
                hand = self._hand_of(arm, frame)
                place = arm.place(width, height)
                if hand is None and place is not None and torso.has_crossed_arms():
                    hand = Detection("hand", place, arm.seen, side=arm.side, from_body=True)
                if hand is not None and not any(iou(hand.box, one.box) > SAME for one in hands):
                    hands.append(hand)
        return hands

    def _hand_of(self, arm: Arm, frame: Frame) -> Detection | None:
        """The hand of an arm: a film shows it again soon, a photograph is looked at twice."""
        height, width = frame.image.shape[:2]
        squares = arm.squares(width, height)
        for square in squares if frame.starts_scene else islice(squares, 1):
            crop = _crop_of(frame.image, square)
            left, top = crop.corner_px
            likely = replace(arm.likely, x=arm.likely.x - left, y=arm.likely.y - top)
            hand = self._networks.find_hand_at(crop.picture, likely)
            if hand is None or not arm.may_have(hand.points[0, :2] + crop.corner_px):
                continue
            box, points = crop.box_in_frame(around_hand(hand.points)), hand.points
            if box is not None:
                found = crop.points_in_frame(points)
                return Detection("hand", box, hand.presence, side=arm.side, landmarks=found)
        return None

    def _whose_turn(self, faces: Sequence[Box]) -> list[Box]:
        count = min(len(faces), _MOST_BODIES)
        first, self._turn = self._turn, self._turn + count
        return [faces[(first + i) % len(faces)] for i in range(count)]

    def _find_faces(self, reach: Range, crop: "_Crop", lowest: float) -> Iterator[Candidate]:
        for face in self._networks.find_faces(crop.picture, reach, lowest):
            box = crop.box_in_frame(_in_whole_pixels(face.box))
            if box is not None and not is_cut_off(box, crop.box):
                points = crop.points_in_frame(face.points)
                yield Candidate("face", box, face.score, key=box, landmarks=points)

    def _find_hands(self, crop: "_Crop") -> Iterator[Candidate]:
        for hand in self._networks.find_hands(crop.picture):
            box = crop.box_in_frame(around_hand(hand.points))
            score = min(hand.side_score, 1.0)
            if score >= HAND_SIDE_SCORE and box is not None and not is_cut_off(box, crop.box):
                points = crop.points_in_frame(hand.points)
                yield Candidate("hand", box, score, key=box, side=hand.side, landmarks=points)

    def _find_persons(self, crop: "_Crop") -> Iterator[Candidate]:
        for found in self._networks.find_poses(crop.picture):
            pose = measure_pose(found.points)
            box, head = crop.box_in_frame(pose.person), crop.box_in_frame(pose.head)
            # Without a head in the picture it is nobody to ask about, or the camera's wearer.
            if box is not None and head is not None and pose.score >= PERSON_SCORE:
                points = crop.points_in_frame(found.points, is_depth=False)
                yield Candidate("person", box, pose.score, key=head, landmarks=points)


@dataclass(frozen=True, slots=True, eq=False)
class _Crop:
    """A part of a frame, as the networks see it."""

    box: Box
    picture: Image
    corner_px: tuple[int, int]  # of the part, in the frame
    width: int  # pixels of the frame
    height: int

    def box_in_frame(self, corners: Corners | NDArray[np.float64]) -> Box | None:
        """A box in pixels of the part as a box of the frame; None if it lies outside."""
        left, top = self.corner_px
        x1, y1, x2, y2 = (float(value) for value in corners)
        with suppress(DataError):
            return from_pixels(
                x1 + left, y1 + top, x2 + left, y2 + top, width=self.width, height=self.height
            )
        return None

    def points_in_frame(self, points: NDArray[np.floating], *, is_depth: bool = True) -> Points:
        """Points in pixels of the part, in fractions of the frame; depth in its widths.

        Args:
            points: (N, 2) or (N, 3).
            is_depth: whether a third value is one; else it stays as it is.
        """
        placed = points.astype(np.float32)
        placed[:, :2] = (points[:, :2] + self.corner_px) / (self.width, self.height)
        if is_depth:
            placed[:, 2:] /= self.width
        return placed


def _crop_of(image: Image, box: Box) -> _Crop:
    height, width = image.shape[:2]
    x1, y1, x2, y2 = to_pixels(box, width=width, height=height)
    return _Crop(box, image[y1:y2, x1:x2], (x1, y1), width, height)


def around_hand(points: NDArray[np.floating]) -> Corners:
    """Corners of the box of a hand with these landmarks, in their unit."""
    low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
    flesh = _HAND_FLESH * (high - low)
    (x1, y1), (x2, y2) = (low - flesh).tolist(), (high + flesh).tolist()
    return x1, y1, x2, y2


def _in_whole_pixels(box: Corners) -> Corners:
    """A face's box as MediaPipe's library gives it: corner and size without their fractions."""
    x1, y1, x2, y2 = box
    x, y = math.trunc(x1), math.trunc(y1)
    return x, y, x + math.trunc(x2 - x1), y + math.trunc(y2 - y1)


def _is_due(now: float, last: float | None, interval: float) -> bool:
    """Whether `interval` has passed; also after a jump back in time."""
    return last is None or now < last or now - last >= interval - 1e-6
