"""Pictures in a folder, or a single one, as a source with one frame per second."""

import re
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image as Pillow
from PIL import ImageOps

from sfedge.core.errors import SourceError
from sfedge.core.structures import Frame, Image
from sfedge.sources.source import MAX_PIXELS, SourceInfo
from sfedge.system.closing import Closing

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
PICTURES_PER_SECOND = 1.0  # every question then is asked of every picture at the usual interval
_ORIENTATION = 0x0112  # EXIF tag; 5 to 8 lie on their side


class FolderSource(Closing):
    """Pictures in natural order of their names: "2.jpg" before "10.jpg".

    Picture number i is at i / PICTURES_PER_SECOND seconds. Pictures are turned upright by their
    EXIF orientation and keep their own sizes; of an animated picture the first one is taken.
    The size told by `info` is the smallest that every picture fits in.

    Raises:
        SourceError: there is no picture, or the folder cannot be read.
    """

    def __init__(self, path: Path, *, start: float = 0.0, end: float | None = None) -> None:
        self._start, self._end = start, end
        self._closed = threading.Event()
        self._losses: list[str] = []
        self._paths = _pictures(path)
        sizes = [size for size in map(_upright_size, self._paths) if size is not None]
        if not sizes:
            raise SourceError(
                "it is not a picture that can be read"
                if path.is_file()
                else f"none of its {len(self._paths)} pictures can be read",
                where=str(path),
                fix="Give pictures such as JPEG, PNG or WebP; these may be damaged.",
            )
        self._info = SourceInfo(
            name=str(path),
            width=max(width for width, _ in sizes),
            height=max(height for _, height in sizes),
            frame_rate=PICTURES_PER_SECOND,
            duration=len(self._paths) / PICTURES_PER_SECOND,
            frames=len(self._paths),
            is_live=False,
        )

    @property
    def info(self) -> SourceInfo:
        """Number of pictures, and the size that each of them fits in."""
        return self._info

    @property
    def losses(self) -> tuple[str, ...]:
        """A sentence for each picture that could not be read so far."""
        return tuple(self._losses)

    def close(self) -> None:
        """End the iteration; no file stays open."""
        self._closed.set()

    def __iter__(self) -> Iterator[Frame]:
        """Pictures with start <= time < end."""
        for index, path in enumerate(self._paths):
            now = index / PICTURES_PER_SECOND
            if self._closed.is_set() or (self._end is not None and now >= self._end):
                return
            if now < self._start:
                continue
            try:
                image = _read(path)
            except _UNREADABLE as error:
                reason = getattr(error, "strerror", None) or str(error)
                self._losses.append(f"picture {index} ({path.name}) could not be read: {reason}")
                continue
            yield Frame(image, index, now)


# What Pillow raises on damaged or hostile files.
_UNREADABLE = (OSError, ValueError, SyntaxError, EOFError, Pillow.DecompressionBombError)


def _pictures(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    try:
        found = [p for p in path.iterdir() if p.suffix.lower() in SUFFIXES and p.is_file()]
    except OSError as error:
        raise SourceError(
            f"the folder cannot be read ({error.strerror})",
            where=str(path),
            fix="Check the path and that you may read it.",
        ) from error
    if not found:
        raise SourceError(
            "the folder holds no pictures",
            where=str(path),
            fix=f"Pictures end in {', '.join(SUFFIXES)}.",
        )
    return sorted(found, key=lambda p: _natural(p.name))


def _natural(name: str) -> list[tuple[int, str]]:
    """A key that orders numbers within names by their value."""
    parts = re.split(r"([0-9]+)", name.casefold())
    return [(int(part), "") if part.isdecimal() else (0, part) for part in parts] + [(0, name)]


def _open(path: Path) -> Pillow.Image:
    with warnings.catch_warnings():  # our own limit stands below Pillow's
        warnings.simplefilter("ignore", Pillow.DecompressionBombWarning)
        picture = Pillow.open(path)
    width, height = picture.size
    if width * height > MAX_PIXELS:
        picture.close()
        raise ValueError(f"{width}x{height} pixels are more than the {MAX_PIXELS} allowed")
    return picture


def _upright_size(path: Path) -> tuple[int, int] | None:
    try:
        with _open(path) as picture:
            width, height = picture.size
            is_on_its_side = picture.getexif().get(_ORIENTATION) in (5, 6, 7, 8)
    except _UNREADABLE:
        return None
    return (height, width) if is_on_its_side else (width, height)


def _read(path: Path) -> Image:
    with _open(path) as picture:
        upright = ImageOps.exif_transpose(picture)
        if upright.mode.startswith("I"):  # 16 bits per pixel; Pillow would clip them to 8
            wide = np.asarray(upright, np.int64)
            upright = Pillow.fromarray((wide >> 8).clip(0, 255).astype(np.uint8))
        return np.array(upright.convert("RGB"))
