"""Rendered Ego4D "looking at me": pairs of synthetic people, some of whom look at the camera."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sfedge.core.structures import Image
from sfedge_training.data.sample import Split
from sfedge_training.drawings.body_parts import Layout, Record, inside, save_picture
from sfedge_training.drawings.canvas import Extent
from sfedge_training.drawings.draw_ego4d_lam import LISTS, clip_record, write_tables
from sfedge_training.humans.body_pose import Stance, eyes_of, pose_person
from sfedge_training.humans.expressions import RECIPES, random_face
from sfedge_training.humans.figure import Figure
from sfedge_training.humans.render_camera import Camera
from sfedge_training.humans.rendered_people import (
    Crowd,
    face_extent,
    jpeg_quality,
    points_of,
    take,
    write_points,
)
from sfedge_training.humans.scenery import aimed_camera
from sfedge_training.humans.sight import head_towards, past

_SHOTS, _PEOPLE = 4, 2
_STRAY = 1.2  # degrees by which a look at the camera misses it, one standard deviation
# Looks that pass the camera: just beside it, clearly, and far away; degrees.
_PAST = ((7.0, 15.0), (15.0, 35.0), (35.0, 70.0))


def layout(crowd: Crowd) -> Layout:
    """How the clips of a crowd are made."""
    return Layout(partial(_render, crowd), _write, samples=_SHOTS * _PEOPLE)


def _render(crowd: Crowd, root: Path, split: Split, index: int, rng: np.random.Generator) -> Record:
    """One clip of single frames, each a shot of its own."""
    clip = f"{LISTS[split]}-{index:05d}-{rng.bytes(4).hex()}"
    tracks: list[list[dict[str, Any]]] = [[] for _ in range(_PEOPLE)]
    segments, points = [], []
    for frame in range(1, _SHOTS + 1):
        looking = rng.permutation(_PEOPLE) < 1
        name = f"video_imgs/{clip}/img_{frame:05d}.jpg"
        figures = [figure for _, figure in crowd.cast(split, _PEOPLE, rng)]
        image, boxes, rows = _frame(figures, looking.tolist(), name, crowd.side, rng)
        save_picture(root / name, image, jpeg_quality(rng))
        points += rows
        for person, (x1, y1, x2, y2) in enumerate(boxes):
            box = {"x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1, "frame": frame}
            tracks[person].append({"track_id": f"{clip}_{frame}_{person}", "track": [box]})
            if looking[person]:
                segments.append((str(person + 1), frame, frame))
    return clip_record(clip, tracks, segments), points


def _frame(
    figures: Sequence[Figure],
    looking: Sequence[bool],
    name: str,
    side: int,
    rng: np.random.Generator,
) -> tuple[Image, list[Extent], list[Record]]:
    """A picture of two people whose faces are in it, their boxes and their landmarks."""
    size = round(1.5 * side), side
    while True:
        stances, camera = _stances(figures, looking, size, rng)
        people = [pose_person(*pair, rng) for pair in zip(figures, stances, strict=True)]
        whole = [face_extent(person, camera) for person in people]
        boxes = [inside(box, *size) for box in whole]
        if all(_area(cut) > 0.9 * _area(box) for cut, box in zip(boxes, whole, strict=True)):
            break
    image, shot = take(people, [], camera, rng)
    return image, boxes, [points_of(person, shot, name, i) for i, person in enumerate(people)]


def _stances(
    figures: Sequence[Figure],
    looking: Sequence[bool],
    size: tuple[int, int],
    rng: np.random.Generator,
) -> tuple[list[Stance], Camera]:
    """How people stand side by side before a camera, at which they look or past which."""
    tall = float(rng.uniform(3.6, 5.5))
    level = max(float(eyes_of(figure, Stance())[1]) for figure in figures)
    middle = np.array([0.0, level - tall * rng.uniform(0.0, 0.15), 0.0])
    camera = aimed_camera(middle, tall, *size, rng)
    stances = []
    for place, (figure, is_looking) in enumerate(zip(figures, looking, strict=True)):
        upright = Stance(
            turn=float(rng.normal(0, 14)), lean=(float(rng.normal(0, 4)), float(rng.normal(0, 4)))
        )
        # Both faces are about as high, whoever is taller: they stand on steps.
        lift = level + rng.normal(0, 0.25) - eyes_of(figure, upright)[1]
        aside = 1.2 * tall * ((place + 0.5) / _PEOPLE - 0.5 + rng.normal(0, 0.03))
        stance = replace(upright, place=np.array([aside, lift, rng.normal(0, 0.8)]))
        past_by = abs(rng.normal(0, _STRAY)) if is_looking else rng.uniform(*_PAST[rng.integers(3)])
        eyes = eyes_of(figure, stance)
        aim = past(eyes, camera.place, float(past_by), rng) - eyes
        stance = replace(stance, head=head_towards(aim, stance.turn, rng))
        # A turned head has its eyes elsewhere: the look begins there.
        eyes = eyes_of(figure, stance)
        if is_looking:
            aim = past(eyes, camera.place, float(past_by), rng) - eyes
        face = random_face(str(rng.choice([*RECIPES])), figure.library.expressions, rng)
        stances.append(replace(stance, eyes=eyes + aim, face=_open_eyed(face)))
    return stances, camera


def _area(box: Extent) -> float:
    x1, y1, x2, y2 = box
    return max(x2 - x1, 0.0) * max(y2 - y1, 0.0)


def _open_eyed(face: Mapping[str, float]) -> dict[str, float]:
    """The face without lids that hide the pupils."""
    return {name: min(w, 0.15) if "LidClosed" in name else w for name, w in face.items()}


def _write(root: Path, records: Mapping[Split, Sequence[Record]]) -> None:
    write_tables(root, {split: [clip for clip, _ in rows] for split, rows in records.items()})
    write_points(root, [row for rows in records.values() for _, points in rows for row in points])
