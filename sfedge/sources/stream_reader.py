"""The connection to a live stream: packets in a queue, with times on one clock through breaks."""

import hashlib
import math
import threading
import time
from collections import deque
from fractions import Fraction
from typing import Any

import av.error

from sfedge.core.errors import SourceError
from sfedge.sources.opening import open_container
from sfedge.sources.pace import Pace
from sfedge.sources.sound_feed import SoundFeed
from sfedge.sources.source import without_credentials

MICROSECONDS = 1_000_000  # ticks a second of the packets' time stamps here
_WAITS = (0.5, 1.5, 3.0, 5.0)  # seconds between tries to join again; the last one repeats
_UNSTAMPED = ("mpjpeg", "mjpeg", "h264", "hevc", "m4v", "mpegvideo", "obu", "h263", "h261")
_JUMP = 10.0  # seconds; a longer step of the time stamps is a new clock
_NO_KEY = 5.0  # seconds without a key frame, after which one begins in the middle
_MOST_BYTES = 256 * 2**20  # of packets in the queue

_Item = tuple[Any, Any]  # a decoder and a packet for it


def video_of(container: Any, name: str) -> Any:
    """The picture stream of a container.

    Raises:
        SourceError: there is none that can be decoded.
    """
    if not container.streams.video or container.streams.video[0].codec_context is None:
        raise SourceError(
            "the stream holds no picture that can be decoded",
            where=name,
            fix="Choose another stream of the camera, with H.264 for example.",
        )
    return container.streams.video[0]


class StreamReader:
    """Reads a stream in a thread of its own, and joins it again after a break.

    Args:
        address: with its credentials.
        container: it, opened; closed by the thread at its end.
    """

    def __init__(self, address: str, container: Any) -> None:
        self._address = address
        self._name = without_credentials(address)
        self._container = container
        self._kept: list[Any] = []  # containers whose streams are still of use
        self._changed = threading.Condition()
        self._queue: deque[tuple[float, bool, _Item]] = deque()  # time, is key frame
        self._bytes = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sfedge stream", daemon=True)
        self._pace = Pace(is_playlist=container.format.name in ("hls", "dash"))
        self._began: float | None = None  # the clock at the first packet
        self._last = 0.0  # time of the newest packet
        self._first_key = b""  # known again by its hash
        self._last_raw = -math.inf  # the greatest time stamp of the stream's own clock
        self.broken = ""  # why the connection is down; "" while it is up
        self.has_ended = False  # it was a recording, and is over
        self.error: BaseException | None = None  # an internal error, which ended the thread
        self.losses: list[str] = []
        video = video_of(container, self._name)
        self._is_stamped = container.format.name not in _UNSTAMPED
        self.rate = float(video.average_rate) if video.average_rate and self._is_stamped else None
        sound = _sound_of(container)
        self.feed = SoundFeed(sound) if sound is not None and self._is_stamped else None
        if container.streams.audio and self.feed is None:
            self.losses.append("the sound could not be kept: its codec or its times are not known")

    @property
    def is_over(self) -> bool:
        """Whether nothing will ever come."""
        return self.has_ended or self.error is not None

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread, which may take until its read times out; nobody has to wait."""
        self._stop.set()
        with self._changed:
            self._queue.clear()
            self._changed.notify_all()

    def begin(self, zero: float) -> None:
        """From here on a time of the packets counts as the frames' zero."""
        if self.feed is not None:
            self.feed.begin(zero)

    def take(self, seconds: float) -> _Item | None:
        """The next packet; None if none comes within some seconds, or nothing can come now."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._stop.is_set(), max(seconds, 0.0))
            if not self._queue:
                return None
            _, _, item = self._queue.popleft()
            self._bytes -= item[1].size
            self._changed.notify_all()
            return item

    def due(self, stamp: float) -> float:
        """When, on the clock, the picture of a time is to be shown."""
        with self._changed:
            return self._pace.due(stamp)

    def skip_late(self, late: float) -> int:
        """Where the next packet is late, drop all before the last key frame due; how many.

        Args:
            late: seconds behind the pace.
        """
        with self._changed:
            now = time.monotonic()
            if not self._queue or self._pace.due(self._queue[0][0]) > now - late:
                return 0
            return self._drop_to_key(now)

    def _drop_to_key(self, now: float) -> int:
        """Drop the packets before the last key frame that is due by a time on the clock."""
        keys = [
            place
            for place, (stamp, is_key, _) in enumerate(self._queue)
            if is_key and self._pace.due(stamp) <= now
        ]
        for _ in range(keys[-1] if keys else 0):
            _, _, (_, packet) = self._queue.popleft()
            self._bytes -= packet.size
        return keys[-1] if keys else 0

    def _run(self) -> None:
        try:
            self._keep_connected()
        except BaseException as error:  # raised again in the thread that iterates
            self.error = error
        finally:
            self._leave()
            for container in self._kept:
                container.close()

    def _keep_connected(self) -> None:
        tries = 0
        while not self._stop.is_set() and not self.has_ended:
            if self._container is not None:
                tries = 0 if self._read() else tries
                self._leave()
            if self._stop.wait(_WAITS[min(tries, len(_WAITS) - 1)]) or self.has_ended:
                break
            tries += 1
            try:
                container = open_container(self._address)
            except SourceError:
                continue
            try:
                video_of(container, self._name)
                self._container = container
            except SourceError:
                container.close()

    def _leave(self) -> None:
        container, self._container = self._container, None
        if container is None:
            return
        if self.feed is not None and not self._kept:
            self._kept.append(container)  # the feed's stream is described by it
        else:
            container.close()

    def _read(self) -> bool:
        """Put the packets of one connection into the queue; whether there was a picture."""
        container = self._container
        connection = _Connection(container, self._is_stamped)
        why = "the connection broke"
        try:
            for packet in container.demux(*connection.streams):
                if self._stop.is_set():
                    break
                if packet.size:
                    self._put(connection, packet)
        except (av.error.ExitError, av.error.TimeoutError):
            why = "nothing came over the connection"
        except (av.error.FFmpegError, OSError, ValueError):
            pass
        with self._changed:
            self.broken = why
            # A recording, sent again, that holds no more than before is over.
            self.has_ended = connection.is_repeat and not connection.has_begun
            self._changed.notify_all()
        return connection.has_begun

    def _put(self, connection: "_Connection", packet: Any) -> None:
        arrival = time.monotonic()
        if packet.stream.index != connection.video.index:
            self._put_sound(connection, packet)
            return
        if not connection.has_begun:
            if not packet.is_keyframe and arrival - connection.opened < _NO_KEY:
                return
            if self._resumes(connection, packet):
                return
            if self._began is None:
                self._began = arrival
        stamp = self._time_of(connection, packet, arrival)
        connection.arrived = arrival
        self._last_raw = max(self._last_raw, connection.raw(packet) or -math.inf)
        packet.pts, packet.dts = round(stamp * MICROSECONDS), None
        packet.time_base = Fraction(1, MICROSECONDS)
        with self._changed:
            self.broken = ""
            self._last = max(self._last, stamp)
            self._pace.add(stamp, arrival)
            self._queue.append((stamp, packet.is_keyframe, (connection.decoder, packet)))
            self._bytes += packet.size
            if self._bytes > _MOST_BYTES:  # nobody takes them
                self._drop_to_key(math.inf)
            self._changed.notify_all()

    def _time_of(self, connection: "_Connection", packet: Any, arrival: float) -> float:
        """A packet's time on our clock: its time stamp, as far as it has a sensible one."""
        now = max(arrival - (self._began or arrival), self._last)
        expected = self._last + connection.step if connection.has_begun else now
        stamp = connection.seconds(packet)
        longest = _JUMP + arrival - connection.arrived
        if not self._is_stamped:
            connection.has_begun = True
            return now
        if stamp is None or not self._last - _JUMP < stamp < self._last + longest:
            connection.begin(packet, expected)
            return expected
        return stamp

    def _put_sound(self, connection: "_Connection", packet: Any) -> None:
        if self.feed is None or not connection.has_begun:
            return
        if not self.feed.fits(packet.stream):
            what = f"the sound changed at {self._last:.2f} s; it is missing from there on"
            if not self.losses:
                self.losses.append(what)
            return
        stamp = connection.seconds(packet)
        if stamp is not None:
            self.feed.put(stamp, packet)

    def _resumes(self, connection: "_Connection", packet: Any) -> bool:
        """Whether to wait on: a recording, sent without its length, begins from its start again.

        It is known by its first key frame, and goes on where it broke off.
        """
        stamp = connection.raw(packet)
        if not self._is_stamped or stamp is None:
            return False
        if not connection.is_known:
            connection.is_known = True
            key = hashlib.sha256(bytes(packet)).digest()
            connection.is_repeat = key == self._first_key
            self._first_key = self._first_key or key
        return connection.is_repeat and stamp <= self._last_raw


class _Connection:
    """One connection's streams, decoder and clock."""

    def __init__(self, container: Any, is_stamped: bool) -> None:
        self.video = container.streams.video[0]
        sound = _sound_of(container)
        self.streams = [self.video, *([sound] if sound is not None else [])]
        self.decoder = self.video.codec_context
        self.decoder.thread_type = "SLICE"  # threads by frame hold pictures back
        self.step = float(1 / (self.video.average_rate or 25))
        self.opened = self.arrived = time.monotonic()
        self._is_stamped = is_stamped
        self._shift: float | None = None  # from the stream's seconds to ours
        self.has_begun = False
        self.is_known, self.is_repeat = False, False  # whether it was looked at; what was found

    def raw(self, packet: Any) -> float | None:
        """A packet's time in seconds on the stream's own clock."""
        stamp = packet.pts if packet.pts is not None else packet.dts
        return None if stamp is None else float(stamp * packet.time_base)

    def begin(self, packet: Any, time: float) -> None:
        """A packet is of a time on our clock."""
        self.has_begun = True
        stamp = self.raw(packet)
        if self._is_stamped and stamp is not None:
            self._shift = time - stamp

    def seconds(self, packet: Any) -> float | None:
        """A packet's time on our clock; None where it has no time stamp."""
        stamp = self.raw(packet)
        return None if stamp is None or self._shift is None else stamp + self._shift


def _sound_of(container: Any) -> Any:
    """The sound stream, if it can be kept."""
    sounds = [s for s in container.streams.audio if s.codec_context and s.codec_context.sample_rate]
    return sounds[0] if sounds else None
