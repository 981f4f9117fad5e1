"""Where a head and its eyes turn in the picture, as the detectors' points of a face show it.

x is positive to the right of the picture, y downwards. Points are fractions of a square picture.
"""

import numpy as np

from sfedge.core.face_points import LEFT_IRIS, RIGHT_IRIS, face_places
from sfedge.core.landmarks import Points

# Key points of a face.
_RIGHT_EYE, _LEFT_EYE, _NOSE, _MOUTH, _RIGHT_EAR, _LEFT_EAR = range(6)
# What is less than this counts as no direction. Of the pictures with known answers, turned heads
# have 0.35 and more, straight ones at most 0.05; turned eyes 0.11, straight ones 0.04.
_LEAST_HEAD, _LEAST_EYES = 0.2, 0.06
_LEAST_UP = 0.06
# The place of the ears, and in the mesh of the nose, where a head is held level.
_LEVEL_EARS, _LEVEL_NOSE = 0.25, 0.36

Direction = tuple[int, int]  # signs of x and y; 0 where the head is not clearly turned


def head_by_key_points(points: Points) -> Direction:
    """Where a head turns: the nose between the ears, and the ears' height between eyes and mouth.

    Args:
        points: (6, 2) a detected face's landmarks.
    """
    ears, eyes = points[[_RIGHT_EAR, _LEFT_EAR]], points[[_RIGHT_EYE, _LEFT_EYE]]
    aside = (points[_NOSE, 0] - ears[:, 0].mean()) / _positive(abs(ears[0, 0] - ears[1, 0]))
    level = eyes[:, 1].mean()
    height = (ears[:, 1].mean() - level) / _positive(points[_MOUTH, 1] - level)
    # Of a head that looks up, the ears sink.
    return _sign(aside, _LEAST_HEAD), _sign(_LEVEL_EARS - height, _LEAST_UP)


def head_by_mesh(points: Points) -> Direction:
    """Where a head turns: the nose's tip in the outline, and its height between eyes and chin.

    Args:
        points: (FACE_POINTS, 3) as `sfedge.core.face_points.face_points` orders them.
    """
    right, left, tip, chin, *eyes = points[face_places(234, 454, 1, 152, 33, 263), :2]
    aside = (tip[0] - (right[0] + left[0]) / 2) / _positive(abs(left[0] - right[0]))
    level = np.mean([eye[1] for eye in eyes])
    height = (tip[1] - level) / _positive(chin[1] - level)
    return _sign(aside, _LEAST_HEAD), _sign(height - _LEVEL_NOSE, _LEAST_UP)


def eyes_by_irises(points: Points) -> int:
    """The sign of x of where the eyes turn in the head: the irises between the eyes' corners.

    Args:
        points: (FACE_POINTS, 3) likewise.
    """
    corners = points[face_places(33, 133, 362, 263), 0].reshape(2, 2)
    irises = points[[RIGHT_IRIS, LEFT_IRIS], 0]
    aside = (irises - corners.mean(axis=1)) / np.maximum(np.abs(np.ptp(corners, axis=1)), 1e-6)
    return _sign(float(aside.mean()), _LEAST_EYES)


def _sign(value: float, least: float) -> int:
    return 0 if abs(value) < least else int(np.sign(value))


def _positive(length: float) -> float:
    return max(float(length), 1e-6)
