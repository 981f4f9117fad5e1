"""Pictures of any mode and range of values as 8-bit RGB."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from sfedge.core.structures import Image

_INTEGER_RANGES = (255, 4095, 65535)
_FLOAT_RANGES = (1, 255, 65535)


def to_rgb(picture: Pillow.Image) -> tuple[Image, str]:
    """8-bit RGB, and a note where the values had to be scaled ("" otherwise).

    Transparent parts are shown on white. Values of more than 8 bits are taken as what they fill:
    integers 8, 12 or 16 bits, floats 0 to 1, 0 to 255 or 0 to 65535; floats beyond these are
    scaled from their least to their greatest value.
    """
    if picture.mode.startswith(("I", "F")):
        grey, note = scaled(np.asarray(picture))
        return np.repeat(grey[:, :, None], 3, axis=2), note
    if "transparency" in picture.info or picture.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        clear = picture.convert("RGBA")
        white = Pillow.new("RGBA", clear.size, (255, 255, 255, 255))
        return np.array(Pillow.alpha_composite(white, clear).convert("RGB")), ""
    return np.array(picture.convert("RGB")), ""


def scaled(values: NDArray[Any]) -> tuple[Image, str]:
    """Values of any range as 8 bits, and a note on the range where it is not the usual one."""
    is_float = values.dtype.kind == "f"
    wide = values.astype(np.float64)
    finite = wide[np.isfinite(wide)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)
    ranges = _FLOAT_RANGES if is_float else _INTEGER_RANGES
    top = next((limit for limit in ranges if low >= 0 and high <= limit), None)
    if top is None:
        lowest, span = low, max(high - low, np.finfo(np.float64).tiny)
    else:
        lowest, span = 0.0, float(top)
    grey = np.nan_to_num((wide - lowest) * (255 / span), nan=0.0, posinf=255.0, neginf=0.0)
    if not is_float and top == _INTEGER_RANGES[-1]:
        note = ""  # the usual 16 bits
    else:
        note = f"its values are shown from {lowest:g} as black to {lowest + span:g} as white"
    return np.rint(grey.clip(0, 255)).astype(np.uint8), note
