"""An opened video container: its picture stream, its packets, its clock, its problems."""

import contextlib
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain, pairwise
from typing import Any

import av
import av.error
from av.codec.hwaccel import HWAccel
from av.stream import Disposition

from sfedge.core.config import Codecs
from sfedge.core.errors import SourceError
from sfedge.sources.clock import SteadyClock, container_start
from sfedge.sources.opening import is_on_network, open_container, reason
from sfedge.sources.source import MAX_PIXELS, without_credentials
from sfedge.system.video_hardware import FAILURES, decoding_devices

# Containers whose header holds the true length: where less can be read, data is missing.
_MATROSKA = "matroska,webm"
_LENGTH_IS_DECLARED = ("mov,mp4,m4a,3gp,3g2,mj2", _MATROSKA, "avi")
_TIMES_ARE_TRUE = ("mov,mp4,m4a,3gp,3g2,mj2", "mpegts", "flv")  # they store presentation times
_EMPTY_FRAMES = ("avi", "dv")  # they may hold frames without content, which repeat the last one
_LOOK_AHEAD = 17  # pictures; one more than a decoder may hold back to bring them in order
_LARGEST_HEADER = 1024  # bytes between two of Matroska's packets
_LONGEST_LEAD = 1000  # packets without a time, before it is taken that none has one
_TIMEOUT_COUNTS = 20  # errors; a server that sends nothing is given up after five timeouts
MAX_READ_ERRORS = 100  # in a row, before the rest of a file is given up
END: tuple[Any, bool] = (None, False)  # asks a decoder for the pictures that it still holds


class VideoFile:
    """One file, read from its beginning as often as `reopen` is called.

    Args:
        address: a path or an address.
        codecs: whose decoder; the CPU's where that does not work.

    Raises:
        SourceError: it cannot be read, or holds no picture stream that can be decoded.
    """

    def __init__(self, address: str, codecs: Codecs = "cpu") -> None:
        self.address = address
        self.name = without_credentials(address)
        self.warnings: list[str] = []
        self.has_true_times = True  # else pictures are timed by their order alone
        self.has_decoding_times = True
        self._lead, self._lead_until = 0, 0  # packets at the start without a time; the first with
        self._measured_rate: Fraction | None = None
        self._options: dict[str, str] = {}
        self._device = _decoding_device(address, codecs)
        if self._device is None and codecs not in ("cpu", "auto"):
            self.warnings.append(f"the CPU decodes it: no decoder of {codecs} works here")
        self.container = open_container(address, device=self._device)
        try:
            self._choose()
        except SourceError:
            self.container.close()
            raise

    def _choose(self) -> None:
        pictures = [
            stream
            for stream in self.container.streams.video
            # a cover or preview is no video
            if not stream.disposition & (Disposition.attached_pic | Disposition.timed_thumbnails)
        ]
        if not pictures:
            heard = "only sound" if self.container.streams.audio else "no picture"
            raise SourceError(
                f"the file holds {heard}", where=self.name, fix="Give a file with a video track."
            )
        preferred = [each for each in pictures if each.disposition & Disposition.default]
        self.video = (preferred or pictures)[0]
        if self.video.codec_context is None:
            raise SourceError(
                "its video codec is not known to the installed FFmpeg",
                where=self.name,
                fix="Convert it to H.264, for example with ffmpeg or HandBrake.",
            )
        check_size(self.video.width or 0, self.video.height or 0, self.name)
        self.video.thread_type = "AUTO"
        declared = self.video.average_rate or self.video.guessed_rate
        self.rate: Fraction | None = self._measured_rate or declared
        self.time_base = self.video.time_base or Fraction(1, 90_000)
        self.origin = container_start(self.container)
        self.reached = 0.0  # seconds up to which packets were read
        self.problems: list[str] = []

    @property
    def pixel_aspect(self) -> float:
        """Width over height of a stored pixel, for the pictures decoded last."""
        aspect = self.video.codec_context.sample_aspect_ratio
        return float(self.video.sample_aspect_ratio or aspect or 1)

    def first_picture(self) -> av.VideoFrame:
        """The first picture that can be decoded; checks the time stamps on the way.

        It is read from the file's beginning, which is reopened afterwards.

        Raises:
            SourceError: there is none.
        """
        first = self._look_ahead()
        if first is None and self.container.format.name in _TIMES_ARE_TRUE:
            # An edit list may leave nothing of a film, where it was written wrongly.
            self._options = {"ignore_editlist": "1"}
            self.reopen()
            first = self._look_ahead()
            self.warnings.append("its edit list, which shows no picture at all, was ignored")
        if first is None:
            raise SourceError(
                "no picture in it could be decoded",
                where=self.name,
                fix="The file is damaged or cut off near its beginning; copy or record it again.",
            )
        return first

    def _look_ahead(self) -> av.VideoFrame | None:
        """The first picture, if there is one; finds out how far the time stamps can be trusted."""
        name = self.container.format.name
        reorders = self.video.codec_context.has_b_frames and name not in _TIMES_ARE_TRUE
        wanted = _LOOK_AHEAD if reorders else 1
        first: av.VideoFrame | None = None
        shown: list[int | None] = []  # times of pictures as they come out
        stamps: list[int | None] = []  # times of packets as they are stored
        has_dts = True
        for packet, _ in chain(self.packets(), [END]):
            if packet is not None:
                stamps.append(packet.pts)
                has_dts = has_dts and packet.dts is not None
            for picture in self.decode(packet) if len(shown) < wanted else ():
                first = first or picture
                shown.append(picture.pts)
            if len(shown) >= wanted and self._has_seen_enough(stamps):
                break
        if first is not None:
            check_size(first.width, first.height, self.name)
        known = [stamp for stamp in stamps if stamp is not None]
        if known:
            self._measure(known)
            self._lead, self._lead_until = stamps.index(known[0]), min(known[:_LOOK_AHEAD])
        in_order = [time for time in shown if time is not None]
        if reorders and (self._lead or name == "avi" or in_order != sorted(in_order)):
            self.has_true_times, self.has_decoding_times = False, has_dts
        self.reopen()
        return first

    def _has_seen_enough(self, stamps: list[int | None]) -> bool:
        """Whether the rate, and how many at the start lack a time, are known from these."""
        known = sum(stamp is not None for stamp in stamps)
        if known == len(stamps) and not self._is_rate_doubtful:
            return True
        return known >= _LOOK_AHEAD or (not known and len(stamps) > _LONGEST_LEAD)

    @property
    def _is_rate_doubtful(self) -> bool:
        is_usual = self.rate is not None and 1 <= self.rate <= 240
        return not is_usual or self.container.format.name in _EMPTY_FRAMES

    def _measure(self, times: list[int]) -> None:
        """Take the usual distance of the first pictures where the container's rate is doubtful."""
        steps = [b - a for a, b in pairwise(sorted(set(times)))]
        if not steps or not self._is_rate_doubtful:
            return
        step = sorted(steps)[len(steps) // 2] * self.time_base
        measured = Fraction(1 / step).limit_denominator(1001)
        if self.rate is None or not self.rate * Fraction(3, 4) < measured < self.rate * 2:
            self._measured_rate = measured

    @property
    def frames(self) -> int | None:
        """Number of frames by the container's header; None where it has none."""
        is_right = not self._measured_rate or self.container.format.name not in _EMPTY_FRAMES
        return self.video.frames or None if is_right else None

    def reopen(self) -> None:
        """Go back to the beginning; exact in every container, unlike seeking."""
        self.container.close()
        self.container = open_container(self.address, self._options, self._device)
        self._choose()
        if self._lead:
            self.origin = min(
                self.origin, (self._lead_until - self._lead * self._step) * self.time_base
            )

    @property
    def _step(self) -> int:
        """Ticks from one picture to the next, on average."""
        return round(1 / (self.rate or Fraction(25)) / self.time_base)

    def close(self) -> None:
        self.container.close()

    def seconds(self, pts: int | None, index: int) -> float:
        """Time of a picture; where the container gives none, its index over the frame rate."""
        if pts is None:
            return float(index / (self.rate or 25))
        return float(pts * self.time_base - self.origin)

    def declared_end(self) -> float | None:
        """Seconds at which the container says it ends, where its header can be trusted."""
        if self.container.format.name not in _LENGTH_IS_DECLARED:
            return None
        if self.container.format.name == "avi":  # FFmpeg shortens its length to what is there
            rate = self.video.average_rate
            return float(self.video.frames / rate) if rate else None
        streams = [self.video, *self.container.streams.audio]
        ends = [
            float(((stream.start_time or 0) + stream.duration) * stream.time_base - self.origin)
            for stream in streams
            if stream.duration and stream.time_base
        ]
        if ends:
            return max(ends)
        has_others = len(streams) < len(self.container.streams)
        return None if has_others else self.duration

    @property
    def duration(self) -> float | None:
        """Seconds from the origin to the end, as the container says; None if it does not."""
        duration = (self.container.duration or 0) / av.time_base
        if self.container.format.name in (_MATROSKA, "nut") and duration > self.origin > 0:
            duration -= float(self.origin)  # theirs is the last time stamp, not a length
        return duration if duration > 0 else None

    def packets(self) -> Iterator[tuple[Any, bool]]:
        """Packets of the picture stream as they are decoded, and whether data of one is missing.

        A transport stream says so, too, of packets before a splice, where nothing is missing; so
        two packets wait until the clock of the next one is known.
        """
        clock = SteadyClock(self.container, self.video, 1 / (self.rate or Fraction(25)))
        held: deque[tuple[Any, bool]] = deque()
        position = 0
        for packet in self._all_packets():
            if packet.stream.index != self.video.index or packet.size == 0:
                continue
            if position < self._lead:
                packet.pts = self._lead_until - (self._lead - position) * self._step
            position += 1
            if clock.set(packet):
                held = deque((waiting, False) for waiting, _ in held)
            held.append((packet, packet.is_corrupt))
            if len(held) > 2:
                yield held.popleft()
        yield from held

    def decode(self, packet: Any) -> list[av.VideoFrame]:
        """Pictures that a packet completes, none if it is damaged; None brings the last ones."""
        with contextlib.suppress(av.error.FFmpegError, OSError, ValueError):
            return list(self.video.codec_context.decode(packet))
        return []

    def _all_packets(self) -> Iterator[Any]:
        """Packets of all streams; read errors are skipped."""
        errors, end = 0, None
        while errors < MAX_READ_ERRORS:
            try:
                for packet in self.container.demux():
                    errors = 0
                    if self.container.format.name == _MATROSKA and packet.pos is not None:
                        self._report_hole(end, packet.pos)
                        end = packet.pos + packet.size
                    if packet.pts is not None and packet.time_base:
                        until = (packet.pts + (packet.duration or 0)) * packet.time_base
                        self.reached = max(self.reached, float(until - self.origin))
                    yield packet
                return
            except (av.error.FFmpegError, OSError) as error:
                errors += _TIMEOUT_COUNTS if isinstance(error, av.error.ExitError) else 1
                problem = f"part of the file could not be read ({reason(error)})"
                if problem not in self.problems:
                    self.problems.append(problem)

    def _report_hole(self, end: int | None, position: int) -> None:
        """FFmpeg silently looks for the next cluster where Matroska's structure is damaged."""
        if end is not None and position - end > _LARGEST_HEADER:
            self.problems.append(
                f"{position - end} bytes of the file are damaged and were skipped,"
                f" {self.reached:.2f} s from its start"
            )


def _decoding_device(address: str, codecs: Codecs) -> HWAccel | None:
    """The hardware that decodes a file's first picture; None where none does."""
    if is_on_network(address):
        return None
    for name in decoding_devices(codecs):
        with contextlib.suppress(*FAILURES, SourceError):
            device = HWAccel(name)
            with open_container(address, device=device) as container:
                for picture in container.decode(video=0):
                    picture.to_ndarray(format="rgb24")
                    return device
    return None


def check_size(width: int, height: int, name: str) -> None:
    """Refuse pictures so large that decoding them would fill the memory.

    Raises:
        SourceError: there are more than MAX_PIXELS.
    """
    if width * height > MAX_PIXELS:
        raise SourceError(
            f"its pictures of {width}x{height} pixels are larger than the {MAX_PIXELS} allowed",
            where=name,
            fix="Scale it down first.",
        )
