"""From a decoded picture to an upright RGB array of the source's one size."""

from typing import Any

import numpy as np

from sfedge.core.structures import Image
from sfedge.sources.container import check_size
from sfedge.sources.fit import fitted
from sfedge.sources.tone_map import TRANSFERS, tone_mapped
from sfedge.sources.upright import display_matrix, square_size, upright

_UNSPECIFIED = 2  # FFmpeg's number for a colour matrix or primaries that the file does not name
_BT2020 = 9  # and for those of ultra high definition


class Developer:
    """Turns, scales, tone-maps and fits the pictures of one video.

    Args:
        first: its first picture, whose size and orientation hold for all.
        pixel_aspect: width over height of a stored pixel.
        name: of the source, for messages.
    """

    def __init__(self, first: Any, pixel_aspect: float, name: str) -> None:
        self._name = name
        self._turn = upright(display_matrix(first))
        self._stored = first.width, first.height
        self._size = square_size(first.width, first.height, pixel_aspect)
        shape = self._turn(np.empty((*reversed(self._size), 0))).shape
        self.size: tuple[int, int] = (shape[1], shape[0])  # width and height of every result
        self.warnings: dict[str, str] = {}  # by what they are about, each once

    def develop(self, picture: Any, time: float, pixel_aspect: float) -> Image:
        """The picture as (H, W, 3) RGB of `size`.

        Raises:
            SourceError: it is too large.
        """
        check_size(picture.width, picture.height, self._name)
        stored = picture.width, picture.height
        if stored == self._stored:
            return np.ascontiguousarray(self._turn(self._rgb(picture, self._size)))
        first = "x".join(map(str, self._stored))
        self.warnings.setdefault(
            "size",
            f"the picture's size changes from {first} to {stored[0]}x{stored[1]} at {time:.2f} s;"
            " such pictures are fitted into the first size",
        )
        square = square_size(*stored, pixel_aspect)
        image = fitted(self._rgb(picture, square), self._size)
        return np.ascontiguousarray(self._turn(image))

    def _rgb(self, picture: Any, size: tuple[int, int]) -> Image:
        is_hdr = picture.color_trc in TRANSFERS
        # Unnamed colour matrices are read as players do: BT.709 for high definition, else BT.601.
        is_hd = picture.height > 576 or picture.width > 1024
        matrix = "BT2020" if is_hdr else "ITU709" if is_hd else None
        is_square = (picture.width, picture.height) == size
        rgb = picture.to_ndarray(
            format="rgb48le" if is_hdr else "rgb24",
            width=size[0],
            height=size[1],
            interpolation="BILINEAR" if is_square else "BICUBIC",
            src_colorspace=matrix if picture.colorspace == _UNSPECIFIED else None,
        )
        if not is_hdr:
            return np.asarray(rgb, np.uint8)
        curve = TRANSFERS[picture.color_trc]
        self.warnings.setdefault("hdr", f"the picture is HDR ({curve}); it was tone-mapped to SDR")
        is_wide = picture.color_primaries in (_BT2020, _UNSPECIFIED)
        return tone_mapped(rgb, picture.color_trc, is_wide=is_wide)
