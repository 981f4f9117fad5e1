"""Pictures to save, and JPEG files that may be cut off."""

import io

import numpy as np
from PIL import Image


def shade(value: int, size: tuple[int, int] = (8, 6)) -> Image.Image:
    return Image.new("RGB", size, (value, value, value))


def jpeg(image: np.ndarray, share: float = 1.0, **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", **options)
    return file.getvalue()[: round(share * file.tell())]
