"""A person at rest: body, eyes, teeth, hair and clothes as one mesh on one skeleton."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, vstack
from scipy.sparse.csgraph import connected_components

from sfedge.core.errors import DataError
from sfedge.core.structures import Image
from sfedge_training.humans.makehuman import (
    Bone,
    Floats,
    Garment,
    Indices,
    Mesh,
    read_expression,
    read_face_units,
    read_garment,
    read_mesh,
    read_skeleton,
    read_target,
    read_weights,
)
from sfedge_training.humans.materials import hair_colour, new_sheet, paint_brows, placed
from sfedge_training.humans.shapes import Build, random_build, shaped_body
from sfedge_training.humans.surface import Surface

_PARTS = ("eyes", "teeth", "tongue", "hair", "clothes", "shoes")


@dataclass(frozen=True, slots=True, eq=False)
class Library:
    """What all people share, read once from MakeHuman's data."""

    folder: Path
    body: Mesh
    bones: tuple[Bone, ...]
    weights: Floats  # (V, B) of the body
    units: Mapping[str, Mapping[str, Floats]]  # the face's action units
    shapes: Mapping[str, tuple[Indices, Floats]]  # action units as what they move, and by what
    expressions: Mapping[str, Mapping[str, float]]  # by file name: weights of units

    def bone(self, name: str) -> int:
        """The index of a bone."""
        return _places(self)[name]


@dataclass(frozen=True, slots=True, eq=False)
class Figure:
    """A person at rest.

    A vertex stands once for the skeleton and once more for each place in the texture ("point").
    """

    library: Library
    build: Build
    body: Floats  # (V, 3) the body's own vertices, hidden ones too
    vertices: Floats  # (N, 3) of all parts
    weights: csr_matrix  # (N, B)
    source: Indices  # (P,) each point's vertex
    places: Floats  # (P, 2) each point's place on the sheet
    tones: Floats  # (P,) the share of the light that gets to it
    surface: Surface
    heads: Floats  # (B, 3) where each bone begins
    tails: Floats  # (B, 3) and ends
    hair: tuple[int, int, int]
    sheet: Image  # textures; clothes, hair and irises are dyed for every picture


@functools.cache
def load_library(folder: Path) -> Library:
    """Read what all people share.

    Raises:
        DataError: a file is missing or malformed.
    """
    body = read_mesh(folder / "3dobjs" / "base.obj", "body")
    bones = read_skeleton(folder / "rigs" / "default.mhskel")
    weights = read_weights(folder / "rigs" / "default_weights.mhw", bones, len(body.vertices))
    known = {bone.name for bone in bones}
    units = {
        name: {bone: turn for bone, turn in unit.items() if bone in known}
        for name, unit in read_face_units(folder / "poseunits").items()
    }
    targets = sorted((folder / "targets/expression/units/caucasian").glob("*.target"))
    shapes = {path.stem: read_target(path) for path in targets}
    found = sorted((folder / "expressions").glob("*.mhpose"))
    expressions = {path.stem: read_expression(path) for path in found}
    return Library(folder, body, tuple(bones), weights, units, shapes, expressions)


@functools.cache
def known_figure(folder: Path, seed: int, place: int) -> Figure:
    """The `place`-th person of the crowd that `seed` makes; some 10 MB each."""
    return new_figure(load_library(folder), np.random.default_rng([seed, 77, place]))


def new_figure(library: Library, rng: np.random.Generator) -> Figure:
    """A random person: their build, face, clothes and hair."""
    build = random_build(rng)
    body = shaped_body(library.folder, library.body.vertices, build, rng)
    sheet = new_sheet(library.folder, build, rng)
    hair = hair_colour(build, rng)
    heads, tails = (_joints(library.bones, body, end) for end in ("head", "tail"))
    eyes = heads[[library.bone("eye.L"), library.bone("eye.R")]]
    worn = _wardrobe(library.folder, build, body, eyes, rng)
    hidden = np.zeros(len(body), bool)
    for part in ("clothes", "shoes"):
        if part in worn:
            hidden[worn[part].hidden] = True
    brow = _garment(_choice(rng, _files(library.folder, "eyebrows")))
    paint_brows(sheet, _strips(library, brow), hair, rng)
    seen = np.asarray(~hidden[library.body.corners].all(axis=1))
    pieces = [_Piece.of_body(library, body, seen)]
    for part in _PARTS:
        if part in worn:
            pieces.append(_Piece.of_garment(library, body, worn[part], part))
    return _joined(library, build, body, pieces, heads, tails, hair, sheet)


@dataclass(frozen=True, slots=True, eq=False)
class _Piece:
    vertices: Floats
    weights: csr_matrix
    corners: Indices
    places: Floats  # (F, 3, 2) on the sheet
    tones: Floats  # (N,) the share of the light that gets there

    @classmethod
    def of_body(cls, library: Library, body: Floats, seen: NDArray[np.bool_]) -> "_Piece":
        mesh = library.body
        places = placed("skin", mesh.uvs)[mesh.places[seen]]
        tones = np.ones(len(body), np.float32)
        return cls(body, csr_matrix(library.weights), mesh.corners[seen], places, tones)

    @classmethod
    def of_garment(cls, library: Library, body: Floats, garment: Garment, part: str) -> "_Piece":
        vertices, mesh = garment.fitted(body), garment.mesh
        weights = csr_matrix(np.maximum(garment.carried(library.weights), 0))
        labels = _components(mesh)
        if part == "clothes":
            hips = body[:, 1].min() + 0.54 * np.ptp(body[:, 1])
            middles = np.bincount(labels, vertices[:, 1]) / np.bincount(labels)
            is_other, usual, other = (middles < hips)[labels], "top", "bottom"
        elif part == "teeth":  # of one mesh with the gums, which hang together
            is_other, usual, other = labels == np.argmax(np.bincount(labels)), "teeth", "tongue"
        else:
            is_other, usual, other = np.zeros(len(labels), bool), part, part
        places = np.where(
            is_other[mesh.corners[:, 0], None, None],
            placed(other, mesh.uvs)[mesh.places],
            placed(usual, mesh.uvs)[mesh.places],
        )
        tones = np.ones(len(vertices), np.float32)
        if part in ("teeth", "tongue"):  # dark behind the front teeth
            behind = (vertices[:, 2].max() - vertices[:, 2]) / max(
                float(np.ptp(vertices[:, 2])), 1e-6
            )
            tones = np.clip(1.15 - 2.2 * behind, 0.12, 1).astype(np.float32)
        return cls(vertices, weights, mesh.corners, places, tones)


def _joined(
    library: Library,
    build: Build,
    body: Floats,
    pieces: Sequence[_Piece],
    heads: Floats,
    tails: Floats,
    hair: tuple[int, int, int],
    sheet: Image,
) -> Figure:
    starts = np.cumsum([0, *(len(piece.vertices) for piece in pieces)])
    moved = [piece.corners + start for piece, start in zip(pieces, starts, strict=False)]
    corners = np.concatenate(moved).astype(np.int32)
    places = np.concatenate([piece.places for piece in pieces])
    vertices = np.concatenate([piece.vertices for piece in pieces])
    weights = csr_matrix(vstack([piece.weights for piece in pieces]), dtype=np.float32)
    weights = csr_matrix(weights.multiply(1 / np.asarray(weights.sum(axis=1))), dtype=np.float32)
    keys = np.column_stack([corners.ravel(), places.reshape(-1, 2)])
    points, order = np.unique(keys, axis=0, return_inverse=True)
    faces: Indices = order.reshape(-1, 3).astype(np.int32)
    source = points[:, 0].astype(np.int32)
    tones = np.concatenate([piece.tones for piece in pieces])[source]
    return Figure(
        library, build, body, vertices, weights, source, points[:, 1:].astype(np.float32), tones,
        Surface.of(corners, faces, len(vertices)),
        heads, tails, hair, sheet,
    )  # fmt: skip


def _joints(bones: Sequence[Bone], body: Floats, end: str) -> Floats:
    return np.array([body[list(getattr(bone, end))].mean(axis=0) for bone in bones], np.float32)


def _wardrobe(
    folder: Path, build: Build, body: Floats, eyes: Floats, rng: np.random.Generator
) -> dict[str, Garment]:
    """The file of each part that a person has; what MakeHuman's copy lacks is left out."""
    sex = "male" if build.male > 0.5 else "female"
    hair = [path for path in _files(folder, "hair") if not _hides(_garment(path), body, eyes)]
    short = [path for path in hair if path.stem.startswith(("short", "afro"))]
    if sex == "male":
        hair = short if rng.random() < 0.95 else hair
    wanted = {
        "eyes": _files(folder, "eyes", "low*"),
        "teeth": _files(folder, "teeth"),
        "tongue": _files(folder, "tongue"),
        "hair": hair,
        "clothes": _files(folder, "clothes", f"{sex}_*"),
        "shoes": _files(folder, "clothes", "shoes*"),
    }
    is_bald = sex == "male" and rng.random() < 0.1
    chosen = {part: _choice(rng, paths) for part, paths in wanted.items() if paths}
    if is_bald:
        chosen.pop("hair", None)
    return {part: _garment(path) for part, path in chosen.items()}


def _hides(hair: Garment, body: Floats, eyes: Floats) -> bool:
    """Whether a strand hangs before an eye."""
    away = hair.fitted(body)[:, None] - eyes
    near = (np.abs(away) < (0.2, 0.14, 9.0)).all(axis=2) & (away[..., 2] > 0)
    return bool(near.any())


def _files(folder: Path, part: str, name: str = "*") -> list[Path]:
    return sorted((folder / part).glob(f"{name}/*.mhclo"))


def _choice(rng: np.random.Generator, paths: Sequence[Path]) -> Path:
    if not paths:
        raise DataError("a folder of MakeHuman's data holds no .mhclo file")
    return paths[int(rng.integers(len(paths)))]


@functools.cache
def _garment(path: Path) -> Garment:
    return read_garment(path)


@functools.cache
def _places(library: Library) -> dict[str, int]:
    return {bone.name: place for place, bone in enumerate(library.bones)}


def _components(mesh: Mesh) -> NDArray[np.int32]:
    """(V,) the number of the piece that a vertex belongs to; pieces do not hang together."""
    edges = mesh.corners[:, [0, 1, 1, 2]].reshape(-1, 2)
    ends = edges[:, 0], edges[:, 1]
    graph = csr_matrix((np.ones(len(edges)), ends), shape=(len(mesh.vertices),) * 2)
    return np.asarray(connected_components(graph, directed=False)[1], np.int32)


def _strips(library: Library, brow: Garment) -> list[Floats]:
    """The faces of a brow's mesh, laid onto the skin's texture."""
    mesh = library.body
    uvs = np.zeros((len(mesh.vertices), 2), np.float32)
    uvs[mesh.corners.ravel()] = mesh.uvs[mesh.places.ravel()]
    laid = placed("skin", brow.carried(uvs))
    return [laid[face] for face in brow.mesh.corners]
