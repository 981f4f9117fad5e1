"""One run over one source: detect, track, plan, ask, smooth, frame by frame."""

import logging
import math
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from sfedge import annotate
from sfedge.bundle.bundle import Bundle
from sfedge.core.config import RunConfig
from sfedge.core.errors import UsageError
from sfedge.core.frame_result import FrameResult, RunFacts
from sfedge.core.structures import Frame, Gap, Image, Prediction, Query, Scene
from sfedge.inference.answer_history import AnswerHistory
from sfedge.inference.plan import BudgetPlanner, IntervalPlanner, planner_for
from sfedge.inference.query_landmarks import with_landmarks
from sfedge.results.run_report import RunReport
from sfedge.runtime import own_parts
from sfedge.runtime.data_frame import AnswerTable
from sfedge.runtime.finder import Finder
from sfedge.runtime.frame_choice import FrameChoice
from sfedge.runtime.live import PATIENCE, REFRESH, Asker, Capture, Control
from sfedge.runtime.overlap import Ahead
from sfedge.runtime.protocols import Detector, Model, Sink, Tracker
from sfedge.runtime.source_news import SourceNews
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

_log = logging.getLogger("sfedge.runtime")
_Item = TypeVar("_Item")


class Session(Closing):
    """One run over one source: iterate, once, for a `FrameResult` per frame.

    A context manager; the end of the iteration releases everything, too. `stop`, `pause` and
    `resume` may be called from any thread and from a signal handler, all else belongs to the
    thread that iterates. `sfedge.open` and `sfedge.Pipeline` make one.

    Attributes:
        tasks: those that are run.
        config: the settings, with the tasks by name also where the model decided them.
        bundle: of the model; None where the model is the program's own.
        info: of the source.
        is_live: whether the newest frame wins. A camera is live, as its frames, read one by one,
            would get older and older; photographs never are: each is shown with its answers.
        model_name: name of what answers.
        notice: the model's limits, to be shown wherever its answers are.
        device: where the model really runs.
        engine_note: why an NVIDIA GPU is not used; "" otherwise.
        detector_device: where the detector's networks really run; "" where it does not say.
        detector_note: why they do not run where the model does; "" otherwise.
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
        self.config = replace(config, tasks=tuple(task.name for task in self.tasks))
        self.bundle = bundle
        self.info: SourceInfo = source.info
        is_still = source.info.is_pictures or source.info.frames == 1
        self.is_live = (source.info.is_live or config.live) and not is_still
        self.model_name = str(getattr(model, "name", type(model).__name__))
        self.notice = str(getattr(model, "notice", ""))
        self.device = str(getattr(model, "device", ""))
        self.engine_note = str(getattr(model, "engine_note", ""))
        self.detector_device = str(getattr(detector, "device", ""))
        self.detector_note = str(getattr(detector, "engine_note", ""))
        self._facts = RunFacts(source.info.name, self.model_name, self.tasks)
        self._source, self._model = source, model
        self._tracker, self._sinks = tracker, list(sinks)
        self._resources = ExitStack()  # closed at the end
        self._planner = planner_for(self.config, self.tasks, is_live=self.is_live)
        self._history = AnswerHistory(
            self.tasks,
            smoothing=config.smoothing,
            interval=None if self.is_live else config.interval,
        )
        self._annotators: list[annotate.Annotator] | None = None
        self._finder = Finder(detector, FrameChoice(config.every), self.timed)
        self._reads_landmarks = bool(getattr(model, "reads_landmarks", False))
        self._find_face_points = own_parts.face_points_of(detector)
        self._control = Control()
        self._ahead: list[Ahead[Any]] = []  # in the order of the stages
        self._capture: Capture | None = None
        self._asker: Asker | None = None
        self._patience = PATIENCE
        self._is_busy = False  # the model did not end its last round
        self._tally = Tally(self.tasks)
        self._news = SourceNews(source, self._sinks)
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
        return self._news.gaps

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
            gaps=self._news.gaps,
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
        until a later call finds it done. So does all else while a frame that is read does not come.
        """
        if self._capture is not None:
            self._capture.close()
        if self._asker is not None:
            self._is_busy = not self._asker.finish(self._patience)
        is_read = all([ahead.close() for ahead in self._ahead])
        if not self._is_busy and is_read:
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
            self._news.publish()
            ended = self._ended or "ended early"
            _log.info("%s: %s after %d frames", self.info.name, ended, self._tally.shown)

    def _run_file(self) -> Iterator[FrameResult]:
        frames = self._read_ahead(self._read())
        for found in self._read_ahead(self._finder.find_all(self._counted(frames))):
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
        assert isinstance(self._planner, IntervalPlanner)
        queries = self._planner.plan(scene, frame.time, aspect=frame.aspect)
        answers: list[Prediction] = []
        if queries:
            self._tally.asked += 1
            asked = self._with_landmarks(queries, frame, scene)
            with self.timed("ask"):
                answers = own_parts.answers(self._model, frame, asked)
        return self._result(frame, scene, answers)

    def _run_live(self) -> Iterator[FrameResult]:
        planner = self._planner
        assert isinstance(planner, BudgetPlanner)
        self._asker = asker = Asker(self._model)
        self._capture = capture = Capture(self._source, self._control)
        is_past_end = False
        for frame in capture:
            self._news.publish(math.inf if frame is None else frame.time)
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
                queries = planner.plan(
                    scene, frame.time, REFRESH, cost=asker.cost, aspect=frame.aspect
                )
                if queries:
                    self._tally.asked += 1
                    asker.ask(frame, self._with_landmarks(queries, frame, scene))
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

    def _counted(self, frames: Iterator[Frame]) -> Iterator[Frame]:
        """The frames of a recording, until it is stopped."""
        while not self._control.is_stopped:
            frame = next(frames, None)
            if frame is None:
                return
            self._tally.frames += 1
            self._news.publish(frame.time)
            yield frame

    def _read_ahead(self, items: Iterator[_Item]) -> Iterator[_Item]:
        """The same, the next ones made in a thread of its own while the last one is used.

        A program's own frames are taken one by one, when they are needed, in its thread.
        """
        if self.info.path is None and self.info.address is None:
            return items
        self._ahead.append(ahead := Ahead(items))
        return ahead

    def _read(self) -> Iterator[Frame]:
        """The source's frames, with the time it took to read them."""
        frames = iter(self._source)
        while True:
            with self.timed("read"):
                frame = next(frames, None)
            if frame is None:
                return
            yield frame

    def _follow(self, found: Found) -> Scene:
        """The people and hands in the frame, and where they are."""
        with self.timed("track"):
            scene = own_parts.scene_of(
                self._tracker.update(found.detections, found.frame, is_cut=found.is_cut)
            )
        self._planner.forget(scene.ended)
        self._history.follow(scene)
        return scene

    def _with_landmarks(
        self, queries: Sequence[Query], frame: Frame, scene: Scene
    ) -> Sequence[Query]:
        """The queries with what a model that reads landmarks reads; faces get theirs only here."""
        if not self._reads_landmarks:
            return queries
        with self.timed("ask"):
            return with_landmarks(queries, scene, frame, self._find_face_points)

    def _result(self, frame: Frame, scene: Scene, answers: list[Prediction]) -> FrameResult:
        fresh, carried = self._history.update(answers, scene, frame.time)
        result = FrameResult(
            frame,
            scene.people,
            fresh,
            carried,
            shot=scene.shot,
            is_cut=scene.is_cut,
            hands=scene.hands,
            left_out=self._planner.left_out(scene, frame.time),
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
        return f"{rate}{self._capture.skipped} frames dropped"
