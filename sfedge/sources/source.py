"""The interface of every source of frames."""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Protocol
from urllib.parse import quote, urlsplit, urlunsplit

from sfedge.core.structures import Frame, Gap
from sfedge.sources.sound_feed import SoundFeed

MAX_PIXELS = 64 * 2**20  # of one picture; above it memory, not the model, decides what happens

_HOST = re.compile(r"(?:\[[^\]]*\]|[^/?#:@\[]+)(?::\d*)?(?:[/?#]|$)")  # with a port, up to the path
_UNESCAPED = re.compile(r"[^\w.~!$&'()*+,;=:%-]", re.ASCII)  # what no user or password may hold


def without_credentials(address: str) -> str:
    """An address as it may be shown and recorded: no user, no password, no query values.

    Other bytes than UTF-8 in a file's name are escaped.
    """
    scheme, separator, rest = address.partition("://")
    if not separator:
        return shown(address)
    parts = urlsplit(f"{scheme}://{rest[len(_user(rest)) :]}")
    shortened = (parts.scheme, parts.netloc, parts.path, "..." if parts.query else "", "")
    return shown(urlunsplit(shortened))


def escaped(address: str) -> str:
    """The same address with its user and password written as a URL has to, as FFmpeg needs it."""
    scheme, separator, rest = address.partition("://")
    user = _user(rest) if separator else ""
    if not _UNESCAPED.search(user[:-1]):
        return address
    name, _, password = user[:-1].partition(":")
    return f"{scheme}://{quote(name, '')}:{quote(password, '')}@{rest[len(user) :]}"


def _user(rest: str) -> str:
    """The user and password in what follows "://", up to their "@"; "" where there are none.

    Characters such as "#" and "/" in them may not have been escaped: then what follows the first
    "@" is no host, and all up to the last "@" belongs to them.
    """
    usual = re.match(r"[^/?#]*@", rest)
    user = usual.group() if usual else ""
    return user if _HOST.match(rest, len(user)) else rest[: rest.rfind("@") + 1]


def shown(name: str | Path) -> str:
    """A file's name as text that can be printed and recorded, also where its bytes are no UTF-8."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """Facts about a source, as far as they are known before reading it."""

    name: str  # as the user gave it, credentials of an address removed
    width: int  # pixels of the upright picture
    height: int
    frame_rate: float | None  # average, frames per second; None where it is not known
    duration: float | None  # seconds; None for cameras and streams
    frames: int | None  # number of frames; None where the container does not say
    is_live: bool  # frames come whether or not they are read
    is_pictures: bool = False  # photographs that have nothing to do with each other, no film
    # The file or folder itself, where it is one on this machine.
    path: Path | None = field(default=None, repr=False)
    # Its address on the web, where it is a recording there; with its credentials, so not shown.
    address: str | None = field(default=None, repr=False)
    # The file or address whose sound belongs to the picture; with its credentials, so not shown.
    audio_path: str | None = field(default=None, repr=False)
    # The sound of a live stream, which is opened once.
    audio_feed: SoundFeed | None = field(default=None, repr=False, compare=False)


class Source(Protocol):
    """A context manager that yields frames in order of time; read once, from one thread."""

    @property
    def info(self) -> SourceInfo:
        """Facts about the source."""
        ...

    @property
    def losses(self) -> tuple[str, ...]:
        """Sentences on what could not be read so far; complete once the iteration has ended."""
        ...

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences on what was read in another way than it is stored; nothing of it is lost."""
        ...

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """Spans without a picture so far, of live sources; from any thread.

        While one goes on it is the last one and has no end; once over it has one.
        """
        ...

    def __iter__(self) -> Iterator[Frame]:
        """Frames in order; a frame's image belongs to the caller.

        A picture that cannot be decoded is skipped and named in `losses`.
        """
        ...

    def close(self) -> None:
        """Release the file or device; the iteration ends."""
        ...

    def __enter__(self) -> "Source": ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...
