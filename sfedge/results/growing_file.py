"""A file that a run writes bit by bit, which notices at once that it can no longer be kept."""

import errno
import os
from pathlib import Path

from sfedge.core.errors import OutputError

_SPACE = "Free some space or choose another output folder."
_PERMISSION = "Check that you may write there, or choose another output folder."
_FIXES = {
    errno.ENOSPC: _SPACE,
    errno.EDQUOT: _SPACE,
    errno.EACCES: _PERMISSION,
    errno.EPERM: _PERMISSION,
    errno.EROFS: "The disk is read-only; choose another output folder.",
    errno.ENOENT: "Keep the folder until the run has ended, or choose another output folder.",
    errno.EEXIST: "There is a file of that name; choose another output folder.",
    errno.ENOTDIR: "A part of the path is a file; choose another output folder.",
    errno.ENAMETOOLONG: "Choose an output folder with a shorter path.",
}


class GrowingFile:
    """A new file in place of an older one; every write is on its way to the disk when it returns.

    A file that was removed, alone or with its folder, could be written to for hours without an
    error; here the next write fails. After a failure nothing more is written, so
    that what came before stays as it is.

    Raises:
        OSError: it cannot be opened (and from every method: written).
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.written = 0  # bytes, those written over earlier ones counted, too
        self._file = path.open("wb", buffering=0)
        self._failure: OSError | None = None

    def write(self, data: bytes) -> int:
        """Write all of the data; its length."""
        if self._failure is not None:
            raise self._failure
        try:
            self._refuse_removed()
            rest = memoryview(data)
            while rest:
                rest = rest[self._file.write(rest) or 0 :]
        except OSError as error:
            self._failure = error
            raise
        self.written += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = 0) -> int:
        """Where the next bytes go, as of any file."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """Where the next bytes go."""
        return self._file.tell()

    def sync(self) -> None:
        """Wait until the disk has it all, so that a power cut takes nothing."""
        if self._failure is not None:
            raise self._failure
        self._refuse_removed()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Let go of the file; a second call does nothing."""
        self._file.close()

    def _refuse_removed(self) -> None:
        is_there = os.fstat(self._file.fileno()).st_nlink > 0 and self.path.exists()
        if not is_there:
            raise OSError(errno.ENOENT, "the file was removed or renamed during the run")


def output_error(error: OSError, path: Path) -> OutputError:
    """The error to raise where `path` cannot be written, with the fix that fits its cause."""
    return OutputError(
        f"cannot be written ({error.strerror or error})",
        where=str(path),
        fix=_FIXES.get(error.errno or 0, "Check the disk, or choose another output folder."),
    )
