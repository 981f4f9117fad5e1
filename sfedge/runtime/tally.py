"""The counts of a run so far."""

import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sfedge.core.frame_result import FrameResult
from sfedge.core.structures import Gap
from sfedge.core.tasks import Task
from sfedge.results.run_report import RunReport


class Tally:
    """Counts of a run, and the seconds spent in each stage; for one thread.

    Only `timed` is called from others, too, for each stage from one at a time.

    Args:
        tasks: that are asked.
    """

    def __init__(self, tasks: Sequence[Task]) -> None:
        self.frames = 0  # that a file has given
        self.asked = 0  # frames that the model was asked about
        self.shown = 0
        self.seconds: defaultdict[str, float] = defaultdict(float)  # by stage
        self._people: set[int] = set()
        self._hands: set[int] = set()  # without a person
        self._shots, self._left_out = 1, 0
        self._answers: Counter[str] = Counter({task.name: 0 for task in tasks})

    def count(self, result: FrameResult) -> None:
        """Count a frame with its people and answers."""
        self.shown += 1
        self._people.update(track.id for track in result.tracks)
        self._hands.update(hand.id for hand in result.hands)
        self._shots, self._left_out = result.shot + 1, max(self._left_out, result.left_out)
        self._answers.update(answer.task for answer in result.fresh)

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Count the time spent within to a stage."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[stage] += time.perf_counter() - begun

    def report(
        self,
        *,
        frames: int,
        skipped: int,
        gaps: Sequence[Gap],
        losses: tuple[str, ...],
        warnings: tuple[str, ...],
        ended: str,
        is_whole: bool,
    ) -> RunReport:
        """All counts, with what the source reports and how the run ended.

        Args:
            frames: that the source gave.
            skipped: of these, live ones that nobody took.
            gaps: times without frames.
            losses: sentences on what could not be read, in gaps and otherwise.
            warnings: sentences on what was read in another way than it is stored.
            ended: why the run ended; "" while it goes on.
            is_whole: whether that is the end that such a run should have.
        """
        return RunReport(
            frames=frames,
            shown=self.shown,
            skipped=skipped,
            asked=self.asked,
            people=len(self._people),
            hands=len(self._hands),
            left_out=self._left_out,
            shots=self._shots,
            gaps=len(gaps),
            answers=dict(self._answers),
            losses=losses,
            warnings=warnings,
            ended=ended,
            is_complete=is_whole and not losses,
            seconds=dict(self.seconds),
        )
