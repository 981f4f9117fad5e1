"""Faces of any size: searched anew now and then, and followed from frame to frame in between."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from sfedge.core.boxes import Box, iou
from sfedge.core.structures import Detection, Frame, Image
from sfedge.detect.frame_crop import FrameCrop, crop_of
from sfedge.detect.mediapipe.detected_points import Networks, Range
from sfedge.detect.mediapipe.person_box import Corners
from sfedge.detect.tiling import (
    LITTLE_GAIN,
    SAME,
    Candidate,
    beyond,
    face_square,
    fuse,
    is_cut_off,
    small_faces,
    tiles,
)

# Scores from which a detection counts. Things that resemble faces do pass: docs/detectors.md names
# a motorcycle's headlamp. `python -m benchmarks.detectors` counts what is found at these values. In
# tiles the full-range face network only makes proposals.
FACE_SCORE = 0.6
CANDIDATE_SCORE = 0.5  # of a face in a tile

SEARCH_INTERVAL = 1.0  # seconds of the stream in which frame and tiles are searched once
_GAP = 0.5  # seconds for which a face that is not found is looked for where it was
_FITTING = 0.7  # intersection over union from which a square is kept
_MOST_PLACES = 64  # looked at from frame to frame


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a face is, or may be."""

    box: Box
    square: Box  # in which it is looked for
    time: float  # of the stream, when something was seen there
    is_face: bool  # it was found in the last frame


class FaceSearch:
    """Finds faces in every frame.

    The short-range network sees each whole frame, and a square around each face that is not large
    there. The full-range network sees a scene's first frame, its tiles, and then both
    once in `SEARCH_INTERVAL`, the tiles one after the other; and any frame in which a face is lost.

    Args:
        networks: what detects in one picture.
    """

    def __init__(self, networks: Networks) -> None:
        self._networks = networks
        self.reset()

    def reset(self) -> None:
        """Forget the frames so far."""
        self._begun: float | None = None  # when the present round of searches began
        self._searched = 0  # tiles of this round
        self._last = -math.inf  # time of the last frame
        self._places: list[_Place] = []

    def find(self, frame: Frame, whole: FrameCrop) -> list[Detection]:
        """The faces in a frame.

        Args:
            frame: the next one.
            whole: all of it.

        Raises:
            DetectorError: a network fails.
        """
        if frame.time < self._last:
            self.reset()
        self._last, is_first = frame.time, self._begun is None
        all_tiles = tiles(whole.width, whole.height)
        is_due, due_tiles = self._due(frame.time, len(all_tiles))

        found, apart = self._followed(frame.image, whole, is_first=is_first)
        is_lost = any(one.is_face and not _is_among(one.box, found) for one in apart)
        # A scene's first frame may be a photograph: all that see a face have a say in its box.
        # Later only one has, since the box would move with each search.
        if is_due or is_lost:
            seen = [*self._in("full", whole, FACE_SCORE)]
            found += seen if is_first else beyond(seen, found)
        proposed: list[_Place] = []
        if due_tiles:
            crops = [crop_of(frame.image, all_tiles[i]) for i in due_tiles]
            seen = [one for crop in crops for one in self._in("full", crop, CANDIDATE_SCORE)]
            boxes = [face.box for face in fuse([*found, *seen])]
            proposed = [
                self._place(box, whole)
                for box in small_faces(boxes, whole.width, whole.height)[:_MOST_PLACES]
                if is_first or not _is_among(box, found)
            ]
        for place in proposed:
            found += self._at(frame.image, place)
        faces = fuse(found)
        self._remember(faces, [*apart, *proposed], whole)
        return faces

    def _followed(
        self, image: Image, whole: FrameCrop, *, is_first: bool
    ) -> tuple[list[Candidate], list[_Place]]:
        """What the short-range network finds, and the places that were looked at in a square."""
        near = [*self._in("short", whole, FACE_SCORE)]
        if is_first:
            return near, []
        large = [one for one in near if _is_large(one.box, whole)]
        seen = [self._place(one.box, whole) for one in beyond(near, large)]
        apart: list[_Place] = []
        for place in [*self._places, *seen]:
            if not _is_among(place.box, [*large, *apart]):
                apart.append(place)
        found = [one for place in apart for one in self._at(image, place)]
        return [*large, *found], apart

    def around(self, image: Image, face: Box) -> Iterator[Candidate]:
        """Faces of about the same size in the square around a face."""
        yield from self._at(image, self._place(face, crop_of(image)))

    def _at(self, image: Image, place: _Place) -> Iterator[Candidate]:
        for candidate in self._in("short", crop_of(image, place.square), FACE_SCORE):
            if 0.5 < candidate.box.width / place.box.width < 2.0:
                yield candidate

    def _place(self, box: Box, whole: FrameCrop) -> _Place:
        square = face_square(box, whole.width, whole.height)
        return _Place(box, square, self._last, is_face=False)

    def _due(self, time: float, count: int) -> tuple[bool, range]:
        """Whether the whole frame is to be searched, and which of its tiles."""
        if self._begun is None:
            self._begun = time
            return True, range(count)
        first, share = self._searched, (time - self._begun) / SEARCH_INTERVAL
        self._searched = min(int(share * count + 1e-6), count)
        due = range(first, self._searched)
        if is_over := self._searched == count:
            self._begun, self._searched = time, 0
        return is_over, due

    def _remember(
        self, faces: Sequence[Detection], others: Sequence[_Place], whole: FrameCrop
    ) -> None:
        """Keep where faces are, and where one was a moment ago or may be."""
        places = []
        for face in faces:
            place = replace(self._place(face.box, whole), is_face=True)
            before = next((one for one in others if iou(one.box, face.box) > SAME), place)
            # A square stays while the face does: else the face's box would move with it.
            places.append(replace(place, square=before.square) if _fits(place, before) else place)
        for other in others:
            is_fresh = self._last - other.time <= _GAP
            if is_fresh and not _is_among(other.box, places):
                places.append(replace(other, is_face=False))
        self._places = places[:_MOST_PLACES]

    def _in(self, reach: Range, crop: FrameCrop, lowest: float) -> Iterator[Candidate]:
        for face in self._networks.find_faces(crop.picture, reach, lowest):
            box = crop.box_in_frame(_in_whole_pixels(face.box))
            if box is not None and not is_cut_off(box, crop.box):
                points = crop.points_in_frame(face.points)
                yield Candidate("face", box, face.score, key=box, landmarks=points)


def _is_among(box: Box, others: Sequence[Candidate | Detection | _Place]) -> bool:
    return any(iou(box, one.box) > SAME for one in others)


def _fits(new: _Place, old: _Place) -> bool:
    """Whether the old square shows the new place about as well as one made for it."""
    return iou(new.square, old.square) > _FITTING


def _is_large(face: Box, whole: FrameCrop) -> bool:
    """Whether a square around a face shows it little better than the whole frame."""
    return face_square(face, whole.width, whole.height).area >= LITTLE_GAIN


def _in_whole_pixels(box: Corners) -> Corners:
    """A face's box as MediaPipe's library gives it: corner and size without their fractions."""
    x1, y1, x2, y2 = box
    x, y = math.trunc(x1), math.trunc(y1)
    return x, y, x + math.trunc(x2 - x1), y + math.trunc(y2 - y1)
