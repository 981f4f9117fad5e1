"""The 468 points of a face, and its irises.

Constants ported from MediaPipe's face mesh and iris graphs, Copyright The MediaPipe Authors,
Apache-2.0.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sfedge.core.structures import Image
from sfedge.detect.mediapipe.detected_points import FoundFace, Values
from sfedge.detect.mediapipe.network_call import NetworkCall
from sfedge.detect.mediapipe.regions import Region, angle_between, cut_out
from sfedge.detect.open_networks import open_networks
from sfedge.engines.small_network import AUTO, NetworkSet

_MESH_SIZE, _EYE_SIZE = 192, 64
_RIGHT_EYE, _LEFT_EYE = 0, 1  # a face's points that define its rotation
_FACE_GROWTH, _EYE_GROWTH = 1.5, 2.3
# Corners of each eye in the mesh, the one that is further left in the picture first.
_RIGHT_CORNERS, _LEFT_CORNERS = (33, 133), (362, 263)


@dataclass(frozen=True, slots=True, eq=False)
class Eye:
    """An eye as the iris network sees it, in pixels of the picture."""

    iris: Values  # (5, 3) centre; edge towards the nose, above, away from the nose, below
    contour: Values  # (71, 3) lids and brow


@dataclass(frozen=True, slots=True, eq=False)
class Mesh:
    """The mesh of one face, in pixels of the picture; depth has the scale of x."""

    points: Values  # (468, 3)
    presence: float  # probability that a face is there
    right_eye: Eye  # the person's own
    left_eye: Eye


class FaceMesh:
    """Finds the points of faces.

    Args:
        mesh: the network `face-mesh` of `sfedge.detect.conversion.networks`.
        iris: the network `iris`.

    Raises:
        DetectorError: a network does not start.
    """

    def __init__(self, mesh: Path, iris: Path) -> None:
        files = {"face-mesh": mesh, "iris": iris}
        opened = open_networks(NetworkSet("face-mesh", files), AUTO).networks
        self._mesh = NetworkCall(opened["face-mesh"], low=0.0, high=1.0)
        self._iris = NetworkCall(opened["iris"], low=0.0, high=1.0)

    def find(self, image: Image, face: FoundFace) -> Mesh:
        """The mesh of a face that was found in the picture.

        Raises:
            DetectorError: a network fails.
        """
        region = _face_region(face)
        values, logit = self._mesh(image, region, _MESH_SIZE, is_black_outside=False)
        points = _placed(values.reshape(468, 3) / _MESH_SIZE, region)
        return Mesh(
            points,
            1 / (1 + math.exp(-float(logit.item()))),
            self._eye(image, points[list(_RIGHT_CORNERS)], is_left=False),
            self._eye(image, points[list(_LEFT_CORNERS)], is_left=True),
        )

    def _eye(self, image: Image, corners: Values, *, is_left: bool) -> Eye:
        """The network knows right eyes alone: a left one is shown in the mirror."""
        region = _eye_region(corners)
        picture = cut_out(image, region, _EYE_SIZE, is_black_outside=False)
        shown = np.ascontiguousarray(picture[:, ::-1]) if is_left else picture
        contour, iris = (
            values.reshape(-1, 3) / np.float64(_EYE_SIZE) for values in self._iris.run(shown)
        )
        if is_left:
            for points in (contour, iris):
                points[:, 0] = 1 - points[:, 0]
        return Eye(_placed(iris, region), _placed(contour, region))


def _face_region(face: FoundFace) -> Region:
    x1, y1, x2, y2 = face.box
    angle = angle_between(face.points[_RIGHT_EYE], face.points[_LEFT_EYE], 0.0)
    side = _FACE_GROWTH * max(x2 - x1, y2 - y1)
    return Region((x1 + x2) / 2, (y1 + y2) / 2, side, angle)


def _eye_region(corners: Values) -> Region:
    (x1, y1), (x2, y2) = corners[:, :2]
    side = _EYE_GROWTH * max(abs(x2 - x1), abs(y2 - y1))
    angle = angle_between(corners[0], corners[1], 0.0)
    return Region(float(x1 + x2) / 2, float(y1 + y2) / 2, float(side), angle)


def _placed(points: Values, region: Region) -> Values:
    """(N, 3) from fractions of the region to pixels of the picture."""
    return np.column_stack([region.to_picture(points[:, :2]), points[:, 2] * region.side])
