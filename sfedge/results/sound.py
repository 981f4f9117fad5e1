"""A file's sound, cut to a span of time and made to fit into an MP4."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
from av.bitstream import BitStreamFilterContext

from sfedge.sources.clock import SteadyClock, container_start
from sfedge.sources.container import MAX_READ_ERRORS

# What MP4 players know; anything else is encoded to AAC.
_COPIED = ("aac", "mp3", "mp3float", "ac3", "eac3", "opus", "libopus", "alac", "flac")
_PACKET = Fraction(1, 50)  # seconds; about the length of a packet


class Sound:
    """The first sound track of a file, as packets for another container.

    Args:
        path: any file that FFmpeg reads, or the address of one on the web.
        start: seconds of the file's clock that become zero; a packet that reaches beyond is kept.
        end: seconds of the file's clock at which it stops; None for all.
    """

    def __init__(self, path: Path | str, *, start: float, end: float | None) -> None:
        self._input = av.open(str(path), metadata_errors="replace")
        tracks = self._input.streams.audio
        self._next: Any = None
        self.problem = ""  # why there is nothing to be had, a clause
        self._faults: dict[str, None] = {}  # each once, in the order they were met
        if not tracks:
            self.problem = "the file has no sound"
        elif not (tracks[0].codec_context and tracks[0].codec_context.sample_rate):
            self.problem = "its codec is not known to the installed FFmpeg"
        if self.problem:
            return
        self._stream: Any = tracks[0]
        self._time_base = Fraction(self._stream.time_base or 1)
        self._zero = round((container_start(self._input) + Fraction(start)) / self._time_base)
        self._end = None if end is None else round(Fraction(end - start) / self._time_base)
        self._is_cut = start > 0
        self._is_copied = self._stream.codec_context.name in _COPIED
        self._waiting = self._read()
        self._next = next(self._waiting, None)

    @property
    def begins(self) -> float | None:
        """Seconds from `start` to the first packet; None if there is none."""
        return None if self._next is None else float(self._next.pts * self._time_base)

    @property
    def losses(self) -> tuple[str, ...]:
        """Sentences on what could not be read or decoded so far."""
        return tuple(self._faults)

    def add_to(self, output: Any) -> None:
        """Add a stream for this sound to a container that is not written to yet."""
        source = self._stream.codec_context
        self._filter: BitStreamFilterContext | None = None
        if self._is_copied:
            self._target = output.add_stream_from_template(self._stream)
            if source.name == "aac" and not source.extradata:  # as transport streams carry it
                self._filter = BitStreamFilterContext("aac_adtstoasc", self._stream)
            return
        rates = av.Codec("aac", "w").audio_rates or []
        rate = source.sample_rate if source.sample_rate in rates else 48_000
        layout = "mono" if source.channels == 1 else "stereo"
        self._target = output.add_stream("aac", rate=rate, layout=layout)

    def packets(self, until: float | None) -> Iterator[Any]:
        """Packets that begin before `until` seconds after `start` and were not given yet.

        None gives all that is left; nothing can be asked for afterwards.
        """
        while self._next is not None and (
            until is None or self._next.pts * self._time_base < until
        ):
            packet, self._next = self._next, next(self._waiting, None)
            yield from self._fitted(packet)
        if until is None:
            yield from self._fitted(None)

    def close(self) -> None:
        """Release the file."""
        self._input.close()

    def _read(self) -> Iterator[Any]:
        """Packets within the span, on the new clock; what cannot be read is told and left out."""
        clock = SteadyClock(self._input, self._stream, _PACKET)
        last: int | None = None
        for packet in self._all_packets():
            clock.set(packet)
            if packet.size == 0 or packet.pts is None:
                continue
            packet.pts -= self._zero
            packet.dts = packet.pts  # sound is stored in the order it is heard
            if self._end is not None and packet.pts >= self._end:
                return
            is_early = self._is_cut and packet.pts + (packet.duration or 1) <= 0
            if not is_early and (last is None or packet.pts > last):
                last = packet.pts
                yield packet

    def _all_packets(self) -> Iterator[Any]:
        """Packets of the sound; read errors are told and passed over."""
        errors = 0
        while errors < MAX_READ_ERRORS:
            try:
                for packet in self._input.demux(self._stream):
                    errors = 0
                    yield packet
                return
            except (av.error.FFmpegError, OSError) as error:
                errors += 1
                reason = error.strerror or error
                self._faults[f"part of the sound could not be read ({reason})"] = None

    def _fitted(self, packet: Any) -> Iterator[Any]:
        """What one packet of the file becomes; None brings what is still held back."""
        if not self._is_copied:
            for frame in self._decoded(packet):
                yield from self._target.encode(frame)
            if packet is None:
                yield from self._target.encode(None)
            return
        ready = self._filter.filter(packet) if self._filter else [packet] if packet else []
        for each in ready:
            each.stream = self._target
            yield each

    def _decoded(self, packet: Any) -> list[Any]:
        try:
            return list(self._stream.codec_context.decode(packet))
        except (av.error.FFmpegError, OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            self._faults[f"part of the sound could not be decoded ({reason})"] = None
            return []
