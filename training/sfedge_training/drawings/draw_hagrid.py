"""Drawn HaGRIDv2: a person who shows one of 33 gestures; JSON tables with all hands' boxes."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from sfedge.core.tasks import TASKS
from sfedge_training.data.sample import Split
from sfedge_training.drawings.background import new_canvas, photographed
from sfedge_training.drawings.body_parts import Layout, Record, inside, save_json, save_picture
from sfedge_training.drawings.canvas import Extent
from sfedge_training.drawings.drawn_gestures import draw_gesture
from sfedge_training.drawings.look import random_look

_LABELS = TASKS["gesture"].labels
_SIZES = ((240, 240), (216, 264), (264, 216))


def _draw(root: Path, split: Split, index: int, rng: np.random.Generator) -> Record:
    label = _LABELS[index % len(_LABELS)]
    width, height = _SIZES[rng.integers(len(_SIZES))]
    canvas = new_canvas(rng, width, height)
    hands, united = draw_gesture(canvas, label, random_look(rng), rng)
    key = f"{rng.bytes(4).hex()}-{split}-{index:06d}"
    save_picture(root / "images" / label / f"{key}.jpg", photographed(canvas, rng))
    boxes = [(name, _fractions(box, width, height)) for name, box in hands]
    both = _fractions(united, width, height) if united else None
    return [label, key, row_of(label, boxes, both, f"{split}{index:08x}")]


def row_of(
    label: str, hands: Sequence[tuple[str, list[float]]], united: list[float] | None, user: str
) -> Record:
    """A picture's entry in the tables.

    Args:
        label: the picture's gesture.
        hands: label and box of each hand; a box is x, y, width, height in fractions.
        united: the box around both hands of a two-handed gesture.
        user: id of the person.
    """
    return {
        "bboxes": [box for _, box in hands],
        "labels": [name for name, _ in hands],
        "united_bbox": [united] if united else None,
        "united_label": [label] if united else None,
        "user_id": user,
        "hand_landmarks": [[] for _ in hands],
        "meta": {"age": [], "gender": [], "race": []},
    }


def _fractions(extent: Extent, width: int, height: int) -> list[float]:
    """x, y, width and height in fractions of the picture."""
    x1, y1, x2, y2 = inside(extent, width, height)
    return [x1 / width, y1 / height, (x2 - x1) / width, (y2 - y1) / height]


def write_tables(
    root: Path,
    records: Mapping[Split, Sequence[Record]],
    labels: Sequence[str] = _LABELS,
) -> None:
    """Write the tables of rows (label, key, entry), one for each of `labels`."""
    for split, rows in records.items():
        tables: dict[str, dict[str, Record]] = {label: {} for label in labels}
        for label, key, row in rows:
            tables[label][key] = row
        for label, table in tables.items():
            save_json(root / "annotations" / split / f"{label}.json", table)


LAYOUT = Layout(_draw, write_tables)
