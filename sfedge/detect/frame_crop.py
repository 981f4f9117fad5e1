"""A part of a frame that networks look at, and what they find in it as of the frame."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from sfedge.core.boxes import FULL, Box, from_pixels, to_pixels
from sfedge.core.errors import DataError
from sfedge.core.landmarks import Points
from sfedge.core.structures import Image
from sfedge.detect.mediapipe.person_box import Corners
from sfedge.detect.mediapipe.regions import Region

_HAND_FLESH = 0.12  # of the landmarks' extent: how far a hand reaches beyond its joints


@dataclass(frozen=True, slots=True, eq=False)
class FrameCrop:
    """A part of a frame, as the networks see it."""

    box: Box
    picture: Image
    corner_px: tuple[int, int]  # of the part, in the frame
    width: int  # pixels of the frame
    height: int

    def box_in_frame(self, corners: Iterable[float]) -> Box | None:
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

    def region_in_frame(self, region: Region) -> Region:
        """A region in pixels of the part, in those of the frame."""
        left, top = self.corner_px
        return replace(region, x=region.x + left, y=region.y + top)

    def region_in_part(self, region: Region) -> Region:
        """A region in pixels of the frame, in those of the part."""
        left, top = self.corner_px
        return replace(region, x=region.x - left, y=region.y - top)


def crop_of(image: Image, box: Box = FULL) -> FrameCrop:
    """A part of a frame; nothing is copied."""
    height, width = image.shape[:2]
    x1, y1, x2, y2 = to_pixels(box, width=width, height=height)
    return FrameCrop(box, image[y1:y2, x1:x2], (x1, y1), width, height)


def around_hand(points: NDArray[np.floating]) -> Corners:
    """Corners of the box of a hand with these landmarks, in their unit."""
    low, high = points[:, :2].min(axis=0), points[:, :2].max(axis=0)
    flesh = _HAND_FLESH * (high - low)
    (x1, y1), (x2, y2) = (low - flesh).tolist(), (high + flesh).tolist()
    return x1, y1, x2, y2
