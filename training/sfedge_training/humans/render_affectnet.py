"""Rendered AffectNet: portraits of synthetic people with an expression."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from sfedge.core.tasks import TASKS
from sfedge_training.data.sample import Split
from sfedge_training.drawings.body_parts import Layout, Record, inside, save_picture
from sfedge_training.drawings.draw_affectnet import picture_folder, write_tables
from sfedge_training.humans.body_pose import Stance, eyes_of, pose_person
from sfedge_training.humans.expressions import random_face
from sfedge_training.humans.rendered_people import (
    Crowd,
    face_extent,
    jpeg_quality,
    points_of,
    take,
    write_points,
)
from sfedge_training.humans.scenery import aimed_camera

_LABELS = TASKS["expression"].labels


def layout(crowd: Crowd) -> Layout:
    """How the portraits of a crowd are made."""
    return Layout(partial(_render, crowd), _write)


def _render(crowd: Crowd, root: Path, split: Split, index: int, rng: np.random.Generator) -> Record:
    label = index % len(_LABELS)
    ((_, figure),) = crowd.cast(split, 1, rng)
    stance = Stance(
        turn=float(rng.normal(0, 8)),
        lean=(float(rng.normal(0, 3)), float(rng.normal(0, 3))),
        head=(float(rng.normal(0, 11)), float(rng.normal(0, 7)), float(rng.normal(0, 6))),
        face=random_face(_LABELS[label], figure.library.expressions, rng),
    )
    target = rng.normal((0, -0.35, 0), (0.2, 0.25, 0)) + eyes_of(figure, stance)
    tall = float(rng.uniform(2.4, 4.5))
    camera = aimed_camera(target, tall, crowd.side, crowd.side, rng)
    # Most look at the camera, as far as their head lets them; the others straight ahead.
    if rng.random() < 0.7:
        stance = replace(stance, eyes=camera.place + rng.normal(0, 1.0, 3))
    person = pose_person(figure, stance, rng)
    image, shot = take([person], [], camera, rng)
    folder = ("made" if split == "train" else "held") + f"{index // 500:03d}"
    name = f"{folder}/{index:06d}.jpg"
    save_picture(picture_folder(root) / name, image, jpeg_quality(rng))
    x1, y1, x2, y2 = (
        np.round(inside(face_extent(person, camera), camera.width, camera.height))
        .astype(int)
        .tolist()
    )
    return [name, x1, y1, x2 - x1, y2 - y1, label], points_of(person, shot, name, 0)


def _write(root: Path, records: Mapping[Split, Sequence[Record]]) -> None:
    write_tables(root, {split: [row for row, _ in rows] for split, rows in records.items()})
    write_points(root, [points for rows in records.values() for _, points in rows])
