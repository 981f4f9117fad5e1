"""The default detector: faces in every frame, hands and persons a few times a second."""

import numpy as np

from sfedge.core.boxes import Box
from sfedge.core.face_points import face_points
from sfedge.core.landmarks import Points
from sfedge.core.structures import Detection, Frame, Image
from sfedge.detect.body_search import BodySearch, hands_in
from sfedge.detect.face_search import FaceSearch
from sfedge.detect.frame_crop import crop_of
from sfedge.detect.mediapipe.detected_points import FoundFace, Networks
from sfedge.detect.mediapipe.face_mesh import FaceMesh
from sfedge.detect.tiling import Candidate, fuse

FACE_PRESENCE = 0.5  # probability that the mesh is one of a face

_SMALLEST_SIDE = 16  # pixels; there is nothing to see in less


class TiledDetector:
    """Finds faces in every frame, hands and persons every `LOOK_INTERVAL`.

    A network sees a picture of at most 256 pixels a side, and so in a whole frame only what is
    large. Small faces are therefore searched for in tiles of the frame, and hands and bodies around
    the faces, too. What is known is followed from frame to frame, so that a search is needed only
    now and then. All this depends on the frames and their times alone: the same video gives the
    same boxes.

    Args:
        networks: what detects in one picture.
        mesh: finds the points of faces, for models that read them.

    Attributes:
        device: where the networks run, as shown to the user; "" where they do not say it.
        engine_note: why they do not run where the model does, a sentence; else "".
    """

    def __init__(self, networks: Networks, mesh: FaceMesh | None = None) -> None:
        self._networks, self._mesh = networks, mesh
        self._faces, self._bodies = FaceSearch(networks), BodySearch(networks)
        self.device = str(getattr(networks, "device", ""))
        self.engine_note = str(getattr(networks, "engine_note", ""))

    def reset(self) -> None:
        """Forget the frames so far: the next one shows another scene."""
        self._faces.reset()
        self._bodies.reset()

    def detect(self, frame: Frame) -> list[Detection]:
        """The detections in this frame; between two looks at bodies only faces.

        Raises:
            DetectorError: a network fails.
        """
        height, width = frame.image.shape[:2]
        if min(width, height) < _SMALLEST_SIDE:
            return []
        whole = crop_of(frame.image)
        faces = self._faces.find(frame, whole)
        return faces + self._bodies.find(frame, whole, [face.box for face in faces])

    def find_face(self, frame: Frame, box: Box) -> list[Detection]:
        """The faces around a box of a frame, which need not be the newest one.

        Raises:
            DetectorError: a network fails.
        """
        return fuse([*self._faces.around(frame.image, box)])

    def face_points(self, frame: Frame, face: Box, key_points: Points | None) -> Points | None:
        """The points of a face that a model reads, see `sfedge.core.face_points.face_points`.

        Args:
            frame: any, which need not be the newest one.
            face: a face's box.
            key_points: its landmarks, as of a `Detection`.

        Returns:
            In fractions of the frame, depth in its widths. None where no face is seen there, or
            the detector has no mesh.

        Raises:
            DetectorError: a network fails.
        """
        if self._mesh is None or key_points is None:
            return None
        height, width = frame.image.shape[:2]
        size = np.array([width, height])
        corners = face.x1 * width, face.y1 * height, face.x2 * width, face.y2 * height
        mesh = self._mesh.find(frame.image, FoundFace(corners, key_points * size, 1.0))
        if mesh.presence <= FACE_PRESENCE:
            return None
        parts = (mesh.points, mesh.right_eye.iris, mesh.left_eye.iris)
        points = face_points(*(part.astype(np.float32) for part in parts))
        return crop_of(frame.image).points_in_frame(points)

    def find_hands(self, image: Image) -> list[Candidate]:
        """The hands that one look at a whole picture finds."""
        return [*hands_in(self._networks, crop_of(image))]

    def close(self) -> None:
        """Release the networks; returns within 2 s even where one of them hangs."""
        self._networks.close()
