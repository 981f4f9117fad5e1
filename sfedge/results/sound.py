"""A source's sound, cut to a span of time and converted for an MP4."""

import math
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import av
import av.error
import numpy as np
from av.bitstream import BitStreamFilterContext
from av.stream import Disposition

from sfedge.sources.clock import SteadyClock, container_start
from sfedge.sources.container import MAX_READ_ERRORS
from sfedge.sources.opening import open_container, reason
from sfedge.sources.sound_feed import SoundFeed

# Codecs that MP4 players support; others are encoded to AAC.
_COPIED = ("aac", "mp3", "mp3float", "ac3", "eac3", "opus", "libopus", "alac", "flac")
_PACKET = Fraction(1, 50)  # seconds; about the length of a packet
# The header of the file waits for the first packet of each track. Sound that begins later than this
# many seconds is encoded, with silence in front of it.
_LATEST_COPY = 1.0
_SILENCE = 1024  # samples at a time


class Sound(Protocol):
    """Sound as packets for another container, in order of time."""

    @property
    def problem(self) -> str:
        """Why there is no sound, a clause; "" if there is."""
        ...

    @property
    def begins(self) -> float | None:
        """Seconds from the span's start to the first packet; None if there is none."""
        ...

    @property
    def losses(self) -> tuple[str, ...]:
        """Sentences on what could not be read or decoded so far."""
        ...

    def add_to(self, output: Any) -> None:
        """Add a stream for this sound to a container that is not written to yet."""
        ...

    def packets(self, until: float | None) -> Iterator[Any]:
        """Packets that begin before `until` seconds of the span and were not given yet.

        None gives all that is left; nothing can be asked for afterwards.
        """
        ...

    def close(self) -> None:
        """Release the source of it."""
        ...


def open_sound(source: Path | str | SoundFeed, *, start: float, end: float | None) -> Sound:
    """The sound of a file, a recording on the web or a live stream.

    Args:
        source: where it is.
        start: seconds of the source's clock that become zero; a packet that reaches beyond is kept.
        end: seconds of the source's clock at which it stops; None for all.

    Raises:
        SourceError: the file cannot be opened.
    """
    if isinstance(source, SoundFeed):
        return LiveSound(source, start=start, end=end)
    return FileSound(source, start=start, end=end)


class _Fitting:
    """One stream's packets as MP4 players know them: copied where they do, else as AAC.

    Args:
        stream: of the source.
        begins: seconds of the file at which the first packet is due; inf where that is not known.
    """

    def __init__(self, stream: Any, begins: float) -> None:
        self._stream = stream
        self._silence = begins if begins > _LATEST_COPY else 0.0  # seconds
        self._is_copied = stream.codec_context.name in _COPIED and not self._silence
        self._filter: BitStreamFilterContext | None = None
        self._target: Any = None
        self.problems: dict[str, None] = {}  # each once, in the order they were met

    def add_to(self, output: Any) -> None:
        """Add the stream to a container."""
        source = self._stream.codec_context
        if self._is_copied:
            self._target = output.add_stream_from_template(self._stream)
            if source.name == "aac" and not source.extradata:  # as transport streams carry it
                self._filter = BitStreamFilterContext("aac_adtstoasc", self._stream)
            return
        rates = av.Codec("aac", "w").audio_rates or []
        rate = source.sample_rate if source.sample_rate in rates else 48_000
        layout = "mono" if source.channels == 1 else "stereo"
        self._target = output.add_stream("aac", rate=rate, layout=layout)
        self._resampler = av.AudioResampler("fltp", layout, rate)
        # In samples: how far it was encoded. What comes before zero primes the decoder.
        self._reached: int = 0 if self._silence else -rate

    def silence(self, until: float | None) -> Iterator[Any]:
        """The silence before sound that begins late, up to `until` seconds; None: all of it."""
        if not self._silence:
            return
        seconds = self._silence if until is None else min(self._silence, until)
        rate, layout = self._target.rate, self._target.layout
        while self._reached < round(seconds * rate):
            samples = round(min(_SILENCE, self._silence * rate - self._reached))
            silence = np.zeros((layout.nb_channels, samples), np.float32)
            frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout=layout.name)
            frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
            frame.pts = self._reached
            yield from self._encoded([frame])

    def fitted(self, packet: Any) -> Iterator[Any]:
        """The output packets of one packet; None flushes those held back."""
        if not self._is_copied:
            for frame in self._decoded(packet):
                yield from self._encoded(self._resampler.resample(frame))
            if packet is None:
                yield from self._encoded(self._resampler.resample(None))
                yield from self._target.encode(None)
            return
        ready = self._filter.filter(packet) if self._filter else [packet] if packet else []
        for each in ready:
            each.stream = self._target
            yield each

    def _encoded(self, frames: list[Any]) -> Iterator[Any]:
        """Packets of frames whose times may be coarse, as Matroska's are."""
        for frame in frames:
            pts = self._reached
            if frame.pts is not None:
                pts = max(round(frame.pts * frame.time_base * self._target.rate), pts)
            frame.pts, frame.time_base = pts, Fraction(1, self._target.rate)
            self._reached = frame.pts + frame.samples
            yield from self._target.encode(frame)

    def _decoded(self, packet: Any) -> list[Any]:
        try:
            return list(self._stream.codec_context.decode(packet))
        except (av.error.FFmpegError, OSError, ValueError) as error:
            self.problems[f"part of the sound could not be decoded ({reason(error)})"] = None
            return []


class FileSound:
    """The sound track of a file that players choose.

    Args:
        path: any file that FFmpeg reads, or the address of one on the web.
        start: seconds of the file's clock that become zero; a packet that reaches beyond is kept.
        end: seconds of the file's clock at which it stops; None for all.

    Raises:
        SourceError: it cannot be opened.
    """

    def __init__(self, path: Path | str, *, start: float, end: float | None) -> None:
        self._input = open_container(str(path))
        self._next: Any = None
        self.problem = ""
        self._fitting: _Fitting | None = None
        self._problems: dict[str, None] = {}  # each once, in the order they were met
        tracks = [
            track
            for track in self._input.streams.audio
            if track.codec_context and track.codec_context.sample_rate
        ]
        if not tracks:
            has_any = bool(self._input.streams.audio)
            unknown = "its codec is not known to the installed FFmpeg"
            self.problem = unknown if has_any else "the file has no sound"
            return
        preferred = [track for track in tracks if track.disposition & Disposition.default]
        self._stream: Any = (preferred or tracks)[0]
        self._time_base = Fraction(self._stream.time_base or 1)
        self._zero = round((container_start(self._input) + Fraction(start)) / self._time_base)
        self._end = None if end is None else round(Fraction(end - start) / self._time_base)
        self._is_cut = start > 0
        self._waiting = self._read()
        self._next = next(self._waiting, None)
        self._fitting = _Fitting(self._stream, self.begins or 0.0)

    @property
    def begins(self) -> float | None:
        return None if self._next is None else float(self._next.pts * self._time_base)

    @property
    def losses(self) -> tuple[str, ...]:
        return (*self._problems, *(self._fitting.problems if self._fitting else ()))

    def add_to(self, output: Any) -> None:
        if self._fitting is not None:
            self._fitting.add_to(output)

    def packets(self, until: float | None) -> Iterator[Any]:
        if self._fitting is None:
            return
        yield from self._fitting.silence(until)
        while self._next is not None and (
            until is None or self._next.pts * self._time_base < until
        ):
            packet, self._next = self._next, next(self._waiting, None)
            yield from self._fitting.fitted(packet)
        if until is None:
            yield from self._fitting.fitted(None)

    def close(self) -> None:
        self._input.close()

    def _read(self) -> Iterator[Any]:
        """Packets within the span, on the new clock; what cannot be read is skipped."""
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
        """Packets of the sound; read errors are reported and skipped."""
        errors = 0
        while errors < MAX_READ_ERRORS:
            try:
                for packet in self._input.demux(self._stream):
                    errors = 0
                    yield packet
                return
            except (av.error.FFmpegError, OSError) as error:
                errors += 1
                self._problems[f"part of the sound could not be read ({reason(error)})"] = None


class LiveSound:
    """The sound of a live stream, as it came over the stream's own connection.

    Args:
        feed: of the source; taken by one writer alone.
        start: seconds of the source's clock that become zero.
        end: seconds of the source's clock at which it stops; None for all.
    """

    problem = ""
    begins = 0.0  # what has not come yet cannot be known; it belongs to the picture

    def __init__(self, feed: SoundFeed, *, start: float, end: float | None) -> None:
        self._feed, self._start, self._end = feed, start, end
        # A stream may announce sound and send none; the picture must not wait for it.
        self._is_mute = not feed.has_come
        self._fitting = _Fitting(feed.stream, math.inf if self._is_mute else 0.0)

    @property
    def losses(self) -> tuple[str, ...]:
        dropped = self._feed.dropped
        late = [f"{dropped} packets of sound were not taken in time"] if dropped else []
        return (*self._fitting.problems, *late)

    def add_to(self, output: Any) -> None:
        self._fitting.add_to(output)

    def packets(self, until: float | None) -> Iterator[Any]:
        """As of every sound; None gives only what is held back, as the picture has ended."""
        if until is None:
            yield from self._fitting.fitted(None)
            return
        for time, packet in self._feed.take(until + self._start):
            if time < self._start or (self._end is not None and time >= self._end):
                continue
            self._is_mute = False
            packet.pts = packet.dts = round(Fraction(time - self._start) / packet.time_base)
            yield from self._fitting.fitted(packet)
        if self._is_mute:
            yield from self._fitting.silence(until - _LATEST_COPY)

    def close(self) -> None:
        """Nothing: the connection is the source's."""
