"""Video files through PyAV: true times, upright square pixels, and what could not be read."""

import contextlib
import heapq
import math
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import av.error
import numpy as np

from sfedge.clock import SteadyClock, container_start
from sfedge.errors import SourceError
from sfedge.sources.base import MAX_PIXELS, SourceInfo, without_credentials
from sfedge.structures import Frame, Image

# Containers whose header tells the true length, so that reading less means that data is missing.
_MATROSKA = "matroska,webm"
_LENGTH_IS_TOLD = ("mov,mp4,m4a,3gp,3g2,mj2", _MATROSKA, "avi")
_LARGEST_HEADER = 1024  # bytes between two of Matroska's packets
_MAX_READ_ERRORS = 100  # in a row, before the rest of a file is given up
_MAX_SENTENCES = 20  # on lost frames, before the rest is summed up
_UNSPECIFIED = 2  # FFmpeg's number for a colour matrix that the file does not name


class VideoSource:
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
        self, address: str, *, start: float = 0.0, end: float | None = None, live: bool = False
    ) -> None:
        self._address, self._name = address, without_credentials(address)
        self._start, self._end, self._is_live = start, end, live
        self._closed, self._lock = threading.Event(), threading.Lock()
        self._lost = _Spans("could not be decoded")
        self._damaged = _Spans("could be decoded only in part")
        self._notes: list[str] = []
        self._file = _File(address)
        first = self._first_picture()
        self._turn = _upright(_display_matrix(first))
        self._size = _square_size(first.width, first.height, self._file.pixel_aspect)
        upright = self._turn(np.empty((*reversed(self._size), 0)))
        duration = self._file.container.duration
        self._info = SourceInfo(
            name=self._name,
            width=upright.shape[1],
            height=upright.shape[0],
            frame_rate=float(self._file.rate) if self._file.rate else None,
            duration=duration / av.time_base if duration and duration > 0 else None,
            frames=self._file.video.frames or None,
            is_live=live,
            audio_path=address
            if self._file.container.streams.audio and "://" not in address
            else None,
        )

    @property
    def info(self) -> SourceInfo:
        """What the container says of itself; the size is that of the upright picture."""
        return self._info

    @property
    def losses(self) -> tuple[str, ...]:
        """Sentences on frames that are missing or damaged so far."""
        return (*self._lost.sentences(), *self._damaged.sentences(), *self._notes)

    def __enter__(self) -> "VideoSource":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the file; an iteration in another thread ends with the frame it is at."""
        self._closed.set()
        if self._lock.acquire(blocking=False):  # else the iteration releases it
            self._file.close()
            self._lock.release()

    def __iter__(self) -> Iterator[Frame]:
        """Frames with start <= time < end."""
        frames = self._frames()
        began: float | None = None
        while True:
            with self._lock:
                frame = None if self._closed.is_set() else next(frames, None)
                if frame is None:
                    self._file.close()
                    return
            if self._is_live:
                began = time.monotonic() - frame.time if began is None else began
                self._closed.wait(max(began + frame.time - time.monotonic(), 0.0))
            yield frame

    def _first_picture(self) -> av.VideoFrame:
        """The first picture that can be decoded; its size and orientation hold for all.

        It is read from the file's beginning, which is opened anew afterwards.
        """
        try:
            for packet in chain(self._file.packets(), [None]):
                for picture in self._file.decode(packet):
                    _check_size(picture.width, picture.height, self._name)
                    return picture
        finally:
            self._file.reopen()
        raise SourceError(
            "no picture in it could be decoded",
            where=self._name,
            fix="The file is damaged or cut off near its beginning; copy or record it again.",
        )

    def _frames(self) -> Iterator[Frame]:
        skip = self._packets_before_start() if self._start > 0 else 0
        order, now = _Order(), -math.inf
        for position, packet in enumerate(chain(self._file.packets(), [None])):
            if self._closed.is_set():
                return
            if packet is not None and not packet.is_discard:
                order.expect(packet.pts)
            if position < skip:
                continue
            for picture in self._file.decode(packet):
                index, missed = order.arrive(picture.pts)
                self._tell_missed(index - len(missed), missed, picture.interlaced_frame)
                now = max(self._file.seconds(picture.pts, index), now)
                if self._end is not None and now >= self._end:
                    return
                if 0 < self._start > now:
                    continue
                if picture.is_corrupt:
                    self._damaged.add(index, now)
                yield Frame(self._image(picture), index, now)
        self._tell_missed(*order.rest())
        self._tell_end()

    def _packets_before_start(self) -> int:
        """How many packets lie before the last key frame at or before `start`."""
        key = 0
        for position, packet in enumerate(self._file.packets()):
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

    def _image(self, picture: av.VideoFrame) -> Image:
        _check_size(picture.width, picture.height, self._name)
        width, height = self._size
        # Unnamed colour matrices are read as players do: BT.709 for high definition, else BT.601.
        is_hd = picture.height > 576 or picture.width > 1024
        is_square = (picture.width, picture.height) == self._size
        rgb = picture.to_ndarray(
            format="rgb24",
            width=width,
            height=height,
            interpolation="BILINEAR" if is_square else "BICUBIC",
            src_colorspace="ITU709" if picture.colorspace == _UNSPECIFIED and is_hd else None,
        )
        return np.ascontiguousarray(self._turn(rgb))

    def _tell_missed(self, index: int, missed: list[int], is_interlaced: bool = False) -> None:
        # The two fields of an interlaced frame may come as two packets.
        if is_interlaced and len(missed) == 1:
            return
        for place, pts in enumerate(missed, start=index):
            when = self._file.seconds(pts, place)
            if not 0 < self._start > when and (self._end is None or when < self._end):
                self._lost.add(place, when)

    def _tell_end(self) -> None:
        self._notes.extend(self._file.faults[:_MAX_SENTENCES])
        told, reached = self._file.told_end(), self._file.reached
        margin = max(0.5, 2 / (self._file.rate or 4))
        if told is not None and told > reached + margin:
            self._notes.append(
                f"the file is cut off: it ends at {reached:.2f} s and says it lasts {told:.2f} s"
            )


class _File:
    """An opened container: its picture stream, its packets, its clock."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.container = _open(address)
        try:
            self._choose()
        except SourceError:
            self.container.close()
            raise

    def _choose(self) -> None:
        name = without_credentials(self.address)
        pictures = [
            stream
            for stream in self.container.streams.video
            if not stream.disposition & stream.disposition.attached_pic  # a cover is no video
        ]
        if not pictures:
            heard = "only sound" if self.container.streams.audio else "no picture"
            raise SourceError(
                f"the file holds {heard}", where=name, fix="Give a file with a video track."
            )
        self.video = pictures[0]
        if self.video.codec_context is None:
            raise SourceError(
                "its video codec is not known to the installed FFmpeg",
                where=name,
                fix="Convert it to H.264, for example with ffmpeg or HandBrake.",
            )
        _check_size(self.video.width or 0, self.video.height or 0, name)
        self.video.thread_type = "AUTO"
        self.rate: Fraction | None = self.video.average_rate or self.video.guessed_rate
        self.pixel_aspect = float(self.video.sample_aspect_ratio or 1)
        self.time_base = self.video.time_base or Fraction(1, 90_000)
        self.origin = container_start(self.container)
        self.reached = 0.0  # seconds up to which packets were read
        self.faults: list[str] = []

    def reopen(self) -> None:
        """Go back to the very beginning; exact in every container, unlike seeking."""
        self.container.close()
        self.container = _open(self.address)
        self._choose()

    def close(self) -> None:
        self.container.close()

    def seconds(self, pts: int | None, index: int) -> float:
        """Time of a picture; where the container gives none, its index over the frame rate."""
        if pts is None:
            return float(index / (self.rate or 25))
        return float(pts * self.time_base - self.origin)

    def told_end(self) -> float | None:
        """Seconds at which the container says it ends, where its header can be trusted."""
        if self.container.format.name not in _LENGTH_IS_TOLD:
            return None
        if self.container.format.name == "avi":  # FFmpeg shortens its length to what is there
            return float(self.video.frames / self.rate) if self.rate else None
        streams = [self.video, *self.container.streams.audio]
        ends = [
            float(((stream.start_time or 0) + stream.duration) * stream.time_base - self.origin)
            for stream in streams
            if stream.duration and stream.time_base
        ]
        if ends:
            return max(ends)
        has_others = len(streams) < len(self.container.streams)
        return None if has_others else (self.container.duration or 0) / av.time_base

    def packets(self) -> Iterator[Any]:
        """Packets of the picture stream, in the order they are decoded."""
        clock = SteadyClock(self.container, self.video, 1 / (self.rate or Fraction(25)))
        for packet in self._all_packets():
            if packet.stream.index == self.video.index and packet.size:
                clock.set(packet)
                yield packet

    def decode(self, packet: Any) -> list[av.VideoFrame]:
        """Pictures that a packet completes, none if it is damaged; None brings the last ones."""
        with contextlib.suppress(av.error.FFmpegError, OSError, ValueError):
            return list(self.video.codec_context.decode(packet))
        return []

    def _all_packets(self) -> Iterator[Any]:
        """Packets of all streams; read errors are passed over."""
        errors, end = 0, None
        while errors < _MAX_READ_ERRORS:
            try:
                for packet in self.container.demux():
                    errors = 0
                    if self.container.format.name == _MATROSKA and packet.pos is not None:
                        self._tell_hole(end, packet.pos)
                        end = packet.pos + packet.size
                    if packet.pts is not None and packet.time_base:
                        until = (packet.pts + (packet.duration or 0)) * packet.time_base
                        self.reached = max(self.reached, float(until - self.origin))
                    yield packet
                return
            except (av.error.FFmpegError, OSError) as error:
                errors += 1
                fault = f"part of the file could not be read ({error.strerror or error})"
                if fault not in self.faults:
                    self.faults.append(fault)

    def _tell_hole(self, end: int | None, position: int) -> None:
        """FFmpeg silently looks for the next cluster where Matroska's structure is damaged."""
        if end is not None and position - end > _LARGEST_HEADER:
            self.faults.append(
                f"{position - end} bytes of the file are damaged and were passed over,"
                f" {self.reached:.2f} s from its start"
            )


class _Order:
    """Which packets' pictures are still to come, by presentation time; gives pictures places."""

    def __init__(self) -> None:
        self._waiting: list[int] = []
        self._passed = 0
        self._latest = -1

    def expect(self, pts: int | None) -> None:
        """A packet was read; without a time it comes right after the one before."""
        self._latest = self._latest + 1 if pts is None else pts
        heapq.heappush(self._waiting, self._latest)

    def arrive(self, pts: int | None) -> tuple[int, list[int]]:
        """A picture came out: its place, and the times of those before it that never will."""
        missed = []
        while pts is not None and self._waiting and self._waiting[0] < pts:
            missed.append(heapq.heappop(self._waiting))
        if self._waiting and (pts is None or self._waiting[0] == pts):
            heapq.heappop(self._waiting)
        index = self._passed + len(missed)
        self._passed = index + 1
        return index, missed

    def rest(self) -> tuple[int, list[int]]:
        """Place of the first that never came out at the end, and the times of all of them."""
        return self._passed, sorted(self._waiting)


class _Spans:
    """Runs of frames that share a fate, told in few sentences."""

    def __init__(self, fate: str) -> None:
        self._fate = fate
        self._spans: list[tuple[int, int, float, float]] = []

    def add(self, index: int, when: float) -> None:
        if self._spans and self._spans[-1][1] == index - 1:
            first, _, since, _ = self._spans[-1]
            self._spans[-1] = (first, index, since, when)
        else:
            self._spans.append((index, index, when, when))

    def sentences(self) -> list[str]:
        told = [
            f"frame {first} ({since:.2f} s) {self._fate}"
            if first == last
            else f"frames {first}-{last} ({since:.2f}-{until:.2f} s) {self._fate}"
            for first, last, since, until in self._spans[:_MAX_SENTENCES]
        ]
        others = self._spans[_MAX_SENTENCES:]
        if others:
            count = sum(last - first + 1 for first, last, _, _ in others)
            told.append(f"{count} more frames, up to {others[-1][3]:.2f} s, {self._fate}")
        return told


def _open(address: str) -> Any:
    name = without_credentials(address)
    damaged = "Copy or record it again."
    header = b""
    if "://" not in address:
        try:
            with Path(address).open("rb") as file:
                header = file.read(12)
        except OSError as error:
            raise SourceError(
                f"the file cannot be opened ({error.strerror})",
                where=name,
                fix="Check the path and that you may read it.",
            ) from error
        if not header:
            raise SourceError("the file is empty", where=name, fix=damaged)
    try:
        return av.open(address, metadata_errors="replace")
    except (av.error.FFmpegError, OSError, ValueError) as error:
        if isinstance(error, av.error.InvalidDataError) and header[4:8] == b"ftyp":
            what = "its index (moov atom) is missing, as in a recording that was cut off"
            fix = f"{damaged} Tools such as untrunc can rebuild the index."
        else:
            reason = getattr(error, "strerror", None) or str(error)
            what = f"this is not a video that FFmpeg can read ({reason})"
            fix = "Give a video such as MP4, MOV, MKV, WebM or AVI; the file may also be damaged."
        raise SourceError(what, where=name, fix=fix) from error


def _check_size(width: int, height: int, name: str) -> None:
    if width * height > MAX_PIXELS:
        raise SourceError(
            f"its pictures of {width}x{height} pixels are larger than the {MAX_PIXELS} allowed",
            where=name,
            fix="Scale it down first.",
        )


def _square_size(width: int, height: int, aspect: float) -> tuple[int, int]:
    """Width and height with square pixels; the short side grows, so that no detail is lost."""
    if aspect <= 0 or not 1 / 16 <= aspect <= 16:  # a slip in the file, not a lens
        return width, height
    if aspect >= 1:
        wide = round(width * aspect)
        return (wide, height) if wide * height <= MAX_PIXELS else (width, height)
    high = round(height / aspect)
    return (width, high) if width * high <= MAX_PIXELS else (width, height)


def _display_matrix(picture: av.VideoFrame) -> tuple[int, int, int, int]:
    """The part (a, b, c, d) of the display matrix: (x, y) is shown at (ax + cy, bx + dy)."""
    data: Any = picture.side_data.get("DISPLAYMATRIX")
    if data is None:
        return 1, 0, 0, 1
    a, b, _, c, d = (int(value) for value in np.frombuffer(bytes(data), np.int32)[:5])
    return a, b, c, d


def _upright(matrix: tuple[int, int, int, int]) -> Callable[[Any], Any]:
    """What turns and mirrors a picture (H, W, ...) as its display matrix says, by quarters."""
    a, b, c, d = matrix
    if abs(a) >= abs(b):
        across, down, is_turned = a, d, False
    else:
        across, down, is_turned = c, b, True

    def turn(image: Any) -> Any:
        shown = np.swapaxes(image, 0, 1) if is_turned else image
        return shown[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1]

    return turn
