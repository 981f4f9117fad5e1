"""Where a head and its eyes turn to look at a point, or past it."""

import math

import numpy as np

from sfedge_training.humans.skeleton import Vector, about, cross, unit

_EASY = 28.0  # degrees that eyes turn in the head without effort


def angles(direction: Vector) -> tuple[float, float]:
    """Degrees to the person's left and up of a direction in the world."""
    x, y, z = unit(direction).tolist()
    return math.degrees(math.atan2(x, z)), math.degrees(math.asin(max(-1.0, min(1.0, y))))


def head_towards(
    direction: Vector, turn: float, rng: np.random.Generator
) -> tuple[float, float, float]:
    """How a head is held while its eyes look in a direction; `turn` is the body's.

    The head follows in part, or by chance is turned elsewhere, as far as the eyes allow.
    """
    left, up = angles(direction)
    share = rng.uniform(0.35, 1.0)
    own = np.array([left * share, up * share]) + rng.normal(0, (9, 6))
    # What the eyes cannot do, the head does.
    own = np.clip(own, (left - _EASY, up - 0.7 * _EASY), (left + _EASY, up + 0.7 * _EASY))
    return float(own[0] - turn), float(np.clip(own[1], -40, 40)), float(rng.normal(0, 6))


def past(eyes: Vector, point: Vector, degrees: float, rng: np.random.Generator) -> Vector:
    """A point as far away whose direction from the eyes differs by an angle."""
    direction = point - eyes
    axis = cross(direction, unit(rng.normal(0, 1, 3)))
    return np.asarray(eyes + about(axis, degrees) @ direction)
