"""Faces, hands and persons: looks at whole frames, and closer ones at what is small in them."""

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sfedge.core.boxes import FULL, Box, from_pixels, to_pixels
from sfedge.core.errors import DataError
from sfedge.core.structures import Detection, Frame, Image
from sfedge.detect.landmarks import Networks, Range
from sfedge.detect.looks import (
    Find,
    body_squares,
    face_square,
    hand_squares,
    is_cut,
    is_of,
    merge,
    small_faces,
    tiles,
)
from sfedge.detect.person_box import Corners, measure_pose

# Scores from which a find counts. Things that look like faces do pass: docs/detectors.md names a
# motorcycle's headlamp. `python -m benchmarks.detectors` counts what is found at these values. In
# tiles the full-range face network only makes proposals.
FACE_SCORE = 0.6
CANDIDATE_SCORE = 0.5  # of a face in a tile
HAND_SIDE_SCORE = 0.6  # of left or right; what can be either is seldom a hand
PERSON_SCORE = 0.5

BODY_INTERVAL = 0.2  # seconds of the stream between two looks for hands and persons
SEARCH_INTERVAL = 0.5  # seconds of the stream between two searches for small faces

_MOST_SMALL_FACES = 64  # followed from frame to frame
_MOST_BODIES = 2  # people who are looked at more closely at a time; they take turns
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
        networks: what looks at pictures.
    """

    def __init__(self, networks: Networks) -> None:
        self._networks = networks
        self.reset()

    def reset(self) -> None:
        """Forget the frames so far: the next one shows another scene."""
        self._searched: float | None = None  # times of the latest search and look for bodies
        self._looked: float | None = None
        self._small: list[Box] = []
        self._turn = 0

    def detect(self, frame: Frame) -> list[Detection]:
        """What is seen in this very frame; between two looks at bodies only faces.

        Raises:
            DetectorError: a network fails.
        """
        height, width = frame.image.shape[:2]
        if min(width, height) < _SMALLEST_SIDE:
            return []
        whole = _look_at(frame.image, FULL)
        faces = self._faces(frame, whole)
        return faces + self._bodies(frame, whole, [face.box for face in faces])

    def find_face(self, frame: Frame, box: Box) -> list[Detection]:
        """The faces around a box of a frame, which need not be the newest one.

        Raises:
            DetectorError: a network fails.
        """
        return merge([*self._find_faces_around(frame.image, box)])

    def find_hands(self, image: Image) -> list[Find]:
        """The hands that one look at a whole picture shows."""
        return [*self._find_hands(_look_at(image, FULL))]

    def close(self) -> None:
        """Release the networks; returns within 2 s even where one of them hangs."""
        self._networks.close()

    def _faces(self, frame: Frame, whole: "_Look") -> list[Detection]:
        finds = [
            *self._find_faces("short", whole, FACE_SCORE),
            *self._find_faces("full", whole, FACE_SCORE),
        ]
        if _is_due(frame.time, self._searched, SEARCH_INTERVAL):
            self._searched = frame.time
            self._small = self._search(frame.image, finds)
        for face in self._small:
            finds += self._find_faces_around(frame.image, face)
        return merge(finds)

    def _find_faces_around(self, image: Image, face: Box) -> Iterator[Find]:
        """Faces of about the same size in the square around a face."""
        height, width = image.shape[:2]
        look = _look_at(image, face_square(face, width, height))
        for find in self._find_faces("short", look, FACE_SCORE):
            if 0.5 < find.box.width / face.width < 2.0:
                yield find

    def _search(self, image: Image, finds: Sequence[Find]) -> list[Box]:
        """Places where a small face may be."""
        height, width = image.shape[:2]
        candidates = list(finds)
        for tile in tiles(width, height):
            look = _look_at(image, tile)
            candidates += self._find_faces("full", look, CANDIDATE_SCORE)
        faces = [face.box for face in merge(candidates)]
        return small_faces(faces, width, height)[:_MOST_SMALL_FACES]

    def _bodies(self, frame: Frame, whole: "_Look", faces: Sequence[Box]) -> list[Detection]:
        if not _is_due(frame.time, self._looked, BODY_INTERVAL):
            return []
        self._looked = frame.time
        height, width = frame.image.shape[:2]
        finds = [*self._find_persons(whole), *self._find_hands(whole)]
        heads = [find.key for find in finds if find.kind == "person"]
        for face in self._whose_turn(sorted(faces)):  # by place: their sizes change all the time
            for square in hand_squares(face, width, height):
                finds += self._find_hands(_look_at(frame.image, square))
            if any(is_of(face, head) for head in heads):
                continue
            for square in body_squares(face, width, height):
                finds += self._find_persons(_look_at(frame.image, square))
        return merge(finds)

    def _whose_turn(self, faces: Sequence[Box]) -> list[Box]:
        count = min(len(faces), _MOST_BODIES)
        first, self._turn = self._turn, self._turn + count
        return [faces[(first + i) % len(faces)] for i in range(count)]

    def _find_faces(self, reach: Range, look: "_Look", lowest: float) -> Iterator[Find]:
        for face in self._networks.find_faces(look.picture, reach, lowest):
            box = look.box_in_frame(_in_whole_pixels(face.box))
            if box is not None and not is_cut(box, look.box):
                yield Find("face", box, face.score, key=box)

    def _find_hands(self, look: "_Look") -> Iterator[Find]:
        for hand in self._networks.find_hands(look.picture):
            low, high = hand.points[:, :2].min(axis=0), hand.points[:, :2].max(axis=0)
            flesh = _HAND_FLESH * (high - low)
            box = look.box_in_frame((*(low - flesh), *(high + flesh)))
            score = min(hand.side_score, 1.0)
            if score >= HAND_SIDE_SCORE and box is not None and not is_cut(box, look.box):
                yield Find("hand", box, score, key=box, side=hand.side)

    def _find_persons(self, look: "_Look") -> Iterator[Find]:
        for found in self._networks.find_poses(look.picture):
            pose = measure_pose(found.points)
            box, head = look.box_in_frame(pose.person), look.box_in_frame(pose.head)
            # Without a head in the picture it is nobody to ask about, or the camera's wearer.
            if box is not None and head is not None and pose.score >= PERSON_SCORE:
                yield Find("person", box, pose.score, key=head)


@dataclass(frozen=True, slots=True, eq=False)
class _Look:
    """A part of a frame that the networks look at."""

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


def _look_at(image: Image, box: Box) -> _Look:
    height, width = image.shape[:2]
    x1, y1, x2, y2 = to_pixels(box, width=width, height=height)
    return _Look(box, image[y1:y2, x1:x2], (x1, y1), width, height)


def _in_whole_pixels(box: Corners) -> Corners:
    """A face's box as MediaPipe's library gives it: corner and size without their fractions."""
    x1, y1, x2, y2 = box
    x, y = math.trunc(x1), math.trunc(y1)
    return x, y, x + math.trunc(x2 - x1), y + math.trunc(y2 - y1)


def _is_due(now: float, last: float | None, interval: float) -> bool:
    """Whether `interval` has passed; also after a jump back in time."""
    return last is None or now < last or now - last >= interval - 1e-6
