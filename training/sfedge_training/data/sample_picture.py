"""The picture of a sample: a file as it is stored, one turned upright, or a frame of a video."""

from collections.abc import Iterator
from contextlib import contextmanager

import av.error
import numpy as np
import PIL.Image
from PIL import ImageOps
from PIL.JpegImagePlugin import JpegImageFile

from sfedge.core.boxes import to_pixels
from sfedge.core.errors import DataError
from sfedge.core.preprocess import crop, resize
from sfedge.core.structures import Image
from sfedge_training.data.clip import read_frame
from sfedge_training.data.reading import UNREADABLE
from sfedge_training.data.sample import Sample

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
# For each scale that a JPEG can be decoded at, as its denominator: what then remains of a view each
# way, at least, as a multiple of what is wanted. With no more than that, pixels are 0.8 of 255 from
# full decoding in the mean (benchmarks/results/input.md).
LEAST_LEFT = {8: 3.0, 4: 2.0, 2: 1.5}


def read_picture(sample: Sample) -> Image:
    """The whole picture that a sample is about, as (H, W, 3) uint8 RGB.

    Raises:
        DataError: it cannot be read or decoded.
    """
    with _explained(sample):
        if sample.frame is not None:
            return read_frame(sample.image, sample.frame)
        with PIL.Image.open(sample.image) as picture:
            return _decoded(picture, sample)


def read_view(sample: Sample, size: int) -> Image:
    """A sample's view stretched to (size, size, 3) uint8 RGB, from as little decoding as will do.

    A JPEG is decoded at a half, a quarter or an eighth of its scale where that leaves enough of the
    view. The pixels are then nearly those of the whole picture cropped and resized, not exactly:
    it is meant for training with augmentation, which changes them by far more.

    Raises:
        DataError: it cannot be read or decoded.
    """
    if sample.frame is not None:
        return resize(crop(read_picture(sample), sample.view), size)
    with _explained(sample), PIL.Image.open(sample.image) as picture:
        width, height = picture.size
        x1, y1, x2, y2 = to_pixels(sample.view, width=width, height=height)
        scale = _scale(picture, sample, multiple=min(x2 - x1, y2 - y1) / size)
        if scale == 1:
            return resize(crop(_decoded(picture, sample), sample.view), size)
        picture.draft(None, (width // scale, height // scale))
        # Fractions of the reduced pixels: whole ones would shift the view by up to `scale` pixels.
        corners = (x1 / scale, y1 / scale, x2 / scale, y2 / scale)
        bicubic = PIL.Image.Resampling.BICUBIC
        return np.asarray(picture.convert("RGB").resize((size, size), bicubic, box=corners))


def _decoded(picture: PIL.Image.Image, sample: Sample) -> Image:
    shown = ImageOps.exif_transpose(picture) if sample.upright else picture
    return np.asarray(shown.convert("RGB"))


def _scale(picture: PIL.Image.Image, sample: Sample, *, multiple: float) -> int:
    """The denominator of the scale to decode at, where a view is a `multiple` of what is wanted."""
    is_turned = sample.upright and picture.getexif().get(_ORIENTATION, 1) != 1
    if is_turned or not isinstance(picture, JpegImageFile):
        return 1
    return next((scale for scale, left in LEAST_LEFT.items() if multiple >= scale * left), 1)


def upright_size(sample: Sample) -> tuple[int, int]:
    """Width and height of a picture file as `read_picture` gives it, without decoding it.

    Raises:
        DataError: it is not a picture.
    """
    with _explained(sample), PIL.Image.open(sample.image) as picture:
        width, height = picture.size
        orientation = picture.getexif().get(_ORIENTATION) if sample.upright else None
    return (height, width) if orientation in _ON_ITS_SIDE else (width, height)


def picture_size(sample: Sample) -> tuple[int, int]:
    """Width and height of what `read_picture` gives; a video's frame is decoded for it.

    Raises:
        DataError: it cannot be read.
    """
    if sample.frame is None:
        return upright_size(sample)
    height, width = read_picture(sample).shape[:2]
    return width, height


@contextmanager
def _explained(sample: Sample) -> Iterator[None]:
    try:
        yield
    except _UNREADABLE as error:
        which = "" if sample.frame is None else f", frame {sample.frame}"
        raise DataError(
            f"this {UNREADABLE} ({error})",
            where=f"{sample.image}{which}",
            fix="Fetch it again, or take it out of the dataset's lists.",
        ) from error
