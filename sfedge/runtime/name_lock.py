"""A lock on the names of a run's files, so that two runs never write the same ones."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path

from sfedge.system.closing import Closing


class NameLock(Closing):
    """Holds a lock file until it is closed or the process ends, however it ends.

    The lock is the system's (flock), not the file itself: one that a killed run left behind holds
    nobody up.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path, self._descriptor = path, descriptor

    def close(self) -> None:
        """Let go of the lock and remove its file; a second call does nothing."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            with suppress(OSError):  # the folder may be gone
                self._path.unlink()
            os.close(descriptor)


def take(path: Path, holder: str) -> NameLock | str:
    """Take the lock at `path` for `holder`; else who holds it.

    Raises:
        OSError: the lock file cannot be made.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            try:
                return os.pread(descriptor, 1000, 0).decode("utf-8", "replace")
            finally:
                os.close(descriptor)
        except OSError:  # a file system that knows no locks
            pass
        if _is_at(path, descriptor):
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, holder.encode(), 0)
            return NameLock(path, descriptor)
        os.close(descriptor)  # its last holder removed it between our two steps


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
