"""Rendered GazeFollow: synthetic people who look at things, at each other, or out of the frame."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from sfedge_training.data.sample import Split
from sfedge_training.drawings.body_parts import Layout, Record, save_picture
from sfedge_training.drawings.draw_gazefollow import row_of, write_tables
from sfedge_training.humans.body_pose import Person, Stance, eye_centre, eyes_of, pose_person
from sfedge_training.humans.expressions import RECIPES, random_face
from sfedge_training.humans.figure import Figure
from sfedge_training.humans.hand_poses import SIDES
from sfedge_training.humans.idle_hands import idle_hold
from sfedge_training.humans.render_camera import Camera, Shot, Solid
from sfedge_training.humans.rendered_people import (
    Crowd,
    head_extent,
    jpeg_quality,
    points_of,
    take,
    write_points,
)
from sfedge_training.humans.scenery import THINGS, aimed_camera
from sfedge_training.humans.sight import angles, head_towards
from sfedge_training.humans.skeleton import Vector

_ANNOTATORS = 10
_SPREAD = 0.012  # of the annotators' clicks, in fractions of the picture
_OUTSIDE = 0.2  # of the training people look out of the frame
_SHAPES = ((1.0, 1.0), (4 / 3, 1.0), (1.0, 4 / 3))
_MOST = 100.0  # degrees from the front that people turn to look


def layout(crowd: Crowd) -> Layout:
    """How the scenes of a crowd are made."""
    return Layout(partial(_render, crowd), _write)


def _render(crowd: Crowd, root: Path, split: Split, index: int, rng: np.random.Generator) -> Record:
    across, down = _SHAPES[rng.integers(len(_SHAPES))]
    size = round(crowd.side * across), round(crowd.side * down)
    folder = "train" if split == "train" else "test2"
    name = f"{folder}/{index // 1000:08d}/{index:08d}.jpg"
    figures = [figure for _, figure in crowd.cast(split, int(rng.choice([1, 2, 2])), rng)]
    while True:
        people, things, camera, targets = _scene(figures, size, rng, is_test=split == "test")
        image, shot = take(people, things, camera, rng)
        if _are_seen(targets, shot):
            break
    save_picture(root / name, image, jpeg_quality(rng))
    rows: list[list[str]] = []
    for person, (target, _) in zip(people, targets, strict=True):
        box = np.array(head_extent(person, camera))
        eye = camera.project(eye_centre(person.figure, person.pose)[None])[0, :2]
        point = camera.project(target[None])[0, :2]
        is_inside = bool((point > 0).all() and (point < 1).all())
        clicks = _ANNOTATORS if split == "test" else 1
        for click in point + rng.normal(0, _SPREAD, (clicks, 2)):
            rows.append(row_of(name, len(rows), box, eye, click, is_inside=is_inside))
    return rows, [points_of(person, shot, name, i) for i, person in enumerate(people)]


def _scene(
    figures: Sequence[Figure], size: tuple[int, int], rng: np.random.Generator, *, is_test: bool
) -> tuple[list[Person], list[Solid], Camera, list[tuple[Vector, float]]]:
    """People who each look at a target with its reach, decimetres; negative: out of the frame."""
    width, height = size
    tall = float(rng.uniform(9, 20))
    wide = tall * width / height
    stances = []
    for place in range(len(figures)):
        aside = wide * ((place + 0.5) / len(figures) - 0.5 + rng.normal(0, 0.06))
        spot = np.array([aside, rng.normal(0, 0.4), rng.uniform(-4, 2)])
        stances.append(Stance(place=spot))
    eyes = [eyes_of(figure, stance) for figure, stance in zip(figures, stances, strict=True)]
    middle = np.array([0.0, np.mean([e[1] for e in eyes]) - tall * rng.uniform(0.05, 0.25), 0.0])
    camera = aimed_camera(middle, tall, width, height, rng)
    places = _thing_places(eyes, middle, tall, wide, rng)
    sizes = rng.uniform(0.45, 0.9, len(places)) * tall / 12
    things = [
        THINGS[rng.integers(len(THINGS))](place, float(reach), rng)
        for place, reach in zip(places, sizes, strict=True)
    ]
    marks = [*zip(places, sizes.tolist(), strict=True), *((eye, 1.0) for eye in eyes)]
    chosen = [
        _target(person, eye, marks, len(places), camera, rng, is_test=is_test)
        for person, eye in enumerate(eyes)
    ]
    for person, (figure, eye, (target, _, _)) in enumerate(zip(figures, eyes, chosen, strict=True)):
        left, _ = angles(target - eye)
        turn = float(np.clip(left * rng.uniform(0.2, 0.8) + rng.normal(0, 8), -80, 80))
        stances[person] = Stance(
            place=stances[person].place,
            turn=turn,
            lean=(float(rng.normal(2, 4)), float(rng.normal(0, 3))),
            head=head_towards(target - eye, turn, rng),
            face=random_face(str(rng.choice([*RECIPES])), figure.library.expressions, rng),
            holds={side: idle_hold(rng) for side in SIDES if rng.random() < 0.3},
        )
    # Who turns has the head elsewhere: those who look at a face look at where it is now.
    eyes = [eyes_of(figure, stance) for figure, stance in zip(figures, stances, strict=True)]
    targets = [(target if seen is None else eyes[seen], reach) for target, reach, seen in chosen]
    people = [
        pose_person(figure, replace(stance, eyes=target), rng)
        for figure, stance, (target, _) in zip(figures, stances, targets, strict=True)
    ]
    return people, things, camera, targets


def _thing_places(
    eyes: Sequence[Vector], middle: Vector, tall: float, wide: float, rng: np.random.Generator
) -> list[Vector]:
    """Places in the picture that are not too near to a head, nor to each other."""
    found: list[Vector] = []
    for _ in range(int(rng.integers(2, 5)) * 4):
        x, y = rng.uniform(-0.45, 0.45, 2) * (wide, tall)
        spot = middle + np.array([x, y, rng.uniform(-2, 5)])
        apart = [float(np.linalg.norm(spot[:2] - other[:2])) for other in (*eyes, *found)]
        if min(apart) > 0.2 * tall and len(found) < 4:
            found.append(spot)
    return found or [middle + np.array([0.4 * wide, -0.4 * tall, 3.0])]


def _target(
    person: int,
    eye: Vector,
    marks: Sequence[tuple[Vector, float]],
    things: int,
    camera: Camera,
    rng: np.random.Generator,
    *,
    is_test: bool,
) -> tuple[Vector, float, int | None]:
    """What somebody looks at: a thing, another's face, or a point out of the frame.

    Returns:
        Where it is, its reach in decimetres, negative out of the frame, and whose face it is.
    """
    if not is_test and rng.random() < _OUTSIDE:
        while True:
            left, up = rng.uniform(-80, 80), rng.normal(-5, 18)
            aim = np.radians((left, up))
            away = np.array([np.sin(aim[0]), np.tan(aim[1]), np.cos(aim[0])])
            target = eye + rng.uniform(8, 40) * away
            x, y, _ = camera.project(target[None])[0]
            behind = camera.seen(target[None])[0, 2] > -1
            if not behind and not (-0.05 < x < 1.05 and -0.05 < y < 1.05):
                return target, -1.0, None
    others = [i for i in range(len(marks)) if i != things + person]
    ahead = [i for i in others if abs(angles(marks[i][0] - eye)[0]) < _MOST] or others
    faces = [i for i in ahead if i >= things]
    chosen = faces if faces and rng.random() < 1 / 3 else ahead
    mark = int(rng.choice(chosen))
    return *marks[mark], mark - things if mark >= things else None


def _are_seen(targets: Sequence[tuple[Vector, float]], shot: Shot) -> bool:
    """Whether every target in the frame is there and not behind something."""
    wanted = [(place, reach) for place, reach in targets if reach > 0]
    return all(shot.is_seen(place[None], 1.3 * reach)[0] for place, reach in wanted)


def _write(root: Path, records: Mapping[Split, Sequence[Record]]) -> None:
    write_tables(root, {split: [rows for rows, _ in found] for split, found in records.items()})
    write_points(root, [row for found in records.values() for _, points in found for row in points])
