"""A picture of one size within another."""

import cv2
import numpy as np

from sfedge.core.structures import Image


def fitted(image: Image, size: tuple[int, int]) -> Image:
    """The whole picture at its own aspect ratio in the middle of a black one.

    Args:
        image: (H, W, 3) uint8.
        size: width and height of the result.
    """
    width, height = size
    high, wide = image.shape[:2]
    scale = min(width / wide, height / high)
    inner = max(round(wide * scale), 1), max(round(high * scale), 1)
    if inner != (wide, high):
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
        image = np.asarray(cv2.resize(image, inner, interpolation=method), np.uint8)
    canvas = np.zeros((height, width, 3), np.uint8)
    x, y = (width - inner[0]) // 2, (height - inner[1]) // 2
    canvas[y : y + inner[1], x : x + inner[0]] = image
    return canvas
