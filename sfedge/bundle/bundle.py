"""Opens a model bundle, a folder or a zip of one, and vouches for every byte taken from it."""

import hashlib
import os
import posixpath
import shutil
import stat
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from sfedge.bundle.external_data import external_files
from sfedge.bundle.manifest import (
    GRAPHS,
    MANIFEST_NAME,
    PREFIX_NAME,
    FileEntry,
    Manifest,
    is_safe_path,
    parse_manifest,
)
from sfedge.core.errors import BundleError
from sfedge.system.cache import file_sha256
from sfedge.system.closing import Closing
from sfedge.system.zips import DAMAGED_ZIP

DEFAULT_BUNDLE = Path(__file__).parents[1] / "bundles" / "people.zip"
DEFAULT_VARIABLE = "SFEDGE_BUNDLE"  # of the environment: another one in its place

_AGAIN = "Fetch or export the bundle again."
_CHUNK = 1 << 20  # bytes read at a time
_MAX_MANIFEST = 16 << 20  # bytes
# Weights hardly compress. A zip that grows more than this on unpacking is taken for a zip bomb.
_MAX_GROWTH = 20
_GROWTH_SLACK = 64 << 20  # bytes that may always be unpacked


class Bundle(Closing):
    """An open bundle: its manifest, and verified paths to its files.

    A context manager. Files are hashed once, when they are first asked for; sizes and presence of
    all of them were checked at opening.
    """

    def __init__(
        self,
        source: Path,
        root: Path,
        unpacked: tempfile.TemporaryDirectory[str] | None,
    ) -> None:
        self.source = source  # as the user named it
        text = _read_manifest(root, source)
        self.sha256 = hashlib.sha256(text).hexdigest()  # covers all files: it lists their sums
        self.manifest: Manifest = parse_manifest(
            _decoded(text, source), where=f"{source.name}: {MANIFEST_NAME}"
        )
        self._root = root
        self._unpacked = unpacked
        self._entries: Mapping[str, FileEntry] = {e.path: e for e in self.manifest.files}
        self._verified: set[str] = set()

    def graph_path(self, precision: str, graph: str) -> Path:
        """The ONNX file of a graph, it and its weight files verified.

        Raises:
            BundleError: the bundle has no such precision or graph, or a file is damaged.
        """
        path, weights = self._graph_files(precision, graph)
        for name in weights:
            self._verify(name)
        return path

    @contextmanager
    def loading(self, precision: str, graph: str) -> Iterator[Path]:
        """The verified ONNX file of a graph, whose weights are verified while the caller loads it.

        Use what was loaded only after the `with` block: it ends once all is verified, and
        damaged weights are reported instead of any error they led to. Hashing while the caller
        loads hides the time that it takes.

        Raises:
            BundleError: the bundle has no such precision or graph, or a file is damaged.
        """
        path, weights = self._graph_files(precision, graph)
        with ThreadPoolExecutor(1) as pool:
            checks = [pool.submit(self._verify, name) for name in weights]
            try:
                yield path
            finally:
                for check in checks:
                    check.result()

    def _graph_files(self, precision: str, graph: str) -> tuple[Path, list[str]]:
        """The ONNX file of a graph, verified, and the listed names of its weight files."""
        if precision not in self.manifest.precisions or graph not in GRAPHS:
            known = ", ".join(self.manifest.precisions)
            raise BundleError(
                f"no graph {graph!r} in precision {precision!r}",
                where=self.source.name,
                fix=f"Precisions it has: {known}.",
            )
        name = f"{precision}/{graph}.onnx"
        path, weights = self._verify(name), []
        for location in sorted(external_files(path)):
            listed = posixpath.normpath(posixpath.join(precision, location))
            if not is_safe_path(location) or listed not in self._entries:
                raise BundleError(
                    f"{name} keeps weights in {location!r}, which the bundle does not list",
                    where=self.source.name,
                    fix=_AGAIN,
                )
            weights.append(listed)
        return path, weights

    def file_path(self, name: str) -> Path:
        """A listed file, verified.

        Raises:
            BundleError: it is damaged.
        """
        return self._verify(name)

    def prefix(self) -> dict[str, NDArray[np.float32]]:
        """Keys and values of each task's prompt, by task name.

        Returns:
            [L, 2, KV, P, HD] each: block, key or value, head, prompt token, width. P is the
            task's own prompt length, at most `manifest.shape.prefix`.

        Raises:
            BundleError: the file is damaged, or a task's part is missing or of a wrong shape.
        """
        path = self._verify(PREFIX_NAME)
        try:
            arrays = safetensors.numpy.load_file(path)
        except (safetensors.SafetensorError, ValueError, TypeError, KeyError) as error:
            raise self._prefix_error(f"it cannot be read ({error})") from error
        shape = self.manifest.shape
        for task in self.manifest.tasks:
            if task.name not in arrays:
                raise self._prefix_error(f"the prompt of task {task.name!r} is missing")
            array = arrays[task.name]
            length = array.shape[3] if array.ndim == 5 else 0
            wanted = (shape.layers, 2, shape.kv_heads, length, shape.head_width)
            if array.dtype != np.float32 or array.shape != wanted or length > shape.prefix:
                raise self._prefix_error(
                    f"the prompt of task {task.name!r} is {array.dtype} {array.shape}, expected "
                    f"float32 {wanted[:3]} x at most {shape.prefix} x {shape.head_width}"
                )
            if not np.isfinite(array).all():
                raise self._prefix_error(f"the prompt of task {task.name!r} is not all numbers")
        return {task.name: arrays[task.name] for task in self.manifest.tasks}

    def verify(self) -> None:
        """Check every listed file, and that each graph's weights are listed.

        Raises:
            BundleError: a file is damaged, or a graph refers to a file that is not listed.
        """
        for name in self._entries:
            self._verify(name)
        for precision in self.manifest.precisions:
            for graph in GRAPHS:
                self.graph_path(precision, graph)

    def close(self) -> None:
        """Remove what was unpacked; loaded graphs stay usable."""
        if self._unpacked is not None:
            self._unpacked.cleanup()

    def _verify(self, name: str) -> Path:
        path = self._root / name
        if name not in self._verified:
            try:
                found = file_sha256(path)
            except OSError as error:
                raise BundleError(
                    f"{name} cannot be read ({error.strerror})", where=self.source.name, fix=_AGAIN
                ) from error
            wanted = self._entries[name].sha256
            if found != wanted:
                raise BundleError(
                    f"{name} has sha256 {found[:12]}…, the manifest says {wanted[:12]}…",
                    where=self.source.name,
                    fix=_AGAIN,
                )
            self._verified.add(name)
        return path

    def _prefix_error(self, what: str) -> BundleError:
        return BundleError(what, where=f"{self.source.name}: {PREFIX_NAME}", fix=_AGAIN)


def open_bundle(path: Path | None = None) -> Bundle:
    """Open a bundle and check that all its files are there, in their listed sizes.

    A zip is unpacked into a temporary folder, which `close` removes.

    Args:
        path: a folder or a zip; None for the one that the environment variable SFEDGE_BUNDLE
            names, or else the one that comes with sfedge.

    Raises:
        BundleError: it is missing, damaged, of another schema, or not a bundle at all.
    """
    named = os.environ.get(DEFAULT_VARIABLE)
    source = Path(path or named or DEFAULT_BUNDLE)
    if source.is_dir():
        bundle = Bundle(source, source, None)
        _check_files(bundle)
        return bundle
    if not source.is_file():
        what, fix = "there is no such bundle", "Give a bundle's folder or its zip."
        if path is None:
            what = "the default bundle is not in this installation"
            fix = "Give a bundle of your own, or install sfedge again."
        if path is None and named:
            what, fix = "there is no such bundle", f"{DEFAULT_VARIABLE} names it: set it anew."
        raise BundleError(what, where=str(source), fix=fix)
    unpacked = tempfile.TemporaryDirectory(prefix="sfedge-bundle-")
    try:
        root = Path(unpacked.name)
        _unpack(source, root)
        bundle = Bundle(source, root, unpacked)
        _check_files(bundle)
    except BaseException:
        unpacked.cleanup()
        raise
    return bundle


def _read_manifest(root: Path, source: Path) -> bytes:
    path = root / MANIFEST_NAME
    if path.is_symlink() or not path.is_file():
        raise BundleError(
            f"there is no {MANIFEST_NAME} in it", where=str(source), fix="Is this a bundle?"
        )
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_MANIFEST + 1)
    except OSError as error:
        raise BundleError(
            f"{MANIFEST_NAME} cannot be read ({error.strerror})", where=str(source)
        ) from error
    if len(text) > _MAX_MANIFEST:
        raise BundleError(f"{MANIFEST_NAME} is too long to be one", where=str(source), fix=_AGAIN)
    return text


def _decoded(text: bytes, source: Path) -> str:
    try:
        return text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BundleError(
            f"{MANIFEST_NAME} is not UTF-8 text", where=str(source), fix=_AGAIN
        ) from error


def _check_files(bundle: Bundle) -> None:
    """Presence, kind and size of every listed file; hashing waits until a file is used."""
    root, where = bundle._root, bundle.source.name
    for entry in bundle.manifest.files:
        parts = PurePosixPath(entry.path).parts
        if any(root.joinpath(*parts[: n + 1]).is_symlink() for n in range(len(parts))):
            raise BundleError(
                f"{entry.path} is a link, bundles hold plain files", where=where, fix=_AGAIN
            )
        try:
            status = (root / entry.path).lstat()
        except OSError as error:
            raise BundleError(f"{entry.path} is missing", where=where, fix=_AGAIN) from error
        if not stat.S_ISREG(status.st_mode):
            raise BundleError(f"{entry.path} is no plain file", where=where, fix=_AGAIN)
        if status.st_size != entry.size:
            raise BundleError(
                f"{entry.path} has {status.st_size} bytes, the manifest says {entry.size}",
                where=where,
                fix=_AGAIN,
            )


def _unpack(source: Path, root: Path) -> None:
    """Write the zip's manifest and the files that it lists below `root`, nothing else."""
    try:
        with zipfile.ZipFile(source) as archive:
            folder = _folder_in_zip(archive, source)
            _copy(archive, folder + MANIFEST_NAME, root / MANIFEST_NAME, _MAX_MANIFEST)
            manifest = parse_manifest(
                _decoded(_read_manifest(root, source), source),
                where=f"{source.name}: {MANIFEST_NAME}",
            )
            _check_room(sum(entry.size for entry in manifest.files), source, root)
            for entry in manifest.files:
                target = root / entry.path
                target.parent.mkdir(parents=True, exist_ok=True)
                try:
                    _copy(archive, folder + entry.path, target, entry.size)
                except KeyError as error:
                    raise BundleError(
                        f"{entry.path} is missing", where=source.name, fix=_AGAIN
                    ) from error
    except DAMAGED_ZIP as error:
        raise BundleError(
            f"this is no zip, or a damaged one ({error})", where=str(source), fix=_AGAIN
        ) from error
    except OSError as error:
        raise BundleError(f"it cannot be unpacked ({error})", where=str(source)) from error


def _folder_in_zip(archive: zipfile.ZipFile, source: Path) -> str:
    """The folder in the zip, "name/", that holds the bundle; "" for the top level."""
    names = archive.namelist()
    if MANIFEST_NAME in names:
        return ""
    found = [n for n in names if n.count("/") == 1 and n.endswith(f"/{MANIFEST_NAME}")]
    if len(found) != 1:
        raise BundleError(
            f"there is no {MANIFEST_NAME} in it", where=str(source), fix="Is this a bundle?"
        )
    return found[0].removesuffix(MANIFEST_NAME)


def _copy(archive: zipfile.ZipFile, name: str, target: Path, limit: int) -> None:
    """Unpack one member, at most one byte more than `limit`, even if the zip claims otherwise."""
    with archive.open(name) as packed, target.open("wb") as file:
        left = limit + 1
        while left and (chunk := packed.read(min(left, _CHUNK))):
            file.write(chunk)
            left -= len(chunk)


def _check_room(size: int, source: Path, root: Path) -> None:
    packed = source.stat().st_size
    if size > packed * _MAX_GROWTH + _GROWTH_SLACK:
        raise BundleError(
            f"it would grow from {packed} to {size} bytes on unpacking, which no real bundle does",
            where=str(source),
            fix=_AGAIN,
        )
    free = shutil.disk_usage(root).free
    if size > free:
        raise BundleError(
            f"unpacking needs {size} bytes, {root.parent} has {free} free",
            where=str(source),
            fix="Unpack it yourself and give the folder, or set TMPDIR to a larger disk.",
        )
