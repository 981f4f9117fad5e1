"""Where in a frame to look closer, and how what several looks find becomes one."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sfedge.boxes import Box, intersection
from sfedge.structures import Detection, Kind

# The full-range face network finds faces from 7 % to 40 % of its picture's side: about 80 pixels in
# a whole frame of 1280 x 720. Tiles of half the shorter side, which overlap by a quarter, bring
# that down to 25.
_TILE = 0.5
_OVERLAP = 0.25
_MOST_TILES = 24  # of a very long frame; the tiles are larger there
_SMALL_FACE = 0.1  # of the longer side: below, the look at the whole frame may miss a face
_FACE_SQUARE = 6.0  # side, in faces, of the square in which a small face is looked for again
_BODY_SQUARE = 9.0  # side, in faces, of a square that holds a person down to the knees, arms out
_BODY_DROP = 0.3  # of that side: how far its centre lies below the face
_LITTLE_GAIN = 0.6  # a square that takes up more of the frame shows nothing new
_SAME = 0.5  # overlap, in shares of the smaller one, that makes two finds one
_EDGE = 0.02  # of a look's side: what comes nearer to its edge is cut off


@dataclass(frozen=True, slots=True)
class Find:
    """Something found in one look."""

    kind: Kind
    box: Box  # of the frame
    score: float
    key: Box  # what tells two of them apart: the box itself, a person's head


def tiles(width: int, height: int) -> list[Box]:
    """Overlapping squares that cover a frame of so many pixels, in reading order."""
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


def face_squares(faces: Iterable[Box], width: int, height: int, most: int) -> list[Box]:
    """Squares around the small faces, the largest first, in which to look for them again."""
    limit = _SMALL_FACE * max(width, height)
    small = [face for face in faces if face.width * width < limit]
    return [
        _square(face, _FACE_SQUARE, 0.0, width, height)
        for face in sorted(small, key=lambda face: (-face.area, face))[:most]
    ]


def body_squares(faces: Iterable[Box], width: int, height: int) -> list[Box]:
    """Squares around people with these faces, the largest first, where that is a closer look."""
    ordered = sorted(faces, key=lambda face: (-face.area, face))
    squares = [_square(face, _BODY_SQUARE, _BODY_DROP, width, height) for face in ordered]
    return [square for square in squares if square.area < _LITTLE_GAIN]


def is_cut(box: Box, look: Box) -> bool:
    """Whether a box touches an edge of the look that is not the frame's own."""
    dx, dy = _EDGE * look.width, _EDGE * look.height
    return (
        (look.x1 > 0 and box.x1 < look.x1 + dx)
        or (look.y1 > 0 and box.y1 < look.y1 + dy)
        or (look.x2 < 1 and box.x2 > look.x2 - dx)
        or (look.y2 < 1 and box.y2 > look.y2 - dy)
    )


def merge(finds: Sequence[Find]) -> list[Detection]:
    """One detection for each thing: the boxes' mean, weighted by score, and the best score.

    A mean, and not the best box, because networks draw the same face a little differently and
    would otherwise take turns from frame to frame.
    """
    rest = sorted(finds, key=lambda find: (-find.score, find.box))
    detections = []
    while rest:
        best = rest[0]
        same = [find for find in rest if _is_same(best, find)]
        rest = [find for find in rest if not _is_same(best, find)]
        detections.append(Detection(best.kind, _mean(same), best.score))
    return detections


def _is_same(a: Find, b: Find) -> bool:
    if a.kind != b.kind:
        return False
    return intersection(a.key, b.key) > _SAME * min(a.key.area, b.key.area)


def _mean(finds: Sequence[Find]) -> Box:
    total = math.fsum(find.score for find in finds)
    corners = zip(
        *((find.box.x1, find.box.y1, find.box.x2, find.box.y2) for find in finds), strict=True
    )
    weights = [find.score / total for find in finds]
    x1, y1, x2, y2 = (
        min(math.fsum(w * v for w, v in zip(weights, values, strict=True)), 1.0)
        for values in corners
    )
    return Box(x1, y1, x2, y2)


def _square(face: Box, faces: float, drop: float, width: int, height: int) -> Box:
    """A square of `faces` times the face's longer side around it, cut at the frame."""
    side = faces * max(face.width * width, face.height * height)
    x, y = face.centre[0] * width, face.centre[1] * height + drop * side
    return Box(
        max((x - side / 2) / width, 0.0),
        max((y - side / 2) / height, 0.0),
        min((x + side / 2) / width, 1.0),
        min((y + side / 2) / height, 1.0),
    )


def _count(length: float, side: float) -> int:
    """How many tiles of this side, overlapping enough, cover a length."""
    return max(math.ceil((length - side) / (side * (1 - _OVERLAP)) - 1e-9), 0) + 1


def _starts(count: int, side: float) -> list[float]:
    return [i * (1.0 - side) / (count - 1) if count > 1 else 0.0 for i in range(count)]
