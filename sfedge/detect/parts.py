"""The networks as Google trained them, and the building of files that MediaPipe's tasks open."""

import hashlib
import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from sfedge.core.errors import DetectorError
from sfedge.detect.metadata import with_normalisation

GOOGLE = "https://storage.googleapis.com/mediapipe-assets/"


@dataclass(frozen=True, slots=True)
class Part:
    """A network as Google trained it. Hash and generation: MediaPipe's own external_files.bzl."""

    file: str
    generation: int  # version number that Google's store keeps a file under
    size: int  # bytes
    sha256: str

    @property
    def url(self) -> str:
        return f"{GOOGLE}{self.file}?generation={self.generation}"


FACE_SHORT = Part(
    "face_detection_short_range.tflite",
    generation=1677044301978921,
    size=229_714,
    sha256="bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
)
FACE_FULL = Part(
    "face_detection_full_range_sparse.tflite",
    generation=1674261618323821,
    size=676_746,
    sha256="2c3728e6da56f21e21a320433396fb06d40d9088f2247c05e5635a688d45dfe1",
)
PALM = Part(
    "palm_detection_full.tflite",
    generation=1662745358034050,
    size=2_339_846,
    sha256="1b14e9422c6ad006cde6581a46c8b90dd573c07ab7f3934b5589e7cea3f89a54",
)
HAND = Part(
    "hand_landmark_full.tflite",
    generation=1661875760968579,
    size=5_478_917,
    sha256="11c272b891e1a99ab034208e23937a8008388cf11ed2a9d776ed3d01d0ba00e3",
)
PERSON = Part(
    "pose_detection.tflite",
    generation=1678737489600422,
    size=2_959_046,
    sha256="9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
)
POSE = Part(
    "pose_landmark_full.tflite",
    generation=1661875894245786,
    size=6_440_512,
    sha256="e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
)

PARTS = (FACE_SHORT, FACE_FULL, PALM, HAND, PERSON, POSE)

Parts = Mapping[Part, bytes]


def single(part: Part) -> Callable[[Parts], bytes]:
    """Builds a file that is one part as it stands."""
    return lambda parts: parts[part]


def hand_task(parts: Parts) -> bytes:
    """Builds the bundle for the hand landmarker."""
    return _task(
        {"hand_detector.tflite": parts[PALM], "hand_landmarks_detector.tflite": parts[HAND]}
    )


def pose_task(parts: Parts) -> bytes:
    """Builds the bundle for the pose landmarker."""
    # Ranges of MediaPipe's own graphs: pose_detection_cpu and pose_landmark_by_roi_cpu.
    person = with_normalisation(parts[PERSON], mean=127.5, std=127.5)
    pose = with_normalisation(parts[POSE], mean=0.0, std=255.0)
    return _task({"pose_detector.tflite": person, "pose_landmarks_detector.tflite": pose})


def _task(entries: Mapping[str, bytes]) -> bytes:
    """A task bundle: an uncompressed zip whose entries start at multiples of 64 bytes.

    MediaPipe maps the entries; networks that lie askew would be copied first.
    """
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as bundle:
        for name, data in entries.items():
            info = zipfile.ZipInfo(name)  # of 1980: the same bytes every time
            info.create_system = 3
            gap = -(file.tell() + 30 + len(name) + 4) % 64
            info.extra = struct.pack("<HH", 0xD935, gap) + bytes(gap)  # Android's alignment field
            bundle.writestr(info, data)
    return file.getvalue()


def parts_in(file: Path) -> dict[Part, bytes]:
    """The known parts in a wheel, a task bundle or a bare .tflite, recognised by their content."""
    known = {part.sha256: part for part in PARTS}
    sizes = {part.size for part in PARTS}
    found = {}
    for data in _contents(file, sizes):
        part = known.get(hashlib.sha256(data).hexdigest())
        if part:
            found[part] = data
    return found


def _contents(file: Path, sizes: set[int]) -> Iterator[bytes]:
    """The bytes of the file, or of its entries if it is a zip, where their size is one of these."""
    if not zipfile.is_zipfile(file):
        if file.stat().st_size in sizes:
            yield file.read_bytes()
        return
    try:
        with zipfile.ZipFile(file) as archive:
            for entry in archive.infolist():
                if entry.file_size in sizes:
                    yield archive.read(entry)
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, OSError) as error:
        raise DetectorError(f"cannot be read as a zip ({error})", where=str(file)) from error
