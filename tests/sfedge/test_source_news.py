"""Gaps as the sinks of a run get them."""

from dataclasses import dataclass, field
from typing import Any, cast

from sfedge.core.structures import Gap
from sfedge.runtime.source_news import SourceNews
from sfedge.sources.source import Source


@dataclass
class Stream:
    gaps: tuple[Gap, ...] = ()
    losses: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass
class Noted:
    gaps: list[Gap] = field(default_factory=list)

    def write(self, result: object) -> None:
        """Not of interest."""

    def gap(self, gap: Gap) -> None:
        """Note it."""
        self.gaps.append(gap)


def test_a_gap_that_was_the_end_of_the_recording_is_closed_where_it_began() -> None:
    first, lasting = Gap(1.0, 2.0, "no signal"), Gap(7.0, None, "no signal")
    stream, sink = Stream((first,)), Noted()
    news = SourceNews(cast(Source, stream), cast(Any, [sink]))
    news.publish(3.0)
    stream.gaps = (first, lasting)
    news.publish()
    stream.gaps = (first,)  # the stream had come to its end

    for _ in range(2):
        news.publish()

    assert sink.gaps == [first, lasting, Gap(7.0, 7.0, "no signal")]
    assert news.gaps == (first,)
