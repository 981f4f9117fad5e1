"""Finding places for panels: near what they belong to, on no face, on no other panel."""

from collections.abc import Sequence

Area = tuple[int, int, int, int]  # x1, y1, x2, y2 in pixels

# Costs per hidden pixel, and per pixel of distance to the anchor.
_HIDES_FACE = 8.0
_HIDES_PANEL = 8.0
_HIDES_RESERVED = 4.0
_FAR = 6.0
_MOVED = 900.0  # for leaving the side a panel had in the frame before: panels must not jump


class Placer:
    """Places panels one after the other; `begin` starts a new frame.

    It remembers which side of its anchor each panel had, so that panels rest while people move.
    """

    def __init__(self) -> None:
        self._sides: dict[tuple[int, ...], int] = {}
        self._width = self._height = 0
        self._taken: list[tuple[Area, float]] = []

    def begin(
        self, width: int, height: int, faces: Sequence[Area], reserved: Sequence[Area]
    ) -> None:
        """Start a frame of `width` x `height` pixels."""
        self._width, self._height = width, height
        self._taken = [(face, _HIDES_FACE) for face in faces]
        self._taken += [(area, _HIDES_RESERVED) for area in reserved]

    def place(self, key: tuple[int, ...], width: int, height: int, anchor: Area) -> tuple[int, int]:
        """The upper left corner for a panel of `width` x `height` that belongs to `anchor`."""
        before = self._sides.get(key)
        options = []
        for side, corner in enumerate(_corners(width, height, anchor)):
            x = min(max(corner[0], 0), max(self._width - width, 0))
            y = min(max(corner[1], 0), max(self._height - height, 0))
            area = (x, y, x + width, y + height)
            cost = sum(price * _shared(area, taken) for taken, price in self._taken)
            cost += _FAR * _distance(area, anchor) + 20.0 * side
            cost += _MOVED if before is not None and side != before else 0.0
            options.append((cost, side, area))
        _, side, area = min(options)
        self._sides[key] = side
        self._taken.append((area, _HIDES_PANEL))
        return area[0], area[1]


def grown(area: Area, margin: int) -> Area:
    """The area with a margin on every side."""
    return area[0] - margin, area[1] - margin, area[2] + margin, area[3] + margin


def _corners(width: int, height: int, anchor: Area) -> list[tuple[int, int]]:
    """Corners to try: above, right, left and below the anchor, then further out."""
    x1, y1, x2, y2 = anchor
    middle = (x1 + x2 - width) // 2
    near = [
        (x1, y1 - height),
        (x2, y1),
        (x1 - width, y1),
        (middle, y2),
        (x2 - width, y1 - height),
        (x2, y2 - height),
        (x1 - width, y2 - height),
    ]
    further = [
        (middle, y2 + height),
        (middle, y1 - 2 * height),
        (x2 + width // 2, y2),
        (x1 - 3 * width // 2, y2),
        (x2 + width // 2, y1 - height),
        (x1 - 3 * width // 2, y1 - height),
        (middle, y2 + 2 * height),
    ]
    return near + further


def _shared(a: Area, b: Area) -> int:
    width, height = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    return max(width, 0) * max(height, 0)


def _distance(a: Area, b: Area) -> float:
    """Between the nearest points of two areas."""
    dx = max(a[0] - b[2], b[0] - a[2], 0)
    dy = max(a[1] - b[3], b[1] - a[3], 0)
    return float((dx * dx + dy * dy) ** 0.5)
