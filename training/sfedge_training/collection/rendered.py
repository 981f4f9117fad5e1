"""Pictures that `sfedge-train render` made: what no free picture shows, with exact truth.

Hands and faces are cut out with what is around them, so that reading them in training is quick.
Only training splits are taken: what is rendered proves nothing of real people.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2

from sfedge.core.boxes import Box, clamped, from_pixels, to_pixels, with_margin, within
from sfedge.core.errors import DataError
from sfedge.core.tasks import TASKS
from sfedge_training.collection.item import Annotation, Item
from sfedge_training.data import affectnet, ego4d_lam, hagrid
from sfedge_training.data.reading import read_json
from sfedge_training.data.sample import Dataset

_RIM = 0.5  # around a hand, on each side, of its box
_FACE_RIM = 0.2  # around a face's view
_QUALITY = 95


def rendered(root: Path) -> Iterator[Item]:
    """The hands and faces of the rendered datasets in a folder.

    Raises:
        DataError: none is there, or one is damaged.
    """
    there = [name for name in _READERS if (root / name).is_dir()]
    if not there:
        raise DataError(
            "no rendered hands or faces are here",
            where=str(root),
            fix=f"Make some: sfedge-train render HUMANS {root} --datasets {','.join(_READERS)}",
        )
    for name in there:
        yield from _READERS[name](root / name)


def _hands(root: Path) -> Iterator[Item]:
    """Each hand of a picture by itself, but both at once where they make one gesture."""
    for table in sorted((root / "annotations" / "train").glob("*.json")):
        for key, row in read_json(table, dict).items():
            picture = root / "images" / table.stem / f"{key}.jpg"
            try:
                yield from _hands_of(picture, key, row)
            except (KeyError, TypeError, ValueError) as error:
                raise DataError(f"{key} is malformed ({error!r})", where=str(table)) from error


def _hands_of(picture: Path, key: str, row: Mapping[str, Any]) -> Iterator[Item]:
    group = f"rendered/{key}"
    if row["united_bbox"]:
        annotations = (Annotation("gesture", row["united_label"][0], "rendering"),)
        box = _box(row["united_bbox"][0])
        data = picture.read_bytes()
        yield Item(f"hagrid/{key}.jpg", data, "body", annotations, group, "train", box)
        return
    for place, (label, numbers) in enumerate(zip(row["labels"], row["bboxes"], strict=True)):
        if min(numbers[2:]) <= 0:  # it is out of the picture
            continue
        hand = _box(numbers)
        annotations = (Annotation("gesture", label, "rendering"),)
        data, view = _cut(picture, with_margin(hand, _RIM))
        name = f"hagrid/{key}-{place}.jpg"
        yield Item(name, data, "hand", annotations, group, "train", within(hand, view))


def _faces(dataset: Dataset) -> Iterator[Item]:
    for place, sample in enumerate(dataset.samples):
        assert sample.label is not None
        annotations = (
            Annotation(sample.task, TASKS[sample.task].labels[sample.label], "rendering"),
        )
        data, _ = _cut(sample.image, with_margin(sample.view, _FACE_RIM))
        name = f"{dataset.name}/{place:06}.jpg"
        yield Item(
            name, data, "face", annotations, f"rendered/{sample.group or sample.key}", "train"
        )


_READERS: Mapping[str, Callable[[Path], Iterator[Item]]] = {
    hagrid.NAME: _hands,
    affectnet.NAME: lambda root: _faces(affectnet.load(root, "train")),
    ego4d_lam.NAME: lambda root: _faces(ego4d_lam.load(root, "train")),
}


def _box(numbers: Sequence[float]) -> Box:
    x, y, width, height = numbers
    return clamped(x, y, x + width, y + height)


def _cut(picture: Path, box: Box) -> tuple[bytes, Box]:
    """A part of a picture as a JPEG, and what was cut, in whole pixels.

    Raises:
        DataError: the picture cannot be read.
    """
    image = cv2.imread(str(picture), cv2.IMREAD_COLOR)
    if image is None:
        raise DataError("this picture cannot be read", where=str(picture))
    height, width = image.shape[:2]
    left, top, right, bottom = to_pixels(box, width=width, height=height)
    quality = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    _, jpeg = cv2.imencode(".jpg", image[top:bottom, left:right], quality)
    return jpeg.tobytes(), from_pixels(left, top, right, bottom, width=width, height=height)
