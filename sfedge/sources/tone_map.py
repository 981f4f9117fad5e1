"""HDR video (HLG and PQ, ITU-R BT.2100) on an ordinary display's scale."""

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sfedge.core.structures import Image

TRANSFERS = {16: "PQ", 18: "HLG"}  # by FFmpeg's number of the transfer characteristic

_WHITE = 203.0  # cd/m², diffuse white of HDR pictures (ITU-R BT.2408); it is white in SDR
_PEAK = 1000.0  # cd/m², the usual peak of mastering; brighter is cut off
_KNEE = 0.3  # up to this share of white, where faces lie, nothing is changed
_GAMMA = 2.2  # of the result, as in pictures for screens
_STEPS = 1 << 12  # of the tables: HDR video has 10 or 12 bits, and small tables are fast
_LOW_BITS = 4  # of the 16 in which pictures are given, below those 12
# Light of the primaries of BT.2020 in those of BT.709 (ITU-R BT.2087).
_TO_709 = np.array(
    [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]],
    np.float32,
)


def tone_mapped(rgb: NDArray[np.uint16], transfer: int, *, is_wide: bool) -> Image:
    """A picture with HDR values as 8-bit RGB.

    Each channel's light is kept up to the knee and rolls off to the peak above it.

    Args:
        rgb: (H, W, 3), values as coded, 0 to 65535.
        transfer: one of `TRANSFERS`.
        is_wide: the primaries are those of BT.2020.
    """
    light = _light(transfer).take(rgb >> _LOW_BITS)
    if is_wide:
        light = np.asarray(cv2.transform(light, _TO_709), np.float32)
    light *= _STEPS
    np.clip(light, 0, _STEPS, out=light)
    return np.asarray(_codes().take(light.astype(np.uint16)), np.uint8)


@lru_cache(maxsize=2)
def _light(transfer: int) -> NDArray[np.float32]:
    """Light in [0, 1] on the display for each code of 12 bits."""
    code = np.arange(_STEPS) / (_STEPS - 1)
    nits = _pq(code) if TRANSFERS[transfer] == "PQ" else _hlg(code)
    return _rolled_off(np.minimum(nits, _PEAK) / _WHITE).astype(np.float32)


def _pq(code: NDArray[Any]) -> NDArray[Any]:
    """Light in cd/m² of PQ codes (BT.2100, table 4)."""
    m1, m2 = 2610 / 16384, 2523 / 4096 * 128
    c1, c2, c3 = 3424 / 4096, 2413 / 4096 * 32, 2392 / 4096 * 32
    power = code ** (1 / m2)
    return np.asarray(10_000 * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1))


def _hlg(code: NDArray[Any]) -> NDArray[Any]:
    """Light in cd/m² of HLG codes on a display of 1000 cd/m² (BT.2100, table 5), by channel."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    scene = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
    return np.asarray(_PEAK * scene**1.2)


def _rolled_off(light: NDArray[Any]) -> NDArray[Any]:
    """Möbius curve: straight to the knee, from there smoothly to 1 at the peak."""
    peak, knee = _PEAK / _WHITE, _KNEE
    a = -(knee**2) * (peak - 1) / (knee**2 - 2 * knee + peak)
    b = (knee**2 - 2 * knee * peak + peak) / (peak - 1)
    curve = (b**2 + 2 * b * knee + knee**2) / (b - a) * (light + a) / (light + b)
    return np.where(light <= knee, light, curve)


@lru_cache(maxsize=1)
def _codes() -> Image:
    """8-bit values for light in steps."""
    light = np.arange(_STEPS + 1) / _STEPS
    return np.rint(255 * light ** (1 / _GAMMA)).astype(np.uint8)
