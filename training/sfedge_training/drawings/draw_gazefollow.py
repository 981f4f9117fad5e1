"""Drawn GazeFollow: people among things, each looking at one thing or at another's face."""

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from sfedge_training.data.sample import Split
from sfedge_training.drawings.background import new_canvas, photographed
from sfedge_training.drawings.body_parts import Layout, Record, save_picture
from sfedge_training.drawings.drawn_expressions import EXPRESSIONS, random_expression
from sfedge_training.drawings.face import eye_point
from sfedge_training.drawings.look import random_look
from sfedge_training.drawings.objects import draw_desk, draw_thing
from sfedge_training.drawings.person import Body, draw_person

_SIZES = ((256, 256), (288, 232), (232, 288))
_ANNOTATORS = 10
_APART = math.radians(35)  # least angle at the eye between the target and any other candidate
_SPREAD = 0.012  # of the annotators' clicks, in fractions of the picture
_TABLES: dict[Split, str] = {
    "train": "train_annotations_release.txt",
    "test": "test_annotations_release.txt",
}


@dataclass(frozen=True, slots=True, eq=False)
class _Scene:
    """Centres in pixels, and who looks at which of them (an index into heads, then things)."""

    unit: float  # half a head
    heads: NDArray[np.float64]  # (P, 2)
    things: NDArray[np.float64]  # (T, 2)
    targets: list[int]


def _draw(root: Path, split: Split, index: int, rng: np.random.Generator) -> Record:
    width, height = _SIZES[rng.integers(len(_SIZES))]
    canvas = new_canvas(rng, width, height)
    scene = _scene(rng, width, height)
    centres = np.concatenate([scene.heads, scene.things])
    people = []
    # From the top down: who stands lower is nearer, and no body hides a head.
    for person in np.argsort(scene.heads[:, 1]).tolist():
        (x, y), target = scene.heads[person], scene.targets[person]
        yaw, pitch = _sight(rng, centres[target] - (x, y))
        head = draw_person(
            canvas.pen.at(x, y, scene.unit),
            random_look(rng, is_child=bool(rng.random() < 0.15)),
            Body(has_legs=False),
            random_expression(rng, str(rng.choice([*EXPRESSIONS]))),
            yaw=yaw * rng.uniform(0.75, 1.0),
            pitch=pitch * rng.uniform(0.75, 1.0),
            gaze=(yaw, pitch),
        )
        people.append((head, target))
    for x, y in scene.things:
        pen = canvas.pen.at(x, y, scene.unit * rng.uniform(0.6, 0.8))
        if rng.random() < 0.5:
            draw_desk(pen.at(0, 1.0), 1.5, rng.uniform(0.5, 3), (128, 92, 60))
        draw_thing(pen, rng)
    folder = "train" if split == "train" else "test2"
    name = f"{folder}/{index // 1000:08d}/{index:08d}.jpg"
    save_picture(root / name, photographed(canvas, rng))
    rows = []
    for head, target in people:
        reach = np.array([head.half_width * 1.05, 1.05]) * head.pen.unit
        box = np.concatenate([head.pen.origin - reach, head.pen.origin + reach])
        clicks = _ANNOTATORS if split == "test" else 1
        points = centres[target] / (width, height) + rng.normal(0, _SPREAD, (clicks, 2))
        eye = np.divide(eye_point(head), (width, height))
        rows += [row_of(name, place, box, eye, point) for place, point in enumerate(points)]
    return rows


def _scene(rng: np.random.Generator, width: int, height: int) -> _Scene:
    """Places until every person has a target that nothing else could be mistaken for."""
    size = np.array([width, height], np.float64)
    while True:
        unit = min(width, height) * rng.uniform(0.115, 0.155)
        people, things = int(rng.choice([1, 1, 2, 2, 3])), int(rng.integers(2, 5))
        heads = rng.uniform((0.14, 0.2), (0.86, 0.6), (people, 2)) * size
        spots = rng.uniform((0.08, 0.1), (0.92, 0.92), (things, 2)) * size
        centres = np.concatenate([heads, spots])
        gaps = np.linalg.norm(centres[:, None] - centres[None], axis=2) / unit
        np.fill_diagonal(gaps, math.inf)
        if gaps[:people, :people].min() < 3.2 or gaps[:people, people:].min() < 2.1:
            continue
        if gaps.min() < 1.8:
            continue
        targets = [_target(rng, centres, person, people) for person in range(people)]
        if None not in targets:
            return _Scene(unit, heads, spots, [t for t in targets if t is not None])


def _target(
    rng: np.random.Generator, centres: NDArray[np.float64], person: int, people: int
) -> int | None:
    """Something that lies alone in its direction; faces are preferred one time in three."""
    away = centres - centres[person]
    angles = np.arctan2(away[:, 1], away[:, 0])
    others = [i for i in range(len(centres)) if i != person]
    clear = [
        i
        for i in others
        if all(
            abs(math.remainder(angles[i] - angles[j], 2 * math.pi)) > _APART
            for j in others
            if j != i
        )
    ]
    faces = [i for i in clear if i < people]
    chosen = faces if faces and rng.random() < 1 / 3 else clear
    return int(rng.choice(chosen)) if chosen else None


def _sight(rng: np.random.Generator, away: NDArray[np.float64]) -> tuple[float, float]:
    """Yaw and pitch of the line of sight to a point `away`, which lies a little in front."""
    across, down = float(away[0]), float(away[1])
    distance = math.hypot(across, down)
    towards = distance * rng.uniform(0.1, 0.5) + 0.45 * abs(down)
    whole = math.hypot(distance, towards)
    return math.atan2(across, towards), math.asin(down / whole)


def row_of(
    name: str,
    place: int,
    box: NDArray[np.float64],
    eye: NDArray[np.float64],
    point: NDArray[np.float64],
    *,
    is_inside: bool = True,
) -> list[str]:
    """Columns up to in/out; the body box, which no one uses, is the head's.

    Args:
        name: of the picture, from the dataset's folder.
        place: number of the row among the picture's.
        box: (4,) x1 y1 x2 y2 of the head in pixels.
        eye: (2,) in fractions.
        point: (2,) where it looks, in fractions.
        is_inside: whether that is in the frame.
    """
    gaze = np.clip(point, 0.0, 1.0)
    numbers = [*box, *eye, *gaze]
    texts = [f"{value:.6f}" for value in numbers[4:]]
    corners = [f"{value:.2f}" for value in box]
    return [name, str(place), *corners, *texts, *corners, str(int(is_inside))]


def write_tables(root: Path, records: Mapping[Split, Sequence[Record]]) -> None:
    """Seventeen columns for training; test rows have no in/out column."""
    root.mkdir(parents=True, exist_ok=True)
    for split, pictures in records.items():
        columns = None if split == "train" else -1
        with (root / _TABLES[split]).open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            for rows in pictures:
                table.writerows([*row[:columns], "drawn", "drawn"] for row in rows)


LAYOUT = Layout(_draw, write_tables)
