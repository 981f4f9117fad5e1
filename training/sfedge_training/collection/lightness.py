"""How light a face's skin is in its picture: scores are reported by it, nothing learns it."""

import cv2
import numpy as np

from sfedge.core.face_points import Points, face_places
from sfedge.core.structures import Image

_CHEEKS = face_places(50, 280, 205, 425)
_SIDES = face_places(234, 454)
_PATCH = 0.05  # half the side of what is measured around each point, of the face's width
_BANDS = (40, 55, 70)  # of CIE L*, the limits between the bands


def lightness_of(picture: Image, face: Points) -> str:
    """The band of CIE L* of the cheeks, skin and light together: "under 40", … "70 and more".

    Args:
        picture: (H, W, 3), sRGB.
        face: (FACE_POINTS, 3), in fractions of the picture.

    Returns:
        Nothing where both cheeks lie outside the picture.
    """
    lightness = cheek_lightness(picture, face)
    if lightness is None:
        return ""
    above = [band for band in _BANDS if lightness >= band]
    if not above:
        return f"under {_BANDS[0]}"
    if len(above) == len(_BANDS):
        return f"{_BANDS[-1]} and more"
    return f"{above[-1]} to {_BANDS[len(above)]}"


def cheek_lightness(picture: Image, face: Points) -> float | None:
    """The median CIE L* around four points of the cheeks, in [0, 100]; see `lightness_of`."""
    height, width = picture.shape[:2]
    places = face[:, :2] * (width, height)
    right, left = places[_SIDES]
    reach = max(_PATCH * float(np.linalg.norm(right - left)), 1.0)
    patches = []
    for x, y in places[_CHEEKS]:
        (x1, x2), (y1, y2) = (
            (max(round(float(at - reach)), 0), max(round(float(at + reach)), 0)) for at in (x, y)
        )
        patches.append(picture[y1:y2, x1:x2].reshape(-1, 3))
    skin = np.concatenate(patches)
    if not len(skin):
        return None
    lab = cv2.cvtColor((skin[None] / np.float32(255)).astype(np.float32), cv2.COLOR_RGB2LAB)
    return float(np.median(lab[0, :, 0]))
