"""Pictures of single hands: HaGRID's crops and the sign language digits.

A crop ends at the hand. It is laid into a square with a rim, as a run shows a hand with what is
around it: for two of three a part of a photographed face, where such pictures lie beside, since
hands are often raised before faces; else a blurred mirror of the crop, which has its colours and
no fingers. With blurred rims alone a model takes sharp ones for a sign of rendered hands.
"""

import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from sfedge.core.boxes import FULL, Box, from_pixels
from sfedge.core.errors import DataError
from sfedge.core.structures import Image
from sfedge.core.tasks import NO_GESTURE
from sfedge_training.collection.archive import pictures_in, table_in
from sfedge_training.collection.faces import fairface
from sfedge_training.collection.item import Annotation, Item, LabelSource, split_of

_RIM = 0.25  # on each side, of the hand's longer side
_CELLS = 12  # a side, that the rim is blurred to
_QUALITY = 95
FACES = "faces-fairface.zip"  # beside the crops
_FACES = 500  # of its pictures that make rims
_BLURRED = 1 / 3  # of the rims
_PART = (0.4, 1.0)  # of a face's picture that a rim shows

_LABEL_SOURCES: Mapping[str, LabelSource | None] = {
    "folder": "people",  # HaGRID's own label
    "folder-doubtful": None,  # perhaps of the other hand: 7 of 25 that were looked at were at rest
    "model": "network",  # of the HaGRID authors' classifier
}
# Digits of the Turkish sign language, and the gestures that look the same. 7 has the ring finger
# down and 0 the fingers in a circle, as gestures that no other real picture shows.
_DIGITS: Mapping[str, tuple[str, LabelSource]] = {
    "0": ("grip", "likeness"),
    "1": ("one", "people"),
    "2": ("peace", "people"),
    "3": ("three2", "people"),
    "4": ("four", "people"),
    "5": ("palm", "people"),
    "6": ("three", "people"),
    "7": ("three3", "likeness"),
    "8": (NO_GESTURE, "people"),
    "9": ("ok", "people"),
}


def crops(file: Path) -> Iterator[Item]:
    """HaGRID's hands; both hands of a picture are in one split.

    Raises:
        DataError: the file cannot be read.
    """
    rows = {row["file"]: row for row in table_in(file, ("file", "label", "label_source"))}
    sources = {}
    for name, row in rows.items():
        if row["label_source"] not in _LABEL_SOURCES:
            raise DataError(
                f"{name}: no label source is called {row['label_source']!r}", where=str(file)
            )
        if source := _LABEL_SOURCES[row["label_source"]]:
            sources[name] = source
    around = _surroundings(file.with_name(FACES))
    for name, data in pictures_in(file, sources):
        picture, box = in_square(data, f"{file}: {name}", _rim_of(name, around))
        group = f"hagrid/{PurePosixPath(name).stem}"
        annotation = Annotation("gesture", rows[name]["label"], sources[name])
        yield Item(name, picture, "hand", (annotation,), group, split_of(group), box)


def digits(file: Path) -> Iterator[Item]:
    """Hands on plain ground; ten pictures in a row are one person's.

    Raises:
        DataError: the file cannot be read.
    """
    rows = sorted(table_in(file, ("file", "digit")), key=lambda row: _number(row["file"]))
    people, person, last = {}, 0, ""
    for row in rows:
        person += row["digit"] <= last
        people[row["file"]], last = person, row["digit"]
    digit_of = {row["file"]: row["digit"] for row in rows}
    for name, data in pictures_in(file, digit_of):
        group = f"digits/{people[name]:03}"
        annotation = Annotation("gesture", *_DIGITS[digit_of[name]])
        yield Item(name, data, "hand", (annotation,), group, split_of(group), FULL)


def in_square(data: bytes, where: str, around: Image | None = None) -> tuple[bytes, Box]:
    """A crop in the middle of a square with a rim, as a JPEG, and where it lies there.

    Args:
        data: the crop.
        where: named in an error.
        around: what the rim shows, stretched to the square; None for a blurred mirror.

    Raises:
        DataError: it is no picture.
    """
    crop = _decoded(data)
    if crop is None:
        raise DataError("this picture cannot be read", where=where)
    height, width = crop.shape[:2]
    side = round(max(width, height) * (1 + 2 * _RIM))
    left, top = (side - width) // 2, (side - height) // 2
    if around is None:
        rims = (top, side - height - top, left, side - width - left)
        mirror = cv2.copyMakeBorder(crop, *rims, cv2.BORDER_REFLECT)
        small = cv2.resize(mirror, (_CELLS, _CELLS), interpolation=cv2.INTER_AREA)
        around = np.asarray(small, np.uint8)
    square = cv2.resize(around, (side, side), interpolation=cv2.INTER_CUBIC)
    square[top : top + height, left : left + width] = crop
    _, jpeg = cv2.imencode(".jpg", square, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    box = from_pixels(left, top, left + width, top + height, width=side, height=side)
    return jpeg.tobytes(), box


def _surroundings(file: Path) -> list[Image]:
    """Faces that may be learned from; none where the file is not there."""
    if not file.is_file():
        return []
    learned = (item.picture for item in fairface(file) if item.split == "train")
    pictures = (_decoded(data) for data in islice(learned, _FACES))
    return [picture for picture in pictures if picture is not None]


def _rim_of(name: str, around: Sequence[Image]) -> Image | None:
    """A square part of a face, which the crop's name decides; None for a blurred mirror."""
    random = np.random.default_rng(zlib.crc32(name.encode()))
    if not around or random.random() < _BLURRED:
        return None
    picture = around[int(random.integers(len(around)))]
    longest = min(picture.shape[:2])
    side = int(longest * random.uniform(*_PART))
    top, left = (int(random.integers(size - side + 1)) for size in picture.shape[:2])
    return picture[top : top + side, left : left + side]


def _decoded(data: bytes) -> Image | None:
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    return None if picture is None else picture.astype(np.uint8, copy=False)


def _number(name: str) -> int:
    found = re.search(r"(\d+)\.", name)
    return int(found.group(1)) if found else 0
