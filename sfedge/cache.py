"""The user's cache folder, and files that reach it whole and verified or not at all."""

import hashlib
import os
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path
from typing import BinaryIO

from sfedge.errors import OutputError, SfedgeError

Progress = Callable[[str, int, int], None]  # what is fetched, bytes so far, bytes in all

_CHUNK = 1 << 17  # bytes read at a time


class FetchError(SfedgeError):
    """A file cannot be fetched, or is not the one that was asked for."""


def cache_folder() -> Path:
    """Where sfedge keeps what it has fetched; it need not exist yet.

    `$SFEDGE_CACHE` if set, else `sfedge` in the platform's folder for caches: `$XDG_CACHE_HOME` or
    `~/.cache`, on macOS `~/Library/Caches`, on Windows `%LOCALAPPDATA%`.
    """
    if chosen := os.environ.get("SFEDGE_CACHE"):
        return Path(chosen).expanduser()
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return (Path(local) if local else Path.home() / "AppData" / "Local") / "sfedge"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "sfedge"
    # The XDG specification has relative paths ignored.
    xdg = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return (xdg if xdg.is_absolute() else Path.home() / ".cache") / "sfedge"


def file_sha256(path: Path) -> str:
    """The file's sha256 in hex, read piece by piece."""
    with path.open("rb") as file:
        return _digest(iter(lambda: file.read(_CHUNK), b""))


def fetch(
    url: str,
    *,
    sha256: str,
    size: int,
    target: Path,
    timeout: float = 10.0,
    progress: Progress | None = None,
) -> None:
    """Download a file of known content to `target`.

    It grows under a name of its own beside the target and takes the target's place only when its
    hash is right, so two processes may fetch the same file, and a broken download leaves nothing.

    Args:
        url: http or https address; the environment's proxy settings hold.
        sha256: what the file must hash to, in hex.
        size: bytes it must have; reading stops beyond that.
        target: file to make or replace; a link there is replaced, not followed.
        timeout: seconds without an answer after which to give up.
        progress: called after each piece.

    Raises:
        FetchError: the address does not answer, or what it sends is another file.
        OutputError: the file cannot be written.
    """
    try:
        with urllib.request.urlopen(url, timeout=timeout) as answer, writing(target) as file:
            hashed, done = hashlib.sha256(), 0
            while done <= size and (chunk := answer.read(_CHUNK)):
                file.write(chunk)
                hashed.update(chunk)
                done += len(chunk)
                if progress:
                    progress(target.name, min(done, size), size)
            if done != size or hashed.hexdigest() != sha256:
                raise FetchError(
                    f"what was sent ({done} bytes, sha256 {hashed.hexdigest()[:12]}…) is not "
                    f"{target.name} ({size} bytes, sha256 {sha256[:12]}…)",
                    where=url,
                )
    except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as error:
        raise FetchError(f"no answer ({_reason(error)})", where=url) from error


@contextmanager
def writing(target: Path) -> Iterator[BinaryIO]:
    """A file open for writing that takes the place of `target` when the block ends without error.

    Raises:
        OutputError: the folder or the file cannot be written.
    """
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # A fresh name, opened exclusively: nobody can have put a link there.
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.", suffix=".part")
    except OSError as error:
        raise _unwritable(target, error) from error
    part = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            try:
                file.flush()
                os.fsync(file.fileno())
            except OSError as error:
                raise _unwritable(target, error) from error
        try:
            part.replace(target)
        except OSError as error:
            raise _unwritable(target, error) from error
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _digest(chunks: Iterator[bytes]) -> str:
    hashed = hashlib.sha256()
    for chunk in chunks:
        hashed.update(chunk)
    return hashed.hexdigest()


def _reason(error: Exception) -> str:
    inner = getattr(error, "reason", None)
    return str(inner or error) or type(error).__name__


def _unwritable(target: Path, error: OSError) -> OutputError:
    return OutputError(
        f"cannot be written ({error.strerror or error})",
        where=str(target),
        fix="Free some space there or name another folder in SFEDGE_CACHE.",
    )
