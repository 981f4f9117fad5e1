"""Exact landmarks of a rendered person, in the order of MediaPipe's hand and pose networks."""

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from sfedge.core.landmarks import BODY_POINTS, HAND_POINTS
from sfedge_training.humans.body_pose import Person
from sfedge_training.humans.figure import Figure
from sfedge_training.humans.hand_poses import SIDES, Side
from sfedge_training.humans.makehuman import Floats
from sfedge_training.humans.render_camera import Camera, Shot
from sfedge_training.humans.skeleton import Vector

_FINGER_FLESH = 0.3  # decimetres of flesh over a finger's joint
_BODY_FLESH = 1.4  # and over a shoulder's or a hip's
_EYE = 0.17  # from an eye's middle to its corners
_SUFFIX = {"left": "L", "right": "R"}

# The pose network's points beside the head's: which end of which bone.
_BODY = (
    ("upperarm01", 11), ("lowerarm01", 13), ("wrist", 15), ("finger5-1", 17), ("finger2-1", 19),
    ("finger1-2", 21), ("upperleg01", 23), ("lowerleg01", 25), ("foot", 27),
)  # fmt: skip
_NOSE, _EYES, _EARS, _MOUTH, _HEELS, _TOES = 0, (1, 4), 7, 9, 29, 31


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """Landmarks of one person, x and y in fractions of the picture, which they may leave."""

    left_hand: Floats  # (21, 3), depth in the picture's widths, less is nearer, 0 at the wrist
    right_hand: Floats
    seen: tuple[float, float]  # share of the left and the right hand's points that are not hidden
    body: Floats  # (33, 3), visibility: 1 in the picture and not behind something, else 0


def landmarks_of(person: Person, shot: Shot) -> Points:
    """The landmarks of a person in a picture that has been taken."""
    hands = {side: hand_joints(person, side) for side in SIDES}
    body = body_joints(person)
    places = shot.camera.project(body)
    visible = shot.is_seen(body, _BODY_FLESH)
    left, right = (_in_picture(hands[side], shot.camera) for side in SIDES)
    shares = [float(shot.is_seen(hands[side], _FINGER_FLESH).mean()) for side in SIDES]
    return Points(
        left, right, (shares[0], shares[1]),
        np.column_stack([places[:, :2], visible]).astype(np.float32),
    )  # fmt: skip


def hand_joints(person: Person, side: Side) -> NDArray[np.float64]:
    """(21, 3) the wrist, and of each finger from the thumb its three joints and its tip."""
    bone, end, pose = person.figure.library.bone, _SUFFIX[side], person.pose
    joints = np.empty((HAND_POINTS, 3))
    joints[0] = pose.heads[bone(f"wrist.{end}")]
    for finger in range(5):
        bones = [bone(f"finger{finger + 1}-{joint}.{end}") for joint in (1, 2, 3)]
        start = 1 + 4 * finger
        joints[start : start + 3] = pose.heads[bones]
        joints[start + 3] = pose.tails[bones[-1]]
    return joints


def body_joints(person: Person) -> NDArray[np.float64]:
    """(33, 3) the points of the pose network."""
    figure, pose = person.figure, person.pose
    bone = figure.library.bone
    joints = np.empty((BODY_POINTS, 3))
    joints[_NOSE] = pose.tails[bone("special03")]
    head, across = bone("head"), pose.rotations[bone("head")][:, 0]
    for place, side in enumerate(SIDES):
        end, outward = _SUFFIX[side], (1 if side == "left" else -1)
        eye = pose.heads[bone(f"eye.{end}")]
        for step in range(3):  # from the nose outward
            joints[_EYES[place] + step] = eye + (step - 1) * outward * _EYE * across
        ear = _ear(figure, outward) - figure.heads[head]
        joints[_EARS + place] = pose.heads[head] + pose.rotations[head] @ ear
        joints[_MOUTH + place] = pose.tails[bone(f"levator05.{end}")]
        for name, index in _BODY:
            joints[index + place] = pose.heads[bone(f"{name}.{end}")]
        foot = bone(f"foot.{end}")
        heel = np.array([0.0, -0.6, -0.35])
        joints[_HEELS + place] = pose.heads[foot] + pose.rotations[foot] @ heel
        joints[_TOES + place] = pose.tails[bone(f"toe2-1.{end}")]
    return joints


@functools.cache
def _ear(figure: Figure, outward: int) -> Vector:
    """(3,) the outermost point of the head between eyes and mouth, at rest."""
    body, bone = figure.body, figure.library.bone
    top = figure.heads[bone("eye.L"), 1] + 0.1
    bottom = figure.tails[bone("special03"), 1] - 0.25
    moved = figure.library.weights[:, bone("head")] > 0.5
    near = moved & (body[:, 1] < top) & (body[:, 1] > bottom) & _is_skin(figure)
    if not near.any():
        return np.asarray(figure.heads[bone("head")], np.float64)
    places = body[near]
    return np.asarray(places[np.argmax(outward * places[:, 0])], np.float64)


def _is_skin(figure: Figure) -> NDArray[np.bool_]:
    """(V,) the body's vertices that belong to a face, not to a helper."""
    found = np.zeros(len(figure.body), bool)
    found[figure.library.body.corners.ravel()] = True
    return found


def _in_picture(joints: NDArray[np.float64], camera: Camera) -> Floats:
    places = camera.project(joints)
    unit = places[0, 2] / camera.focal * camera.width / camera.height  # of one width, decimetres
    depth = (places[:, 2] - places[0, 2]) / unit
    found: Floats = np.column_stack([places[:, :2], depth]).astype(np.float32)
    return found
