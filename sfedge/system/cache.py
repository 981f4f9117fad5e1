"""The user's cache folder, and files that reach it whole and verified or not at all."""

import hashlib
import logging
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from platformdirs import user_cache_path

from sfedge.core.errors import OutputError, SfedgeError

Progress = Callable[[str, int, int], None]  # what is fetched, bytes so far, bytes in all

_CHUNK = 1 << 17  # bytes read at a time


class FetchError(SfedgeError):
    """A file cannot be fetched, or what was sent is another file."""


def cache_folder() -> Path:
    """Where sfedge keeps what it has fetched; it need not exist yet.

    `$SFEDGE_CACHE` if set, else `sfedge` in the platform's folder for such files, as platformdirs
    knows it: `$XDG_CACHE_HOME` or `~/.cache`, on macOS `~/Library/Caches`, on Windows
    `%LOCALAPPDATA%`.
    """
    if chosen := os.environ.get("SFEDGE_CACHE"):
        return Path(chosen).expanduser().absolute()
    return user_cache_path("sfedge", appauthor=False, opinion=False)


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
            fix="Free disk space there, allow access, or name another folder in SFEDGE_CACHE.",
        ) from error


def file_sha256(path: Path) -> str:
    """The sha256 of a file in hex; it is read in chunks."""
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
        progress: called after each chunk.

    Raises:
        FetchError: the address does not answer, or what it sends is another file.
        OutputError: the file cannot be written.
    """
    import pooch
    from requests import RequestException

    pooch.get_logger().setLevel(logging.WARNING)
    progress_bar = _ProgressBar(target.name, size, progress)
    with within(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix="fetch-") as folder:
            try:
                found = pooch.retrieve(
                    url,
                    f"sha256:{sha256}",
                    fname=target.name,
                    path=folder,
                    downloader=pooch.HTTPDownloader(
                        progressbar=progress_bar, timeout=timeout, chunk_size=_CHUNK
                    ),
                )
            except RequestException as error:
                raise FetchError(f"no answer ({error})", where=url) from error
            except (ValueError, OverflowError) as error:  # another hash, or more than the size
                raise FetchError(
                    f"the download is not the pinned {target.name} ({size} bytes, "
                    f"sha256 {sha256[:12]}…)",
                    where=url,
                ) from error
            write(target, [Path(found).read_bytes()])


class _ProgressBar:
    """The progress bar that pooch updates; stops a download that exceeds its known size."""

    def __init__(self, name: str, size: int, progress: Progress | None) -> None:
        self.total, self._name, self._size, self._progress = 0, name, size, progress
        self._done = 0

    def update(self, count: int) -> None:
        """Count bytes, in whole chunks: the last one may be shorter than pooch says."""
        if self._done > self._size:
            raise OverflowError(f"more than {self._size} bytes")
        self._done += count
        if self._progress:
            self._progress(self._name, min(self._done, self._size), self._size)

    def reset(self) -> None:
        """Start over; pooch then fills the bar at once."""
        self._done = 0

    def close(self) -> None:
        """Nothing is held."""


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
