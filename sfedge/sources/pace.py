"""When the pictures of a live stream are to be shown, by the arrivals of their packets."""

import math
from collections import deque

_WINDOW = 10.0  # seconds within which the latest packet sets the pace
_CATCH_UP = 0.1  # seconds per second by which pictures come faster, while they come too late


class Pace:
    """Follows the arrivals of packets. All times are seconds; the caller gives the clock's.

    Late packets delay all that follow. What was held back too long is caught up slowly; not so in
    playlists, whose segments come seconds apart and need what is held back.

    Args:
        is_playlist: the packets come in segments.
    """

    def __init__(self, *, is_playlist: bool) -> None:
        self._is_playlist = is_playlist
        self._offsets: deque[tuple[float, float]] = deque()  # arrivals, falling offsets from stamps
        self._zero = -math.inf  # the clock when the packet of time 0 is to be shown
        self._arrived = 0.0  # the clock at the last packet

    def due(self, stamp: float) -> float:
        """When, on the clock, the picture of a time is to be shown."""
        return stamp + self._zero

    def add(self, stamp: float, arrival: float) -> None:
        """Take in that the packet of a time has arrived."""
        offset = arrival - stamp
        while self._offsets and self._offsets[-1][1] <= offset:
            self._offsets.pop()
        self._offsets.append((arrival, offset))
        while self._offsets[0][0] < arrival - _WINDOW:
            self._offsets.popleft()
        caught_up = 0.0 if self._is_playlist else _CATCH_UP * (arrival - self._arrived)
        self._zero = max(self._offsets[0][1], self._zero - caught_up)
        self._arrived = arrival
