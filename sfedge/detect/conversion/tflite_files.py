"""The detector networks as Google trained them: TFLite files of known content."""

import hashlib
import zipfile
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from sfedge.core.errors import DetectorError
from sfedge.system.zips import DAMAGED_ZIP

GOOGLE = "https://storage.googleapis.com/mediapipe-assets/"


@dataclass(frozen=True, slots=True)
class TFLiteFile:
    """A network as Google publishes it. Hash and generation: MediaPipe's external_files.bzl."""

    file: str
    generation: int  # version number that Google's store keeps a file under
    size: int  # bytes
    sha256: str

    @property
    def url(self) -> str:
        return f"{GOOGLE}{self.file}?generation={self.generation}"


FACE_SHORT = TFLiteFile(
    "face_detection_short_range.tflite",
    generation=1677044301978921,
    size=229_714,
    sha256="bbff11cebd1eb27a1e004cae0b0e63ec8c551cbf34a4451148b4908b8db3eca8",
)
FACE_FULL = TFLiteFile(
    "face_detection_full_range_sparse.tflite",
    generation=1674261618323821,
    size=676_746,
    sha256="2c3728e6da56f21e21a320433396fb06d40d9088f2247c05e5635a688d45dfe1",
)
PALM = TFLiteFile(
    "palm_detection_full.tflite",
    generation=1662745358034050,
    size=2_339_846,
    sha256="1b14e9422c6ad006cde6581a46c8b90dd573c07ab7f3934b5589e7cea3f89a54",
)
HAND = TFLiteFile(
    "hand_landmark_full.tflite",
    generation=1661875760968579,
    size=5_478_917,
    sha256="11c272b891e1a99ab034208e23937a8008388cf11ed2a9d776ed3d01d0ba00e3",
)
PERSON = TFLiteFile(
    "pose_detection.tflite",
    generation=1678737489600422,
    size=2_959_046,
    sha256="9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c",
)
POSE = TFLiteFile(
    "pose_landmark_full.tflite",
    generation=1661875894245786,
    size=6_440_512,
    sha256="e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
)
FACE_MESH = TFLiteFile(
    "face_landmark.tflite",
    generation=1676316347980492,
    size=1_242_398,
    sha256="1055cb9d4a9ca8b8c688902a3a5194311138ba256bcc94e336d8373a5f30c814",
)
IRIS = TFLiteFile(
    "iris_landmark.tflite",
    generation=1662065468653224,
    size=2_640_568,
    sha256="d1744d2a09c25f501d39eba4faff47e53ecca8852c5ce19bce8eeac39357521f",
)


def sources_in(file: Path, wanted: Collection[TFLiteFile]) -> dict[TFLiteFile, bytes]:
    """Those of the wanted files that a wheel, a zip or a bare .tflite holds, by their content.

    Raises:
        DetectorError: the file is a damaged zip.
        OSError: it cannot be read.
    """
    known = {source.sha256: source for source in wanted}
    found = {}
    for data in _contents(file, {source.size for source in wanted}):
        source = known.get(hashlib.sha256(data).hexdigest())
        if source:
            found[source] = data
    return found


def _contents(file: Path, sizes: set[int]) -> Iterator[bytes]:
    """The bytes of the file, or of its entries if it is a zip, where their size is one of these."""
    if file.stat().st_size in sizes:
        yield file.read_bytes()
    if not zipfile.is_zipfile(file):  # a network with metadata is one, too
        return
    try:
        with zipfile.ZipFile(file) as archive:
            for entry in archive.infolist():
                if entry.file_size in sizes:
                    yield archive.read(entry)
    except (*DAMAGED_ZIP, OSError) as error:
        raise DetectorError(f"cannot be read as a zip ({error})", where=str(file)) from error
