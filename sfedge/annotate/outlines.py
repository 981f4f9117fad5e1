"""Outlines of people, faces and hands, and the lines that join a pair."""

import cv2

from sfedge.annotate.theme import Colour, Theme
from sfedge.core.boxes import Box, to_pixels
from sfedge.core.structures import FrameResult, Image, Track

Point = tuple[int, int]


class Outlines:
    """Corners around each person, a frame around the face and each hand."""

    def __init__(self, theme: Theme) -> None:
        self._theme = theme

    def draw(self, image: Image, result: FrameResult) -> None:
        """Draw on `image`, in place."""
        width = self._theme.width_px(image)
        for track in result.tracks:
            colour = self._theme.colour(track.id)
            self._corners(image, track.person, colour, width)
            for hand in track.hands:
                self._frame(image, hand.box, colour, width)
            if track.face is not None:
                self._frame(image, track.face, colour, width)

    def _frame(self, image: Image, box: Box, colour: Colour, width: int) -> None:
        x1, y1, x2, y2 = corners_px(image, box)
        cv2.rectangle(image, (x1, y1), (x2, y2), self._theme.halo, width + 2)
        cv2.rectangle(image, (x1, y1), (x2, y2), colour, width)

    def _corners(self, image: Image, box: Box, colour: Colour, width: int) -> None:
        x1, y1, x2, y2 = corners_px(image, box)
        arm = max(min(x2 - x1, y2 - y1) // 6, 1)
        for ink, wide in ((self._theme.halo, width + 2), (colour, width)):
            for x, inward_x in ((x1, arm), (x2, -arm)):
                for y, inward_y in ((y1, arm), (y2, -arm)):
                    cv2.line(image, (x, y), (x + inward_x, y), ink, wide)
                    cv2.line(image, (x, y), (x, y + inward_y), ink, wide)


class PairLinks:
    """A line between two people whose relation was told."""

    def __init__(self, theme: Theme) -> None:
        self._theme = theme

    def draw(self, image: Image, result: FrameResult) -> None:
        """Draw on `image`, in place."""
        tracks = {track.id: track for track in result.tracks}
        drawn = set()
        for answer in result.predictions:
            pair = frozenset(answer.people)
            if len(pair) != 2 or pair in drawn or not pair <= tracks.keys():
                continue
            drawn.add(pair)
            first, second = (tracks[person] for person in answer.people)
            colour = self._theme.faded(self._theme.text, result, answer)
            start = leaving_px(image, first, head_px(image, second))
            end = leaving_px(image, second, head_px(image, first))
            put_line(image, start, end, colour, self._theme, is_dashed=answer.is_unsure)


def corners_px(image: Image, box: Box) -> tuple[int, int, int, int]:
    """The outermost pixels of a box."""
    x1, y1, x2, y2 = to_pixels(box, width=image.shape[1], height=image.shape[0])
    return x1, y1, x2 - 1, y2 - 1


def head_px(image: Image, track: Track) -> Point:
    """The middle of the face, or of the top of the person where no face is seen."""
    if track.face is not None:
        x, y = track.face.centre
    else:
        x, y = track.person.centre[0], track.person.y1 + track.person.height * 0.12
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


def put_line(
    image: Image, start: Point, end: Point, colour: Colour, theme: Theme, *, is_dashed: bool
) -> None:
    """A line with a halo; dashed for an answer that is unsure."""
    width = theme.width_px(image)
    length = max(((end[0] - start[0]) ** 2 + (end[1] - start[1]) ** 2) ** 0.5, 1.0)
    dashes = max(int(length / (8 * width)), 1) if is_dashed else 1
    for ink, wide in ((theme.halo, width + 2), (colour, width)):
        for dash in range(dashes):
            low = dash / dashes
            high = (dash + 0.55) / dashes if is_dashed else 1.0
            cv2.line(
                image, _between(start, end, low), _between(start, end, high), ink, wide, cv2.LINE_AA
            )


def _between(start: Point, end: Point, part: float) -> Point:
    return (
        round(start[0] + (end[0] - start[0]) * part),
        round(start[1] + (end[1] - start[1]) * part),
    )
