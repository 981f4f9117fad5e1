"""MakeHuman's files as arrays: meshes, shapes, a skeleton, clothes, face units, expressions.

Lengths are decimetres, y points up, z where the body looks, x to the body's left.
The formats are those of makehumancommunity/makehuman: its modules `files3d`, `algos3d`, `skeleton`,
`proxy` and `bvh`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from sfedge.core.errors import DataError

Floats = NDArray[np.float32]
Indices = NDArray[np.int32]
_SCALES = ("x_scale", "y_scale", "z_scale")


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """A mesh of triangles; a corner has a vertex and a place in the texture."""

    vertices: Floats  # (V, 3)
    uvs: Floats  # (T, 2): from the left and from the bottom, in fractions of the texture
    corners: Indices  # (F, 3) into vertices
    places: Indices  # (F, 3) into uvs


@dataclass(frozen=True, slots=True)
class Bone:
    """A bone from one joint to another, each the mean of some of the body's vertices."""

    name: str
    parent: int  # index of the parent, which comes before; -1 for the root
    head: tuple[int, ...]
    tail: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Garment:
    """What follows the body: each vertex is bound to three of the body's, with an offset."""

    mesh: Mesh
    bound: Indices  # (V, 3) vertices of the body
    weights: Floats  # (V, 3)
    offsets: Floats  # (V, 3), to be multiplied by the scale
    # Of the axes that grow with the body: two vertices, and their distance then.
    scales: Mapping[int, tuple[int, int, float]]
    hidden: Indices  # vertices of the body that lie under it

    def fitted(self, body: Floats) -> Floats:
        """(V, 3) its vertices on a body of another shape."""
        scale = np.ones(3, np.float32)
        for axis, (first, second, distance) in self.scales.items():
            scale[axis] = abs(body[first, axis] - body[second, axis]) / distance
        return self.carried(body) + self.offsets * scale

    def carried(self, values: Floats) -> Floats:
        """(V, …) what the body's vertices have, for the garment's."""
        joined: Floats = np.einsum("vc,vc...->v...", self.weights, values[self.bound])
        return joined


def read_mesh(path: Path, group: str = "") -> Mesh:
    """A Wavefront OBJ; quads become triangles.

    Args:
        path: the file.
        group: only this group's faces; "" for all. Vertices are kept whole.
    """
    vertices: list[list[float]] = []
    uvs: list[list[float]] = []
    faces: list[list[str]] = []
    inside = not group
    with _opened(path) as file:
        for line in file:
            words = line.split()
            if not words:
                continue
            if words[0] == "v":
                vertices.append([float(word) for word in words[1:4]])
            elif words[0] == "vt":
                uvs.append([float(word) for word in words[1:3]])
            elif words[0] == "g":
                inside = group in ("", words[1])
            elif words[0] == "f" and inside:
                faces += [[words[1], *words[i : i + 2]] for i in range(2, len(words) - 1)]
    if not faces:
        raise DataError(f"there is no face of group {group!r}", where=str(path))
    pairs = np.array([[corner.split("/")[:2] for corner in face] for face in faces]).astype(int)
    corners, places = (np.ascontiguousarray(pairs[..., i] - 1, np.int32) for i in (0, 1))
    return Mesh(np.array(vertices, np.float32), np.array(uvs, np.float32), corners, places)


def read_target(path: Path) -> tuple[Indices, Floats]:
    """Which vertices a shape moves, and by what: (N,) and (N, 3)."""
    with _opened(path) as file:
        lines = [line for line in file if line.strip() and not line.startswith("#")]
    if not lines:  # a shape that is the base mesh's own
        return np.zeros(0, np.int32), np.zeros((0, 3), np.float32)
    rows = np.loadtxt(lines, np.float64, ndmin=2)
    if rows.shape[1] != 4:
        raise DataError("a line of a target has four numbers", where=str(path))
    return rows[:, 0].astype(np.int32), rows[:, 1:].astype(np.float32)


def read_skeleton(path: Path) -> list[Bone]:
    """The bones of an `.mhskel`, parents first."""
    found = _json(path)
    bones, joints = found["bones"], found["joints"]
    order: list[str] = []

    def visit(name: str) -> None:
        if name in order:
            return
        if bones[name]["parent"] is not None:
            visit(bones[name]["parent"])
        order.append(name)

    for name in bones:
        visit(name)
    places = {name: place for place, name in enumerate(order)}
    return [
        Bone(
            name,
            places.get(bones[name]["parent"], -1),
            tuple(joints[bones[name]["head"]]),
            tuple(joints[bones[name]["tail"]]),
        )
        for name in order
    ]


def read_weights(path: Path, bones: list[Bone], vertices: int) -> Floats:
    """(V, B) how much each bone moves each vertex; a row's sum is 1."""
    weights = np.zeros((vertices, len(bones)), np.float32)
    found = _json(path)["weights"]
    for place, bone in enumerate(bones):
        pairs = np.array(found.get(bone.name, []), np.float64).reshape(-1, 2)
        weights[pairs[:, 0].astype(int), place] = pairs[:, 1]
    weights[weights.sum(axis=1) == 0, 0] = 1  # what no bone moves goes with the root
    whole: Floats = weights / weights.sum(axis=1, keepdims=True)
    return whole


def read_garment(path: Path) -> Garment:
    """An `.mhclo` and the mesh that it names."""
    rows: list[list[float]] = []
    hidden: list[int] = []
    scales: dict[int, tuple[int, int, float]] = {}
    mesh, part = None, ""
    with _opened(path) as file:
        for line in file:
            words = line.split()
            if not words or words[0].startswith("#"):
                continue
            if words[0] == "obj_file":
                mesh = read_mesh(path.parent / words[1])
            elif words[0] in _SCALES:
                scale = int(words[1]), int(words[2]), float(words[3])
                scales[_SCALES.index(words[0])] = scale
            elif words[0] in ("verts", "delete_verts"):
                part = words[0]
            elif not words[0].isdigit():
                continue  # other keywords do not end a list
            elif part == "verts":
                rows.append([float(word) for word in words])
            elif part == "delete_verts":
                hidden += _ranges(words)
    if mesh is None or len(rows) != len(mesh.vertices):
        count = 0 if mesh is None else len(mesh.vertices)
        raise DataError(f"{len(rows)} vertices are bound, {count} are there", where=str(path))
    # A single number is a vertex of the body itself.
    full = np.array([row if len(row) == 9 else [row[0]] * 3 + [1] + [0] * 5 for row in rows])
    return Garment(
        mesh,
        full[:, :3].astype(np.int32),
        full[:, 3:6].astype(np.float32),
        full[:, 6:].astype(np.float32),
        scales,
        np.array(hidden, np.int32),
    )


def read_face_units(folder: Path) -> dict[str, dict[str, Floats]]:
    """The face's action units: of each, the bones it turns, and the rotation vector (3,) of each.

    The rotations are about the body's axes, at rest.
    """
    names: list[str] = _json(folder / "face-poseunits.json")["framemapping"]
    joints: list[tuple[str, list[str]]] = []
    frames: list[list[float]] = []
    with _opened(folder / "face-poseunits.bvh") as file:
        for line in file:
            words = line.split()
            if not words:
                continue
            if words[0] in ("ROOT", "JOINT"):
                joints.append((words[1], []))
            elif words[0] == "CHANNELS":
                joints[-1][1].extend(words[2:])
            elif words[0].lstrip("-")[0].isdigit():
                frames.append([float(word) for word in words])
    units: dict[str, dict[str, Floats]] = {}
    for name, frame in zip(names, frames, strict=False):
        values, units[name] = iter(frame), {}
        for bone, channels in joints:
            turn = np.eye(3)
            for channel in channels:
                angle = next(values)
                if channel.endswith("rotation"):
                    axis = np.eye(3)["XYZ".index(channel[0])]
                    turn = turn @ cv2.Rodrigues(np.radians(angle) * axis)[0]
            x, y, z = cv2.Rodrigues(turn)[0][:, 0].tolist()
            vector = np.array([x, z, -y])  # in the file, z points up and y back
            if np.linalg.norm(vector) > 1e-3:
                units[name][bone] = vector.astype(np.float32)
    return units


def read_expression(path: Path) -> Mapping[str, float]:
    """The weight of each action unit of an `.mhpose`."""
    weights: Mapping[str, float] = _json(path)["unit_poses"]
    return weights


def _ranges(words: list[str]) -> list[int]:
    """The numbers of `3 5 - 7 9`: 3, 5, 6, 7, 9."""
    found: list[int] = []
    place = 0
    while place < len(words):
        first = last = int(words[place])
        if place + 2 < len(words) and words[place + 1] == "-":
            last = int(words[place + 2])
            place += 2
        found += range(first, last + 1)
        place += 1
    return found


def _opened(path: Path) -> Any:
    try:
        return path.open(encoding="utf-8")
    except OSError as error:
        raise DataError(
            f"MakeHuman's file cannot be read ({error.strerror})",
            where=str(path),
            fix="Name the folder that holds MakeHuman's data, see docs/humans.md.",
        ) from error


def _json(path: Path) -> Any:
    with _opened(path) as file:
        try:
            return json.load(file)
        except ValueError as error:
            raise DataError(f"this is no JSON ({error})", where=str(path)) from error
