"""Renders the pictures of `sfedge/diagnostics/known_answers`, whose answers are known.

Run: python -m sfedge_training.humans.known_answer_pictures HUMANS FOLDER
where HUMANS holds MakeHuman's data (docs/humans.md). One person to a picture, seen exactly from the
front; the same data give the same bytes.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import cv2
import numpy as np

from sfedge.core.structures import Image
from sfedge_training.drawings.body_parts import save_picture
from sfedge_training.humans.body_pose import Person, Stance, eyes_of, pose_person
from sfedge_training.humans.figure import known_figure
from sfedge_training.humans.gestures import Hold
from sfedge_training.humans.hand_poses import Side
from sfedge_training.humans.materials import dye, paint_eyes
from sfedge_training.humans.render_camera import Camera, Light, shoot
from sfedge_training.humans.skeleton import Vector, about, unit

SAME_IN_MIRROR = ("expression", "gesture", "looking_at_me")  # tasks whose labels have no side
SEED = 20  # of the crowd that people are taken from
_SIDE = 352  # pixels
_QUALITY = 84
_FOCAL = 1.9
_FACE, _HALF = 4.0, 7.6  # decimetres of the world in a picture's height: of a face, with a hand
_BELOW = 0.06  # of a picture's height: how much lower than the eyes the camera is
_PALM = Hold("palm", loose=0.0, spread=0.0, vary=0.0, place=(0.1, 0.14, 0.45))
_LIGHT = Light(unit((0.35, 0.5, 1.0)), np.full(3, 1.05), np.full(3, 0.55))


@dataclass(frozen=True, slots=True)
class Pose:
    """A picture: who it shows, and how. Degrees; left and right are the person's own."""

    who: int  # number in the crowd
    left: float = 0.0  # by which the head is turned
    up: float = 0.0
    eyes: float = 0.0  # to the left, in the head
    eyes_up: float = 0.0  # likewise
    hand: Side | None = None  # that shows its palm

    @property
    def is_straight(self) -> bool:
        """Whether the person looks into the camera."""
        return self.left == self.up == self.eyes == self.eyes_up == 0


# A slow model is asked about the first ones only.
POSES: Mapping[str, Pose] = {
    "straight-1": Pose(0),
    "head-left-1": Pose(14, left=32),
    "head-right-1": Pose(15, left=-32),
    "palm-left-1": Pose(10, hand="left"),
    "palm-right-1": Pose(12, hand="right"),
    "eyes-left": Pose(8, eyes=32),
    "eyes-right": Pose(9, eyes=-32),
    # The eyes go with the head, so that anybody sees that they don't meet the camera.
    "head-up": Pose(6, up=24, eyes_up=18),
    "head-down": Pose(7, up=-24, eyes_up=-18),
    "straight-2": Pose(1),
    "head-left-2": Pose(3, left=26),
    "head-right-2": Pose(5, left=-26),
    "palm-left-2": Pose(11, hand="left"),
    "palm-right-2": Pose(13, hand="right"),
}


def truth_of(pose: Pose) -> dict[str, Any]:
    """What is true of a picture, as `sfedge/diagnostics/known_answers/answers.json` has it.

    Directions are those in the picture: `right` and `down` are positive. Who turns to the own left
    turns to the right of the picture.
    """
    labels = {"looking_at_me": "looking" if pose.is_straight else "not_looking"}
    if pose.hand is not None:
        labels["gesture"] = "palm"
    return {
        "head": [int(np.sign(pose.left)), -int(np.sign(pose.up))],
        "eyes": int(np.sign(pose.eyes)),
        "hand": pose.hand,
        "labels": labels,
    }


def pose_of(humans: Path, pose: Pose) -> tuple[Person, Camera]:
    """Who is seen in a pose, and the camera.

    Args:
        humans: MakeHuman's data.
        pose: which.

    Raises:
        DataError: the data are not there.
    """
    rng = np.random.default_rng([SEED, pose.who])
    figure = known_figure(humans, SEED, pose.who)
    dye(figure.sheet, figure.hair, rng)
    paint_eyes(figure.sheet, humans, rng)
    head = (pose.left, pose.up, 0.0)
    eyes = eyes_of(figure, Stance(head=head))
    camera = _camera(eyes, pose.hand)
    towards = camera.place - eyes if pose.is_straight else _ahead(pose) * 20
    holds = {} if pose.hand is None else {pose.hand: _PALM}
    return pose_person(figure, Stance(head=head, eyes=eyes + towards, holds=holds), rng), camera


def render(humans: Path, pose: Pose) -> Image:
    """The picture of a pose, (352, 352, 3) RGB; arguments and errors as of `pose_of`."""
    person, camera = pose_of(humans, pose)
    wall = _wall(np.random.default_rng([SEED, pose.who, 1]))
    return shoot([person.solid], camera, _LIGHT, wall).image


def write_known_answers(humans: Path, folder: Path) -> None:
    """Write all pictures, and `answers.json` with what is true of them.

    Args:
        humans: MakeHuman's data.
        folder: is made where it is not there; files of the same names are replaced.

    Raises:
        DataError: the data are not there.
    """
    for name, pose in POSES.items():
        save_picture(folder / f"{name}.jpg", render(humans, pose), _QUALITY)
    rows = [f'  "{name}.jpg": {json.dumps(truth_of(pose))}' for name, pose in POSES.items()]
    text = ",\n".join(rows)
    same = json.dumps(SAME_IN_MIRROR)
    (folder / "answers.json").write_text(
        f'{{\n "same_in_mirror": {same},\n "pictures": {{\n{text}\n }}\n}}\n', encoding="utf-8"
    )


def _ahead(pose: Pose) -> Vector:
    """Where the eyes look, from them: (3,) to the person's left, up, and to the front."""
    left = about((0, 1, 0), pose.left + pose.eyes)
    return np.asarray(left @ about((-1, 0, 0), pose.up + pose.eyes_up) @ (0, 0, 1))


def _camera(eyes: Vector, hand: Side | None) -> Camera:
    """Exactly before the person, nearly as high as the eyes."""
    tall = _FACE if hand is None else _HALF
    middle = np.array([0.0, eyes[1] - _BELOW * tall, 0.0])
    place = middle + np.array([0.0, 0.0, tall * _FOCAL])
    return Camera(place, np.eye(3), _FOCAL, _SIDE, _SIDE)


def _wall(rng: np.random.Generator) -> Image:
    """A plain wall, which takes few bytes."""
    corners = rng.uniform(90, 190, 3) + rng.uniform(-25, 25, (2, 2, 1))
    wide = cv2.resize(corners, (_SIDE, _SIDE), interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.clip(wide, 0, 255), np.uint8)


@click.command()
@click.argument("humans", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def main(humans: Path, folder: Path) -> None:
    """Write the pictures with known answers to FOLDER."""
    write_known_answers(humans, folder)


if __name__ == "__main__":
    main()
