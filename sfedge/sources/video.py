"""Video files through PyAV: true times, upright square pixels, and what could not be read."""

import math
import threading
from collections.abc import Iterator
from itertools import chain
from typing import Any

import av
import numpy as np

from sfedge.core.errors import SourceError
from sfedge.core.structures import Frame, Image
from sfedge.sources.container import VideoFile, check_size
from sfedge.sources.lost_frames import MAX_SENTENCES, Order, Spans
from sfedge.sources.source import SourceInfo, without_credentials
from sfedge.sources.upright import display_matrix, square_size, upright
from sfedge.system.closing import Closing

_UNSPECIFIED = 2  # FFmpeg's number for a colour matrix that the file does not name
# After the last packet the decoder is asked for the pictures that it still holds.
_END: list[tuple[Any, bool]] = [(None, False)]


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

    def __init__(self, address: str, *, start: float = 0.0, end: float | None = None) -> None:
        self._address, self._name = address, without_credentials(address)
        self._start, self._end = start, end
        self._closed, self._lock = threading.Event(), threading.Lock()
        self._lost = Spans("could not be decoded")
        self._damaged = Spans("could be decoded only in part")
        self._notes: list[str] = []
        self._file = VideoFile(address)
        first = self._first_picture()
        self._turn = upright(display_matrix(first))
        self._size = square_size(first.width, first.height, self._file.pixel_aspect)
        shape = self._turn(np.empty((*reversed(self._size), 0))).shape
        duration = self._file.container.duration
        self._info = SourceInfo(
            name=self._name,
            width=shape[1],
            height=shape[0],
            frame_rate=float(self._file.rate) if self._file.rate else None,
            duration=duration / av.time_base if duration and duration > 0 else None,
            frames=self._file.video.frames or None,
            is_live=False,
            audio_path=address if self._file.container.streams.audio else None,
        )

    @property
    def info(self) -> SourceInfo:
        """What the container says of itself; the size is that of the upright picture."""
        return self._info

    @property
    def losses(self) -> tuple[str, ...]:
        """Sentences on frames that are missing or damaged so far."""
        return (*self._lost.sentences(), *self._damaged.sentences(), *self._notes)

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

    def _first_picture(self) -> av.VideoFrame:
        """The first picture that can be decoded; its size and orientation hold for all.

        It is read from the file's beginning, which is opened anew afterwards.
        """
        try:
            for packet, _ in chain(self._file.packets(), _END):
                for picture in self._file.decode(packet):
                    check_size(picture.width, picture.height, self._name)
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
        order, now = Order(), -math.inf
        torn: set[int] = set()  # times of packets that the container calls damaged
        is_doubtful = False  # a frame is missing that later ones build on
        for position, (packet, is_torn) in enumerate(chain(self._file.packets(), _END)):
            if self._closed.is_set():
                return
            if packet is not None and not packet.is_discard:
                order.expect(packet.pts)
                if is_torn:
                    torn.add(packet.pts)
            if position < skip:
                continue
            for picture in self._file.decode(packet):
                index, missed = order.arrive(picture.pts)
                is_loss = self._tell_missed(index - len(missed), missed, picture.interlaced_frame)
                is_doubtful = (is_doubtful or is_loss or picture.pts in torn) and (
                    not picture.key_frame
                )
                now = max(self._file.seconds(picture.pts, index), now)
                if self._end is not None and now >= self._end:
                    return
                if 0 < self._start > now:
                    continue
                if is_doubtful or picture.is_corrupt or picture.pts in torn:
                    self._damaged.add(index, now)
                yield Frame(self._image(picture), index, now)
        self._tell_missed(*order.rest())
        self._tell_end()

    def _packets_before_start(self) -> int:
        """How many packets lie before the last key frame at or before `start`."""
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

    def _image(self, picture: av.VideoFrame) -> Image:
        check_size(picture.width, picture.height, self._name)
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

    def _tell_missed(self, index: int, missed: list[int], is_interlaced: bool = False) -> bool:
        """Tell the frames from `index` on that never came out; whether there are any."""
        # The two fields of an interlaced frame may come as two packets.
        if is_interlaced and len(missed) == 1:
            return False
        for place, pts in enumerate(missed, start=index):
            when = self._file.seconds(pts, place)
            if not 0 < self._start > when and (self._end is None or when < self._end):
                self._lost.add(place, when)
        return bool(missed)

    def _tell_end(self) -> None:
        self._notes.extend(self._file.faults[:MAX_SENTENCES])
        told, reached = self._file.told_end(), self._file.reached
        margin = max(0.5, 2 / (self._file.rate or 4))
        if told is not None and told > reached + margin:
            self._notes.append(
                f"the file is cut off: it ends at {reached:.2f} s and says it lasts {told:.2f} s"
            )
