"""Colours of a part of a picture, and how much of a hand has the colour of a face."""

import cv2
import numpy as np
from numpy.typing import NDArray

from sfedge.core.boxes import Box
from sfedge.core.structures import Image

_SAMPLES = 24  # pixels sampled per side of a box
_FACE_MARGIN, _HAND_MARGIN = 0.2, 0.1  # of a box: what is further out is seldom skin
_DARK = 40.0  # lightness of 255 below which colours are mostly noise
# Skin is recognised by a and b of CIE L*a*b* over L*, which shade hardly changes. It is within
# half the face's distance from grey; in a grey picture all is alike.
_SPREAD, _LEAST_SPREAD = 0.5, 0.08


def sample_lab(image: Image, box: Box, margin: float = 0.0) -> NDArray[np.uint8]:
    """(576, 3) CIE L*a*b*, each in [0, 255], of pixels spread evenly over a box.

    Args:
        image: the frame's.
        box: of the frame.
        margin: share of the box's sides that is left out all around.
    """
    height, width = image.shape[:2]
    along = margin + (1 - 2 * margin) * (np.arange(_SAMPLES) + 0.5) / _SAMPLES
    rows = ((box.y1 + along * box.height) * height).astype(np.intp)
    columns = ((box.x1 + along * box.width) * width).astype(np.intp)
    # A sliver at the edge rounds to the pixel beyond.
    rows, columns = np.minimum(rows, height - 1), np.minimum(columns, width - 1)
    pixels = np.ascontiguousarray(image[rows[:, None], columns])
    return cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB).reshape(-1, 3).astype(np.uint8, copy=False)


def skin_share(image: Image, face: Box, hand: Box) -> float:
    """The share of a hand's box, in [0, 1], that has the colour of a face.

    Measured on photographs: 0.5 and more for five hands and their own faces, 0.4 and more with
    the hand at a quarter of the light; less than 0.1 for clothes, in 18 places; anything for
    somebody else's hand.
    """
    skin = np.median(_tints(image, face, _FACE_MARGIN), axis=0)
    spread = max(_SPREAD * float(np.hypot(*skin)), _LEAST_SPREAD)
    away = np.hypot(*(_tints(image, hand, _HAND_MARGIN) - skin).T)
    return float((away <= spread).mean())


def _tints(image: Image, box: Box, margin: float) -> NDArray[np.float64]:
    lab = sample_lab(image, box, margin).astype(np.float64)
    tints: NDArray[np.float64] = (lab[:, 1:] - 128) / np.maximum(lab[:, :1], _DARK)
    return tints
