"""Annotated photographs: a picture for each of the source's, in its own size."""

import shutil
from contextlib import suppress
from pathlib import Path

from PIL import Image as Pillow

from sfedge.core.structures import Image
from sfedge.results.growing_file import output_error
from sfedge.system.closing import Closing

_LOSSY = (".webp", ".heic", ".heif", ".hif", ".avif", ".avifs", ".jpe", ".jfif", ".mpo")
_JPEG = (".jpg", ".jpeg")
_QUALITY = 95
_LARGEST_JPEG = 65_500  # pixels a side


def annotated_name(name: str) -> str:
    """The file name of a picture's annotated copy; its whole name is kept."""
    suffix = Path(name).suffix.lower()
    if suffix in (*_JPEG, ".png"):
        return name
    return f"{name}{'.jpg' if suffix in _LOSSY else '.png'}"


class PictureWriter(Closing):
    """Writes annotated pictures into a folder, or a single one to a file.

    Args:
        path: a new folder, or the file of a single picture where it has the suffix of one.

    Raises:
        OutputError: a picture cannot be written (and from `write`).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._is_one = path.suffix in (*_JPEG, ".png")
        try:  # what a run that was cut short has left
            if path.is_dir():
                shutil.rmtree(path)
            path.unlink(missing_ok=True)
            if not self._is_one:
                path.mkdir()
        except OSError as error:
            raise output_error(error, path) from error

    def write(self, image: Image, name: str) -> None:
        """Add the picture of a source's picture.

        Args:
            image: (H, W, 3) RGB.
            name: file name of the source's picture, without a folder.
        """
        path = self.path if self._is_one else self.path / annotated_name(name)
        is_jpeg = path.suffix.lower() in _JPEG and max(image.shape[:2]) <= _LARGEST_JPEG
        try:
            with path.open("wb") as file:
                if is_jpeg:
                    Pillow.fromarray(image).save(file, "JPEG", quality=_QUALITY, subsampling=0)
                else:
                    Pillow.fromarray(image).save(file, "PNG", compress_level=1)
        except OSError as error:
            with suppress(OSError):
                path.unlink()  # a part of a picture
            raise output_error(error, path) from error

    def finish(self) -> None:
        """Nothing waits to be written."""

    def close(self) -> None:
        """Nothing is held."""
