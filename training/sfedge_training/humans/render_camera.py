"""A camera, light, and the triangles they make visible."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from sfedge.core.structures import Image
from sfedge_training.humans.makehuman import Floats, Indices
from sfedge_training.humans.skeleton import Matrix, Vector

_FINE = 1.5  # fine pixels per pixel of the picture: shrinking them smooths the edges
_NEAR, _FAR = 0.5, 2000.0  # decimetres
# The channel of the light holds its share from -0.5, darker than shadow, to 1, as 0.01 to 1: zero
# is where nothing is drawn.
_DARKEST, _LIT = -0.5, 0.01


@dataclass(frozen=True, slots=True, eq=False)
class Camera:
    """Where the camera is and what it sees; it looks against its own z."""

    place: Vector  # (3,) decimetres
    axes: Matrix  # (3, 3) its right, up and back, as columns
    focal: float  # length in heights of the picture
    width: int
    height: int

    def seen(self, points: ArrayLike) -> NDArray[np.float64]:
        """(N, 3) points in the camera's own axes."""
        return (np.asarray(points, np.float64) - self.place) @ self.axes

    def project(self, points: ArrayLike) -> NDArray[np.float64]:
        """(N, 3) where points are in the picture, in fractions, and how far away, decimetres."""
        seen = self.seen(points)
        away = np.maximum(-seen[:, 2], 1e-3)
        x = 0.5 + seen[:, 0] / away * self.focal * self.height / self.width
        return np.column_stack([x, 0.5 - seen[:, 1] / away * self.focal, away])


@dataclass(frozen=True, slots=True, eq=False)
class Light:
    """Light from one side, and what the surroundings throw back."""

    direction: Vector  # (3,) to where it comes from
    bright: Vector  # (3,) RGB factors in full light
    dark: Vector  # (3,) and in shadow


@dataclass(frozen=True, slots=True, eq=False)
class Solid:
    """Something to be seen: points with a place in a texture."""

    points: Floats  # (P, 3) decimetres
    normals: Floats  # (P, 3)
    places: Floats  # (P, 2) in fractions of the sheet, from the left and the top
    tones: Floats  # (P,) the share of the light that gets there
    faces: Indices  # (F, 3)
    sheet: Image


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """What the camera saw."""

    image: Image  # (H, W, 3)
    depth: Floats  # how far what is seen is away, decimetres, at the fine size
    camera: Camera

    def is_seen(self, points: ArrayLike, thick: float) -> NDArray[np.bool_]:
        """(N,) whether points are in the picture, and no deeper than `thick` in what is seen."""
        places = self.camera.project(points)
        height, width = self.depth.shape
        columns = np.floor(places[:, 0] * width).astype(int)
        rows = np.floor(places[:, 1] * height).astype(int)
        inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
        found = self.depth[rows.clip(0, height - 1), columns.clip(0, width - 1)]
        return np.asarray(inside & (places[:, 2] <= found + thick))


def shoot(solids: Sequence[Solid], camera: Camera, light: Light, background: Image) -> Shot:
    """Take the picture.

    Args:
        solids: what stands before the camera.
        camera: which.
        light: on the solids.
        background: (H, W, 3) RGB behind them.
    """
    width, height = round(camera.width * _FINE), round(camera.height * _FINE)
    depth = np.full((height, width), _FAR, np.float32)
    front = np.zeros((height, width, 3), np.uint8)
    cover = np.zeros((height, width), np.uint8)
    for solid in solids:
        _draw(solid, camera, light, depth, front, cover)
    size = (camera.width, camera.height)
    free = cv2.cvtColor(
        255 - cv2.resize(cover, size, interpolation=cv2.INTER_AREA), cv2.COLOR_GRAY2RGB
    )
    behind = cv2.multiply(background, free, scale=1 / 255)
    image = cv2.add(cv2.resize(front, size, interpolation=cv2.INTER_AREA), behind)
    return Shot(np.asarray(image, np.uint8), depth, camera)


def _draw(
    solid: Solid, camera: Camera, light: Light, depth: Floats, front: Image, cover: Image
) -> None:
    height, width = depth.shape
    place, axes = camera.place.astype(np.float32), camera.axes.astype(np.float32)
    seen = ((solid.points - place) @ axes).astype(np.float32)
    faces = _in_front(seen, solid.faces, camera)
    if not len(faces):
        return
    values = np.empty((len(seen), 3), np.float32)
    values[:, :2] = solid.places
    values[:, 2] = _lit(solid, light)
    drawn = np.zeros((height, width, 3), np.float32)
    field_of_view = 2 * math.atan(0.5 / camera.focal)
    cv2.triangleRasterize(
        seen, faces, values, drawn, depth, np.eye(4, dtype=np.float32), field_of_view, _NEAR,
        _FAR, _settings(),
    )  # fmt: skip
    shown = drawn[..., 2] > 0
    rows, columns = np.flatnonzero(shown.any(axis=1)), np.flatnonzero(shown.any(axis=0))
    if not len(rows):
        return
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    shown, part = shown[box], drawn[box]
    across, down, bright = cv2.split(part)
    side, top = solid.sheet.shape[1], solid.sheet.shape[0]
    texture = cv2.remap(solid.sheet, across * side - 0.5, down * top - 0.5, cv2.INTER_LINEAR)
    # Shadow and full light, as a line over the channel's values.
    slopes = (1 - _DARKEST) * (light.bright - light.dark)
    starts = light.dark + _DARKEST * (light.bright - light.dark)
    shade = cv2.merge(
        [
            bright * slope + start
            for slope, start in zip(slopes.tolist(), starts.tolist(), strict=True)
        ]
    )
    mask = shown.astype(np.uint8)
    cv2.copyTo(cv2.multiply(texture, shade, dtype=cv2.CV_8U), mask, front[box])
    cover[box][shown] = 255


def _settings() -> cv2.TriangleRasterizeSettings:
    settings = cv2.TriangleRasterizeSettings()
    settings.setShadingType(cv2.RASTERIZE_SHADING_SHADED)
    settings.setCullingMode(cv2.RASTERIZE_CULLING_CW)
    return settings


def _in_front(seen: Floats, faces: Indices, camera: Camera) -> Indices:
    """The faces that may be in the picture."""
    slope = 0.5 / camera.focal
    wide = slope * camera.width / camera.height
    x, y, away = seen[:, 0], seen[:, 1], -seen[:, 2]
    edge = np.maximum(away, 0)
    side = (np.abs(x) < edge * wide + 0.5) & (np.abs(y) < edge * slope + 0.5) & (away > _NEAR)
    return np.ascontiguousarray(faces[side[faces[:, 0]]])


def _lit(solid: Solid, light: Light) -> Floats:
    """(P,) the light of each point: most from its direction, a little from above."""
    towards = np.asarray(light.direction, np.float32)
    direct = np.maximum((solid.normals @ towards + 0.3) / 1.3, 0)
    bright: Floats = 0.8 * direct + 0.1 * (1 + solid.normals[:, 1])
    shares = bright * solid.tones + _DARKEST * (1 - solid.tones)
    return np.clip((shares - _DARKEST) / (1 - _DARKEST), _LIT, 1)
