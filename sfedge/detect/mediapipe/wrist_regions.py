"""Where a person's hands are, by the landmarks of the body.

Geometry ported from MediaPipe's holistic landmarker (HandDetectionsFromPoseToRectsCalculator,
HandLandmarksToRectCalculator), Copyright The MediaPipe Authors, Apache-2.0.
"""

import math

import numpy as np

from sfedge.detect.mediapipe.detected_points import Values
from sfedge.detect.mediapipe.regions import Region, angle_between

_GROWTH, _SHIFT = 2.7, -0.1  # from wrist and fingers to the hand
_GROWTH_AGAIN = 2.0  # from landmarks to the region in which they are found again
_UPRIGHT = math.pi / 2
_FINGERS, _WRIST = (5, 9, 13), 0  # of a hand's landmarks: those that define its rotation
_WEIGHTS = (0.25, 0.5, 0.25)


def region_of_wrist(wrist: Values, little: Values, index: Values) -> Region:
    """Where the hand of a body is.

    Args:
        wrist: x, y in pixels.
        little: likewise of the little finger's first joint.
        index: likewise of the index finger's.
    """
    middle = (2 * index + little) / 3
    side = 2 * float(np.linalg.norm(middle - wrist)) * _GROWTH
    return _shifted(middle, side, side, angle_between(wrist, middle, _UPRIGHT))


def region_of_hand(points: Values) -> Region:
    """Where to look for a hand again whose landmarks, (21, 3) in pixels, are about known."""
    places = points[:, :2]
    middle = np.average(places[list(_FINGERS)], axis=0, weights=_WEIGHTS)
    angle = angle_between(places[_WRIST], middle, _UPRIGHT)
    turned = places @ _rotation(angle)
    low, high = turned.min(axis=0), turned.max(axis=0)
    width, height = (high - low).tolist()
    centre = _rotation(angle) @ ((low + high) / 2)
    return _shifted(centre, height, max(width, height) * _GROWTH_AGAIN, angle)


def _shifted(centre: Values, height: float, side: float, angle: float) -> Region:
    """A square, moved by a share of a height towards the fingertips."""
    x, y = _rotation(angle) @ (0.0, _SHIFT * height)
    return Region(float(centre[0] + x), float(centre[1] + y), side, angle)


def _rotation(angle: float) -> Values:
    sine, cosine = math.sin(angle), math.cos(angle)
    return np.array([[cosine, -sine], [sine, cosine]])
