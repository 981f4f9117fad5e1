"""Video files through PyAV: true times, upright square pixels, and what could not be read."""

import math
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import av.error

from sfedge.core.config import Codecs
from sfedge.core.structures import Frame, Gap
from sfedge.sources.container import END, VideoFile
from sfedge.sources.deinterlace import Deinterlacer
from sfedge.sources.develop import Developer
from sfedge.sources.lost_frames import MAX_SENTENCES, DecodedOrder, Order, Spans
from sfedge.sources.opening import is_on_network
from sfedge.sources.source import SourceInfo, without_credentials
from sfedge.system.closing import Closing

_TORN = 1  # the container says that data is missing
_LOST = 2  # a picture is missing that this one builds on


@dataclass(frozen=True, slots=True)
class _Tag:
    """Facts about a decoded picture besides its content."""

    index: int
    time: float
    doubt: int  # _TORN or _LOST where it may be decoded only in part, else 0
    pixel_aspect: float
    is_key: bool
    size: tuple[int, int]


class VideoSource(Closing):
    """Frames of a recording, in the order they are shown.

    A frame's time is its presentation time counted from the container's start, the earliest time
    stamp of any of its streams. Sound and picture so keep their distance: a first picture that
    comes 0.08 s after the first sound is at 0.08 s, as in any player.

    A frame's index is its place among all frames the container holds, by presentation time; frames
    before `start` and frames that cannot be decoded count. It is found by reading packets without
    decoding them, so that it is the same with and without `start`.

    Raises:
        SourceError: there is no such file, or no picture in it can be decoded.
    """

    def __init__(
        self,
        address: str,
        *,
        start: float = 0.0,
        end: float | None = None,
        codecs: Codecs = "cpu",
    ) -> None:
        self._address, self._name = address, without_credentials(address)
        self._start, self._end = start, end
        self._closed, self._lock = threading.Event(), threading.Lock()
        self._lost = Spans("could not be decoded")
        self._damaged = Spans("could be decoded only in part")
        self._notes: list[str] = []
        self._file = VideoFile(address, codecs)
        try:
            first = self._file.first_picture()
            self._developer = Developer(first, self._file.pixel_aspect, self._name)
        except BaseException:
            self._file.close()
            raise
        self._deinterlacer: Deinterlacer[_Tag] = Deinterlacer()
        self._info = SourceInfo(
            name=self._name,
            width=self._developer.size[0],
            height=self._developer.size[1],
            frame_rate=float(self._file.rate) if self._file.rate else None,
            duration=self._file.duration,
            frames=self._file.frames,
            is_live=False,
            path=None if is_on_network(address) else Path(address),
            address=address if is_on_network(address) else None,
            audio_path=address if self._file.container.streams.audio else None,
        )

    @property
    def info(self) -> SourceInfo:
        """Facts from the container's header; the size is that of the upright picture."""
        return self._info

    @property
    def losses(self) -> tuple[str, ...]:
        """Sentences on frames that are missing or damaged so far."""
        return (*self._lost.sentences(), *self._damaged.sentences(), *self._notes)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences on pictures that were deinterlaced, tone-mapped or fitted."""
        return (
            *self._file.warnings,
            *self._deinterlacer.warnings,
            *self._developer.warnings.values(),
        )

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """None: a recording is not live."""
        return ()

    def close(self) -> None:
        """Release the file; an iteration in another thread ends with the frame it is at."""
        self._closed.set()
        if self._lock.acquire(blocking=False):  # else the iteration releases it
            self._file.close()
            self._lock.release()

    def __iter__(self) -> Iterator[Frame]:
        """Frames with start <= time < end."""
        frames = self._frames()
        while True:
            with self._lock:
                frame = None if self._closed.is_set() else next(frames, None)
                if frame is None:
                    self._file.close()
                    return
            if self._closed.is_set():  # meanwhile, when the file could not be released
                self.close()
            yield frame

    def _frames(self) -> Iterator[Frame]:
        doubtful: list[_Tag] = []  # since the last key frame
        size = (0, 0)
        try:
            for picture, tag in self._deinterlaced():
                if tag.is_key:
                    # Where transport streams were spliced, data only seems to be missing.
                    is_splice = tag.size != size
                    self._report_damaged([t for t in doubtful if t.doubt == _LOST or not is_splice])
                    doubtful = []
                size = tag.size
                if self._end is not None and tag.time >= self._end:
                    return
                if 0 < self._start > tag.time:
                    continue
                if tag.doubt:
                    doubtful.append(tag)
                try:
                    image = self._developer.develop(picture, tag.time, tag.pixel_aspect)
                except (av.error.FFmpegError, OSError, ValueError):  # an unknown pixel format
                    self._lost.add(tag.index, tag.time)
                    continue
                yield Frame(image, tag.index, tag.time, self._name)
        finally:
            self._report_damaged(doubtful)
        self._report_end()

    def _deinterlaced(self) -> Iterator[tuple[Any, _Tag]]:
        for picture, tag in self._decoded():
            yield from self._deinterlacer.push(picture, tag)
        yield from self._deinterlacer.flush()

    def _decoded(self) -> Iterator[tuple[Any, _Tag]]:
        """All pictures from the last key frame before `start` to the first one at `end`."""
        skip = self._packets_before_start() if self._start > 0 else 0
        order = (
            Order()
            if self._file.has_true_times
            else DecodedOrder(by_dts=self._file.has_decoding_times)
        )
        now = -math.inf
        torn: set[int] = set()  # times of packets that the container calls damaged
        doubt = 0  # holds until the next key frame
        for position, (packet, is_torn) in enumerate(chain(self._file.packets(), [END])):
            if self._closed.is_set():
                return
            if packet is not None and not packet.is_discard:
                order.expect(packet, position < skip)
                if is_torn:
                    torn.add(packet.pts)
            if position < skip:
                continue
            for picture in self._file.decode(packet):
                index, pts, missed = order.arrive(picture.pts)
                is_loss = self._report_missed(index - len(missed), missed, picture.interlaced_frame)
                damage = _LOST if is_loss else _TORN if picture.pts in torn else 0
                doubt = 0 if picture.key_frame else max(doubt, damage)
                own = _LOST if picture.is_corrupt else _TORN if picture.pts in torn else 0
                now = max(self._file.seconds(pts, index), now)
                yield (
                    picture,
                    _Tag(
                        index,
                        now,
                        max(doubt, own),
                        self._file.pixel_aspect,
                        bool(picture.key_frame),
                        (picture.width, picture.height),
                    ),
                )
                if self._end is not None and now >= self._end:
                    return
        self._report_missed(*order.rest())

    def _report_damaged(self, tags: list[_Tag]) -> None:
        for tag in tags:
            self._damaged.add(tag.index, tag.time)

    def _packets_before_start(self) -> int:
        """Number of packets before the last key frame at or before `start`."""
        key = 0
        for position, (packet, _) in enumerate(self._file.packets()):
            if self._closed.is_set():
                break
            if packet.pts is None:  # no time to go by: everything has to be decoded
                key = 0
                break
            if packet.is_keyframe and self._file.seconds(packet.pts, 0) <= self._start:
                key = position
            if packet.dts is not None and self._file.seconds(packet.dts, 0) > self._start:
                break  # a picture is never shown before its packet is due
        self._file.reopen()
        return key

    def _report_missed(self, index: int, missed: list[int], is_interlaced: bool = False) -> bool:
        """Report frames from `index` on that were never decoded; whether there are any."""
        # The two fields of an interlaced frame may come as two packets.
        if is_interlaced and len(missed) == 1:
            return False
        for place, pts in enumerate(missed, start=index):
            when = self._file.seconds(pts, place)
            if not 0 < self._start > when and (self._end is None or when < self._end):
                self._lost.add(place, when)
        return bool(missed)

    def _report_end(self) -> None:
        self._notes.extend(self._file.problems[:MAX_SENTENCES])
        declared, reached = self._file.declared_end(), self._file.reached
        margin = max(0.5, 2 / (self._file.rate or 4))
        if declared is not None and declared > reached + margin:
            self._notes.append(
                f"the file is cut off: it ends at {reached:.2f} s"
                f" and says it lasts {declared:.2f} s"
            )
