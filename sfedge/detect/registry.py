"""Detectors by name, or by a JSON file that describes an ONNX network."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from sfedge.core.config import DEFAULT_DETECTOR
from sfedge.core.errors import ConfigError, unknown_name
from sfedge.detect.detector import Detector
from sfedge.system.cache import Progress

PRECOMPUTED = "precomputed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """The facts about a run that a detector is given."""

    detections: Path | None = None  # a file or folder of boxes
    offline: bool = False  # fetch no network; one that is missing is an error
    width: int  # pixels of the upright frames
    height: int
    source: str = ""  # name of the video
    progress: Progress | None = None  # called while networks are fetched


@dataclass(frozen=True, slots=True)
class DetectorKind:
    """A detector by name."""

    summary: str  # one line, for the user
    build: Callable[[Setup], Detector]


def _build_default(setup: Setup) -> Detector:
    from sfedge.detect.conversion import networks
    from sfedge.detect.mediapipe.mediapipe_networks import MediaPipeNetworks
    from sfedge.detect.tiled_detector import TiledDetector

    files = networks.fetch(networks.DETECTING, offline=setup.offline, progress=setup.progress)
    return TiledDetector(MediaPipeNetworks(files))


def _build_library(setup: Setup) -> Detector:
    from sfedge.detect.conversion import networks
    from sfedge.detect.mediapipe.mediapipe_library import MediaPipeLibrary
    from sfedge.detect.tiled_detector import TiledDetector

    files = networks.fetch_sources(
        networks.DETECTING, offline=setup.offline, progress=setup.progress
    )
    return TiledDetector(MediaPipeLibrary(files))


def _build_precomputed(setup: Setup) -> Detector:
    from sfedge.detect.precomputed import open_detections

    if setup.detections is None:
        raise ConfigError(
            f"the detector {PRECOMPUTED} takes its boxes from a file, and none is named",
            fix="Name it with --detections.",
        )
    return open_detections(
        setup.detections, width=setup.width, height=setup.height, source=setup.source
    )


DETECTORS: Mapping[str, DetectorKind] = {
    DEFAULT_DETECTOR: DetectorKind(
        "MediaPipe's networks for faces, hands and persons, run as ONNX", _build_default
    ),
    PRECOMPUTED: DetectorKind("boxes from the file of --detections", _build_precomputed),
    "mediapipe": DetectorKind(
        "MediaPipe's own library in an environment of its own; most versions report to Google",
        _build_library,
    ),
}


def build_detector(
    name: str = DEFAULT_DETECTOR,
    *,
    detections: Path | None = None,
    offline: bool = False,
    width: int,
    height: int,
    source: str = "",
    progress: Progress | None = None,
) -> Detector:
    """The detector for a run.

    Args:
        name: one of `DETECTORS`, or the path of a JSON file that describes an ONNX network.
        detections: a file or folder of boxes; with them the default becomes "precomputed".
        offline: fetch no network; one that is missing is an error.
        width: pixels of the upright frames, for boxes that are given in pixels.
        height: likewise.
        source: name of the video, which selects the clip in an Ego4D file.
        progress: called while networks are fetched.

    Raises:
        UnknownNameError: there is no such detector.
        ConfigError: detections are given to another detector, or the name is that of an ONNX file.
        DetectorError: a network is missing, does not start or is described wrongly.
        DataError: the detections have wrong content.
    """
    if detections is not None and name == DEFAULT_DETECTOR:
        name = PRECOMPUTED
    if detections is not None and name != PRECOMPUTED:
        raise ConfigError(
            f"--detections takes the place of a detector, and --detector names {name}",
            fix="Leave one of them out.",
        )
    if name in DETECTORS:
        setup = Setup(
            detections=detections,
            offline=offline,
            width=width,
            height=height,
            source=source,
            progress=progress,
        )
        return DETECTORS[name].build(setup)
    if name.endswith(".json"):
        from sfedge.detect.described_detector import open_described

        return open_described(Path(name))
    if name.lower().endswith(".onnx"):
        raise ConfigError(
            f"{name} is a network without a description",
            where="--detector",
            fix="Describe it in a JSON file and name that file: "
            'docs/detectors.md, "An ONNX detector of your own".',
        )
    unknown_name("detector", name, [*DETECTORS, "FILE.json"], where="--detector")
