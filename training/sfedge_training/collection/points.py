"""Hands of which a source gives landmarks, but no picture.

Such a hand becomes a grey picture, of which nothing is to be learned, with its landmarks beside it.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from sfedge.core.boxes import Box
from sfedge.core.errors import DataError
from sfedge.core.landmarks import HAND_POINTS, HandLandmarks, Landmarks, Points
from sfedge.core.tasks import NO_GESTURE
from sfedge_training.collection.item import Annotation, Item, split_of
from sfedge_training.data.reading import read_json

_SIDE = 64  # pixels of the grey square
_BOX = Box(0.25, 0.25, 0.75, 0.75)  # where the hand lies in it
_ASPECT = 3 / 4  # HaGRID's commonest; the source has points in fractions of unknown pictures
# Letters of the American sign language that look like a gesture; the others are left out.
_LETTERS: Mapping[str, str] = {
    "A": "fist",
    "B": "stop",
    "C": "grabbing",
    "F": "ok",
    "I": "little_finger",
    "L": "thumb_index",
    "O": "grip",
    "S": "fist",
    "U": "two_up",
    "V": "peace",
    "W": "three",
    "Y": "call",
}


def letters(file: Path) -> Iterator[Item]:
    """Hands of one signer, all for training.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        with np.load(file, allow_pickle=False) as stored:
            points, names = stored["X"].astype(np.float64), stored["y"].tolist()
            if points.shape != (len(names), HAND_POINTS, 3):
                raise ValueError(f"X is {points.shape}")
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"this file cannot be read ({error})", where=str(file)) from error
    for place, (letter, hand) in enumerate(zip(names, points, strict=True)):
        if letter in _LETTERS:
            annotation = Annotation("gesture", _LETTERS[letter], "likeness")
            yield _item(f"{letter}/{place:05}.png", hand, annotation, "letters/signer", None)


def idle_hands(file: Path) -> Iterator[Item]:
    """Hands that make no gesture; a person's are in one split. Their depth is not known.

    Raises:
        DataError: the file cannot be read.
    """
    for place, row in enumerate(read_json(file, list)):
        try:
            flat = np.array(row["landmarks"], np.float64) * (_ASPECT, 1.0)
            hand = np.column_stack([flat, np.zeros(HAND_POINTS)])
            group = f"idle/{row['user']}"
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"hand {place} cannot be read ({error!r})", where=str(file)) from error
        yield _item(f"{place:05}.png", hand, Annotation("gesture", NO_GESTURE), group, group)


def _item(
    name: str, hand: NDArray[np.float64], annotation: Annotation, group: str, splits_by: str | None
) -> Item:
    return Item(
        name,
        _grey(),
        "hand",
        (annotation,),
        group,
        split_of(splits_by) if splits_by else "train",
        _BOX,
        Landmarks((HandLandmarks(_placed(hand)),)),
    )


def _placed(hand: NDArray[np.float64]) -> Points:
    """Points whose x, y and depth have one scale, moved into the box."""
    low, high = hand[:, :2].min(axis=0), hand[:, :2].max(axis=0)
    scale = _BOX.width / max(*(high - low), 1e-6)
    placed = hand * scale
    placed[:, :2] += 0.5 - (low + high) / 2 * scale
    return np.asarray(placed, np.float32)


def _grey() -> bytes:
    _, png = cv2.imencode(".png", np.full((_SIDE, _SIDE, 3), 128, np.uint8))
    return png.tobytes()
