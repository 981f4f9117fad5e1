"""One run over one source: detect, track, plan, ask, smooth, frame by frame."""

import logging
import math
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING

from sfedge import annotate
from sfedge.bundle.bundle import Bundle
from sfedge.core.config import RunConfig
from sfedge.core.errors import UsageError
from sfedge.core.frame_result import FrameResult, RunFacts
from sfedge.core.structures import Frame, Gap, Image, Prediction, Scene
from sfedge.inference.newest_answers import NewestAnswers
from sfedge.inference.plan import BudgetPlanner, IntervalPlanner
from sfedge.inference.smoother import Smoother
from sfedge.results.run_report import RunReport
from sfedge.runtime.data_frame import AnswerTable
from sfedge.runtime.finder import Finder
from sfedge.runtime.frame_choice import FrameChoice
from sfedge.runtime.live import PATIENCE, Asker, Capture, Control
from sfedge.runtime.protocols import Detector, GapSink, Model, Sink, Tracker
from sfedge.runtime.tally import Tally
from sfedge.sources.source import Source, SourceInfo
from sfedge.system.closing import Closing
from sfedge.tracking.look_back import Found

if TYPE_CHECKING:
    import pandas

END_OF_SOURCE = "end of source"
END_OF_RANGE = "end of range"  # a live source was shown up to `end`
STOPPED = "stopped"

_CLOCK_LEAD = 0.25  # seconds

# In files, everything that can be asked is asked in each interval. An answer that was not renewed
# for this long could not be: a face was turned away. Live, a slow model's answers hold at any age;
# the age is shown.
_HOLD_INTERVALS = 3.0
_HOLD_SECONDS = 2.0  # but at least

_log = logging.getLogger("sfedge.runtime")


class Session(Closing):
    """One run over one source: iterate, once, for a `FrameResult` per frame.

    A context manager; the end of the iteration releases everything, too. `stop`, `pause` and
    `resume` may be called from any thread and from a signal handler, all else belongs to the
    thread that iterates. `sfedge.open` and `sfedge.Pipeline` make one.
    """

    def __init__(
        self,
        source: Source,
        detector: Detector,
        tracker: Tracker,
        model: Model,
        sinks: Sequence[Sink],
        bundle: Bundle | None,
        config: RunConfig,
    ) -> None:
        self.tasks = tuple(
            task for task in model.tasks if config.tasks is None or task.name in config.tasks
        )
        # Records and metadata name what was asked, also where the bundle decided it.
        self.config = replace(config, tasks=tuple(task.name for task in self.tasks))
        self.bundle = bundle  # None where the model is the program's own
        self.info: SourceInfo = source.info
        self.model_name = str(getattr(model, "name", type(model).__name__))
        # The model's limits, to be shown wherever its answers are.
        self.notice = str(getattr(model, "notice", ""))
        self.device = str(getattr(model, "device", ""))  # where it really runs
        # Why an NVIDIA GPU is not used; "" otherwise.
        self.engine_note = str(getattr(model, "engine_note", ""))
        self._facts = RunFacts(source.info.name, self.model_name, self.tasks)
        # Read one by one, the frames of a camera would get older and older.
        is_live = source.info.is_live or config.live
        # Photographs have no pace: each is shown with its answers.
        self.is_live = is_live and not source.info.is_pictures and source.info.frames != 1
        self._source, self._model = source, model
        self._tracker, self._sinks = tracker, list(sinks)
        self._resources = ExitStack()  # closed at the end
        self._interval_planner = IntervalPlanner(
            self.tasks,
            interval=config.interval,
            max_people=config.max_people,
            max_pairs=config.max_pairs,
            egocentric=config.egocentric,
        )
        self._budget_planner = BudgetPlanner(
            self.tasks,
            max_people=config.max_people,
            max_pairs=config.max_pairs,
            egocentric=config.egocentric,
        )
        self._smoother = Smoother(self.tasks, config.smoothing)
        self._left: set[int] = set()  # ids of people who were given up and are not back
        self._newest = NewestAnswers(
            math.inf if self.is_live else max(_HOLD_INTERVALS * config.interval, _HOLD_SECONDS)
        )
        self._annotators: list[annotate.Annotator] | None = None
        self._finder = Finder(detector, FrameChoice(config.every), self.timed)
        self._control = Control()
        self._capture: Capture | None = None
        self._asker: Asker | None = None
        self._patience = PATIENCE
        self._is_busy = False  # the model did not end its last round
        self._tally = Tally(self.tasks)
        self._gaps: tuple[Gap, ...] = ()
        self._said: set[str] = set()  # sentences of the source that the log has
        self._ended = ""
        self._is_started = False
        self._shown_at: deque[float] = deque(maxlen=30)  # wall clock of the last live frames

    def __iter__(self) -> Iterator[FrameResult]:
        """A result for every frame (live: for the newest), in order of time.

        Raises:
            SfedgeError: the source, a detector or the model failed.
            UsageError: the session was iterated before.
        """
        if self._is_started:
            raise UsageError("a session can be iterated once", fix="Open the source again.")
        self._is_started = True
        size = f"{self.info.width}x{self.info.height}"
        model = f"{self.model_name} on {self.device}" if self.device else self.model_name
        _log.info("%s: %s, model %s", self.info.name, size, model)
        return self._run()

    @property
    def is_endless(self) -> bool:
        """Whether the source is a camera or stream, which only a stop ends."""
        return self.info.is_live

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """Times in which a live source gave no frames; one that lasts has no end."""
        return self._gaps

    @property
    def report(self) -> RunReport:
        """The report of the run so far."""
        capture = self._capture
        losses = self._source.losses
        if self._is_busy:
            losses += (f"the model's last answer did not come within {PATIENCE:.0f} s",)
        is_whole = self._ended in (END_OF_SOURCE, END_OF_RANGE)
        is_whole |= self.is_endless and self._ended == STOPPED
        return self._tally.report(
            frames=capture.captured if capture else self._tally.frames,
            skipped=capture.skipped if capture else 0,
            gaps=self._gaps,
            losses=losses,
            warnings=self._source.warnings,
            ended=self._ended,
            is_whole=is_whole,
        )

    def draw(self, result: FrameResult) -> Image:
        """A new picture of the frame with all that is known drawn on it."""
        if self._annotators is None:
            self._annotators = annotate.build_annotators(
                tasks=self.tasks,
                model=self.model_name,
                notice=self.notice,
                facts=self._live_facts,
            )
        with self.timed("draw"):
            return annotate.draw(result, self._annotators)

    def add_sink(self, sink: Sink) -> None:
        """Give all results from now on to `sink`, too, before they come out of the iteration."""
        self._sinks.append(sink)

    def run(self) -> RunReport:
        """Iterate to the end, for the sake of the sinks.

        Raises:
            SfedgeError: as the iteration.
        """
        for _ in self:
            pass
        return self.report

    def to_dataframe(self, *, wide: bool = False) -> "pandas.DataFrame":
        """Iterate to the end and return the answers, with the columns of the table.

        Args:
            wide: with a column `task.label` for the probability of each label.

        Raises:
            MissingExtraError: pandas is not installed.
            SfedgeError: as the iteration.
        """
        table = AnswerTable(self._facts, wide=wide)
        self.add_sink(table)
        self.run()
        return table.to_dataframe()

    def stop(self) -> None:
        """End the iteration after the current frame; from any thread or signal handler."""
        self._control.is_stopped = True

    def pause(self) -> None:
        """Hold a recording where it is; a camera's pictures pass unseen. From any thread."""
        self._control.is_paused = True

    def resume(self) -> None:
        """Go on after `pause`; from any thread."""
        self._control.is_paused = False

    def close(self) -> None:
        """Release the source, the detectors and the model.

        A query that is being answered is waited for, for half a minute; then the model stays open,
        until a later call finds it done.
        """
        if self._capture is not None:
            self._capture.close()
        if self._asker is not None:
            self._is_busy = not self._asker.finish(self._patience)
        if not self._is_busy:
            self._resources.close()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is not None and issubclass(kind, KeyboardInterrupt | SystemExit):
            self._patience = 0.0
        self.close()

    def timed(self, stage: str) -> AbstractContextManager[None]:
        """Count the time spent within to a stage of the report."""
        return self._tally.timed(stage)

    def _run(self) -> Iterator[FrameResult]:
        try:
            yield from self._run_live() if self.is_live else self._run_file()
        except (KeyboardInterrupt, SystemExit):
            self._patience = 0.0
            raise
        finally:
            self.close()
            self._notice(math.inf)
            ended = self._ended or "ended early"
            _log.info("%s: %s after %d frames", self.info.name, ended, self._tally.shown)

    def _run_file(self) -> Iterator[FrameResult]:
        for found in self._finder.find_all(self._frames()):
            yield self._conclude(found)
            self._control.wait_while_paused()
            if self._control.is_stopped:
                break
        self._ended = self._ending

    def _look(self, frame: Frame) -> FrameResult:
        """The result of a single frame, as soon as it comes."""
        found = self._finder.find(frame)
        assert found is not None, "frames that come one by one are all chosen"
        return self._conclude(found)

    def _conclude(self, found: Found) -> FrameResult:
        """The result of a frame, with what the model says of it."""
        frame, scene = found.frame, self._follow(found)
        queries = self._interval_planner.plan(scene, frame.time, aspect=_aspect(frame))
        answers: list[Prediction] = []
        if queries:
            self._tally.asked += 1
            with self.timed("ask"):
                answers = self._model.answer(frame, queries)
        return self._result(frame, scene, answers)

    def _run_live(self) -> Iterator[FrameResult]:
        self._asker = asker = Asker(self._model)
        self._capture = capture = Capture(self._source, self._control)
        is_past_end = False
        for frame in capture:
            self._notice(math.inf if frame is None else frame.time)
            if self._is_over(capture.clock if frame is None else frame.time):
                is_past_end = True
                break
            if frame is None:
                asker.check()
                continue
            found = self._finder.find(frame)
            if found is None:
                continue
            frame = found.frame
            answers = asker.collect()
            scene = self._follow(found)
            self._tally.seconds["ask"] = asker.seconds
            if asker.is_idle:
                queries = self._budget_planner.plan(
                    scene, frame.time, asker.limit, aspect=_aspect(frame)
                )
                if queries:
                    self._tally.asked += 1
                    asker.ask(frame, queries)
            yield self._result(frame, scene, answers)
        ended = self._ending
        # The source may end by itself at that time, by a clock that is a little ahead of ours.
        if ended == END_OF_SOURCE and (is_past_end or self._is_over(capture.clock + _CLOCK_LEAD)):
            ended = END_OF_RANGE
        capture.close()
        self._is_busy = not asker.finish(self._patience)
        self._tally.seconds["ask"] = asker.seconds
        asker.check()  # of the last round
        self._ended = ended

    @property
    def _ending(self) -> str:
        return STOPPED if self._control.is_stopped else END_OF_SOURCE

    def _is_over(self, now: float) -> bool:
        """Whether a live source's time is up; by the clock where no frame comes."""
        return self.info.is_live and self.config.end is not None and now >= self.config.end

    def _notice(self, now: float) -> None:
        """Log new losses and warnings, and give the sinks new gaps before `now`."""
        for sentence in (*self._source.losses, *self._source.warnings):
            if sentence not in self._said:
                self._said.add(sentence)
                _log.warning("%s: %s", self.info.name, sentence)
        found = tuple(gap for gap in self._source.gaps if gap.start < now)
        new = [gap for gap in found if gap not in self._gaps]  # begun or ended since the last look
        self._gaps = found
        for gap in new:
            for sink in self._sinks:
                if isinstance(sink, GapSink):
                    sink.gap(gap)

    def _frames(self) -> Iterator[Frame]:
        """The frames of a recording, counted, with the time it took to read them."""
        frames = iter(self._source)
        while not self._control.is_stopped:
            with self.timed("read"):
                frame = next(frames, None)
            if frame is None:
                return
            self._tally.frames += 1
            self._notice(frame.time)
            yield frame

    def _follow(self, found: Found) -> Scene:
        """The people and hands in the frame, and where they are."""
        with self.timed("track"):
            scene = self._tracker.update(found.detections, found.frame, is_cut=found.is_cut)
        for memory in (self._smoother, self._newest, self._interval_planner, self._budget_planner):
            memory.forget(scene.ended)
        self._left = self._left.union(scene.ended).difference(track.id for track in scene.people)
        return scene

    def _result(self, frame: Frame, scene: Scene, answers: list[Prediction]) -> FrameResult:
        fresh = tuple(self._smoother.update(answers, answers[0].time)) if answers else ()
        carried = self._newest.update(fresh, scene, frame.time)
        if fresh:  # of people who have left since they were asked about, too: not to be carried
            self._smoother.forget(self._left)
            self._newest.forget(self._left)
        result = FrameResult(
            frame,
            scene.people,
            fresh,
            carried,
            shot=scene.shot,
            is_cut=scene.is_cut,
            hands=scene.hands,
            left_out=self._interval_planner.left_out(scene, frame.time),
            run=self._facts,
        )
        self._tally.count(result)
        for sink in self._sinks:
            sink.write(result)
        return result

    def _live_facts(self) -> str:
        """The text that the status line adds in live runs."""
        if self._capture is None:
            return ""
        self._shown_at.append(time.monotonic())
        span = self._shown_at[-1] - self._shown_at[0]
        rate = f"{(len(self._shown_at) - 1) / span:.1f} fps, " if span > 0 else ""
        return f"{rate}{self._capture.skipped} frames skipped"


def _aspect(frame: Frame) -> float:
    """Width divided by height."""
    height, width = frame.image.shape[:2]
    return float(width / height)
