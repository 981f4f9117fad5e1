"""The time of a container's packets: where it begins, and how it goes on where it jumps."""

import math
from fractions import Fraction
from typing import Any

_CAN_JUMP = ("mpegts", "mpeg")  # after a break of a broadcast, or where files were strung together
_LONGEST_PAUSE = 10  # seconds; a longer one in such a container is a jump


def container_start(container: Any) -> Fraction:
    """Seconds on a PyAV container's clock that count as zero, for sound and picture alike.

    The earliest time stamp of any of them; but a codec's run-in before zero is not meant to be
    heard, so that only a picture can begin below zero.
    """
    pictures, sounds = (
        [
            Fraction(stream.start_time * stream.time_base)
            for stream in streams
            if stream.start_time is not None and stream.time_base
        ]
        for streams in (container.streams.video, container.streams.audio)
    )
    if not pictures:
        return Fraction(0)
    return min(min(pictures), max(min(pictures + sounds), Fraction(0)))


class SteadyClock:
    """Gives the packets of one stream time stamps that go on where the container's clock jumps."""

    def __init__(self, container: Any, stream: Any, step: Fraction) -> None:
        """`step` is the length of a packet in seconds, taken where a jump hides the true one."""
        self._can_jump = container.format.name in _CAN_JUMP
        self._step = math.ceil(step / stream.time_base)
        self._limit = math.ceil(_LONGEST_PAUSE / stream.time_base)
        self._shift = 0
        self._last: int | None = None

    def set(self, packet: Any) -> None:
        """Correct a packet in place; packets come in the order they are decoded."""
        due = packet.dts if packet.dts is not None else packet.pts
        if not self._can_jump or due is None:
            return
        if packet.pts is not None and not due <= packet.pts <= due + self._limit:
            packet.pts = due  # a damaged time stamp
        last = self._last
        if last is not None and not last - self._step <= due + self._shift <= last + self._limit:
            self._shift = last + self._step - due
        self._last = due + self._shift
        if self._shift:
            packet.pts = None if packet.pts is None else packet.pts + self._shift
            packet.dts = None if packet.dts is None else packet.dts + self._shift
