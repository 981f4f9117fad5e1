"""How right the default model is on faces that are small in the picture.

The faces are those of FairFace's validation split that two readers agree on. Each is shrunk until
it has so many pixels, and its rim is drawn out; `sfedge score` then scores all sizes at once.
"""

import csv
import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np

import sfedge
from benchmarks import measured_on as machine
from sfedge.core.structures import Image
from sfedge.scoring.labels_table import TABLE
from sfedge_training.collection.faces import fairface
from sfedge_training.collection.item import Item

SIZES = (16, 24, 32, 48, 64)  # pixels of the longer side of the face's box
_GROUND = (480, 640)  # height and width of the pictures
_FIGURES = {"unsure": "unsure", "accuracy_when_sure": "right, of the sure answers"}


def smaller(image: Image, face: int, size: int) -> Image:
    """The picture shrunk so that a face of `face` pixels has `size`, its rim drawn out."""
    scale = size / face
    height, width = (max(round(scale * side), 1) for side in image.shape[:2])
    top, left = (_GROUND[0] - height) // 2, (_GROUND[1] - width) // 2
    rest = _GROUND[0] - height - top, _GROUND[1] - width - left
    shrunk = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    drawn = cv2.copyMakeBorder(shrunk, top, rest[0], left, rest[1], cv2.BORDER_REPLICATE)
    return np.asarray(drawn, np.uint8)


def labelled_faces(file: Path) -> list[Item]:
    """Faces to choose by, with a label that people gave."""
    items = (item for item in fairface(file) if item.split == "val")
    return [item for item in items if any(one.by == "people" for one in item.annotations)]


def lay_out(folder: Path, items: Sequence[Item], sizes: Sequence[int]) -> None:
    """Write the pictures of all sizes and their table, but of faces that are not found at all."""
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[tuple[object, ...]] = [("picture", "task", "label", "size")]
    for item, image, face in _with_faces(items):
        labels = [(one.task, one.label) for one in item.annotations if one.by == "people"]
        for size in sizes:
            name = f"{Path(item.name).stem}-{size}.png"
            cv2.imwrite(str(folder / name), smaller(image, face, size)[..., ::-1])
            rows += [(name, task, label, size) for task, label in labels]
    with (folder / TABLE).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)


def _with_faces(items: Sequence[Item]) -> Iterator[tuple[Item, Image, int]]:
    images = [_decoded(item.picture) for item in items]
    with sfedge.Pipeline(tasks=("expression",)) as pipeline:
        for number, (item, image) in enumerate(zip(items, images, strict=True)):
            pipeline.step(np.zeros_like(image), 2.0 * number)  # no face is followed to the next
            faces = [track.face for track in pipeline.step(image, 2.0 * number + 1).tracks]
            found = [face for face in faces if face is not None]
            if found:
                largest = max(found, key=lambda face: face.area)
                height, width = image.shape[:2]
                yield item, image, round(max(largest.width * width, largest.height * height))


def _decoded(picture: bytes) -> Image:
    image = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return np.ascontiguousarray(image[..., ::-1])


def page(tasks: Mapping[str, Any]) -> list[str]:
    """The table: a row for each size and task."""
    rows = []
    for task, of in tasks.items():
        for size, part in of["by"]["size"]["values"].items():
            share = 1 - part["not_found"]["value"]
            right = 100 * part["accuracy"]["value"] / share if share else 0.0
            cells = [_cell(part.get(name)) for name in _FIGURES]
            rows.append((task, size, f"{share * part['samples']:.0f}", f"{right:.1f}", *cells))
    header = ("task", "pixels", "faces found", "right", *_FIGURES.values())
    return [
        "By `sfedge score`, in per cent of the faces that are found, some with 95 % intervals. How "
        "many are found is no finding: in whole pictures it is more. Pixels: the longer side of "
        "the face's box, when it was shrunk. The faces are FairFace's that were used to choose by.",
        machine.table(header, rows),
    ]


def _cell(figure: Mapping[str, float | None] | None) -> str:
    if figure is None or figure["value"] is None:
        return "–"
    value, low, high = (100 * (figure[name] or 0.0) for name in ("value", "low", "high"))
    return f"{value:.1f} ({low:.0f} – {high:.0f})"


@click.command()
@click.argument("faces", type=click.Path(path_type=Path, exists=True))
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), default=machine.RESULTS / "small_faces.md")
def main(faces: Path, folder: Path, out: Path) -> None:
    """Score the default model on FACES, faces-fairface.zip, made small in FOLDER."""
    about = machine.describe()
    pictures, scores = folder / "pictures", folder / "scores"
    lay_out(pictures, labelled_faces(faces), SIZES)
    words = ["-m", "sfedge", "score", str(pictures), "--by", "size", "--out", str(scores)]
    subprocess.run([sys.executable, *words], check=True)
    tasks = json.loads((scores / "score.json").read_text(encoding="utf-8"))["tasks"]
    command = "python -m benchmarks.small_faces faces-fairface.zip FOLDER"
    machine.write_page(out, "Small faces", command, about, page(tasks))


if __name__ == "__main__":
    main()
