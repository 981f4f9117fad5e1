"""Lines on a picture, and the points that they join."""

from collections.abc import Iterable, Sequence

import cv2

from sfedge.annotate.layout import Area, grown
from sfedge.annotate.theme import Colour, Theme
from sfedge.core.boxes import Box, to_pixels
from sfedge.core.frame_result import FrameResult
from sfedge.core.structures import Image, Track

Point = tuple[int, int]

_SHORTEST_DASH = 12  # pixels, with the space after it
_DASH = 0.45  # of that; round ends make it longer
_BROW = 0.12  # of a person's height: about where the face is, where none is seen


def corners_px(image: Image, box: Box) -> Area:
    """The outermost pixels of a box."""
    x1, y1, x2, y2 = to_pixels(box, width=image.shape[1], height=image.shape[0])
    return x1, y1, x2 - 1, y2 - 1


def faces_px(image: Image, result: FrameResult, theme: Theme) -> list[Area]:
    """All faces of the frame with the frames around them, in pixels."""
    margin = theme.margin_px(image)
    return [grown(box_px(image, t.face), margin) for t in result.tracks if t.face is not None]


def box_px(image: Image, box: Box) -> Area:
    """The pixels of a box."""
    return to_pixels(box, width=image.shape[1], height=image.shape[0])


def head_px(image: Image, track: Track) -> Point:
    """The middle of the face, or of the top of the person where no face is seen."""
    if track.face is not None:
        x, y = track.face.centre
    else:
        x, y = track.person.centre[0], track.person.y1 + track.person.height * _BROW
    return to_point(image, (x, y))


def leaving_px(image: Image, track: Track, towards: Point) -> Point:
    """Where a line from the head to `towards` leaves the face, which it must not cross."""
    x, y = head_px(image, track)
    if track.face is None:
        return x, y
    x1, _, x2, y2 = corners_px(image, track.face)
    dx, dy = towards[0] - x, towards[1] - y
    across = (x2 - x1) / 2 / abs(dx) if dx else 1.0
    down = (y2 - y) / abs(dy) if dy else 1.0
    part = min(across, down, 1.0)
    return round(x + dx * part), round(y + dy * part)


def to_point(image: Image, point: tuple[float, float]) -> Point:
    """The pixel at a point given in fractions of the picture."""
    height, width = image.shape[:2]
    return min(int(point[0] * width), width - 1), min(int(point[1] * height), height - 1)


def segments(start: Point, end: Point, areas: Iterable[Area]) -> list[tuple[Point, Point]]:
    """The segments of a line that are outside all areas, in order from its start."""
    hidden = sorted(span for area in areas if (span := _within(start, end, area)) is not None)
    shown, reached = [], 0.0
    for low, high in [*hidden, (1.0, 1.0)]:
        if low > reached:
            shown.append((between(start, end, reached), between(start, end, low)))
        reached = max(reached, high)
    return shown


def put_line(
    image: Image,
    start: Point,
    end: Point,
    colour: Colour,
    theme: Theme,
    *,
    width: int,
    is_dashed: bool,
    behind: Sequence[Area] = (),
) -> None:
    """A line with a halo, that passes behind some areas; dashed for an answer that is unsure."""
    length = max(((end[0] - start[0]) ** 2 + (end[1] - start[1]) ** 2) ** 0.5, 1.0)
    dashes = max(int(length / max(8 * width, _SHORTEST_DASH)), 1) if is_dashed else 1
    parts = []
    for dash in range(dashes):
        low, high = dash / dashes, (dash + (_DASH if is_dashed else 1.0)) / dashes
        parts += segments(between(start, end, low), between(start, end, high), behind)
    for ink, wide in ((theme.halo, halo_width(width)), (colour, width)):
        for first, last in parts:
            cv2.line(image, first, last, ink, wide, cv2.LINE_AA)


def halo_width(width: int) -> int:
    """Pixels of the halo's line below a line; a thin one gets a thin one."""
    return width + (2 if width > 2 else 1)


def between(start: Point, end: Point, part: float) -> Point:
    """The point at a fraction of the way."""
    return (
        round(start[0] + (end[0] - start[0]) * part),
        round(start[1] + (end[1] - start[1]) * part),
    )


def _within(start: Point, end: Point, area: Area) -> tuple[float, float] | None:
    """From which to which fraction of its way a line is inside an area (Liang and Barsky)."""
    low, high = 0.0, 1.0
    for axis in (0, 1):
        begin, way = start[axis], end[axis] - start[axis]
        near, far = area[axis] - begin, area[axis + 2] - begin
        if way == 0:
            if near > 0 or far < 0:
                return None
            continue
        first, last = sorted((near / way, far / way))
        low, high = max(low, first), min(high, last)
    return (low, high) if low < high else None
