"""Pictures that precisions are compared and calibrated on, as questions show them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageOps
import skimage.data
from matplotlib.cbook import get_sample_data

from sfedge.core.boxes import FULL, Box
from sfedge.core.errors import DataError
from sfedge.core.landmarks import INPUT_WIDTH, PARTS, SLICES, Part, Vector
from sfedge.core.preprocess import crop
from sfedge.core.structures import Image

_ENDINGS = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}
_BODY_PARTS: tuple[Part, ...] = ("hand", "body", "face", "eyes")
_HALVES = (Box(0.05, 0.1, 0.45, 0.9), Box(0.55, 0.1, 0.95, 0.9))


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A picture as a question shows it, where people are in it, and what landmarks there are."""

    image: Image
    boxes: tuple[Box, Box]
    landmarks: Vector


def photographs() -> Iterator[View]:
    """Two photographs that scikit-image and matplotlib carry, whole and cut to the head."""
    astronaut = skimage.data.astronaut()  # type: ignore[no-untyped-call]
    with PIL.Image.open(get_sample_data("grace_hopper.jpg", asfileobj=False)) as picture:
        hopper = np.asarray(picture)
    heads = ((astronaut, Box(0.34, 0.11, 0.54, 0.36)), (hopper, Box(0.36, 0.15, 0.66, 0.53)))
    for number, (image, head) in enumerate(heads):
        boxes = (head, Box(0.1, 0.5, 0.9, 1.0))
        yield View(image, boxes, made_landmarks(2 * number, *_BODY_PARTS))
        boxes = (FULL, Box(0.25, 0.25, 0.5, 0.5))
        yield View(crop(image, head), boxes, made_landmarks(2 * number + 1, "face", "eyes"))


def noise(size: int) -> Iterator[View]:
    """Two random pictures, always the same; random landmarks with one, none with the other."""
    generator = np.random.default_rng(0)
    for boxes in ((Box(0.0, 0.0, 0.02, 0.02), FULL), (Box(0.4, 0.6, 0.7, 0.9), Box(0, 0, 1, 0.1))):
        pixels = generator.integers(0, 256, (size, size, 3), dtype=np.uint8)
        landmarks = np.zeros(INPUT_WIDTH, np.float32)
        if boxes[1] == FULL:
            landmarks += np.random.default_rng(1).standard_normal(INPUT_WIDTH, np.float32)
        yield View(pixels, boxes, landmarks)


def made_landmarks(seed: int, *parts: Part) -> Vector:
    """Landmarks of some parts, in places and of sizes that a person's may have.

    Their points are drawn at random: no detector runs here, and none is needed to learn how large
    the numbers of a network get.
    """
    random = np.random.default_rng(seed)
    vector = np.zeros(INPUT_WIDTH, np.float32)
    for part in parts:
        rows = SLICES[part]
        centre, scale = random.uniform(-0.7, 0.7, 2), random.uniform(-4, -1)
        side = random.choice((-1, 1)) if "hand" in part else 0
        points = random.uniform(-1, 1, (PARTS[part], 3))
        vector[rows] = (1, *centre, scale, side, *points.ravel())
    return vector


@dataclass(frozen=True, slots=True, eq=False)
class Pictures:
    """Views that can be gone through more than once; pictures of a folder are read each time."""

    title: str  # where they are from, as reports say it
    count: int
    _views: Callable[[], Iterator[View]]

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[View]:
        return self._views()


def built_in() -> Pictures:
    """Two photographs and the heads in them."""
    return Pictures("two photographs and the heads in them", 4, photographs)


def in_folder(folder: Path) -> Pictures:
    """The pictures in a folder and the folders in it, whole, with a person marked in each half.

    Raises:
        DataError: it holds no picture; or, while iterating, one cannot be read.
    """
    paths = [path for path in sorted(folder.rglob("*")) if path.suffix.lower() in _ENDINGS]
    if not paths:
        raise DataError(
            "there is no picture in it",
            where=str(folder),
            fix=f"Name a folder of pictures ({', '.join(sorted(_ENDINGS))}).",
        )
    title = f"{len(paths)} pictures of {folder.name}"
    return Pictures(
        title,
        len(paths),
        lambda: (
            View(_read(path), _HALVES, made_landmarks(number, *PARTS))
            for number, path in enumerate(paths)
        ),
    )


def _read(path: Path) -> Image:
    try:
        with PIL.Image.open(path) as picture:
            return np.asarray(PIL.ImageOps.exif_transpose(picture).convert("RGB"))
    except (OSError, ValueError, PIL.Image.DecompressionBombError) as error:
        raise DataError(f"it cannot be read ({error})", where=str(path)) from error
