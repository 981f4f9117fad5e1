"""The sound of a live stream on its way from the one connection to whoever writes it."""

import math
import threading
from collections import deque
from typing import Any

_LONGEST = 60.0  # seconds of sound that wait for a reader; without one the oldest are dropped


class SoundFeed:
    """Packets of a live stream's sound in order, on the clock of its frames; for two threads.

    Args:
        stream: PyAV's audio stream; its codec and layout hold for all packets.
    """

    def __init__(self, stream: Any) -> None:
        self.stream = stream
        self._packets: deque[tuple[float, Any]] = deque()
        self._lock = threading.Lock()
        self._last = -math.inf
        self._zero = 0.0
        self.dropped = 0  # packets that nobody took in time

    def begin(self, zero: float) -> None:
        """From here on a time counts as zero; sound before it is dropped."""
        with self._lock:
            self._zero = zero
            while self._packets and self._packets[0][0] < zero:
                self._packets.popleft()

    def put(self, time: float, packet: Any) -> None:
        """Add a packet; one that is not later than the last is dropped, as no file can hold it."""
        with self._lock:
            if time <= self._last or time < self._zero:
                return
            self._last = time
            self._packets.append((time, packet))
            while self._packets[0][0] < time - _LONGEST:
                self._packets.popleft()
                self.dropped += 1

    @property
    def has_come(self) -> bool:
        """Whether there was any packet yet."""
        return self._last > -math.inf

    def fits(self, stream: Any) -> bool:
        """Whether packets of another connection's stream can go on here."""
        ours, other = self.stream.codec_context, stream.codec_context
        return (ours.name, ours.sample_rate, ours.channels) == (
            other.name,
            other.sample_rate,
            other.channels,
        )

    def take(self, until: float | None) -> list[tuple[float, Any]]:
        """Packets before `until` seconds, each once; None takes all."""
        taken = []
        with self._lock:
            while self._packets and (until is None or self._packets[0][0] - self._zero < until):
                time, packet = self._packets.popleft()
                taken.append((time - self._zero, packet))
        return taken
