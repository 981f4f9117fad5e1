"""Rendered HaGRIDv2: synthetic people who show one of 33 gestures, or none."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from sfedge.core.tasks import NO_GESTURE, TASKS
from sfedge_training.data.sample import Split
from sfedge_training.drawings.body_parts import Layout, Record, save_picture
from sfedge_training.drawings.draw_hagrid import row_of, write_tables
from sfedge_training.humans.body_pose import Person, Stance, eye_centre, pose_person
from sfedge_training.humans.expressions import RECIPES, random_face
from sfedge_training.humans.gestures import GESTURES, Hold
from sfedge_training.humans.hand_poses import SIDES, Side
from sfedge_training.humans.idle_hands import idle_hold, idle_pair
from sfedge_training.humans.landmark_points import hand_joints
from sfedge_training.humans.render_camera import Camera
from sfedge_training.humans.rendered_people import (
    Crowd,
    jpeg_quality,
    points_of,
    take,
    write_points,
)
from sfedge_training.humans.scenery import aimed_camera, stepped_back

LABELS = (*TASKS["gesture"].labels, *[NO_GESTURE] * 3)  # as often as three gestures
_SHAPES = ((1.0, 1.0), (1.0, 4 / 3), (4 / 3, 1.0))
_FLESH = 0.18  # decimetres around a finger's joints


def layout(crowd: Crowd) -> Layout:
    """How the pictures of a crowd are made."""
    return Layout(partial(_render, crowd), _write)


def holds_of(label: str, rng: np.random.Generator) -> dict[Side, Hold]:
    """How both hands are held by somebody who makes a gesture; one that hangs is left out."""
    leading, other = SIDES if rng.random() < 0.5 else SIDES[::-1]
    if label == NO_GESTURE:
        first, second = idle_pair(rng)
        return {leading: first, other: second}
    ways = GESTURES[label].ways
    holds = dict(zip((leading, other), ways[int(rng.integers(len(ways)))], strict=False))
    if len(holds) == 1 and rng.random() < 0.3:
        holds[other] = idle_hold(rng)
    return holds


def _render(crowd: Crowd, root: Path, split: Split, index: int, rng: np.random.Generator) -> Record:
    label = LABELS[index % len(LABELS)]
    ((number, figure),) = crowd.cast(split, 1, rng)
    holds = holds_of(label, rng)
    stance = Stance(
        turn=float(rng.normal(0, 8)),
        lean=(float(rng.normal(0, 4)), float(rng.normal(0, 3))),
        head=(float(rng.normal(0, 12)), float(rng.normal(0, 6)), float(rng.normal(0, 5))),
        eyes=np.array([0, 6, 20.0]) + rng.normal(0, 3, 3),
        face=random_face(str(rng.choice([*RECIPES])), figure.library.expressions, rng),
        holds=holds,
    )
    person = pose_person(figure, stance, rng)
    across, down = _SHAPES[rng.integers(len(_SHAPES))]
    gesturing = [side for side in holds if label == NO_GESTURE or side in _leading(label, holds)]
    camera = _camera(person, gesturing, round(crowd.side * across), round(crowd.side * down), rng)
    image, shot = take([person], [], camera, rng)
    key = f"{rng.bytes(4).hex()}-{split}-{index:06d}"
    name = f"images/{label}/{key}.jpg"
    save_picture(root / name, image, jpeg_quality(rng))
    points = points_of(person, shot, name, 0)
    seen = dict(zip(SIDES, points[2].seen, strict=True))
    hands = [
        (label if side in gesturing else NO_GESTURE, hand_box(person, side, camera))
        for side in SIDES
        if side in gesturing or seen[side] > 0.5
    ]
    united = None
    if label in GESTURES and GESTURES[label].is_united:
        boxes = np.array([box for _, box in hands])
        low, high = boxes[:, :2].min(axis=0), (boxes[:, :2] + boxes[:, 2:]).max(axis=0)
        united = [*low.tolist(), *(high - low).tolist()]
    return [label, key, row_of(label, hands, united, f"{split}{number:08x}")], points


def _leading(label: str, holds: Mapping[Side, Hold]) -> list[Side]:
    """The hands that make the gesture: they come first."""
    return [*holds][: len(GESTURES[label].ways[0])]


def hand_box(person: Person, side: Side, camera: Camera) -> list[float]:
    """The box around a hand: x, y, width and height in fractions, cut at the picture's edge."""
    places = camera.project(hand_joints(person, side))
    flesh = _FLESH * camera.focal / max(float(places[0, 2]), 1e-3)
    reach = np.array([flesh * camera.height / camera.width, flesh])
    low = np.clip(places[:, :2].min(axis=0) - reach, 0, 1)
    high = np.clip(places[:, :2].max(axis=0) + reach, 0, 1)
    return [*low.tolist(), *(high - low).tolist()]


def _camera(
    person: Person, sides: Sequence[Side], width: int, height: int, rng: np.random.Generator
) -> Camera:
    """Head and hands are in the picture, mostly with much around them."""
    eyes = eye_centre(person.figure, person.pose)
    parts = [eyes + np.array([(-0.9, 1.4, 0), (0.9, -1.6, 0)])]
    parts += [hand_joints(person, side) for side in sides]
    points = np.concatenate(parts)
    low, high = points.min(axis=0), points.max(axis=0)
    needed = max(float(high[1] - low[1]) + 0.8, (float(high[0] - low[0]) + 0.8) * height / width)
    tall = max(needed * 1.08, float(rng.uniform(4.5, 11.0)))
    middle = (low + high) / 2
    slack = np.array([tall * width / height - (high[0] - low[0]), tall - (high[1] - low[1])]) / 2
    middle[:2] += rng.uniform(-0.55, 0.55, 2) * np.maximum(slack - 0.4, 0)
    middle[2] = max(middle[2], eyes[2])
    return stepped_back(aimed_camera(middle, tall, width, height, rng), middle, points)


def _write(root: Path, records: Mapping[Split, Sequence[Record]]) -> None:
    rows = {split: [row for row, _ in of_split] for split, of_split in records.items()}
    write_tables(root, rows, list(dict.fromkeys(LABELS)))
    write_points(root, [points for of_split in records.values() for _, points in of_split])
