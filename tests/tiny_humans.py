"""A tiny body in MakeHuman's formats: a box for each bone, two units, one expression."""

import json
from pathlib import Path

import cv2
import numpy as np

GRID = 16  # cells of the skin's texture in a row; bone i has cell (i % GRID, i // GRID)

# Each bone's parent, where it begins and where it ends, for the body's left side and its middle.
_MIDDLE = {
    "root": ("", (0, 0, 0), (0, 0.5, 0)),
    "spine04": ("root", (0, 0.5, 0), (0, 2, 0)),
    "spine03": ("spine04", (0, 2, 0), (0, 3.5, 0)),
    "spine02": ("spine03", (0, 3.5, 0), (0, 5, 0)),
    "neck01": ("spine02", (0, 5, 0), (0, 5.3, 0)),
    "neck02": ("neck01", (0, 5.3, 0), (0, 5.6, 0)),
    "neck03": ("neck02", (0, 5.6, 0), (0, 5.9, 0)),
    "head": ("neck03", (0, 5.9, 0), (0, 7.5, 0)),
    "jaw": ("head", (0, 6.3, 0.3), (0, 5.9, 0.8)),
    "special03": ("head", (0, 6.6, 0.4), (0, 6.6, 1.1)),
    "oris05": ("head", (0, 6.3, 0.8), (0, 6.25, 0.9)),
    "oris01": ("jaw", (0, 6.2, 0.8), (0, 6.15, 0.9)),
}
_LEFT = {
    "eye": ("head", (0.3, 6.8, 0.6), (0.3, 6.8, 0.9)),
    "levator05": ("head", (0.25, 6.3, 0.7), (0.27, 6.2, 0.8)),
    "clavicle": ("spine02", (0.2, 4.9, 0), (0.8, 4.9, 0)),
    "shoulder01": ("clavicle", (0.8, 4.9, 0), (1.6, 4.8, 0)),
    "upperarm01": ("shoulder01", (1.6, 4.8, 0), (2.4, 3.9, 0)),
    "upperarm02": ("upperarm01", (2.4, 3.9, 0), (3.1, 3.1, 0)),
    "lowerarm01": ("upperarm02", (3.1, 3.1, 0), (3.8, 2.4, 0.15)),
    "lowerarm02": ("lowerarm01", (3.8, 2.4, 0.15), (4.5, 1.7, 0.3)),
    "wrist": ("lowerarm02", (4.5, 1.7, 0.3), (4.8, 1.4, 0.36)),
    "upperleg01": ("root", (0.9, 0, 0), (0.9, -4, 0)),
    "lowerleg01": ("upperleg01", (0.9, -4, 0), (0.9, -8, 0)),
    "foot": ("lowerleg01", (0.9, -8, 0), (0.9, -8.5, 0.8)),
    "toe2-1": ("foot", (0.9, -8.5, 0.8), (0.9, -8.5, 1.3)),
}
_WRIST = np.array(_LEFT["wrist"][1])
_ALONG = np.array([0.69, -0.69, 0.14]) / np.linalg.norm([0.69, -0.69, 0.14])
# The left palm faces the ground and the body; the thumb's side is in front.
_RADIAL = np.array([0.1, 0.1, 1.0]) - 0.0
_RADIAL = _RADIAL - _ALONG * (_RADIAL @ _ALONG)
_RADIAL /= np.linalg.norm(_RADIAL)
# The clothes and eyes that are needed; a name of a macro shape has all its parts.
_ORIGINS, _SEXES, _AGES = ("african", "asian", "caucasian"), ("male", "female"), (
    "child", "young", "old",
)  # fmt: skip


def _bones() -> dict[str, tuple[str, np.ndarray, np.ndarray]]:
    left = {name: (parent, np.array(a), np.array(b)) for name, (parent, a, b) in _LEFT.items()}
    for finger in range(1, 6):
        if finger == 1:
            start = _WRIST + 0.25 * _ALONG + 0.25 * _RADIAL
            step = 0.3 * _ALONG + 0.2 * _RADIAL
        else:
            start = _WRIST + 0.95 * _ALONG + (0.25 - 0.2 * (finger - 2)) * _RADIAL
            step = 0.3 * _ALONG
        for joint in (1, 2, 3):
            parent = "wrist" if joint == 1 else f"finger{finger}-{joint - 1}"
            left[f"finger{finger}-{joint}"] = (parent, start, start + step)
            start = start + step
    whole = {name: (parent, np.array(a), np.array(b)) for name, (parent, a, b) in _MIDDLE.items()}
    mirror = np.array([-1, 1, 1])
    for name, (parent, a, b) in left.items():
        for end, sign in (("L", 1), ("R", mirror)):
            owner = parent if parent in _MIDDLE else f"{parent}.{end}"
            whole[f"{name}.{end}"] = (owner, a * sign, b * sign)
    return whole


BONES = _bones()
NAMES = [*BONES]


def write_tiny_humans(root: Path) -> Path:
    """Write the folder that stands for MakeHuman's data."""
    vertices: list[np.ndarray] = []
    faces: list[str] = []
    joints: dict[str, list[int]] = {}
    bones, weights = {}, {}
    uvs = [(x / GRID, y / GRID) for y in range(GRID + 1) for x in range(GRID + 1)]
    for place, (name, (parent, head, tail)) in enumerate(BONES.items()):
        box = _box(head, tail, 0.6 if name == "head" else 0.07)
        start = len(vertices)
        vertices += [*box, head, tail]
        weights[name] = [[start + i, 1.0] for i in range(10)]
        joints |= {f"{name}____head": [start + 8], f"{name}____tail": [start + 9]}
        bones[name] = {
            "head": f"{name}____head", "tail": f"{name}____tail", "parent": parent or None,
        }  # fmt: skip
        column, row = place % GRID, GRID - 1 - place // GRID
        cell = [row * (GRID + 1) + column + i for i in (1, 2, GRID + 3, GRID + 2)]
        for quad in _QUADS:
            pairs = zip(quad, cell, strict=True)
            faces.append("f " + " ".join(f"{start + v + 1}/{t}" for v, t in pairs))
    lines = [f"v {x} {y} {z}" for x, y, z in vertices] + [f"vt {u} {v}" for u, v in uvs]
    _write(root / "3dobjs/base.obj", "\n".join([*lines, "g body", *faces]) + "\n")
    rig = {"bones": bones, "joints": joints, "planes": {}}
    _write(root / "rigs/default.mhskel", json.dumps(rig))
    _write(root / "rigs/default_weights.mhw", json.dumps({"weights": weights}))
    _write_shapes(root, len(vertices))
    _write_face(root)
    _write_pictures(root)
    head = NAMES.index("head") * 10
    _write_garment(root / "eyebrows/brow/brow.mhclo", head, z=0.7)
    _write_garment(root / "hair/short/short.mhclo", head, z=-0.7)
    _write_garment(root / "eyes/low-poly/low-poly.mhclo", NAMES.index("eye.L") * 10, z=0.05)
    return root


# A box's corners are numbered bit by bit: along, across, up.
_QUADS = ((0, 4, 6, 2), (1, 3, 7, 5), (0, 1, 5, 4), (2, 6, 7, 3), (0, 2, 3, 1), (4, 5, 7, 6))


def _box(head: np.ndarray, tail: np.ndarray, thick: float) -> list[np.ndarray]:
    along = tail - head
    first = np.cross(along, np.eye(3)[int(np.argmin(np.abs(along)))])
    first = first / np.linalg.norm(first) * thick
    second = np.cross(along, first)
    second = second / np.linalg.norm(second) * thick
    spots = []
    for i in range(8):
        a, b, c = i & 1, i >> 1 & 1, i >> 2 & 1
        spots.append(head + (1.1 * a - 0.05) * along + (2 * b - 1) * first + (2 * c - 1) * second)
    return spots


def _write_shapes(root: Path, count: int) -> None:
    folder = root / "targets/macrodetails"
    for sex in _SEXES:
        for age in _AGES:
            for origin in _ORIGINS:
                text = "# nothing moves\n"
                if sex == "male":  # who is a man is half a decimetre broader
                    text += "".join(f"{i} 0 0.05 0\n" for i in range(count))
                _write(folder / f"{origin}-{sex}-{age}.target", text)
            for muscle in ("min", "average", "max"):
                for weight in ("min", "average", "max"):
                    name = f"universal-{sex}-{age}-{muscle}muscle-{weight}weight.target"
                    _write(folder / name, "# nothing moves\n")
    _write(root / "targets/chin/chin-width-incr.target", "0 0.01 0 0\n")
    unit = root / "targets/expression/units/caucasian/mouth-corner-puller.target"
    _write(unit, f"{NAMES.index('levator05.L') * 10} 0 0.3 0\n")
    for side in "lr":
        _write(root / f"targets/cheek/{side}-cheek-volume-incr.target", "1 0 0 0.01\n")


def _write_face(root: Path) -> None:
    bvh = """HIERARCHY
ROOT root
{
 OFFSET 0 0 0
 CHANNELS 6 Xposition Yposition Zposition Xrotation Yrotation Zrotation
 JOINT jaw
 {
  OFFSET 0 1 0
  CHANNELS 3 Xrotation Yrotation Zrotation
 }
}
MOTION
Frames: 2
Frame Time: 0.04
0 0 0 0 0 0 0 0 0
0 0 0 0 0 0 20 0 0
"""
    _write(root / "poseunits/face-poseunits.bvh", bvh)
    _write(
        root / "poseunits/face-poseunits.json", json.dumps({"framemapping": ["Rest", "JawDrop"]})
    )
    _write(root / "expressions/surprise01.mhpose", json.dumps({"unit_poses": {"JawDrop": 0.9}}))


def _write_pictures(root: Path) -> None:
    (root / "skins").mkdir(parents=True)
    (root / "eyes/materials").mkdir(parents=True)
    skin = np.full((64, 64, 3), (150, 180, 220), np.uint8)
    cv2.imwrite(str(root / "skins/young_lightskinned_male_diffuse.jpg"), skin)
    cv2.imwrite(str(root / "eyes/materials/brown_eye.png"), np.full((32, 32, 3), 200, np.uint8))


def _write_garment(path: Path, vertex: int, z: float) -> None:
    """A square of two vertices of the body's own and two beside three of them."""
    obj = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 1 1\nvt 0 1\nf 1/1 2/2 3/3 4/4\n"
    _write(path.with_suffix(".obj"), obj)
    a, b, c = vertex, vertex + 2, vertex + 4
    bound = f"{a} {b} {c} 0.2 0.3 0.5"
    text = f"name x\nobj_file {path.stem}.obj\nz_scale {a} {c} 1.0\nverts 0\nmaterial m.mhmat\n"
    text += f"{a}\n{b}\n{bound} 0 0 {z}\n{bound} 0.1 0 {z}\n\ndelete_verts\n3 5 - 7\n"
    _write(path, text)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
