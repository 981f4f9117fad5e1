"""Engines compiled on this machine: where they are stored, and which of them may be loaded.

An engine is machine code: it is loaded from folders that belong to this user and that nobody else
can write, and each file must have the sha256 that the record beside it says.

What ONNX Runtime compiles for itself has no record, as it alone knows when it writes there; its
folder must be the user's alone all the same.
"""

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from sfedge.bundle.graph_io import GraphIO
from sfedge.core.errors import EngineError
from sfedge.system import cache
from sfedge.system.gpus import Gpu

SCHEMA = 3
RECORD_NAME = "engines.json"
RUNTIME = "trt-ep"  # the engine that lets ONNX Runtime keep what it compiles
_OTHERS_WRITE = 0o022  # bits of a file's mode: its group and all others may write


class NotBuiltError(EngineError):
    """There is no engine at all."""


@dataclass(frozen=True, slots=True)
class BuiltEngine:
    """One graph as TensorRT compiled it."""

    graph: str
    file: str  # beside the record
    size: int  # bytes
    sha256: str
    onnx_sha256: str
    io: GraphIO | None = None  # of a detector's network; those of a bundle follow from the bundle


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """The software and device that an engine was built with and for; on any other it is stale."""

    builder: str  # module and version
    driver: str  # of NVIDIA; "" where a desktop builder compiled without a device
    device: Gpu | None  # None in the same case


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSet:
    """All engines of a bundle or detector in one precision; written beside them as JSON."""

    backend: str
    bundle: str  # the model's name, or the detector's
    bundle_sha256: str  # of a detector: `sfedge.engines.small_network.NetworkSet.sha256`
    precision: str
    max_batch: int
    machine: Machine
    engines: tuple[BuiltEngine, ...]
    schema: int = SCHEMA

    @property
    def id(self) -> str:
        """Its name in a list."""
        return identifier(folder_of(self.bundle_sha256, self.backend, self.precision))


def root() -> Path:
    """The folder of all compiled engines; it need not exist yet."""
    return cache.cache_folder() / "engines"


def folder_of(bundle_sha256: str, engine: str, precision: str) -> Path:
    """Where an engine keeps what it has compiled of a bundle; it need not exist yet."""
    return root() / bundle_sha256 / f"{engine}-{precision}"


def make_private(folder: Path) -> None:
    """Make a folder for compiled engines, and those between it and the root, the user's alone.

    Raises:
        OutputError: it cannot be made.
    """
    with cache.within(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for path in (folder, *folder.parents):
            path.chmod(0o700)
            if path == root():
                return


def check_private(folder: Path) -> None:
    """Raise EngineError where somebody else could have put code into a folder, if it is there.

    Modes of the files in it are not checked: nobody else can enter the folder.
    """
    is_there = folder.is_symlink() or folder.is_dir()
    remove = f"sfedge engine remove {identifier(folder)}"
    for place in (root(), folder.parent):
        if place.is_symlink() or place.exists():
            then = f" && {remove}" if is_there else ""
            _check_owner(place, fix=f"See who has changed it, then run: chmod 700 {place}{then}.")
    if is_there:
        fix = f"Run: {remove}; it is compiled again at the next start."
        _check_owner(folder, fix=fix)
        for path in sorted(folder.iterdir()):
            _check_owner(path, others_write=0, fix=fix)


def save(engines: EngineSet, folder: Path) -> None:
    """Write the record; last of all, as it means that all it lists is there.

    Raises:
        OutputError: it cannot be written.
    """
    cache.write(folder / RECORD_NAME, [json.dumps(asdict(engines), indent=1).encode()])


def read(folder: Path) -> EngineSet:
    """The record of a folder that only its user may write to.

    Raises:
        EngineError: there is none, it is damaged, or others could have written it.
    """
    path = folder / RECORD_NAME
    if not path.exists():
        raise NotBuiltError("no engine was built", where=str(folder))
    for place in (path, folder, folder.parent, root()):
        _check_owner(place)
    try:
        fields = json.loads(path.read_bytes())
        if fields["schema"] != SCHEMA:
            raise EngineError("another version of sfedge built it", where=str(folder))
        device = fields["machine"]["device"]
        machine = Machine(**(fields["machine"] | {"device": Gpu(**device) if device else None}))
        built = tuple(_built(engine) for engine in fields["engines"])
        return EngineSet(**(fields | {"machine": machine, "engines": built}))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise EngineError("its record is damaged", where=str(folder)) from error


def of_another_version(folder: Path, model: str) -> EngineSet | None:
    """Engines of a model of this name that were built from another version of its bundle.

    Args:
        folder: where engines of this version would be; its name gives their backend and precision.
        model: the name in the bundle.
    """
    for record in sorted(root().glob(f"*/{folder.name}/{RECORD_NAME}")):
        with suppress(EngineError):  # an unreadable record is ignored
            engines = read(record.parent)
            if record.parent != folder and engines.bundle == model:
                return engines
    return None


def staleness(engines: EngineSet, now: Machine) -> str:
    """Why engines do not fit this machine as it is now, a clause; "" where they do."""
    then = engines.machine
    differences = [
        f"{what} was {a}, now it is {b}"
        for what, a, b in (
            ("TensorRT", then.builder, now.builder),
            ("the device", _device(then.device), _device(now.device)),
            ("the driver", then.driver, now.driver),
        )
        # A desktop builder without a device compiles for all that it knows.
        if a != b and (then.device is not None or what == "TensorRT")
    ]
    return "; ".join(differences)


def checked_file(engines: EngineSet, folder: Path, graph: str) -> Path:
    """The file of a graph's engine: the user's own, and whole to the last bit.

    Raises:
        EngineError: it is missing, others may write it, or it is not what was built.
    """
    for built in engines.engines:
        if built.graph == graph:
            break
    else:
        raise EngineError(f"it has no engine of the {graph} graph", where=str(folder))
    path = folder / Path(built.file).name
    _check_owner(path)
    try:
        found = cache.file_sha256(path)
    except OSError as error:
        raise EngineError(f"it cannot be read ({error.strerror})", where=str(path)) from error
    if found != built.sha256:
        raise EngineError("its sha256 is not that of the engine that was built", where=str(path))
    return path


def folders() -> Iterator[Path]:
    """All folders with a record, good or not."""
    yield from sorted(path.parent for path in root().glob(f"*/*/{RECORD_NAME}"))


def runtime_folders() -> Iterator[Path]:
    """All folders in which ONNX Runtime keeps what it has compiled."""
    found = root().glob(f"*/{RUNTIME}-*")
    yield from sorted(path for path in found if path.is_symlink() or path.is_dir())


def identifier(folder: Path) -> str:
    """The name of a folder of engines in a list."""
    return f"{folder.parent.name[:12]}/{folder.name}"


def remove(folder: Path) -> int:
    """Delete what was compiled into a folder; the bytes that it took.

    Raises:
        OutputError: it cannot be deleted.
    """
    size = 0
    with cache.within(folder):
        if folder.is_symlink():  # what it points to is not ours to delete
            folder.unlink()
            return 0
        for path in folder.iterdir():
            size += path.lstat().st_size
            path.unlink()
        folder.rmdir()
    with suppress(OSError):  # other engines of the bundle are there
        folder.parent.rmdir()
    return size


def _built(fields: dict[str, Any]) -> BuiltEngine:
    if io := fields.get("io"):
        inputs, outputs = (
            {name: tuple(dims) for name, dims in io[ports].items()}
            for ports in ("inputs", "outputs")
        )
        fields = fields | {"io": GraphIO(io["name"], inputs, outputs)}
    return BuiltEngine(**fields)


def _device(gpu: Gpu | None) -> str:
    return f"{gpu.name} (compute {gpu.capability})" if gpu else "none"


def _check_owner(path: Path, *, others_write: int = _OTHERS_WRITE, fix: str = "") -> None:
    """Raise EngineError where another user could have written a file or folder.

    Args:
        path: what is to be loaded, or a folder above it.
        others_write: bits of its mode that must not be set.
        fix: what to do.
    """
    try:
        status = path.lstat()
    except OSError as error:
        raise EngineError(
            f"it cannot be read ({error.strerror})", where=str(path), fix=fix
        ) from error
    if path.is_symlink():
        raise EngineError(
            "it is a link; engines are read from where they were built", where=str(path), fix=fix
        )
    if hasattr(os, "getuid") and (status.st_uid != os.getuid() or status.st_mode & others_write):
        raise EngineError("other users may write it, so it is not loaded", where=str(path), fix=fix)
