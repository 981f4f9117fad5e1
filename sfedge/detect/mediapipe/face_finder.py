"""Faces by BlazeFace, short and full range.

Constants ported from MediaPipe's face detection graphs, Copyright The MediaPipe Authors,
Apache-2.0.
"""

from sfedge.core.structures import Image
from sfedge.detect.mediapipe.detected_points import FoundFace, Range
from sfedge.detect.mediapipe.network_call import NetworkCall
from sfedge.detect.mediapipe.regions import around
from sfedge.detect.mediapipe.single_shot import decode, make_anchors
from sfedge.engines.small_network import SmallNetwork

_OVERLAP = 0.3
_LOWEST = 0.5  # what is less sure takes no part in a face's box either
_SIZES = {"short": 128, "full": 192}
_STRIDES = {"short": [(8, 2), (16, 6)], "full": [(4, 1)]}


class FaceFinder:
    """One of the two face networks.

    Args:
        network: that of MediaPipe.
        reach: which it is.
    """

    def __init__(self, network: SmallNetwork, reach: Range) -> None:
        self._call = NetworkCall(network, low=-1.0, high=1.0)
        self._size = _SIZES[reach]
        self._anchors = make_anchors(self._size, _STRIDES[reach])

    def find(self, image: Image, lowest: float) -> list[FoundFace]:
        """Faces of at least this score, at least 0.5, the surest first.

        Raises:
            DetectorError: the network fails.
        """
        region = around(image)
        values, logits = self._call(image, region, self._size, is_black_outside=True)
        detections = decode(
            values[0],
            logits[0, :, 0],
            self._anchors,
            size=self._size,
            lowest=_LOWEST,
            overlap=_OVERLAP,
        )
        faces = []
        for detection in detections:
            if detection.score < lowest:
                break
            placed = detection.in_picture(region)
            x1, y1, x2, y2 = placed.box.tolist()
            faces.append(FoundFace((x1, y1, x2, y2), placed.points, placed.score))
        return faces
