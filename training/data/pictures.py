"""The picture of a sample: a file as it is stored, one turned upright, or a frame of a video."""

import av.error
import numpy as np
import PIL.Image
from PIL import ImageOps

from sfedge.errors import DataError
from sfedge.structures import Image
from training.data.clip import read_frame
from training.data.reading import UNREADABLE
from training.data.sample import Sample

# What Pillow and FFmpeg raise on damaged or hostile files.
_UNREADABLE = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    PIL.Image.DecompressionBombError,
    av.error.FFmpegError,
)
_ORIENTATION = 0x0112  # EXIF tag
_ON_ITS_SIDE = (5, 6, 7, 8)


def read_picture(sample: Sample) -> Image:
    """The whole picture that a sample is about, as (H, W, 3) uint8 RGB.

    Raises:
        DataError: it cannot be read or decoded.
    """
    try:
        if sample.frame is not None:
            return read_frame(sample.image, sample.frame)
        with PIL.Image.open(sample.image) as picture:
            shown = ImageOps.exif_transpose(picture) if sample.upright else picture
            return np.asarray(shown.convert("RGB"))
    except _UNREADABLE as error:
        which = "" if sample.frame is None else f", frame {sample.frame}"
        raise DataError(
            f"this {UNREADABLE} ({error})",
            where=f"{sample.image}{which}",
            fix="Fetch it again, or take it out of the dataset's lists.",
        ) from error


def upright_size(sample: Sample) -> tuple[int, int]:
    """Width and height of a picture file as `read_picture` gives it, without decoding it.

    Raises:
        DataError: it is not a picture.
    """
    try:
        with PIL.Image.open(sample.image) as picture:
            width, height = picture.size
            orientation = picture.getexif().get(_ORIENTATION) if sample.upright else None
    except _UNREADABLE as error:
        raise DataError(f"this {UNREADABLE} ({error})", where=str(sample.image)) from error
    return (height, width) if orientation in _ON_ITS_SIDE else (width, height)
