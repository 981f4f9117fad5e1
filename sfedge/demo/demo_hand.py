"""A raised open hand, rendered: the photographs of the demo clip show none."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

Floats = NDArray[np.float32]

# The palm of a right hand that points up; `sfedge_training.humans.render_demo_hand` makes it.
PICTURE = Path(__file__).with_name("raised_hand.png")
WRIST = (0.4, 0.8)  # where the wrist is in it, in fractions


def raised_hand(height: int, skin: Sequence[float]) -> tuple[Floats, Floats, tuple[float, float]]:
    """A hand with a piece of forearm.

    Args:
        height: of the picture in pixels.
        skin: the colour of most of it, RGB.

    Returns:
        (H, W, 3) RGB, (H, W) opacity in [0, 1], and where the wrist is in pixels.
    """
    with Pillow.open(PICTURE) as file:
        picture = np.array(file).astype(np.float32)
    cover = picture[..., 3:] / 255
    usual = np.median(picture[picture[..., 3] == 255][:, :3], axis=0)
    shown = picture[..., :3] * cover * (np.asarray(skin, np.float32) / usual)
    width = round(height * picture.shape[1] / picture.shape[0])
    parts = np.concatenate([shown, cover], axis=2)
    small = cv2.resize(parts, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)
    colour = small[..., :3] / np.maximum(small[..., 3:], 1e-3)
    return (
        np.asarray(colour.clip(0, 255), np.float32),
        small[..., 3],
        (WRIST[0] * width, WRIST[1] * height),
    )
