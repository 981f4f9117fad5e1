"""An arm that brings its hand to a place: two bones, solved in closed form."""

import math
from dataclasses import dataclass

import numpy as np

from sfedge_training.humans.figure import Figure
from sfedge_training.humans.hand_poses import (
    HandShape,
    Side,
    hand_rotation,
    palm_centre,
    shape_hand,
)
from sfedge_training.humans.skeleton import (
    Matrix,
    Posed,
    Posture,
    Vector,
    about,
    cross,
    frame,
    part_way,
    shortest,
    twist,
    unit,
)

_AROUND = np.radians(np.arange(0, 360, 15))  # where the elbow may lie around the arm's line


@dataclass(frozen=True, slots=True, eq=False)
class HandPlace:
    """Where a hand is, and how it is turned, in the world."""

    palm: Vector  # the palm's centre, decimetres
    fingers: Vector  # where stretched fingers would point
    facing: Vector  # where the palm faces
    shape: HandShape


def place_hand(posture: Posture, figure: Figure, pose: Posed, side: Side, place: HandPlace) -> None:
    """Fix the bones of an arm and a hand so that the hand is there, or as near as the arm reaches.

    Args:
        posture: gets the rotations.
        figure: whose arm it is.
        pose: the figure with its trunk as it will be.
        side: which arm.
        place: where the hand shall be.
    """
    end = "L" if side == "left" else "R"
    bone = figure.library.bone
    upper, lower, wrist = (bone(f"{name}.{end}") for name in ("upperarm01", "lowerarm01", "wrist"))
    rest = figure.heads.astype(np.float64)
    hand = hand_rotation(figure, side, place.fingers, place.facing)
    target = place.palm - hand @ (palm_centre(figure, side) - rest[wrist])
    shoulder = pose.heads[upper]
    lengths = [
        float(np.linalg.norm(rest[b] - rest[a])) for a, b in ((upper, lower), (lower, wrist))
    ]
    reach = target - shoulder
    distance = float(np.clip(np.linalg.norm(reach), abs(lengths[0] - lengths[1]) * 1.1 + 0.3,
                             sum(lengths) * 0.985))  # fmt: skip
    target = shoulder + unit(reach) * distance
    elbow = _elbow(shoulder, target, lengths, unit(place.fingers), side)
    first, second = unit(elbow - shoulder), unit(target - elbow)
    starts = [unit(rest[b] - rest[a]) for a, b in ((upper, lower), (lower, wrist))]
    hinge, bent = cross(*starts), cross(first, second)
    whole = frame(first, bent) @ frame(starts[0], hinge).T
    trunk = pose.rotations[upper]
    swing = shortest(trunk @ starts[0], first) @ trunk
    posture.fixed[upper] = part_way(whole @ swing.T, 0.5) @ swing
    posture.fixed[bone(f"upperarm02.{end}")] = whole
    fore = frame(second, bent) @ frame(starts[1], hinge).T
    turned = twist(fore.T @ hand, starts[1])
    posture.fixed[lower] = fore @ about(starts[1], 0.3 * turned)
    posture.fixed[bone(f"lowerarm02.{end}")] = fore @ about(starts[1], 0.75 * turned)
    shape_hand(posture, figure, side, hand, place.shape)


def lift_shoulder(posture: Posture, figure: Figure, side: Side, degrees: float) -> None:
    """Raise a shoulder, as an arm does that is held high."""
    end, sign = ("L", 1) if side == "left" else ("R", -1)
    for name in ("clavicle", "shoulder01"):
        posture.turn(figure.library.bone(f"{name}.{end}"), about((0, 0, sign), degrees / 2))


def _elbow(
    shoulder: Vector, target: Vector, lengths: list[float], fingers: Vector, side: Side
) -> Vector:
    """Where the elbow is most at ease: low, outside, not behind, and the wrist little bent."""
    line = target - shoulder
    distance = float(np.linalg.norm(line))
    along = (lengths[0] ** 2 - lengths[1] ** 2 + distance**2) / (2 * distance)
    radius = math.sqrt(max(lengths[0] ** 2 - along**2, 1e-6))
    axes: Matrix = frame(line, (0.0, -1.0, 0.001))
    circle = np.outer(np.cos(_AROUND), axes[:, 1]) + np.outer(np.sin(_AROUND), axes[:, 2])
    elbows = shoulder + axes[:, 0] * along + radius * circle
    fore = (target - elbows) / lengths[1]
    outside = 1.0 if side == "left" else -1.0
    away = (elbows - shoulder) / lengths[0]
    bent = np.arccos(np.clip(fore @ fingers, -1, 1))
    cost = (
        bent**2
        + 1.2 * away[:, 1]
        + 1.5 * np.maximum(0.05 - outside * away[:, 0], 0)
        + 1.0 * np.maximum(-0.1 - away[:, 2], 0)
        + 0.3 * outside * -away[:, 0]
    )
    return np.asarray(elbows[int(np.argmin(cost))])
