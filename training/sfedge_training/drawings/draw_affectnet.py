"""Drawn AffectNet: portraits with an expression, as whole pictures with CSV tables."""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from sfedge.core.tasks import TASKS
from sfedge_training.data.sample import Split
from sfedge_training.drawings.background import new_canvas, photographed
from sfedge_training.drawings.body_parts import Layout, Record, save_picture
from sfedge_training.drawings.drawn_expressions import random_expression
from sfedge_training.drawings.face import face_extent
from sfedge_training.drawings.look import random_look
from sfedge_training.drawings.person import Body, draw_person

_LABELS = TASKS["expression"].labels
_COLUMNS = (
    "subDirectory_filePath", "face_x", "face_y", "face_width", "face_height", "facial_landmarks",
    "expression", "valence", "arousal",
)  # fmt: skip
_TABLES: dict[Split, str] = {"train": "training.csv", "test": "validation.csv"}


def _draw(root: Path, split: Split, index: int, rng: np.random.Generator) -> Record:
    label = index % len(_LABELS)
    side = int(rng.choice([160, 176, 192]))
    canvas = new_canvas(rng, side, side)
    unit = side * rng.uniform(0.24, 0.34)
    x, y = side * rng.uniform(0.42, 0.58), side * rng.uniform(0.40, 0.52)
    look = random_look(rng, is_child=bool(rng.random() < 0.1))
    head = draw_person(
        canvas.pen.at(x, y, unit),
        look,
        Body(has_legs=False),
        random_expression(rng, _LABELS[label]),
        yaw=rng.normal(0, 0.22),
        pitch=rng.normal(0, 0.12),
        turn=rng.normal(0, 0.12),
    )
    folder = ("drawn" if split == "train" else "held") + f"{index // 500:03d}"
    name = f"{folder}/{index:06d}.jpg"
    save_picture(picture_folder(root) / name, photographed(canvas, rng))
    x1, y1, x2, y2 = np.round(face_extent(head)).astype(int).tolist()
    return [name, x1, y1, x2 - x1, y2 - y1, label]


def picture_folder(root: Path) -> Path:
    """Where AffectNet's whole pictures lie."""
    return root / "Manually_Annotated" / "Manually_Annotated_Images"


def write_tables(root: Path, records: Mapping[Split, Sequence[Record]]) -> None:
    """Write the tables of rows (name, x, y, width, height, label).

    Landmarks, valence and arousal have no truth in a made picture: none, and 0.
    """
    folder = root / "Manually_Annotated_file_lists"
    folder.mkdir(parents=True, exist_ok=True)
    for split, rows in records.items():
        with (folder / _TABLES[split]).open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(_COLUMNS)
            for name, x, y, width, height, label in rows:
                table.writerow([name, x, y, width, height, "", label, 0, 0])


LAYOUT = Layout(_draw, write_tables)
