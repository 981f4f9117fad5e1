"""Boxes that move on unseen and may leave the picture."""

from typing import NamedTuple

from sfedge.core.boxes import Box, clamped
from sfedge.core.errors import DataError


class Place(NamedTuple):
    """A box that may leave the picture, in fractions of it."""

    x1: float
    y1: float
    x2: float
    y2: float

    @property
    def centre(self) -> tuple[float, float]:
        return (self.x1 + self.x2) / 2, (self.y1 + self.y2) / 2

    @property
    def width(self) -> float:
        return self.x2 - self.x1

    @property
    def height(self) -> float:
        return self.y2 - self.y1

    def moved(self, dx: float, dy: float) -> "Place":
        return Place(self.x1 + dx, self.y1 + dy, self.x2 + dx, self.y2 + dy)

    def box(self) -> Box | None:
        """The part inside the picture, None where there is none."""
        try:
            return clamped(*self)
        except DataError:
            return None


def place_of(box: Box) -> Place:
    """Where a box of the picture is."""
    return Place(box.x1, box.y1, box.x2, box.y2)
