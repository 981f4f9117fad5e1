"""What finds people in frames: MediaPipe's networks, or boxes from a file."""

from pathlib import Path

from sfedge.detect.detector import Detector
from sfedge.system.cache import Progress

__all__ = ["Detector", "build_detector"]


def build_detector(
    *,
    detections: Path | None = None,
    egocentric: bool = False,
    offline: bool = False,
    width: int,
    height: int,
    source: str = "",
    progress: Progress | None = None,
) -> Detector:
    """The detector for a run.

    Args:
        detections: a file or folder of boxes to take in place of the networks.
        egocentric: the camera is worn by a person who is not in the picture.
        offline: fetch no network; one that is missing is an error.
        width: pixels of the upright frames, for boxes that are given in pixels.
        height: likewise.
        source: name of the video, by which an Ego4D file tells its clips apart.
        progress: told of networks being fetched.

    Raises:
        DetectorError: a network is missing or does not start.
        DataError: the detections have wrong content.
    """
    if detections is not None:
        from sfedge.detect.precomputed import open_detections

        return open_detections(detections, width=width, height=height, source=source)
    from sfedge.detect import networks
    from sfedge.detect.mediapipe_tasks import MediaPipeDetector

    return MediaPipeDetector(
        networks.fetch(offline=offline, progress=progress), egocentric=egocentric
    )
