"""The user's cache folder, and files that reach it whole and verified or not at all."""

import hashlib
import os
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path

from sfedge.core.errors import OutputError, SfedgeError

Progress = Callable[[str, int, int], None]  # what is fetched, bytes so far, bytes in all

_CHUNK = 1 << 17  # bytes read at a time


class FetchError(SfedgeError):
    """A file cannot be fetched, or what was sent is another file."""


def cache_folder() -> Path:
    """Where sfedge keeps what it has fetched; it need not exist yet.

    `$SFEDGE_CACHE` if set, else `sfedge` in the platform's folder for such files:
    `$XDG_CACHE_HOME` or `~/.cache`, on macOS `~/Library/Caches`, on Windows `%LOCALAPPDATA%`.
    """
    if chosen := os.environ.get("SFEDGE_CACHE"):
        return Path(chosen).expanduser().absolute()
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return (Path(local) if local else Path.home() / "AppData" / "Local") / "sfedge"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "sfedge"
    xdg = Path(os.environ.get("XDG_CACHE_HOME", ""))
    # A relative path is to be ignored, by the XDG base directory specification.
    return (xdg if xdg.is_absolute() else Path.home() / ".cache") / "sfedge"


@contextmanager
def within(place: Path) -> Iterator[None]:
    """Turn what the system refuses at a place in the cache into one sentence.

    Raises:
        OutputError: it did refuse, as where the disk is full.
    """
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"cannot be read or written ({error.strerror or error})",
            where=str(place),
            fix="Make room there, allow access to it, or name another folder in SFEDGE_CACHE.",
        ) from error


def file_sha256(path: Path) -> str:
    """The sha256 of a file in hex; it is read piece by piece."""
    hashed = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            hashed.update(chunk)
    return hashed.hexdigest()


def fetch(
    url: str,
    target: Path,
    *,
    sha256: str,
    size: int,
    timeout: float = 10.0,
    progress: Progress | None = None,
) -> None:
    """Download a file of known content to `target`; nothing is left of one that is not that file.

    Args:
        url: http or https address; the environment's proxy settings hold.
        target: file to make or replace, as by `write`.
        sha256: what the file must hash to, in hex.
        size: bytes it must have; no more are read.
        timeout: seconds without an answer after which to give up.
        progress: called after each piece.

    Raises:
        FetchError: the address does not answer, or what it sends is another file.
        OutputError: the file cannot be written.
    """

    def verified() -> Iterator[bytes]:
        hashed, done = hashlib.sha256(), 0
        for chunk in _read(url, timeout):
            hashed.update(chunk)
            done += len(chunk)
            if done > size:
                break
            if progress:
                progress(target.name, done, size)
            yield chunk
        if done != size or hashed.hexdigest() != sha256:
            raise FetchError(
                f"what was sent is not the pinned {target.name} ({size} bytes, "
                f"sha256 {sha256[:12]}…)",
                where=url,
            )

    write(target, verified())


def write(target: Path, chunks: Iterable[bytes]) -> None:
    """Write a file in one step for whoever looks: it is there whole, or as it was before.

    It grows beside the target under a fresh name, so two processes may write the same target, and a
    link in its place is replaced, not followed.

    Raises:
        OutputError: the folder or file cannot be written.
    """
    part = None
    try:
        with within(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(
                dir=target.parent, prefix=f"{target.name}.", suffix=".part"
            )
            part = Path(name)
            with os.fdopen(handle, "wb") as file:
                file.writelines(chunks)
                file.flush()
                os.fsync(file.fileno())
            part.chmod(0o644)  # mkstemp's 0600 would shut out other users of a shared cache
            part.replace(target)
    finally:
        if part is not None:
            with suppress(OSError):
                part.unlink(missing_ok=True)


def _read(url: str, timeout: float) -> Iterator[bytes]:
    try:
        # urlopen would keep the proxy settings of its first call for the life of the program.
        with urllib.request.build_opener().open(url, timeout=timeout) as answer:
            while chunk := answer.read(_CHUNK):
                yield chunk
    except (OSError, HTTPException) as error:  # URLError and time-outs are OSErrors
        reason = getattr(error, "reason", None) or error
        raise FetchError(f"no answer ({reason or type(error).__name__})", where=url) from error
