"""A person's box and head from the 33 landmarks of MediaPipe's pose landmarker."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Corners = tuple[float, float, float, float]  # x1 y1 x2 y2

# Landmark numbers, by MediaPipe's documentation of the pose landmarker.
_EYES, _EARS, _MOUTH = [2, 5], [7, 8], [9, 10]
_HEAD, _SHOULDERS, _HIPS = list(range(11)), [11, 12], [23, 24]
_ALWAYS = _SHOULDERS + _HIPS  # where the network guesses, it guesses these well

# In head widths, from ear to ear.
_EYES_TO_CROWN, _EYES_TO_CHIN, _HALF_HEAD = 1.0, 0.9, 0.65
_FLESH = 0.4  # around a joint
_VISIBLE = 0.5  # visibility from which a landmark counts


@dataclass(frozen=True, slots=True)
class Pose:
    """Where a person is, in the unit of the landmarks."""

    person: Corners
    head: Corners
    score: float  # mean visibility of head and shoulders


def measure_pose(points: NDArray[np.float64]) -> Pose:
    """The boxes of a person.

    The landmarks lie inside the body, none above the eyes: the box is wider by flesh and higher by
    the crown. Limbs count where they are seen, shoulders and hips always.

    Args:
        points: (33, 3), x, y and visibility; x and y in pixels, also outside the picture.
    """
    places, visibility = points[:, :2], points[:, 2]
    eyes, mouth = places[_EYES].mean(axis=0), places[_MOUTH].mean(axis=0)
    ears = float(np.linalg.norm(places[_EARS[0]] - places[_EARS[1]]))
    # From the side the ears are close together; eyes and mouth are half a head width apart.
    width = max(ears, 2 * float(np.linalg.norm(eyes - mouth)), 1.0)
    head = (
        float(eyes[0]) - _HALF_HEAD * width,
        float(eyes[1]) - _EYES_TO_CROWN * width,
        float(eyes[0]) + _HALF_HEAD * width,
        float(eyes[1]) + _EYES_TO_CHIN * width,
    )
    is_counted = visibility >= _VISIBLE
    is_counted[_ALWAYS] = True
    is_counted[_HEAD] = False  # the head's own box is larger
    low = places[is_counted].min(axis=0) - _FLESH * width
    high = places[is_counted].max(axis=0) + _FLESH * width
    person = (
        min(head[0], float(low[0])),
        min(head[1], float(low[1])),
        max(head[2], float(high[0])),
        max(head[3], float(high[1])),
    )
    return Pose(person, head, float(visibility[_HEAD + _SHOULDERS].mean()))
