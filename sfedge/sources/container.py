"""An opened video container: its picture stream, its packets, its clock, its faults."""

import contextlib
from collections import deque
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error

from sfedge.core.errors import SourceError
from sfedge.sources.clock import SteadyClock, container_start
from sfedge.sources.source import MAX_PIXELS, without_credentials

# Containers whose header tells the true length, so that reading less means that data is missing.
_MATROSKA = "matroska,webm"
_LENGTH_IS_TOLD = ("mov,mp4,m4a,3gp,3g2,mj2", _MATROSKA, "avi")
_LARGEST_HEADER = 1024  # bytes between two of Matroska's packets
MAX_READ_ERRORS = 100  # in a row, before the rest of a file is given up


class VideoFile:
    """One file, read from its beginning as often as `reopen` is called.

    Raises:
        SourceError: it cannot be read, or holds no picture stream that can be decoded.
    """

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
        check_size(self.video.width or 0, self.video.height or 0, name)
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

    def packets(self) -> Iterator[tuple[Any, bool]]:
        """Packets of the picture stream as they are decoded, and whether data of one is missing.

        A transport stream says so, too, of packets before a joint, where nothing is missing; so
        two packets wait until the clock of the next one is known.
        """
        clock = SteadyClock(self.container, self.video, 1 / (self.rate or Fraction(25)))
        held: deque[tuple[Any, bool]] = deque()
        for packet in self._all_packets():
            if packet.stream.index != self.video.index or packet.size == 0:
                continue
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
        """Packets of all streams; read errors are passed over."""
        errors, end = 0, None
        while errors < MAX_READ_ERRORS:
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
