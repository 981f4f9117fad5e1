"""A view of a picture to the encoder's input; the same function in training and at run time."""

from dataclasses import dataclass

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from sfedge.core.boxes import Box, to_pixels
from sfedge.core.structures import Image


@dataclass(frozen=True, slots=True)
class InputSpec:
    """The encoder's input: a square of `size` pixels, normalised per channel."""

    size: int
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


def crop(image: Image, view: Box) -> Image:
    """The pixels of `image` that `view` covers, without a copy."""
    height, width = image.shape[:2]
    x1, y1, x2, y2 = to_pixels(view, width=width, height=height)
    return image[y1:y2, x1:x2]


def resize(image: Image, size: int) -> Image:
    """Stretch to size x size, antialiased bicubic (open_clip's transform in "squash" mode)."""
    if image.shape[0] == size == image.shape[1]:
        return image
    resized = PIL.Image.fromarray(image).resize((size, size), PIL.Image.Resampling.BICUBIC)
    return np.asarray(resized)


def normalise(image: Image, spec: InputSpec) -> NDArray[np.float32]:
    """(S, S, 3) uint8 to (3, S, S) float32, as torchvision's ToTensor and Normalize."""
    scaled = image.astype(np.float32) / np.float32(255.0)
    mean, std = np.asarray(spec.mean, np.float32), np.asarray(spec.std, np.float32)
    return np.ascontiguousarray(((scaled - mean) / std).transpose(2, 0, 1))


def encoder_input(view: Image, spec: InputSpec) -> NDArray[np.float32]:
    """A view (H, W, 3) uint8 RGB as the encoder's (3, S, S) float32 input."""
    return normalise(resize(view, spec.size), spec)
