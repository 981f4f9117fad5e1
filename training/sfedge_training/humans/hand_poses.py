"""A hand's shape: how far each finger is bent and spread, and where the thumb points.

A hand's own axes: x from the little finger's side to the thumb's, y from the wrist to the middle
finger's knuckle, z out of the palm. They are the same for both hands, which mirror each other.
"""

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sfedge_training.humans.figure import Figure
from sfedge_training.humans.skeleton import Matrix, Posture, Vector, cross, frames, shortest, unit

Side: TypeAlias = Literal["left", "right"]  # the person's own
SIDES: tuple[Side, Side] = ("left", "right")
_PALM = 0.55  # the palm's centre on the way from the wrist to the middle finger's knuckle
_END: Mapping[Side, str] = {"left": "L", "right": "R"}

Bend: TypeAlias = tuple[float, float, float]  # degrees at a finger's three joints
Direction: TypeAlias = tuple[float, float, float]  # in the hand's axes, of any length
OUT, HALF, IN = (0.0, 5.0, 5.0), (50.0, 60.0, 30.0), (86.0, 108.0, 70.0)


@dataclass(frozen=True, slots=True)
class HandShape:
    """The shape of a hand, the fingers from the index to the little one."""

    bends: tuple[Bend, Bend, Bend, Bend]
    spread: tuple[float, float, float, float] = (5.0, 1.0, -3.0, -7.0)  # degrees to the thumb
    thumb: tuple[Direction, Direction, Direction] = (
        (0.6, 0.75, 0.3), (0.55, 0.8, 0.1), (0.5, 0.85, 0.05),
    )  # fmt: skip


@functools.cache
def hand_axes(figure: Figure, side: Side) -> Matrix:
    """(3, 3) the axes of a hand at rest, as columns."""
    end = _END[side]
    wrist, index, middle, little = (
        figure.heads[figure.library.bone(f"{name}.{end}")].astype(np.float64)
        for name in ("wrist", "finger2-1", "finger3-1", "finger5-1")
    )
    y = unit(middle - wrist)
    across = index - little
    x = unit(across - y * float(across @ y))
    z = cross(x, y) * (1 if side == "right" else -1)
    return np.column_stack([x, y, z])


def shape_hand(
    posture: Posture, figure: Figure, side: Side, hand: Matrix, shape: HandShape
) -> None:
    """Fix the bones of a hand.

    Args:
        posture: gets the rotations.
        figure: whose hand it is.
        side: which.
        hand: (3, 3) the rotation of the hand as a whole against the pose at rest.
        shape: its fingers.
    """
    axes, end, bone = hand_axes(figure, side), _END[side], figure.library.bone
    posture.fixed[bone(f"wrist.{end}")] = hand
    bones, rests = _fingers(figure, side)
    spread = np.radians(np.repeat(shape.spread, 3))
    bent = np.radians(np.cumsum(shape.bends, axis=1).ravel())
    along = np.cos(bent)
    aims = np.stack([np.sin(spread) * along, np.cos(spread) * along, np.sin(bent)], axis=1)
    # Square to the plane in which a finger bends.
    asides = np.stack([np.cos(spread), -np.sin(spread), np.zeros(12)], axis=1) @ axes.T
    goals, starts = frames(aims @ axes.T, asides), frames(rests, asides)
    for index, rotation in zip(bones, hand @ goals @ starts.transpose(0, 2, 1), strict=True):
        posture.fixed[index] = rotation
    turned = np.eye(3)
    for joint, direction in enumerate(shape.thumb):
        index = bone(f"finger1-{joint + 1}.{end}")
        rest = turned @ (figure.tails[index].astype(np.float64) - figure.heads[index])
        turned = shortest(rest, axes @ np.asarray(direction)) @ turned
        posture.fixed[index] = hand @ turned


def hand_rotation(figure: Figure, side: Side, fingers: Vector, palm: Vector) -> Matrix:
    """The rotation of a hand whose fingers and palm shall point in two directions of the world."""
    y = unit(fingers)
    z = unit(palm - y * float(palm @ y))
    x = cross(y, z) * (1 if side == "right" else -1)
    return np.column_stack([x, y, z]) @ hand_axes(figure, side).T


def finger_tip(figure: Figure, side: Side, shape: HandShape, finger: int) -> Vector:
    """Where a finger's tip is, from the palm's centre, while the hand is turned as at rest.

    Args:
        figure: whose hand it is.
        side: which.
        shape: its fingers.
        finger: 1 the thumb, 5 the little finger.
    """
    posture, end = Posture(), _END[side]
    shape_hand(posture, figure, side, np.eye(3), shape)
    bones = [figure.library.bone(f"finger{finger}-{joint}.{end}") for joint in (1, 2, 3)]
    lengths = figure.tails[bones].astype(np.float64) - figure.heads[bones]
    steps = [posture.fixed[bone] @ length for bone, length in zip(bones, lengths, strict=True)]
    start = figure.heads[bones[0]] - palm_centre(figure, side)
    return np.asarray(start + np.sum(steps, axis=0))


def palm_centre(figure: Figure, side: Side) -> Vector:
    """(3,) between wrist and knuckles, at rest."""
    wrist, knuckle = (
        figure.heads[figure.library.bone(f"{name}.{_END[side]}")].astype(np.float64)
        for name in ("wrist", "finger3-1")
    )
    return np.asarray(wrist + _PALM * (knuckle - wrist))


def varied(shape: HandShape, rng: np.random.Generator, amount: float = 1.0) -> HandShape:
    """The shape as somebody else makes it."""
    together = rng.normal(0, 3 * amount)  # a hand is loose or tense as a whole
    bends = np.array(shape.bends) + together + rng.normal(0, 4 * amount, (4, 3))
    index, middle, ring, little = np.clip(bends, (-12, 0, -5), (95, 115, 82)).tolist()
    spread = np.array(shape.spread) + rng.normal(0, 1.5 * amount, 4)
    thumb = np.array([unit(direction) for direction in shape.thumb])
    thumb = thumb + rng.normal(0, 0.05 * amount, 3) + rng.normal(0, 0.03 * amount, thumb.shape)
    first, second, third = thumb.tolist()
    return HandShape(
        (_three(index), _three(middle), _three(ring), _three(little)),
        tuple(spread.tolist()),
        (_three(first), _three(second), _three(third)),
    )


def _three(values: list[float]) -> tuple[float, float, float]:
    first, second, third = values
    return first, second, third


@functools.cache
def _fingers(figure: Figure, side: Side) -> tuple[tuple[int, ...], NDArray[np.float64]]:
    """The bones of the four fingers, and (12, 3) where each points at rest."""
    bones = [
        figure.library.bone(f"finger{finger}-{joint}.{_END[side]}")
        for finger in (2, 3, 4, 5)
        for joint in (1, 2, 3)
    ]
    return tuple(bones), figure.tails[bones].astype(np.float64) - figure.heads[bones]
