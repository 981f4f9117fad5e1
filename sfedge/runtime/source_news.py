"""Reports of a source while it is read: losses and warnings to the log, gaps to the sinks."""

import logging
import math
from collections.abc import Sequence
from dataclasses import replace

from sfedge.core.structures import Gap
from sfedge.runtime.protocols import GapSink, Sink
from sfedge.sources.source import Source

_log = logging.getLogger("sfedge.runtime")


class SourceNews:
    """Logs each sentence of a source once, and gives its gaps to the sinks.

    Args:
        source: of the run.
        sinks: of the run; more may be added to the list later.
    """

    def __init__(self, source: Source, sinks: Sequence[Sink]) -> None:
        self._source, self._sinks = source, sinks
        self._said: set[str] = set()
        self._gaps: tuple[Gap, ...] = ()

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """Gaps that the sinks have; one that lasts has no end."""
        return self._gaps

    def publish(self, now: float = math.inf) -> None:
        """Log new losses and warnings, and give the sinks new gaps that began before `now`."""
        for sentence in (*self._source.losses, *self._source.warnings):
            if sentence not in self._said:
                self._said.add(sentence)
                _log.warning("%s: %s", self._source.info.name, sentence)
        found = tuple(gap for gap in self._source.gaps if gap.start < now)
        new = [gap for gap in found if gap not in self._gaps]  # begun or ended since the last call
        known = {gap.start for gap in self._source.gaps}
        # What began as a gap and was the recording's end: closed where it began.
        ended = [gap for gap in self._gaps if gap.end is None and gap.start not in known]
        new += [replace(gap, end=gap.start) for gap in ended]
        self._gaps = found
        for gap in new:
            for sink in self._sinks:
                if isinstance(sink, GapSink):
                    sink.gap(gap)
