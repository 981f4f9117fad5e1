"""Landmarks of what a view shows, as a model reads them beside the image.

This is the one definition for training, export and inference. A view's landmarks become one vector
of `INPUT_WIDTH` numbers, in parts that each make a token: the hand that a query is about, the
other hand, the body, the face, and once more the eyes. A part says whether it is there, where it
lies in the view and how large, and its points in a frame of its own, so that a shape looks the same
wherever it is.

Indices are those of MediaPipe's hand and pose landmarkers.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from sfedge.core.boxes import Box
from sfedge.core.face_points import EYE_MIRROR, EYE_ROWS, FACE_MIRROR, FACE_POINTS, eye_rows

LAYOUT = "hands-body-face-eyes-1"  # raised with every change of what the vector holds
HAND_POINTS, BODY_POINTS = 21, 33

# Where each point of a body comes from in a mirror: the nose from itself, the eyes in threes, and
# then odd ones are left, even ones right.
_BODY_MIRROR = np.array(
    [0, 4, 5, 6, 1, 2, 3, *(i + 1 if i % 2 else i - 1 for i in range(7, BODY_POINTS))]
)
_NOSE, _SHOULDERS = 0, (11, 12)

Part = Literal["hand", "other_hand", "body", "face", "eyes"]
PARTS: Mapping[Part, int] = {  # points of each; every part makes one token, in this order
    "hand": HAND_POINTS,
    "other_hand": HAND_POINTS,
    "body": BODY_POINTS,
    "face": FACE_POINTS,
    "eyes": EYE_ROWS,  # see `eye_rows`
}
# Of each part: is it there, its centre and size in the view, its side (hands alone; else 0).
_HEAD = 5
WIDTHS: Mapping[Part, int] = {part: _HEAD + 3 * count for part, count in PARTS.items()}
INPUT_WIDTH = sum(WIDTHS.values())
_ENDS = tuple(accumulate(WIDTHS.values()))
SLICES: Mapping[Part, slice] = {  # of each part in the vector
    part: slice(end - width, end) for (part, width), end in zip(WIDTHS.items(), _ENDS, strict=True)
}

_FAR = 8.0  # no place, size or point is given beyond this, in units of the view or of the part
PRESENT, _SIDE = 0, 4  # in a part's head: 1 where it is there; its side

Points = NDArray[np.float32]  # (N, 3)
Vector = NDArray[np.float32]  # (INPUT_WIDTH,)


class Rectangle(Protocol):
    """A box, which may leave the picture."""

    @property
    def x1(self) -> float: ...
    @property
    def y1(self) -> float: ...
    @property
    def width(self) -> float: ...
    @property
    def height(self) -> float: ...


@dataclass(frozen=True, slots=True, eq=False)
class HandLandmarks:
    """The 21 points of a hand: x and y in fractions of the picture, depth in its widths."""

    points: Points
    side: Literal["left", "right"] | None = None  # the person's own


@dataclass(frozen=True, slots=True, eq=False)
class Landmarks:
    """What is known of the one whom a query is about; what is not known is left out."""

    hands: tuple[HandLandmarks, ...] = ()  # the one that the query is about first; at most two
    body: Points | None = None  # (33, 3) x and y as of a hand, and visibility in [0, 1]
    face: Points | None = None  # (FACE_POINTS, 3) as of a hand, see `face_points`


NO_LANDMARKS = Landmarks()


def landmark_vector(landmarks: Landmarks, view: Box, aspect: float) -> Vector:
    """The landmarks as a model reads them beside a view.

    Args:
        landmarks: in fractions of the picture.
        view: the part of the picture that the model sees.
        aspect: the picture's width divided by its height, in pixels.

    Returns:
        (INPUT_WIDTH,); zeros where a part is not known.
    """
    vector = np.zeros(INPUT_WIDTH, np.float32)
    face = landmarks.face
    parts: dict[Part, Points | None] = {"body": landmarks.body, "face": face, "eyes": face}
    sides: dict[Part, float] = {}
    places: tuple[Part, Part] = ("hand", "other_hand")
    for part, hand in zip(places, landmarks.hands, strict=False):
        parts[part] = hand.points
        sides[part] = {"left": -1.0, "right": 1.0, None: 0.0}[hand.side]
    for part, rows in SLICES.items():
        points = parts.get(part)
        if points is not None:
            vector[rows] = _part(part, points, sides.get(part, 0.0), view, aspect)
    return vector


def mirrored(vector: Vector) -> Vector:
    """The vector of the same view in a mirror: left and right change places, sides too.

    Args:
        vector: (INPUT_WIDTH,).
    """
    turned = vector.copy()
    for part, rows in SLICES.items():
        values = turned[rows]  # a view of `turned`
        values[1] *= -1
        values[_SIDE] *= -1
        points = values[_HEAD:].reshape(-1, 3)
        points[:, 0] *= -1
        points[:] = points[_MIRROR[part]]
    return turned


def without(vector: Vector, *parts: Part) -> Vector:
    """The vector as if these parts were not known."""
    rest = vector.copy()
    for part in parts:
        rest[SLICES[part]] = 0
    return rest


def present(vector: Vector) -> tuple[Part, ...]:
    """The parts that are known."""
    return tuple(part for part, rows in SLICES.items() if vector[rows][PRESENT])


def shown_in(landmarks: Landmarks, view: str) -> Landmarks:
    """The landmarks that go with a kind of view.

    Only what the view shows is given beside it: training's pictures of hands and faces come without
    the people whom they belong to. A view of hands has the body where no hand is known.

    Args:
        landmarks: of a person, or of a hand without one.
        view: a task's: "face", "hand", "person" or "frame".
    """
    if view == "face":
        return Landmarks(face=landmarks.face)
    if view == "hand":
        return Landmarks(landmarks.hands, None if landmarks.hands else landmarks.body)
    return landmarks


def moved(points: Points, before: Rectangle, after: Rectangle) -> Points:
    """Points that go with a box that moved or grew since they were found.

    Args:
        points: (N, 2) or (N, 3); a third value stays as it is.
        before: the box when they were found.
        after: where it is now.
    """
    scale = np.array([after.width / before.width, after.height / before.height], np.float32)
    start, end = (np.array([box.x1, box.y1], np.float32) for box in (before, after))
    shifted = (points[:, :2] - start) * scale + end
    return np.column_stack([shifted, points[:, 2:]]).astype(np.float32)


def with_other_first(landmarks: Landmarks) -> Landmarks:
    """The same, for a query about the other hand."""
    return replace(landmarks, hands=landmarks.hands[::-1])


def _part(part: Part, points: Points, side: float, view: Box, aspect: float) -> Vector:
    """One part: its head, and its points in units of its own size around its own centre."""
    # In heights of the picture, so that a shape is not stretched.
    places = points[:, :2].astype(np.float64) * (aspect, 1.0)
    centre, size = _frame_of(part, places)
    in_view = (centre / (aspect, 1.0) - (view.x1, view.y1)) / (view.width, view.height)
    # Depth begins somewhere else in every network: what counts is how it differs in a part.
    depth = points[:, 2].astype(np.float64)
    if part != "body":
        depth = (depth - depth.mean()) * aspect
    if part == "eyes":
        shape = eye_rows(np.column_stack([places, depth]))
    else:
        scaled = depth if part == "body" else depth / size
        shape = np.column_stack([(places - centre) / size, scaled])
    scale = math.log2(size / max(view.width * aspect, view.height))
    head = (1.0, *(2 * in_view - 1), scale, side)
    values: Vector = np.clip([*head, *shape.ravel()], -_FAR, _FAR).astype(np.float32)
    return values


def _frame_of(part: Part, places: NDArray[np.float64]) -> tuple[NDArray[np.float64], float]:
    """Centre and size of a part: half of its longer side, or of a body the width of shoulders."""
    if part == "body":
        right, left = places[_SHOULDERS[1]], places[_SHOULDERS[0]]
        centre = (right + left) / 2
        # Seen from the side, shoulders fall together; the neck does not.
        size = max(np.linalg.norm(right - left), np.linalg.norm(places[_NOSE] - centre))
    else:
        low, high = places.min(axis=0), places.max(axis=0)
        centre, size = (low + high) / 2, (high - low).max() / 2
    return centre, max(float(size), 1e-6)


_MIRROR: Mapping[Part, NDArray[np.int64]] = {
    "hand": np.arange(HAND_POINTS),
    "other_hand": np.arange(HAND_POINTS),
    "body": _BODY_MIRROR,
    "face": FACE_MIRROR,
    "eyes": EYE_MIRROR,
}
