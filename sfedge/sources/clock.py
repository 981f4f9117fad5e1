"""The time of a container's packets: where it begins, and how it goes on where it jumps."""

import math
from fractions import Fraction
from typing import Any

_CAN_JUMP = ("mpegts", "mpeg")  # after a break of a broadcast, or where files were spliced
_LONGEST_PAUSE = 10  # seconds; a longer one in such a container is a jump


def container_start(container: Any) -> Fraction:
    """Seconds on a PyAV container's clock that count as zero, for sound and picture alike.

    Zero is zero where files are written to be played: a first picture that comes late stays late.
    A transport stream's clock, or one beyond any pause, began at an arbitrary time:
    there the earliest sound or picture counts. A picture before zero counts as well, but not the
    run-in of a sound codec, which is not meant to be heard.
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
    first = min(min(pictures), max(min(pictures + sounds), Fraction(0)))
    is_any_clock = container.format.name in _CAN_JUMP or first > _LONGEST_PAUSE
    return first if is_any_clock else min(first, Fraction(0))


class SteadyClock:
    """Gives the packets of one stream time stamps that go on where the container's clock jumps."""

    def __init__(self, container: Any, stream: Any, step: Fraction) -> None:
        """`step` is the length of a packet in seconds, taken where a jump hides the true one."""
        self._can_jump = container.format.name in _CAN_JUMP
        self._step = math.ceil(step / stream.time_base)
        self._limit = math.ceil(_LONGEST_PAUSE / stream.time_base)
        self._shift = 0
        self._last: int | None = None

    def set(self, packet: Any) -> bool:
        """Correct a packet in place, in decoding order; whether the clock jumped before it."""
        due = packet.dts if packet.dts is not None else packet.pts
        if not self._can_jump or due is None:
            return False
        if packet.pts is not None and not due <= packet.pts <= due + self._limit:
            packet.pts = due  # a damaged time stamp
        last = self._last
        has_jumped = last is not None and not (
            last - self._step <= due + self._shift <= last + self._limit
        )
        if last is not None and has_jumped:
            self._shift = last + self._step - due
        self._last = due + self._shift
        if self._shift:
            packet.pts = None if packet.pts is None else packet.pts + self._shift
            packet.dts = None if packet.dts is None else packet.dts + self._shift
        return has_jumped
