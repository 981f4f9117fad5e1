"""Tiles and crops of a frame, and the fusion of their detections."""

import math
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from sfedge.core.boxes import Box, from_pixels, intersection, iou
from sfedge.core.errors import DataError
from sfedge.core.landmarks import Points
from sfedge.core.structures import Detection, Kind, Side
from sfedge.detect.mediapipe.regions import Region

# The full-range face network detects faces from 7 % to 40 % of its picture's longer side: 80
# pixels in a whole frame of 1280 x 720. Tiles of half the shorter side, which overlap by a quarter
# of that, bring it down to 25.
_TILE = 0.5
_OVERLAP = 0.25
_MOST_TILES = 24  # of a very long frame; the tiles are larger there
_SMALL_FACE = 0.1  # of the longer side: below, a face may be missed in the whole frame
_FACE_SQUARE = 5.0  # side, in faces, of the square in which a small face is detected again
_BODY_SQUARE = 9.0  # side, in faces, of a square that holds a person down to the knees, arms out
_BODY_DROP = 2.7  # faces from the face down to its centre
_HAND_SQUARE = 7.0  # side, in faces, of the square on each side that a raised hand is in
_HAND_SHIFT, _HAND_DROP = 2.2, 0.5  # faces from the face to its centre
_HAND_STRIP = 1.5  # faces; less of such a square in the frame holds no hand
LITTLE_GAIN = 0.6  # a square that takes up more of the frame shows little new
SAME = 0.3  # intersection over union from which two candidates are one
_EDGE = 0.02  # of a crop's side: what comes nearer to its edge is cut off


@dataclass(frozen=True, slots=True)
class Candidate:
    """Something detected in one crop."""

    kind: Kind
    box: Box  # of the frame
    score: float
    key: Box  # compared to find duplicates: the box itself, a person's head
    side: Side | None = None  # of a hand
    landmarks: Points | None = field(default=None, compare=False, repr=False)  # see `Detection`
    # Where a network sees it in the next frame, in pixels of the frame; None where it cannot.
    again: Region | None = field(default=None, compare=False, repr=False)


def tiles(width: int, height: int) -> list[Box]:
    """Overlapping squares that cover a frame of this size in pixels, in reading order."""
    side = _TILE * min(width, height)
    columns, rows = _count(width, side), _count(height, side)
    while columns * rows > _MOST_TILES:
        side = min(side * 1.25, max(width, height))
        columns, rows = _count(width, side), _count(height, side)
    x_side, y_side = min(side / width, 1.0), min(side / height, 1.0)
    return [
        Box(x, y, min(x + x_side, 1.0), min(y + y_side, 1.0))
        for y in _starts(rows, y_side)
        for x in _starts(columns, x_side)
    ]


def small_faces(faces: Iterable[Box], width: int, height: int) -> list[Box]:
    """Those that may be missed in the whole frame, the largest first."""
    limit = _SMALL_FACE * max(width, height)
    return sorted(
        (face for face in faces if face.width * width < limit), key=lambda face: (-face.area, face)
    )


def face_square(face: Box, width: int, height: int) -> Box:
    """The crop in which a small face is detected again."""
    (square,) = _squares([face], _FACE_SQUARE, (0.0, 0.0), width, height)
    return square


def body_squares(face: Box, width: int, height: int) -> list[Box]:
    """The crop for the body of this face; none where the frame shows as much."""
    squares = _squares([face], _BODY_SQUARE, (0.0, _BODY_DROP), width, height)
    return [square for square in squares if square.area < LITTLE_GAIN]


def hand_squares(face: Box, width: int, height: int) -> list[Box]:
    """The crops for this person's hands, where they show more than the frame."""
    narrowest = _HAND_STRIP * face.width
    return [
        square
        for shift in (-_HAND_SHIFT, _HAND_SHIFT)
        for square in _squares([face], _HAND_SQUARE, (shift, _HAND_DROP), width, height)
        if square.area < LITTLE_GAIN and square.width > narrowest
    ]


def is_cut_off(box: Box, crop: Box) -> bool:
    """Whether a box touches an edge of the crop that is not the frame's own."""
    dx, dy = _EDGE * crop.width, _EDGE * crop.height
    return (
        (crop.x1 > 0 and box.x1 < crop.x1 + dx)
        or (crop.y1 > 0 and box.y1 < crop.y1 + dy)
        or (crop.x2 < 1 and box.x2 > crop.x2 - dx)
        or (crop.y2 < 1 and box.y2 > crop.y2 - dy)
    )


def fuse(candidates: Sequence[Candidate]) -> list[Detection]:
    """Box fusion: one detection a thing, the boxes' mean, weighted by score; the best score.

    A mean, and not the best box, because networks draw the same face a little differently and
    would otherwise take turns from frame to frame. Side and landmarks are the best one's.
    """
    rest = sorted(
        candidates, key=lambda candidate: (-candidate.score, candidate.kind, candidate.box)
    )
    detections = []
    while rest:
        best = rest[0]
        same = [candidate for candidate in rest if _is_same(best, candidate)]
        rest = [candidate for candidate in rest if not _is_same(best, candidate)]
        found = Detection(
            best.kind, _mean(same), best.score, side=best.side, landmarks=best.landmarks
        )
        detections.append(found)
    return detections


def beyond(candidates: Iterable[Candidate], known: Sequence[Candidate]) -> list[Candidate]:
    """Those that are none of the known ones."""
    return [one for one in candidates if not any(_is_same(one, other) for other in known)]


def is_of(face: Box, head: Box) -> bool:
    """Whether most of a face is inside a head."""
    return intersection(face, head) > 0.5 * face.area


def _is_same(a: Candidate, b: Candidate) -> bool:
    return a.kind == b.kind and iou(a.key, b.key) > SAME


def _mean(candidates: Sequence[Candidate]) -> Box:
    total = math.fsum(candidate.score for candidate in candidates)
    corners = zip(
        *(
            (candidate.box.x1, candidate.box.y1, candidate.box.x2, candidate.box.y2)
            for candidate in candidates
        ),
        strict=True,
    )
    weights = [candidate.score / total for candidate in candidates]
    x1, y1, x2, y2 = (
        min(math.fsum(w * v for w, v in zip(weights, values, strict=True)), 1.0)
        for values in corners
    )
    return Box(x1, y1, x2, y2)


def _squares(
    faces: Iterable[Box], side: float, shift: tuple[float, float], width: int, height: int
) -> list[Box]:
    """The parts of the squares beside faces that are in the frame; side and shift are in faces."""
    squares = []
    for face in faces:
        size = max(face.width * width, face.height * height)
        x, y = face.centre[0] * width + shift[0] * size, face.centre[1] * height + shift[1] * size
        reach = side * size / 2
        with suppress(DataError):  # wholly outside
            squares.append(
                from_pixels(x - reach, y - reach, x + reach, y + reach, width=width, height=height)
            )
    return squares


def _count(length: float, side: float) -> int:
    """Number of tiles of this side, with the required overlap, that cover a length."""
    return max(math.ceil((length - side) / (side * (1 - _OVERLAP)) - 1e-9), 0) + 1


def _starts(count: int, side: float) -> list[float]:
    return [i * (1.0 - side) / (count - 1) if count > 1 else 0.0 for i in range(count)]
