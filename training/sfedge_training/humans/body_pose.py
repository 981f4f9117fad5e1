"""A whole person in a pose: trunk, head, face, eyes, arms and hands."""

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from sfedge_training.humans.arms import HandPlace, lift_shoulder, place_hand
from sfedge_training.humans.figure import Figure, Library
from sfedge_training.humans.gestures import SHAPES, Aim, Hold
from sfedge_training.humans.hand_poses import SIDES, Side, finger_tip, hand_rotation, varied
from sfedge_training.humans.makehuman import Floats
from sfedge_training.humans.render_camera import Solid
from sfedge_training.humans.skeleton import (
    Posed,
    Posture,
    Vector,
    about,
    cross,
    posed,
    rotations,
    shortest,
    skinned,
    unit,
)

_NECK = (("neck01", 0.15), ("neck02", 0.15), ("neck03", 0.2), ("head", 0.5))
_TRUNK = (("spine04", 0.35), ("spine03", 0.35), ("spine02", 0.3))
_MOST = 38.0  # degrees that eyes turn in the head


@dataclass(frozen=True, slots=True, eq=False)
class Stance:
    """How a person stands and looks. Degrees; left and right are the person's own."""

    place: Vector = field(default_factory=lambda: np.zeros(3))  # of the feet's middle, decimetres
    turn: float = 0.0  # of the whole body to the left
    lean: tuple[float, float] = (0.0, 0.0)  # of the trunk: forward, to the left
    head: tuple[float, float, float] = (0.0, 0.0, 0.0)  # to the left, up, tilted to the left
    eyes: Vector | None = None  # the point they look at; None: straight ahead
    face: Mapping[str, float] = field(default_factory=dict)  # weights of action units
    holds: Mapping[Side, Hold] = field(default_factory=dict)  # a hand that has none hangs down


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """A figure in its pose."""

    figure: Figure
    pose: Posed
    solid: Solid


def pose_person(figure: Figure, stance: Stance, rng: np.random.Generator) -> Person:
    """Pose a figure.

    Args:
        figure: who.
        stance: how.
        rng: decides how hands differ from their definition.
    """
    posture = _upright(figure, stance)
    holds = {side: stance.holds.get(side) or _hanging(rng) for side in SIDES}
    for side, hold in holds.items():
        lift_shoulder(posture, figure, side, 14 * float(np.clip(hold.place[1] * 3, 0, 1)))
    trunk = posed(figure, posture)
    _show_face(posture, figure, trunk, stance)
    for side, hold in holds.items():
        place_hand(posture, figure, trunk, side, _hand_place(figure, trunk, side, hold, rng))
    pose = posed(figure, posture)
    vertices = skinned(figure, pose, _with_expression(figure, stance.face))
    solid = Solid(
        np.take(vertices, figure.source, axis=0),
        np.take(figure.surface.normals(vertices), figure.source, axis=0),
        figure.places,
        figure.tones,
        figure.surface.faces,
        figure.sheet,
    )
    return Person(figure, pose, solid)


def eyes_of(figure: Figure, stance: Stance) -> Vector:
    """(3,) where the middle between the eyes is in a stance."""
    return eye_centre(figure, posed(figure, _upright(figure, stance)))


def _with_expression(figure: Figure, face: Mapping[str, float]) -> Floats:
    """(N, 3) the figure's vertices at rest, moved by those action units that are shapes."""
    shapes = figure.library.shapes
    shown = {name: weight for name, weight in face.items() if name in shapes and weight}
    if not shown:
        return figure.vertices
    vertices = figure.vertices.copy()
    for name, weight in shown.items():
        indices, offsets = shapes[name]
        vertices[indices] += np.float32(weight) * offsets  # the body's own come first
    return vertices


def _upright(figure: Figure, stance: Stance) -> Posture:
    """Trunk and head."""
    posture = Posture(shift=np.asarray(stance.place, np.float64))
    bone = figure.library.bone
    posture.turn(bone("root"), about((0, 1, 0), stance.turn))
    forward, aside = stance.lean
    for name, share in _TRUNK:
        bend = about((0, 0, -1), share * aside) @ about((1, 0, 0), share * forward)
        posture.turn(bone(name), bend)
    _turn_head(posture, figure, stance.head)
    return posture


def eye_centre(figure: Figure, pose: Posed) -> Vector:
    """(3,) between the eyes."""
    places = [figure.library.bone(name) for name in ("eye.L", "eye.R")]
    return np.asarray(pose.heads[places].mean(axis=0))


def _turn_head(posture: Posture, figure: Figure, head: tuple[float, float, float]) -> None:
    left, up, tilt = head
    for name, share in _NECK:
        rotation = (
            about((0, 1, 0), share * left)
            @ about((-1, 0, 0), share * up)
            @ about((0, 0, -1), share * tilt)
        )
        posture.turn(figure.library.bone(name), rotation)


def _show_face(posture: Posture, figure: Figure, trunk: Posed, stance: Stance) -> None:
    """Turn the face's bones by its action units, and the eyes to what they look at."""
    library = figure.library
    head = trunk.rotations[library.bone("head")]
    ahead = head @ (0, 0, 1)
    sight, weights = ahead, dict(stance.face)
    if stance.eyes is not None:
        sight = unit(stance.eyes - eye_centre(figure, trunk))
        # Upper lids follow the eyes.
        up = math.degrees(math.asin(float(np.clip(sight @ head[:, 1], -1, 1))))
        for lid in ("LeftUpperLid", "RightUpperLid"):
            name, share = ("Closed", -up / 70) if up < 0 else ("Open", up / 40)
            weights[lid + name] = weights.get(lid + name, 0) + min(share, 0.5)
    bones, effects = _face_units(figure.library)
    shares = np.array([weights.get(name, 0.0) for name in figure.library.units])
    for index, rotation in zip(bones, rotations(np.tensordot(shares, effects, 1)), strict=True):
        posture.turn(index, rotation)
    for bone in ("eye.L", "eye.R"):
        index = library.bone(bone)
        if stance.eyes is not None:
            sight = unit(stance.eyes - trunk.heads[index])
        turned = math.acos(float(np.clip(ahead @ sight, -1, 1)))
        if turned > math.radians(_MOST):
            axis = cross(ahead, sight)
            sight = about(axis, _MOST) @ ahead
        posture.fixed[index] = shortest(ahead, sight) @ head


@functools.cache
def _face_units(library: Library) -> tuple[tuple[int, ...], NDArray[np.float64]]:
    """The bones that make a face, and (U, N, 3) how each unit turns them; eyes are not of them."""
    names = {bone for unit in library.units.values() for bone in unit if bone[:4] != "eye."}
    bones = tuple(sorted(library.bone(name) for name in names))
    effects = np.zeros((len(library.units), len(bones), 3))
    for row, turns in zip(effects, library.units.values(), strict=True):
        for name, turn in turns.items():
            if name in names:
                row[bones.index(library.bone(name))] = turn
    return bones, effects


def _hand_place(
    figure: Figure, trunk: Posed, side: Side, hold: Hold, rng: np.random.Generator
) -> HandPlace:
    out = np.array([1.0 if side == "left" else -1.0, 1, 1])
    loose = about(rng.normal(0, 1, 3), float(rng.normal(0, hold.loose)))
    fingers, palm = (loose @ (np.asarray(aim) * out) for aim in (hold.fingers, hold.palm))
    shape = varied(SHAPES[hold.shape], rng, hold.vary)
    origin, scale = _origin(figure, trunk, side, hold)
    place = np.asarray(hold.place) + rng.normal(0, hold.spread, 3)
    target = origin + place * out * scale
    if hold.of != "palm":
        hand = hand_rotation(figure, side, fingers, palm)
        finger = {"index": 2, "middle": 3}[hold.of]
        target = target - hand @ finger_tip(figure, side, shape, finger)
    return HandPlace(target, fingers, palm, shape)


def _origin(figure: Figure, trunk: Posed, side: Side, hold: Hold) -> tuple[Vector, float]:
    """Where a place counts from, and its unit in decimetres."""
    bone, end = figure.library.bone, "L" if side == "left" else "R"
    heads = trunk.heads
    if hold.at == "shoulder":
        return heads[bone(f"upperarm01.{end}")], arm_length(figure, side)
    if hold.at == "chest":
        return heads[[bone("upperarm01.L"), bone("upperarm01.R")]].mean(axis=0), 1.0
    # Mouth and cheek turn with the head.
    rest = figure.heads[[bone("oris05"), bone("oris01")]].mean(axis=0)
    head = bone("head")
    mouth = heads[head] + trunk.rotations[head] @ (rest - figure.heads[head])
    return mouth, 1.0


def arm_length(figure: Figure, side: Side) -> float:
    """From the shoulder to the wrist, decimetres."""
    end = "L" if side == "left" else "R"
    bones = [figure.library.bone(f"{name}.{end}") for name in ("upperarm01", "lowerarm01", "wrist")]
    steps = np.diff(figure.heads[bones], axis=0)
    return float(np.linalg.norm(steps, axis=1).sum())


def _hanging(rng: np.random.Generator) -> Hold:
    """An arm that hangs down."""
    aim: Aim = (0.05, -1, float(rng.uniform(0.0, 0.25)))
    return Hold("relaxed", aim, (-1, 0, -0.2), (0.12, -1.05, 0.06), spread=0.03, loose=8)
