"""A thin frame around each person, and around each hand that belongs to nobody."""

import cv2

from sfedge.annotate.lines import corners_px, halo_width
from sfedge.annotate.theme import Colour, Theme
from sfedge.core.boxes import Box
from sfedge.core.frame_result import FrameResult
from sfedge.core.structures import Image


class Outlines:
    """One frame a person: around the face, or around the body where no face is seen."""

    def __init__(self, theme: Theme) -> None:
        self._theme = theme

    def draw(self, image: Image, result: FrameResult) -> None:
        """Draw on `image`, in place."""
        for track in result.tracks:
            self._frame(image, track.face or track.person, self._theme.colour(track.id))
        for hand in result.hands:
            self._frame(image, hand.box, self._theme.hand_colour(hand))

    def _frame(self, image: Image, box: Box, colour: Colour) -> None:
        x1, y1, x2, y2 = corners_px(image, box)
        width = self._theme.frame_px(image)
        cv2.rectangle(image, (x1, y1), (x2, y2), self._theme.halo, halo_width(width))
        cv2.rectangle(image, (x1, y1), (x2, y2), colour, width)
