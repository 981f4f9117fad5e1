"""What made datasets share: a random stream for each picture, and files written whole."""

import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np

from sfedge.core.structures import Image
from sfedge_training.data.sample import Split
from sfedge_training.drawings.canvas import Extent

Record: TypeAlias = Any  # what a drawn picture adds to its dataset's tables: plain JSON values
# Draws the pictures of unit `index` of a split below a folder and returns its record.
Draw: TypeAlias = Callable[[Path, Split, int, np.random.Generator], Record]
_QUALITY = 90  # of the JPEG files


@dataclass(frozen=True, slots=True)
class Layout:
    """How one dataset is drawn.

    Args:
        draw: draws one unit.
        write: writes the tables below the folder from all records of each split.
        samples: about how many samples a unit gives.
    """

    draw: Draw
    write: Callable[[Path, Mapping[Split, Sequence[Record]]], None]
    samples: int = 1


def unit_stream(seed: int, name: str, split: Split, index: int) -> np.random.Generator:
    """The random stream of one unit: no two units, splits, datasets or seeds share one."""
    return np.random.default_rng([seed, zlib.crc32(f"{name}/{split}".encode()), index])


def save_picture(path: Path, image: Image, quality: int = _QUALITY) -> None:
    """Write an RGB picture as JPEG; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _, data = cv2.imencode(
        ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]
    )
    path.write_bytes(data.tobytes())


def save_json(path: Path, value: object) -> None:
    """Write a JSON file; its folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def inside(extent: Extent, width: int, height: int) -> Extent:
    """The part of a box in pixels that lies on the picture."""
    x1, y1, x2, y2 = extent
    return max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height))
