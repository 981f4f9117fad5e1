"""Reading one photograph: every kind of file and of values becomes upright 8-bit RGB."""

import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageFile, ImageOps

from sfedge.core.errors import MissingExtraError
from sfedge.core.structures import Image
from sfedge.sources.source import MAX_PIXELS

SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib"),
    *(".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".jp2", ".j2k", ".tga", ".qoi"),
    *(".avif", ".avifs", ".heic", ".heif", ".hif"),
)
HEIF_SUFFIXES = (".heic", ".heif", ".hif")
RAW_SUFFIXES = (
    *(".3fr", ".arw", ".cr2", ".cr3", ".dng", ".erf", ".iiq", ".kdc", ".mef", ".mrw", ".nef"),
    *(".nrw", ".orf", ".pef", ".raf", ".rw2", ".rwl", ".sr2", ".srw", ".x3f"),
)
# Pillow's other formats start programs (EPS) or are no pictures.
_FORMATS = (
    *("JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "PPM", "JPEG2000", "TGA", "QOI"),
    *("AVIF", "HEIF"),
)
# How the files that people rename begin.
_MAGIC = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n|RIFF....WEBP|GIF8|II\*\0|MM\0\*|BM.{4}\0{4}"
    rb"|....ftyp(?:avif|avis|hei[cfmsx]|hev[cx]|mif1|msf1)",
    re.DOTALL,
)
_ORIENTATION = 0x0112  # EXIF tag; 5 to 8 lie on their side
_SUBFILE = 254  # TIFF tag; bit 0: a smaller copy, bit 2: a mask
_LARGEST_HOLE = 0.1  # share of a picture's rows that may be missing at its end
_TRUNCATION = threading.Lock()  # Pillow's switch for it holds for all threads
_INTEGER_RANGES = (255, 4095, 65535)
_FLOAT_RANGES = (1, 255, 65535)


class Still:
    """An opened picture file with all of its pages; a context manager.

    Args:
        path: the file.

    Raises:
        MissingExtraError: it is HEIC, and the extra `heif` is not installed.
        Exception: whatever Pillow raises on damaged, foreign or hostile files.
    """

    def __init__(self, path: Path) -> None:
        if path.suffix.lower() in HEIF_SUFFIXES:
            _register_heif()
        with _no_bomb_warning():
            Pillow.init()
            known = [name for name in _FORMATS if name in Pillow.OPEN]
            self.picture = Pillow.open(path, formats=known)
        self.frames: int = getattr(self.picture, "n_frames", 1)
        try:
            _check(self.picture.size)
        except ValueError:
            self.picture.close()
            raise

    def __enter__(self) -> "Still":
        return self

    def __exit__(self, *_: object) -> None:
        self.picture.close()

    @property
    def is_animated(self) -> bool:
        """Whether its pictures follow each other in time."""
        return self.frames > 1 and self.picture.format in ("GIF", "WEBP", "PNG", "AVIF")

    def pages(self) -> dict[int, tuple[int, int]]:
        """Places and upright sizes of the pictures in it: several in a TIFF only.

        Smaller copies and masks are left out.
        """
        found = {}
        for place in range(self.frames if self.picture.format == "TIFF" else 1):
            self.picture.seek(place)
            tags: Any = getattr(self.picture, "tag_v2", {})
            if place == 0 or not tags.get(_SUBFILE, 0) & 5:
                found[place] = self._upright_size()
        return found

    def read(self, place: int = 0) -> tuple[Image, str]:
        """The picture at a place, upright RGB, and how its values were changed ("" if not).

        Raises:
            Exception: whatever Pillow raises on damaged files.
        """
        self.picture.seek(place)
        _check(self.picture.size)
        note = self._load()
        upright = ImageOps.exif_transpose(self.picture)
        image, scaled = to_rgb(upright)
        return image, note or scaled

    def _upright_size(self) -> tuple[int, int]:
        width, height = self.picture.size
        is_on_its_side = self.picture.getexif().get(_ORIENTATION) in (5, 6, 7, 8)
        return (height, width) if is_on_its_side else (width, height)

    def _load(self) -> str:
        """Decode; a picture that is nearly whole is accepted, with what is missing."""
        try:
            self.picture.load()
        except OSError as error:
            if "truncated" not in str(error):
                raise
            with _TRUNCATION:
                ImageFile.LOAD_TRUNCATED_IMAGES = True
                try:
                    self.picture.load()
                finally:
                    ImageFile.LOAD_TRUNCATED_IMAGES = False
            share = _missing_rows(np.asarray(self.picture)) / max(self.picture.height, 1)
            if share > _LARGEST_HOLE:
                raise OSError(f"it is cut off after {1 - share:.0%} of its rows") from error
            return f"the file is cut off; {share:.1%} of its rows are missing, at its end"
        return ""


def is_picture_file(path: Path) -> bool:
    """Whether a file is a picture: by its name, or by how it begins where that says nothing."""
    if path.suffix.lower() in SUFFIXES:
        return True
    try:
        with path.open("rb") as file:
            return _MAGIC.match(file.read(16)) is not None
    except OSError:
        return False  # the reader reports the error


def is_animated(path: Path) -> bool:
    """Whether a picture file holds frames that follow each other in time."""
    try:
        with Still(path) as still:
            return still.is_animated
    except Exception:  # damaged files make decoders raise anything; reading it reports why
        return False


def to_rgb(picture: Pillow.Image) -> tuple[Image, str]:
    """8-bit RGB, and a note where the values had to be scaled ("" otherwise).

    Transparent parts are shown on white. Values of more than 8 bits are taken as what they fill:
    integers 8, 12 or 16 bits, floats 0 to 1, 0 to 255 or 0 to 65535; floats beyond these are
    scaled from their least to their greatest value.
    """
    if picture.mode.startswith(("I", "F")):
        grey, note = _scaled(np.asarray(picture))
        return np.repeat(grey[:, :, None], 3, axis=2), note
    if "transparency" in picture.info or picture.mode in ("RGBA", "LA", "PA", "RGBa", "La"):
        clear = picture.convert("RGBA")
        white = Pillow.new("RGBA", clear.size, (255, 255, 255, 255))
        return np.array(Pillow.alpha_composite(white, clear).convert("RGB")), ""
    return np.array(picture.convert("RGB")), ""


def _scaled(values: NDArray[Any]) -> tuple[Image, str]:
    """Grey values of any range as 8 bits, and the range where it is not the usual one."""
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


def _missing_rows(image: NDArray[Any]) -> int:
    """How many rows at the end hold nothing: decoders fill them with one value."""
    flat = image.reshape(image.shape[0], image.shape[1], -1)
    holds = (flat != flat[:, :1]).any(axis=(1, 2))
    last = np.flatnonzero(holds)
    return int(image.shape[0] - 1 - last[-1]) if last.size else int(image.shape[0])


def _check(size: tuple[int, int]) -> None:
    width, height = size
    if width * height > MAX_PIXELS:
        raise ValueError(f"{width}x{height} pixels are more than the {MAX_PIXELS} allowed")


def _register_heif() -> None:
    try:
        import pillow_heif
    except ImportError as error:
        raise MissingExtraError(
            "HEIC pictures need an extra", fix="Install it: pip install 'sfedge[heif]'."
        ) from error
    pillow_heif.register_heif_opener()


@contextmanager
def _no_bomb_warning() -> Iterator[None]:
    with warnings.catch_warnings():  # our own limit is lower than Pillow's
        warnings.simplefilter("ignore", Pillow.DecompressionBombWarning)
        yield
