"""Live streams through PyAV: opened once, paced by their time stamps, joined after a break."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import av.error

from sfedge.core.errors import SourceError
from sfedge.core.structures import Frame, Gap
from sfedge.sources.deinterlace import Deinterlacer
from sfedge.sources.develop import Developer
from sfedge.sources.opening import open_container
from sfedge.sources.silence import Silence
from sfedge.sources.source import SourceInfo, without_credentials
from sfedge.sources.stream_reader import MICROSECONDS, StreamReader, video_of
from sfedge.system.closing import Closing

_FIRST_PICTURE = 15.0  # seconds that a stream which answers is given for a picture
_LATE = 2.0  # seconds behind its own pace, from which on pictures are dropped


def open_stream(address: str, *, start: float, end: float | None) -> "StreamSource | None":
    """A live stream; None where the address is of a recording, which may be opened again.

    Raises:
        SourceError: it does not answer, or holds no picture.
    """
    container = open_container(address)
    try:
        if not _is_live(address, container):
            container.close()
            return None
        video_of(container, without_credentials(address))
    except BaseException:
        container.close()
        raise
    return StreamSource(address, container, start=start, end=end)


def _is_live(address: str, container: Any) -> bool:
    """A recording on the web has a length: in bytes, or in seconds."""
    if address.partition("://")[0].lower() not in ("http", "https"):
        return True
    if container.format.name in ("mpjpeg", "rtsp", "sdp"):
        return True
    if container.format.name in ("hls", "dash"):
        return not container.duration
    try:
        size = int(container.size)
    except (av.error.FFmpegError, OSError, ValueError):
        size = 0
    return size <= 0 and not container.duration


class StreamSource(Closing):
    """Frames of a live stream, each when it is due.

    A frame's time is its time stamp, counted from the first frame, and goes on by the clock through
    a break; where a stream has no time stamps (MJPEG) it is the time of arrival. What comes in
    bursts, as HLS does, is given at its own pace. `end` is a time on the clock: it ends the stream
    while no picture comes, too.

    Args:
        address: with its credentials.
        container: it, opened, and from here on the source's.
        start: seconds; earlier frames are skipped.
        end: seconds after the first frame.

    Raises:
        SourceError: no picture came, at first or for a minute.
    """

    def __init__(
        self, address: str, container: Any, *, start: float = 0.0, end: float | None = None
    ) -> None:
        self._name = without_credentials(address)
        self._start, self._end = start, end
        self._closed = threading.Event()
        self._silence = Silence(self._name)
        self._began = 0.0  # on the clock, of the first frame
        self._decoder: Any = None  # of the current connection
        self._deinterlacer: Deinterlacer[float] = Deinterlacer()
        self._dropped = 0
        self._reader = StreamReader(address, container)
        self._reader.start()
        try:
            first = self._first_picture()
            self._developer = Developer(first, self._pixel_aspect(), self._name)
        except BaseException:
            self.close()
            raise
        self._first = first
        rate = self._reader.rate
        self._info = SourceInfo(
            name=self._name,
            width=self._developer.size[0],
            height=self._developer.size[1],
            frame_rate=rate if rate is not None and 1 <= rate <= 240 else None,
            duration=None,
            frames=None,
            is_live=True,
            audio_feed=self._reader.feed,
        )

    @property
    def info(self) -> SourceInfo:
        """Size of the first picture, rate as the stream says; its length is not known."""
        return self._info

    @property
    def losses(self) -> tuple[str, ...]:
        """A sentence for each gap so far, and on sound that could not be kept."""
        return (*self._silence.losses, *self._reader.losses)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences on pictures that were deinterlaced, tone-mapped, fitted or dropped."""
        late = f"{self._dropped} frames were dropped, as they were not taken in time"
        return (
            *self._deinterlacer.warnings,
            *([late] if self._dropped else []),
            *self._developer.warnings.values(),
        )

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """Spans without a picture; from any thread."""
        return self._silence.gaps

    def close(self) -> None:
        """End the iteration at once; the connection is closed as soon as it can be."""
        self._closed.set()
        self._reader.stop()

    def __iter__(self) -> Iterator[Frame]:
        """Frames with start <= time < end, numbered as they arrive."""
        # What came since the stream was opened may be old by now.
        is_old = self._reader.skip_late(_LATE) > 0
        self._began = time.monotonic()
        zero, index, last = 0.0, 0, -1.0
        try:
            for picture, stamp in self._pictures(None if is_old else self._first):
                if last < 0:
                    zero, self._began = stamp, time.monotonic()
                    self._reader.begin(zero)
                now = max(stamp - zero, last, 0.0)
                if not self._wait_until_due(stamp) or (self._end is not None and now >= self._end):
                    return
                self._silence.over(now)
                if now >= self._start:
                    image = self._developer.develop(picture, now, self._pixel_aspect())
                    yield Frame(image, index, now, self._name)
                index, last = index + 1, now
        finally:
            self.close()

    def _first_picture(self) -> Any:
        until = time.monotonic() + _FIRST_PICTURE
        while (left := until - time.monotonic()) > 0 and not self._closed.is_set():
            for picture in self._decode(self._reader.take(left)):
                return picture
        raise SourceError(
            "the stream does not answer or sends no picture",
            where=self._name,
            fix="Check the address, the user and password in it, and that the camera is on.",
        )

    def _pictures(self, first: Any) -> Iterator[tuple[Any, float]]:
        """Pictures in order with their time stamps, until the end by the clock."""
        if first is not None:
            yield from self._deinterlacer.push(first, first.pts / MICROSECONDS)
        while not self._closed.is_set():
            item = self._silence.wait_for(
                self._reader.take,
                lambda: self._reader.broken,
                lambda: self._closed.is_set() or self._reader.is_over,
                None if self._end is None else self._began + self._end - time.monotonic(),
            )
            if item is None:
                if self._reader.error is not None:
                    raise self._reader.error
                if self._reader.has_ended:
                    self._silence.withdraw()
                return
            self._dropped += self._reader.skip_late(_LATE)
            for picture in self._decode(item):
                yield from self._deinterlacer.push(picture, picture.pts / MICROSECONDS)

    def _wait_until_due(self, stamp: float) -> bool:
        """Wait for a picture's time; whether it comes before the end by the clock."""
        due = self._reader.due(stamp)
        over = due if self._end is None else self._began + self._end
        self._closed.wait(max(min(due, over) - time.monotonic(), 0.0))
        return not self._closed.is_set() and due <= max(over, time.monotonic())

    def _pixel_aspect(self) -> float:
        return float(self._decoder.sample_aspect_ratio or 1)

    def _decode(self, item: Any) -> list[Any]:
        if item is None:
            return []
        self._decoder, packet = item
        try:
            return [p for p in self._decoder.decode(packet) if p.pts is not None]
        except (av.error.FFmpegError, OSError, ValueError):
            return []  # a damaged picture; the next one comes
