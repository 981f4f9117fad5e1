"""The points of a face that a model reads: which they are, and how its eyes and head are turned.

Indices are those of MediaPipe's face landmarker.
"""

import numpy as np
from numpy.typing import NDArray

MESH_POINTS = 468
IRIS_POINTS = 5  # of each eye: centre; edge towards the nose, above, away from the nose, below

# Points of the face mesh in pairs (the person's right, left), and those in the middle.
_LIDS = (
    *((33, 263), (7, 249), (163, 390), (144, 373), (145, 374), (153, 380), (154, 381), (155, 382)),
    *((133, 362), (173, 398), (157, 384), (158, 385), (159, 386), (160, 387), (161, 388)),
    (246, 466),
)
_PAIRS = (
    # lips, outer and inner line
    *((61, 291), (146, 375), (91, 321), (181, 405), (84, 314), (185, 409), (40, 270), (39, 269)),
    *((37, 267), (78, 308), (95, 324), (88, 318), (178, 402), (87, 317), (191, 415), (80, 310)),
    *((81, 311), (82, 312)),
    *_LIDS,
    # brows
    *((46, 276), (53, 283), (52, 282), (65, 295), (55, 285), (70, 300), (63, 293), (105, 334)),
    *((66, 296), (107, 336)),
    # the face's outline
    *((67, 297), (54, 284), (162, 389), (234, 454), (132, 361), (172, 397), (150, 379), (176, 400)),
    # nostrils and cheeks
    *((98, 327), (48, 278), (50, 280), (205, 425)),
)
_MIDDLE = (0, 17, 13, 14, 10, 152, 1, 4, 5, 195, 197, 6, 168, 2)
_MESH = np.array([*(i for pair in _PAIRS for i in pair), *_MIDDLE])
FACE_POINTS = len(_MESH) + 2 * IRIS_POINTS
RIGHT_IRIS, LEFT_IRIS = len(_MESH), len(_MESH) + 1  # their centres among a face's points

Points = NDArray[np.float32]  # (N, 3)


def face_points(mesh: Points, right_iris: Points, left_iris: Points) -> Points:
    """The points of a face that a model reads.

    Args:
        mesh: (468, 3).
        right_iris: (5, 3) of the person's right eye, in the order of `IRIS_POINTS`.
        left_iris: likewise.

    Returns:
        (FACE_POINTS, 3).
    """
    irises = np.stack([right_iris, left_iris], axis=1).reshape(-1, 3)  # in pairs, too
    return np.concatenate([mesh[_MESH], irises]).astype(np.float32)


def face_places(*mesh: int) -> list[int]:
    """Where points of the mesh are among the points of a face, see `face_points`.

    Args:
        mesh: indices of points that a model reads.
    """
    order = _MESH.tolist()
    return [order.index(point) for point in mesh]


# Rows of each eye among a face's points, and its corners, from left to right in the picture where
# the head is upright.
_EYES = tuple(
    [*face_places(*(pair[side] for pair in _LIDS)), *range(first, FACE_POINTS, 2)]
    for side, first in enumerate((RIGHT_IRIS, LEFT_IRIS))
)
_CORNERS = (face_places(33, 133), face_places(362, 263))
_OUTER, _FOREHEAD, _CHIN = face_places(33, 263), *face_places(10, 152)
_EYE_POINTS = len(_EYES[0])
EYE_ROWS = 2 * _EYE_POINTS + 2


def eye_rows(face: NDArray[np.float64]) -> NDArray[np.float64]:
    """How eyes and head are turned, so that no size, place or tilt of the head has to be known.

    Args:
        face: (FACE_POINTS, 3), x, y and depth in one unit.

    Returns:
        (EYE_ROWS, 3): lids and iris of the person's right eye and of the left one, each around the
        middle of its own corners, along their line, in half their distance; then two directions of
        length 1, of the face and of its chin.
    """
    rows = [
        _in_own_frame(face[eye], face[corners])
        for eye, corners in zip(_EYES, _CORNERS, strict=True)
    ]
    across = face[_OUTER[1]] - face[_OUTER[0]]
    down = face[_CHIN] - face[_FOREHEAD]
    return np.concatenate([*rows, [_unit(np.cross(across, down)), _unit(down)]])


def _in_own_frame(points: NDArray[np.float64], corners: NDArray[np.float64]) -> NDArray[np.float64]:
    along = (corners[1, :2] - corners[0, :2]) / 2
    half = max(float(np.linalg.norm(along)), 1e-6)
    x, y = along / half
    turn = np.array([[x, -y, 0], [y, x, 0], [0, 0, 1]])
    own: NDArray[np.float64] = (points - corners.mean(axis=0)) @ turn / half
    return own


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    return vector / max(float(np.linalg.norm(vector)), 1e-6)


# Where each point or row comes from in a mirror.
FACE_MIRROR = np.array(
    [
        *(i + 1 - 2 * (i % 2) for i in range(2 * len(_PAIRS))),
        *range(2 * len(_PAIRS), len(_MESH)),
        *(len(_MESH) + i + 1 - 2 * (i % 2) for i in range(2 * IRIS_POINTS)),
    ]
)
EYE_MIRROR = np.array(
    [
        *range(_EYE_POINTS, 2 * _EYE_POINTS),
        *range(_EYE_POINTS),
        *range(2 * _EYE_POINTS, EYE_ROWS),
    ]
)
