"""Who stands before the camera: the people of a split, dyed anew for every picture."""

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sfedge.core.structures import Image
from sfedge_training.data.sample import Split
from sfedge_training.drawings.body_parts import Record
from sfedge_training.drawings.canvas import Extent
from sfedge_training.humans.body_pose import Person, eye_centre
from sfedge_training.humans.figure import Figure, known_figure
from sfedge_training.humans.landmark_points import Points, landmarks_of
from sfedge_training.humans.makehuman import Floats
from sfedge_training.humans.materials import dye, paint_eyes
from sfedge_training.humans.render_camera import Camera, Shot, Solid, shoot
from sfedge_training.humans.scenery import background, photographed, random_light

_PORTIONS: Mapping[Split, float] = {"train": 1.0, "val": 0.25, "test": 0.25}


@dataclass(frozen=True, slots=True)
class Crowd:
    """The people that may be seen; those of the three splits are different ones."""

    folder: Path  # MakeHuman's data
    seed: int
    people: int  # in the training split; the others have a quarter
    side: int  # pixels of a picture's shorter side, about

    def cast(self, split: Split, count: int, rng: np.random.Generator) -> list[tuple[int, Figure]]:
        """Some people of a split with their numbers, in new colours."""
        known = max(round(self.people * _PORTIONS[split]), count)
        seed = zlib.crc32(f"{self.seed}/{split}".encode())
        places = rng.choice(known, count, replace=False).tolist()
        found = [(place, known_figure(self.folder, seed, place)) for place in places]
        for _, figure in found:
            dye(figure.sheet, figure.hair, rng)
            paint_eyes(figure.sheet, self.folder, rng)
        return found


def take(
    people: Sequence[Person], things: Sequence[Solid], camera: Camera, rng: np.random.Generator
) -> tuple[Image, Shot]:
    """The photograph of people and things, and the shot before the photograph's flaws."""
    behind = background(rng, camera.width, camera.height)
    solids = [*things, *(person.solid for person in people)]
    shot = shoot(solids, camera, random_light(rng), behind)
    return photographed(shot.image, rng), shot


def jpeg_quality(rng: np.random.Generator) -> int:
    """Most pictures are good, some have been through much."""
    return int(rng.integers(90, 97) if rng.random() < 0.7 else rng.integers(45, 90))


def face_extent(person: Person, camera: Camera) -> Extent:
    """The box around a face, forehead to chin, in pixels."""
    return _extent(person, camera, top=0.62, aside=0.66)


def head_extent(person: Person, camera: Camera) -> Extent:
    """The box around a head with its hair, in pixels."""
    return _extent(person, camera, top=1.25, aside=0.95)


def _extent(person: Person, camera: Camera, *, top: float, aside: float) -> Extent:
    bone, pose = person.figure.library.bone, person.pose
    axes = pose.rotations[bone("head")]
    eyes, chin = eye_centre(person.figure, pose), pose.tails[bone("jaw")]
    across, up, front = axes.T
    points = [chin, chin - 0.1 * up, eyes + top * up, eyes + 0.45 * front]
    for middle in (eyes, (eyes + chin) / 2):
        points += [middle - 0.3 * front + sign * aside * across for sign in (-1, 1)]
    if top > 1:  # the back of the head
        points += [eyes - 1.45 * front, eyes - 1.0 * front + 0.8 * top * up]
    places = camera.project(np.array(points))[:, :2] * (camera.width, camera.height)
    (x1, y1), (x2, y2) = places.min(axis=0), places.max(axis=0)
    return float(x1), float(y1), float(x2), float(y2)


def points_of(person: Person, shot: Shot, name: str, place: int) -> Record:
    """The landmarks of the `place`-th person of the picture `name`, for `write_points`."""
    return name, place, landmarks_of(person, shot)


def write_points(root: Path, rows: Sequence[tuple[str, int, Points]]) -> None:
    """Write `landmarks.npz`: whose they are, and what `Points` holds, a row for each person."""
    np.savez_compressed(
        root / "landmarks.npz",
        picture=np.array([name for name, _, _ in rows]),
        person=np.array([place for _, place, _ in rows], np.int32),
        left_hand=_stacked([points.left_hand for _, _, points in rows]),
        right_hand=_stacked([points.right_hand for _, _, points in rows]),
        hands_seen=np.array([points.seen for _, _, points in rows], np.float32),
        body=_stacked([points.body for _, _, points in rows]),
    )


def _stacked(parts: Sequence[Floats]) -> Floats:
    stacked: Floats = np.stack(parts).astype(np.float32)
    return stacked
