"""Draws where people look: a tinted heatmap around each peak, and an arrow from the face to it."""

import cv2
import numpy as np
from numpy.typing import NDArray

from sfedge.annotate.layout import is_free
from sfedge.annotate.lines import faces_px, leaving_px, put_line, to_point
from sfedge.annotate.theme import Theme
from sfedge.core.frame_result import FrameResult
from sfedge.core.structures import Image, Prediction

_FLOOR = 0.35  # of the height of the peak above the median; a fainter cell is not shown
_LEAST_CONTRAST = 0.1  # between peak and median of a map that is shown at all
_CARRIED = 0.7  # of the opacity, for answers from an earlier frame


class GazeHeatmap:
    """Tints what a person looks at in the person's colour; all people in one blending."""

    def __init__(self, theme: Theme) -> None:
        self._theme = theme

    def draw(self, image: Image, result: FrameResult) -> None:
        """Draw on `image`, in place."""
        present = {track.id for track in result.tracks}
        gazes = [p for p in result.predictions if p.heatmap is not None and p.people[0] in present]
        if not gazes:
            return
        opacities = np.stack([self._opacity(gaze, result) for gaze in gazes])  # [N, G, G]
        strength = opacities.sum(axis=0)  # [G, G]
        if not strength.any():
            return
        inks = np.array([self._theme.colour(gaze.people[0]) for gaze in gazes], np.float32)
        mixed = np.einsum("nyx,nc->yxc", opacities, inks) / np.maximum(strength, 1e-6)[..., None]
        _blend(image, mixed, np.minimum(strength, self._theme.heat_opacity))

    def _opacity(self, gaze: Prediction, result: FrameResult) -> NDArray[np.float32]:
        """(G, G), full at a clear peak; a flat map tints nothing."""
        assert gaze.heatmap is not None
        peak, ground = float(gaze.heatmap.max()), float(np.median(gaze.heatmap))
        contrast = peak - ground
        if contrast < _LEAST_CONTRAST:
            return np.zeros_like(gaze.heatmap)
        above: NDArray[np.float32] = (gaze.heatmap - ground) / contrast
        strength = 1.0 if gaze in result.fresh else _CARRIED
        highest = np.float32(self._theme.heat_opacity * strength * contrast / peak)
        shown: NDArray[np.float32] = np.clip((above - _FLOOR) / (1.0 - _FLOOR), 0.0, 1.0) * highest
        return shown


class GazeArrows:
    """An arrow from each face to the point it looks at, behind other faces; dashed where unsure."""

    def __init__(self, theme: Theme) -> None:
        self._theme = theme

    def draw(self, image: Image, result: FrameResult) -> None:
        """Draw on `image`, in place."""
        tracks = {track.id: track for track in result.tracks}
        width = self._theme.width_px(image)
        faces = faces_px(image, result, self._theme)
        for gaze in result.predictions:
            if gaze.point is None or gaze.people[0] not in tracks:
                continue
            person = gaze.people[0]
            colour = self._theme.faded(self._theme.colour(person), result, gaze)
            end = to_point(image, gaze.point)
            start = leaving_px(image, tracks[person], end)
            others = [face for face in faces if is_free((*end, end[0] + 1, end[1] + 1), [face])]
            dashed = gaze.is_unsure
            put_line(
                image, start, end, colour, self._theme, width=width, is_dashed=dashed, behind=others
            )
            dot = self._theme.dot_px(image)
            rings = ((dot + 1, self._theme.halo), (dot, colour), (dot // 2, self._theme.text))
            for radius, ink in rings:
                cv2.circle(image, end, radius, ink, -1, cv2.LINE_AA)


def _blend(image: Image, colours: NDArray[np.float32], opacity: NDArray[np.float32]) -> None:
    """Blend (G, G, 3) colours over the picture, only where (G, G) opacity is above zero."""
    grid, (height, width) = opacity.shape[0], image.shape[:2]
    rows, columns = np.nonzero(opacity)
    top, bottom = max(rows.min() - 1, 0), min(rows.max() + 2, grid)
    left, right = max(columns.min() - 1, 0), min(columns.max() + 2, grid)
    y1, y2 = top * height // grid, max(bottom * height // grid, top * height // grid + 1)
    x1, x2 = left * width // grid, max(right * width // grid, left * width // grid + 1)
    area = image[y1:y2, x1:x2]
    size = (area.shape[1], area.shape[0])
    tint = cv2.resize(colours[top:bottom, left:right].astype(np.uint8), size)
    weight = cv2.resize(opacity[top:bottom, left:right], size)
    area[...] = cv2.blendLinear(area, tint, 1.0 - weight, weight)
