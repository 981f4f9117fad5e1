"""Gaps of a live source: known while they last, and summed up as losses."""

import threading
import time
from collections.abc import Callable
from typing import TypeVar

from sfedge.core.errors import SourceError
from sfedge.core.structures import Gap

GIVE_UP_AFTER = 60.0  # seconds without a picture
_STALL = 2.0  # seconds without a picture that are a gap although the connection holds
_INTERVALS = 3.0  # and at least three times the usual interval between pictures
_SILENT = "nothing came over the connection"
_STEP = 0.25  # seconds between two looks at the clock

_Item = TypeVar("_Item")


class Silence:
    """The gaps of a live source; one thread reads the source, any thread may ask."""

    def __init__(self, name: str) -> None:
        self._name = name  # of the source, for messages
        self._lock = threading.Lock()
        self._gaps: list[Gap] = []
        self._last: float | None = None  # time of the last picture
        self._interval = 0.0
        self._waits_since: float | None = None
        self._reason = ""
        self._pending: str = ""  # why there is a gap that no picture has ended yet

    def wait_for(
        self,
        take: Callable[[float], _Item | None],
        broken: Callable[[], str],
        is_over: Callable[[], bool],
        left: float | None,
    ) -> _Item | None:
        """The result of `take`, after any wait; a wait that is too long is a gap.

        Args:
            take: gives something within some seconds, or None.
            broken: why nothing can come at the moment; "" where it can.
            is_over: whether nothing will ever come.
            left: seconds to wait at most; None for no limit.

        Returns:
            None at the end.

        Raises:
            SourceError: nothing came for GIVE_UP_AFTER seconds.
        """
        item = take(0.0)
        begun = time.monotonic()
        try:
            while item is None and not is_over():
                with self._lock:
                    self._waits_since, self._reason = begun, broken()
                    self._pending = self._pending or self._ongoing()
                spent = time.monotonic() - begun
                if left is not None and spent >= left:
                    return None
                if spent > GIVE_UP_AFTER:
                    raise SourceError(
                        f"no picture came for {spent:.0f} s",
                        where=self._name,
                        fix="Check the camera and its connection, then start again.",
                    )
                item = take(_STEP if left is None else min(_STEP, left - spent))
            return item
        finally:
            with self._lock:
                self._pending = self._pending or self._ongoing()
                self._waits_since = None

    def over(self, now: float) -> None:
        """A picture of a time is here."""
        with self._lock:
            if self._last is not None:
                if self._pending:
                    self._gaps.append(Gap(self._last, now, self._pending))
                else:
                    self._interval = now - self._last
            self._pending = ""
            self._last = now

    def withdraw(self) -> None:
        """The gap that goes on is none: the source had come to its end."""
        with self._lock:
            self._pending = ""

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """Those that are over, and the one that goes on, without an end."""
        with self._lock:
            reason = self._pending or self._ongoing()
            if reason and self._last is not None:
                return (*self._gaps, Gap(self._last, None, reason))
            return tuple(self._gaps)

    @property
    def losses(self) -> tuple[str, ...]:
        """A sentence for each gap; what only came late over one connection is not lost."""
        return tuple(
            f"no picture came from {gap.start:.2f} s on ({gap.reason})"
            if gap.end is None
            else f"no picture came from {gap.start:.2f} to {gap.end:.2f} s ({gap.reason})"
            for gap in self.gaps
            if gap.end is None or gap.reason != _SILENT or gap.end - gap.start > _STALL
        )

    @property
    def _longest_pause(self) -> float:
        return max(_STALL, _INTERVALS * self._interval)

    def _ongoing(self) -> str:
        """Why the current wait is a gap; "" where it is not."""
        if self._waits_since is None:
            return ""
        if self._reason:
            return self._reason
        waited = time.monotonic() - self._waits_since
        return _SILENT if waited > self._longest_pause else ""
