"""Detectors by name, or by a JSON file that describes an ONNX network."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sfedge.bundle.graph_io import Dims
from sfedge.core.config import DEFAULT_DETECTOR
from sfedge.core.errors import ConfigError, unknown_name
from sfedge.detect.detector import Detector
from sfedge.engines.small_network import AUTO, NetworkSet, Place
from sfedge.system.cache import Progress

if TYPE_CHECKING:
    from sfedge.detect.mediapipe.face_mesh import FaceMesh

PRECOMPUTED = "precomputed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """The facts about a run that a detector is given."""

    detections: Path | None = None  # a file or folder of boxes
    offline: bool = False  # fetch no network; one that is missing is an error
    place: Place = AUTO  # where ONNX networks run
    width: int  # pixels of the upright frames
    height: int
    source: str = ""  # name of the video
    face_mesh: bool = False  # find the points of faces, too, which a model reads
    progress: Progress | None = None  # called while networks are fetched


@dataclass(frozen=True, slots=True)
class DetectorKind:
    """A detector by name."""

    summary: str  # one line, for the user
    build: Callable[[Setup], Detector]
    is_onnx: bool = False  # whether its networks run on an engine of the run


def _build_default(setup: Setup) -> Detector:
    from sfedge.detect.mediapipe.mediapipe_networks import MediaPipeNetworks
    from sfedge.detect.tiled_detector import TiledDetector

    found, _ = networks_of(DEFAULT_DETECTOR, offline=setup.offline, progress=setup.progress)
    return TiledDetector(MediaPipeNetworks(found.files, setup.place), _mesh(setup))


def _build_library(setup: Setup) -> Detector:
    from sfedge.detect.conversion import networks
    from sfedge.detect.mediapipe.mediapipe_library import MediaPipeLibrary
    from sfedge.detect.tiled_detector import TiledDetector

    files = networks.fetch_sources(
        networks.DETECTING, offline=setup.offline, progress=setup.progress
    )
    return TiledDetector(MediaPipeLibrary(files), _mesh(setup))


def _mesh(setup: Setup) -> "FaceMesh | None":
    from sfedge.detect.conversion import networks
    from sfedge.detect.mediapipe.face_mesh import FaceMesh

    if not setup.face_mesh:
        return None
    files = networks.fetch(networks.OF_A_FACE, offline=setup.offline, progress=setup.progress)
    return FaceMesh(files["face-mesh"], files["iris"])


def _build_precomputed(setup: Setup) -> Detector:
    from sfedge.detect.precomputed import open_detections

    if setup.detections is None:
        raise ConfigError(
            f"the detector {PRECOMPUTED} takes its boxes from a file, and none is given",
            fix="Give it as detections= too.",
        )
    return open_detections(
        setup.detections, width=setup.width, height=setup.height, source=setup.source
    )


def networks_of(
    name: str, *, offline: bool = False, progress: Progress | None = None
) -> tuple[NetworkSet, Dims]:
    """The ONNX networks of a detector, and the sizes of a picture where a network leaves them free.

    Raises:
        UnknownNameError: there is no such detector, or it runs no ONNX network.
        DetectorError: a network is missing or described wrongly.
    """
    if name.endswith(".json"):
        from sfedge.detect.described_detector import described_set
        from sfedge.detect.detector_file import read_description

        description = read_description(Path(name))
        return described_set(Path(name), description), description.picture
    known = [known for known, kind in DETECTORS.items() if kind.is_onnx]
    if name not in known:
        unknown_name("ONNX detector", name, [*known, "FILE.json"], where="detector")
    from sfedge.detect.conversion import networks

    files = networks.fetch(networks.DETECTING, offline=offline, progress=progress)
    return NetworkSet(name, files), ()


DETECTORS: Mapping[str, DetectorKind] = {
    DEFAULT_DETECTOR: DetectorKind(
        "MediaPipe's networks for faces, hands and persons, run as ONNX",
        _build_default,
        is_onnx=True,
    ),
    PRECOMPUTED: DetectorKind("boxes from a file of detections", _build_precomputed),
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
    place: Place = AUTO,
    width: int,
    height: int,
    source: str = "",
    face_mesh: bool = False,
    progress: Progress | None = None,
) -> Detector:
    """The detector for a run.

    Args:
        name: one of `DETECTORS`, or the path of a JSON file that describes an ONNX network.
        detections: a file or folder of boxes; with them the default becomes "precomputed".
        offline: fetch no network; one that is missing is an error.
        place: where ONNX networks run.
        width: pixels of the upright frames, for boxes that are given in pixels.
        height: likewise.
        source: name of the video, which selects the clip in an Ego4D file.
        face_mesh: find the points of faces, too, where the detector can: its method `face_points`.
        progress: called while networks are fetched.

    Raises:
        UnknownNameError: there is no such detector.
        ConfigError: detections, or an engine, are given to a detector that takes none, or the name
            is that of an ONNX file.
        DetectorError: a network is missing, does not start or is described wrongly.
        DataError: the detections have wrong content.
    """
    if detections is not None and name == DEFAULT_DETECTOR:
        name = PRECOMPUTED
    if detections is not None and name != PRECOMPUTED:
        raise ConfigError(
            f"detections= and detector={name!r} exclude each other",
            fix="Leave one of them out.",
        )
    if name in DETECTORS and not DETECTORS[name].is_onnx and place.engine != "auto":
        raise ConfigError(
            f"detector={name!r} runs no ONNX network and takes no detector_engine={place.engine!r}",
            fix="Leave one of them out.",
        )
    if name in DETECTORS:
        setup = Setup(
            detections=detections,
            offline=offline,
            place=place,
            width=width,
            height=height,
            source=source,
            face_mesh=face_mesh,
            progress=progress,
        )
        return DETECTORS[name].build(setup)
    if name.endswith(".json"):
        from sfedge.detect.described_detector import open_described

        return open_described(Path(name), place)
    if name.lower().endswith(".onnx"):
        raise ConfigError(
            f"{name} is a network without a description",
            where="detector",
            fix="Describe it in a JSON file and name that file: "
            'docs/detectors.md, "An ONNX detector of your own".',
        )
    unknown_name("detector", name, [*DETECTORS, "FILE.json"], where="detector")
