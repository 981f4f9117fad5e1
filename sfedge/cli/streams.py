"""Standard streams that are closed, or whose reader goes away: the work goes on without them."""

import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast

from sfedge.core.errors import OutputError

_GONE = (errno.EPIPE, errno.EIO, errno.EBADF)  # a reader such as `head`, a terminal


@contextmanager
def tolerant_streams() -> Iterator[None]:
    """Within, nothing fails because nobody reads stdout or stderr.

    A stream that was closed by the shell (`>&-`) becomes the null device: else the first file that
    is opened gets its number, and what libraries print goes into that file. Characters that a
    stream cannot show are escaped.

    Raises:
        OutputError: stdout cannot take what is written, as into a file on a full disk.
    """
    _fill_closed()
    before = sys.stdout, sys.stderr
    if sys.stdout is not None and hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr's are
    sys.stdout = cast(TextIO, _Tolerant(_open(sys.stdout), _GONE))
    sys.stderr = cast(TextIO, _Tolerant(_open(sys.stderr), None))
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before


class _Tolerant:
    """A text stream that falls silent at certain errors of the system; None for all."""

    def __init__(self, stream: TextIO, errors: tuple[int, ...] | None) -> None:
        self._stream, self._errors = stream, errors

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError as error:
            self._silence(error)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError as error:
            self._silence(error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _silence(self, error: OSError) -> None:
        if self._errors is not None and error.errno not in self._errors:
            # At each write: click swallows what its own probing meets.
            raise OutputError(
                f"what the command prints cannot be written ({error.strerror or error})",
                where="stdout",
                fix="Print to another place, or free some space there.",
            ) from error
        with suppress(OSError, ValueError):  # what is buffered has to go somewhere, too
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)


def _fill_closed() -> None:
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: this one


def _open(stream: TextIO | None) -> TextIO:
    """Python's own stream; None where it was closed when Python began."""
    return open(os.devnull, "w", encoding="utf-8") if stream is None else stream  # noqa: PTH123
