"""Bones that turn, and the mesh that follows them.

A bone's rotation is a matrix (3, 3) about the body's axes: the identity is the pose at rest. So no
bone needs axes of its own.
"""

import functools
import math
from dataclasses import dataclass, field
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from sfedge_training.humans.figure import Figure
from sfedge_training.humans.makehuman import Floats

Matrix: TypeAlias = NDArray[np.float64]
Vector: TypeAlias = NDArray[np.float64]


@dataclass(slots=True)
class Posture:
    """Which bones are turned: against their parent, or fixed in the world."""

    shift: Vector = field(default_factory=lambda: np.zeros(3))  # of the whole, decimetres
    turned: dict[int, Matrix] = field(default_factory=dict)
    fixed: dict[int, Matrix] = field(default_factory=dict)

    def turn(self, bone: int, rotation: Matrix) -> None:
        """Turn a bone, after what turns it already."""
        self.turned[bone] = rotation @ self.turned[bone] if bone in self.turned else rotation


@dataclass(frozen=True, slots=True, eq=False)
class Posed:
    """Where the bones of a figure are."""

    rotations: Matrix  # (B, 3, 3) against the pose at rest
    heads: Matrix  # (B, 3) decimetres
    tails: Matrix  # (B, 3)


def posed(figure: Figure, posture: Posture) -> Posed:
    """Turn the bones, each about its head, from the root on."""
    count = len(figure.library.bones)
    rotations = np.empty((count, 3, 3))
    heads = np.empty((count, 3))
    steps = _steps(figure)
    for place, bone in enumerate(figure.library.bones):
        parent = bone.parent
        before = rotations[parent] if parent >= 0 else np.eye(3)
        if place in posture.fixed:
            rotations[place] = posture.fixed[place]
        elif place in posture.turned:
            rotations[place] = before @ posture.turned[place]
        else:
            rotations[place] = before
        start = heads[parent] if parent >= 0 else posture.shift
        heads[place] = start + before @ steps[place]
    rest = figure.heads.astype(np.float64)
    tails = heads + np.einsum("bij,bj->bi", rotations, figure.tails - rest)
    return Posed(rotations, heads, tails)


@functools.cache
def _steps(figure: Figure) -> NDArray[np.float64]:
    """(B, 3) from each bone's parent to the bone, at rest; the root's is from the origin."""
    heads = figure.heads.astype(np.float64)
    parents = [bone.parent for bone in figure.library.bones]
    return heads - np.where(np.array(parents)[:, None] >= 0, heads[parents], 0)


def skinned(figure: Figure, pose: Posed, vertices: Floats) -> Floats:
    """(N, 3) the vertices of the figure's mesh at rest, carried along by the bones."""
    shifts = pose.heads - np.einsum("bij,bj->bi", pose.rotations, figure.heads)
    frames = np.concatenate([pose.rotations, shifts[..., None]], axis=2).reshape(-1, 12)
    mixed = np.asarray(figure.weights @ frames.astype(np.float32)).reshape(-1, 3, 4)
    moved: Floats = np.einsum("vij,vj->vi", mixed[..., :3], vertices) + mixed[..., 3]
    return moved


def about(axis: ArrayLike, degrees: float) -> Matrix:
    """The rotation about an axis, against the clock where the axis points at the viewer."""
    vector = unit(axis) * math.radians(degrees)
    return np.asarray(cv2.Rodrigues(vector)[0], np.float64)


def rotations(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 3, 3) the rotations about (N, 3) vectors by their lengths in radians."""
    angles = np.linalg.norm(vectors, axis=1)
    x, y, z = (vectors / np.maximum(angles, 1e-9)[:, None]).T
    nought = np.zeros_like(x)
    skew = np.stack([nought, -z, y, z, nought, -x, -y, x, nought], axis=1).reshape(-1, 3, 3)
    sine, rest = np.sin(angles)[:, None, None], (1 - np.cos(angles))[:, None, None]
    return np.asarray(np.eye(3) + sine * skew + rest * (skew @ skew))


def unit(vector: ArrayLike) -> Vector:
    """The vector with length 1."""
    values = np.asarray(vector, np.float64)
    return values / max(math.sqrt(float(values @ values)), 1e-9)


def cross(first: Vector, second: Vector) -> Vector:
    """The vector product of two vectors; numpy's takes ten times as long for a single pair."""
    ax, ay, az = first.tolist()
    bx, by, bz = second.tolist()
    return np.array([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx])


def frame(first: ArrayLike, second: ArrayLike) -> Matrix:
    """Three axes as columns: the first vector, the second made square to it, their product."""
    x = unit(first)
    away = np.asarray(second, np.float64)
    y = unit(away - x * float(away @ x))
    return np.array([x, y, cross(x, y)]).T


def frames(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N, 3, 3) `frame` of each pair of rows."""
    x = first / np.linalg.norm(first, axis=1, keepdims=True)
    away = second - x * np.einsum("ni,ni->n", x, second)[:, None]
    y = away / np.linalg.norm(away, axis=1, keepdims=True)
    z = np.empty_like(x)
    for i, (j, k) in enumerate(((1, 2), (2, 0), (0, 1))):
        z[:, i] = x[:, j] * y[:, k] - x[:, k] * y[:, j]
    return np.stack([x, y, z], axis=2)


def shortest(start: ArrayLike, end: ArrayLike) -> Matrix:
    """The least rotation that turns one direction into another."""
    a, b = unit(start), unit(end)
    axis, cosine = cross(a, b), float(a @ b)
    sine = math.sqrt(float(axis @ axis))
    if sine < 1e-9:
        axis = cross(a, np.eye(3)[int(np.argmin(np.abs(a)))])
    return about(axis, math.degrees(math.atan2(sine, cosine)))


def part_way(rotation: Matrix, share: float) -> Matrix:
    """A share of a rotation."""
    vector = cv2.Rodrigues(rotation)[0] * share
    return np.asarray(cv2.Rodrigues(vector)[0], np.float64)


def twist(rotation: Matrix, axis: ArrayLike) -> float:
    """How many degrees a rotation turns about an axis, beside what it bends."""
    line = unit(axis)
    aside = unit(cross(line, np.eye(3)[int(np.argmin(np.abs(line)))]))
    moved = shortest(rotation @ line, line) @ rotation @ aside
    return math.degrees(math.atan2(float(line @ cross(aside, moved)), float(aside @ moved)))
