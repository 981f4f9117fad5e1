"""Reading one photograph: every kind of file and of values becomes upright 8-bit RGB."""

import logging
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageFile, TiffImagePlugin, UnidentifiedImageError

from sfedge.core.errors import MissingExtraError
from sfedge.core.structures import Image
from sfedge.sources.opencv_log import quiet_opencv
from sfedge.sources.pixel_values import scaled, to_rgb
from sfedge.sources.source import MAX_PIXELS

SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".gif", ".bmp", ".dib"),
    *(".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".pfm", ".jp2", ".j2k", ".tga", ".qoi"),
    *(".avif", ".avifs", ".heic", ".heif", ".hif"),
)
HEIF_SUFFIXES = (".heic", ".heif", ".hif")
VIDEO_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts"),
    *(".wmv", ".flv", ".ogv", ".3gp", ".vob", ".mxf", ".mjpeg", ".mjpg"),
)
RAW_SUFFIXES = (
    *(".3fr", ".arw", ".cr2", ".cr3", ".dng", ".erf", ".iiq", ".kdc", ".mef", ".mrw", ".nef"),
    *(".nrw", ".orf", ".pef", ".raf", ".rw2", ".rwl", ".sr2", ".srw", ".x3f"),
)
# Pillow's other formats start programs (EPS) or are no pictures.
_FORMATS = (
    *("JPEG", "PNG", "WEBP", "GIF", "BMP", "DIB", "TIFF", "PPM", "JPEG2000", "TGA", "QOI"),
    *("AVIF", "HEIF"),
)
# First bytes of formats whose files are often renamed.
_MAGIC = re.compile(
    rb"\xff\xd8\xff|\x89PNG\r\n|RIFF....WEBP|GIF8|II\*\0|MM\0\*|BM.{4}\0{4}"
    rb"|....ftyp(?:avif|avis|hei[cfmsx]|hev[cx]|mif1|msf1)",
    re.DOTALL,
)
_HEIF = re.compile(rb"....ftyp(?!avi)(?:hei[cfmsx]|hev[cx]|mif1|msf1)(?!.*avi[fs])", re.DOTALL)
_ORIENTATION = 0x0112  # EXIF tag; 5 to 8 are rotated by 90 degrees
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_SUBFILE = 254  # TIFF tag; bit 0: a smaller copy, bit 2: a mask
_LARGEST_HOLE = 0.1  # share of a picture's rows that may be missing at its end
_TRUNCATION = threading.Lock()  # Pillow's switch for it holds for all threads
_WIDTH, _HEIGHT = 256, 257  # TIFF tags
_TURNS = {  # by EXIF orientation
    2: Pillow.Transpose.FLIP_LEFT_RIGHT,
    3: Pillow.Transpose.ROTATE_180,
    4: Pillow.Transpose.FLIP_TOP_BOTTOM,
    5: Pillow.Transpose.TRANSPOSE,
    6: Pillow.Transpose.ROTATE_270,
    7: Pillow.Transpose.TRANSVERSE,
    8: Pillow.Transpose.ROTATE_90,
}

# Without a handler Python prints Pillow's errors, which come as exceptions as well, to stderr.
logging.getLogger("PIL").addHandler(logging.NullHandler())


class Still:
    """An opened picture file with all of its pages; a context manager.

    Args:
        path: the file.

    Raises:
        MissingExtraError: it is HEIC, and the extra `heif` is not installed.
        Exception: of any kind that Pillow raises on damaged, foreign or hostile files.
    """

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            header = file.read(32)
        is_named_heif = path.suffix.lower() in HEIF_SUFFIXES and not _MAGIC.match(header)
        if is_named_heif or _HEIF.match(header):
            _register_heif()
        self._note = ""
        with _quiet():
            Pillow.init()
            known = [name for name in _FORMATS if name in Pillow.OPEN]
            try:
                self.picture: Pillow.Image = Pillow.open(path, formats=known)
            except UnidentifiedImageError:
                if header[:4] not in _TIFF:
                    raise
                self.picture, self._note = _tiff_of_floats(path)
            try:
                self.frames: int = getattr(self.picture, "n_frames", 1)
                _check(self.picture.size)
            except BaseException:
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
        with _quiet():
            for place in range(self.frames if self.picture.format == "TIFF" else 1):
                self.picture.seek(place)
                tags: Any = getattr(self.picture, "tag_v2", {})
                if place == 0 or not tags.get(_SUBFILE, 0) & 5:
                    width, height = self.picture.size
                    is_on_its_side = self._orientation in (5, 6, 7, 8)
                    found[place] = (height, width) if is_on_its_side else (width, height)
        return found

    def read(self, place: int = 0) -> tuple[Image, str]:
        """The picture at a place, upright RGB, and how its values were changed ("" if not).

        Raises:
            Exception: of any kind that Pillow raises on damaged files.
        """
        with _quiet():
            self.picture.seek(place)
            _check(self.picture.size)
            note = self._load() or self._note
            turn = _TURNS.get(self._orientation)
            upright = self.picture if turn is None else self.picture.transpose(turn)
            image, range_note = to_rgb(upright)
        return image, note or range_note

    @property
    def _orientation(self) -> Any:
        """EXIF's; 1, upright, where its data are damaged, which says nothing of the picture."""
        try:
            return self.picture.getexif().get(_ORIENTATION, 1)
        except Exception:  # damaged data make the parser raise anything
            return 1

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


def failure(error: Exception) -> str:
    """Why a picture could not be read, on one line and without its path, which is named anyway."""
    text = str(getattr(error, "strerror", None) or error) or type(error).__name__
    return " ".join(re.sub(r" file '.*'$", " file", text, flags=re.DOTALL).split())


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


def _tiff_of_floats(path: Path) -> tuple[Pillow.Image, str]:
    """A TIFF with values that Pillow has no mode for, such as colours as floats, as 8 bits.

    Raises:
        ValueError: it is too large, or OpenCV cannot read it either.
    """
    with path.open("rb") as file:
        directory = TiffImagePlugin.ImageFileDirectory_v2(file.read(8))
        file.seek(directory.next)
        directory.load(file)
    _check((int(directory[_WIDTH]), int(directory[_HEIGHT])))
    with quiet_opencv():
        values = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if values is None:
        raise ValueError("its pixel type is not known")
    image, note = scaled(np.asarray(values))
    colours = image[:, :, 2::-1] if image.ndim == 3 else np.repeat(image[:, :, None], 3, axis=2)
    return Pillow.fromarray(np.ascontiguousarray(colours)), note


@contextmanager
def _quiet() -> Iterator[None]:
    """Without Python's warnings: what matters is checked, and the rest is of no use to anybody."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
