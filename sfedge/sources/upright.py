"""How a decoded picture is shown: turned, mirrored and stretched to square pixels."""

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import av.error
import av.filter
import numpy as np

from sfedge.sources.source import MAX_PIXELS

# The matrix for a number of quarter turns counterclockwise.
_QUARTERS = {1: (0, -1, 1, 0), 2: (-1, 0, 0, -1), 3: (0, 1, -1, 0)}


def display_matrix(picture: Any) -> tuple[int, int, int, int]:
    """The part (a, b, c, d) of a PyAV picture's matrix: (x, y) is shown at (ax + cy, bx + dy)."""
    try:
        data = _known(picture).side_data.get("DISPLAYMATRIX")
    except (ValueError, av.error.FFmpegError):
        return _QUARTERS.get(round(picture.rotation / 90) % 4, (1, 0, 0, 1))
    if data is None:
        return 1, 0, 0, 1
    a, b, _, c, d = (int(value) for value in np.frombuffer(bytes(data), np.int32)[:5])
    return a, b, c, d


def _known(picture: Any) -> Any:
    """The picture without side data of a type that PyAV does not know, which hides all other.

    Raises:
        ValueError: there is more of it than can be taken out.
    """
    for _ in range(8):
        try:
            picture.side_data  # noqa: B018 - it is read when it is first asked for
        except ValueError as error:  # such as "31 is not a valid Type"
            graph = av.filter.Graph()
            source = graph.add_buffer(
                width=picture.width,
                height=picture.height,
                format=picture.format.name,
                time_base=Fraction(1, 1000),
            )
            number = str(error).split()[0]
            remover = graph.add("sidedata", f"mode=delete:type={number}")
            graph.link_nodes(source, remover, graph.add("buffersink")).configure()
            graph.push(picture)
            picture = graph.pull()
    return picture


def upright(matrix: tuple[int, int, int, int]) -> Callable[[Any], Any]:
    """The function that turns a picture (H, W, ...), by quarters, and mirrors it."""
    a, b, c, d = matrix
    is_turned = abs(a) < abs(b)
    across, down = (c, b) if is_turned else (a, d)

    def turn(image: Any) -> Any:
        shown = np.swapaxes(image, 0, 1) if is_turned else image
        return shown[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1]

    return turn


def square_size(width: int, height: int, aspect: float) -> tuple[int, int]:
    """Width and height with square pixels; one of them grows, so that no detail is lost.

    Args:
        width: of the stored picture.
        height: of the stored picture.
        aspect: width over height of a stored pixel; beyond 16 it is an error in the file.
    """
    wide, high = width, height
    if 1 <= aspect <= 16:
        wide = round(width * aspect)
    elif 1 / 16 <= aspect < 1:
        high = round(height / aspect)
    return (wide, high) if wide * high <= MAX_PIXELS else (width, height)
