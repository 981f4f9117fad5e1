"""Interlaced pictures become whole ones, one for each, by FFmpeg's bwdif."""

from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from typing import Any, Generic, TypeVar

import av
import av.error
import av.filter

_Tag = TypeVar("_Tag")
_TIME_BASE = Fraction(1, 1000)  # of the filter alone, which needs rising times; ours are kept


class Deinterlacer(Generic[_Tag]):
    """Passes pictures on until the first interlaced one; from there on one picture later.

    Each picture carries a tag of the caller's. Progressive pictures are never changed.
    """

    def __init__(self) -> None:
        self._graph: av.filter.Graph | None = None
        self._kind: tuple[int, int, str] = (0, 0, "")
        self._tags: deque[_Tag] = deque()
        self._count = 0
        self._is_needed = False
        self._failed = ""  # the pixel format that the filter lacks

    @property
    def warnings(self) -> tuple[str, ...]:
        """A sentence on what was done, once pictures were interlaced."""
        if self._failed:
            return (f"the picture is interlaced; its format {self._failed} cannot be deinterlaced",)
        return ("the picture is interlaced; it was deinterlaced",) if self._is_needed else ()

    def push(self, picture: Any, tag: _Tag) -> Iterator[tuple[Any, _Tag]]:
        """Give a picture and get those that are ready."""
        self._is_needed = self._is_needed or picture.interlaced_frame
        if not self._is_needed:
            yield picture, tag
            return
        kind = picture.width, picture.height, picture.format.name
        if kind != self._kind:
            yield from self.flush()
            self._kind = kind
            try:
                self._graph = _graph(*kind)
            except (av.error.FFmpegError, ValueError):
                self._graph, self._failed = None, kind[2]
        if self._graph is None:
            yield picture, tag
            return
        self._tags.append(tag)
        self._count += 1
        picture.pts, picture.time_base = self._count, _TIME_BASE
        self._graph.push(picture)
        yield from self._ready()

    def flush(self) -> Iterator[tuple[Any, _Tag]]:
        """Get the last pictures."""
        if self._graph is not None:
            self._graph.push(None)
            yield from self._ready()
            self._graph = None

    def _ready(self) -> Iterator[tuple[Any, _Tag]]:
        graph = self._graph
        while graph is not None and self._tags:
            try:
                picture = graph.pull()
            except (BlockingIOError, EOFError, av.error.FFmpegError):
                return
            yield picture, self._tags.popleft()


def _graph(width: int, height: int, pixel_format: str) -> av.filter.Graph:
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=width,
        height=height,
        format=av.VideoFormat(pixel_format, width, height),
        time_base=_TIME_BASE,
    )
    bwdif = graph.add("bwdif", "mode=send_frame:parity=auto:deint=interlaced")
    graph.link_nodes(source, bwdif, graph.add("buffersink")).configure()
    return graph
