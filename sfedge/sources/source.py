"""What every source of frames offers."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol
from urllib.parse import urlsplit, urlunsplit

from sfedge.core.structures import Frame

MAX_PIXELS = 64 * 2**20  # of one picture; above it memory, not the model, decides what happens


def without_credentials(address: str) -> str:
    """An address as it may be shown and recorded: no user, no password, no query values."""
    if "://" not in address:
        return address
    parts = urlsplit(address)
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "..." if parts.query else "", ""))


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
    # The file or address whose sound belongs to the picture; with its credentials, so not shown.
    audio_path: str | None = field(default=None, repr=False)


class Source(Protocol):
    """A context manager that yields frames in order of time; read once, from one thread."""

    @property
    def info(self) -> SourceInfo:
        """What is known of the source."""
        ...

    @property
    def losses(self) -> tuple[str, ...]:
        """Sentences on what could not be read so far; complete once the iteration has ended."""
        ...

    def __iter__(self) -> Iterator[Frame]:
        """Frames in order; a frame's image belongs to the caller.

        A picture that cannot be decoded is passed over and told in `losses`.
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
