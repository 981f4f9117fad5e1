"""Frames of a video that were never decoded, and the sentences that report them."""

import heapq
from typing import Any

MAX_SENTENCES = 20  # of one kind, before the rest is summed up
_LATEST = 16  # packets that a decoder may take before it gives the picture of an earlier one


class Order:
    """Which packets' pictures are still to come, by presentation time; gives pictures places."""

    def __init__(self) -> None:
        self._waiting: list[int] = []
        self._passed = 0
        self._latest = -1

    def expect(self, packet: Any, is_skipped: bool) -> None:
        """A packet was read; without a time it comes right after the one before."""
        self._latest = self._latest + 1 if packet.pts is None else packet.pts
        heapq.heappush(self._waiting, self._latest)

    def arrive(self, pts: int | None) -> tuple[int, int | None, list[int]]:
        """A picture came out: its place, its time, and the times of those lost before it."""
        missed = []
        while pts is not None and self._waiting and self._waiting[0] < pts:
            missed.append(heapq.heappop(self._waiting))
        if self._waiting and (pts is None or self._waiting[0] == pts):
            heapq.heappop(self._waiting)
        index = self._passed + len(missed)
        self._passed = index + 1
        return index, pts, missed

    def rest(self) -> tuple[int, list[int]]:
        """Place of the first that never came out at the end, and the times of all of them."""
        return self._passed, sorted(self._waiting)


class DecodedOrder:
    """The same for packets whose presentation times are guessed, such as B-frames in AVI.

    Pictures come out of a decoder in the order they are shown, so the first one gets the earliest
    time of a packet, and so on. A packet's time is then no more than its label.

    Args:
        by_dts: take the times at which packets are decoded, which such containers store.
    """

    def __init__(self, *, by_dts: bool) -> None:
        self._by_dts = by_dts
        self._times: list[int] = []
        # Packets without a picture so far: their number in order of decoding, and label.
        self._waiting: list[tuple[int, int | None]] = []
        self._read = self._passed = 0

    def expect(self, packet: Any, is_skipped: bool) -> None:
        """A packet was read; one that is skipped will have no picture."""
        if is_skipped:
            self._passed += 1
            return
        self._waiting.append((self._read, packet.pts))
        self._read += 1
        heapq.heappush(self._times, packet.dts if self._by_dts else packet.pts or 0)

    def arrive(self, pts: int | None) -> tuple[int, int | None, list[int]]:
        """A picture came out: its place, its time, and the times of those lost before it."""
        labels = [label for _, label in self._waiting]
        number, _ = (
            self._waiting.pop(labels.index(pts) if pts in labels else 0) if labels else (0, 0)
        )
        lost = sum(other < number - _LATEST for other, _ in self._waiting)
        del self._waiting[:lost]
        missed = [heapq.heappop(self._times) for _ in range(lost)]
        index = self._passed + lost
        self._passed = index + 1
        return index, heapq.heappop(self._times) if self._times else pts, missed

    def rest(self) -> tuple[int, list[int]]:
        """Place of the first that never came out at the end, and the times of all of them."""
        return self._passed, sorted(self._times)


class Spans:
    """Runs of frames with the same problem, summed up in a few sentences.

    Args:
        problem: of all of them, such as "could not be decoded".
    """

    def __init__(self, problem: str) -> None:
        self._problem = problem
        self._spans: list[tuple[int, int, float, float]] = []

    def add(self, index: int, time: float) -> None:
        """One more frame, later than those before."""
        if self._spans and self._spans[-1][1] == index - 1:
            first, _, since, _ = self._spans[-1]
            self._spans[-1] = (first, index, since, time)
        else:
            self._spans.append((index, index, time, time))

    def sentences(self) -> list[str]:
        """Such as "frames 120-134 (4.00-4.47 s) could not be decoded"."""
        listed = [
            f"frame {first} ({since:.2f} s) {self._problem}"
            if first == last
            else f"frames {first}-{last} ({since:.2f}-{until:.2f} s) {self._problem}"
            for first, last, since, until in self._spans[:MAX_SENTENCES]
        ]
        others = self._spans[MAX_SENTENCES:]
        if others:
            count = sum(last - first + 1 for first, last, _, _ in others)
            listed.append(f"{count} more frames, up to {others[-1][3]:.2f} s, {self._problem}")
        return listed
