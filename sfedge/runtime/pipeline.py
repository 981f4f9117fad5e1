"""The loop from a source's frames to results: detect, track, plan, ask, smooth."""

import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from sfedge import annotate
from sfedge.bundle.bundle import Bundle, open_bundle
from sfedge.core.config import RunConfig
from sfedge.core.errors import UsageError, unknown_name
from sfedge.core.structures import Frame, FrameResult, Image, Prediction, Scene
from sfedge.detect import build_detector
from sfedge.detect.detector import Detector
from sfedge.inference import selftest
from sfedge.inference.model import Model
from sfedge.inference.newest_answers import NewestAnswers
from sfedge.inference.plan import BudgetPlanner, IntervalPlanner
from sfedge.inference.smoother import Smoother
from sfedge.results.run_report import RunReport
from sfedge.runtime.live import Asker, Capture
from sfedge.sources import open_source
from sfedge.sources.source import Source, SourceInfo
from sfedge.system.cache import Progress
from sfedge.system.closing import Closing
from sfedge.tracking.track import Tracker

END_OF_SOURCE = "end of source"
STOPPED = "stopped"

# An answer is shown until a newer one comes, its person leaves, or it is older than this.
_HOLD_INTERVALS = 3.0  # in intervals between two questions
_HOLD_SECONDS = 2.0  # but at least
_HOLD_LIVE = 5.0  # live: the model may be slow, and the age is shown


class Session(Closing):
    """One run over one source: iterate, once, for a `FrameResult` per frame.

    A context manager; the end of the iteration releases everything, too. `stop`, `pause` and
    `resume` may be called from any thread, all else belongs to the thread that iterates.
    `open_session` makes one.
    """

    def __init__(
        self,
        source: Source,
        detector: Detector,
        model: Model,
        bundle: Bundle,
        config: RunConfig,
        resources: ExitStack,
    ) -> None:
        self.tasks = model.tasks
        # Records and metadata name what was asked, also where the bundle decided it.
        self.config = replace(config, tasks=tuple(task.name for task in self.tasks))
        self.bundle = bundle
        self.info: SourceInfo = source.info
        self.model_name = model.name
        self.notice = model.notice  # the model's limits, to be shown wherever its answers are
        self.device = model.device  # where it really runs
        self.engine_note = model.engine_note  # why an NVIDIA GPU is not used; "" otherwise
        # Read one by one, the frames of a camera would get older and older.
        is_live = source.info.is_live or config.live
        self.is_live = is_live and source.info.frames != 1  # a single picture has no pace
        self._source, self._detector, self._model = source, detector, model
        self._resources = resources
        self._tracker = Tracker(egocentric=config.egocentric)
        self._smoother = Smoother(self.tasks, config.smoothing)
        held = max(_HOLD_INTERVALS * config.interval, _HOLD_SECONDS)
        self._newest = NewestAnswers(_HOLD_LIVE if self.is_live else held)
        self._annotators: list[annotate.Annotator] | None = None
        self._stop, self._running = threading.Event(), threading.Event()
        self._running.set()
        self._capture: Capture | None = None
        self._frames = self._shown = self._asked = 0
        self._people: set[int] = set()
        self._answers: Counter[str] = Counter({task.name: 0 for task in self.tasks})
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._losses: tuple[str, ...] = ()
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
        return self._run()

    @property
    def is_endless(self) -> bool:
        """Whether the source is a camera or stream, which only a stop ends."""
        return self.info.is_live

    @property
    def report(self) -> RunReport:
        """What was done so far."""
        capture = self._capture
        losses = self._losses or self._source.losses
        is_whole = self._ended == END_OF_SOURCE or (self.is_endless and self._ended == STOPPED)
        return RunReport(
            frames=capture.captured if capture else self._frames,
            shown=self._shown,
            skipped=capture.skipped if capture else 0,
            asked=self._asked,
            people=len(self._people),
            answers=dict(self._answers),
            losses=losses,
            ended=self._ended,
            is_complete=is_whole and not losses,
            seconds=dict(self._seconds),
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

    def stop(self) -> None:
        """End the iteration after the frame at hand; from any thread."""
        self._stop.set()
        self._running.set()
        if self._capture is not None:
            self._capture.stop()

    def pause(self) -> None:
        """Hold a recording where it is; a camera's pictures pass unseen. From any thread."""
        if not self._stop.is_set():
            self._running.clear()

    def resume(self) -> None:
        """Go on after `pause`; from any thread."""
        self._running.set()

    def close(self) -> None:
        """Release the source, the detectors and the model."""
        self._losses = self._source.losses
        self._resources.close()

    def _run(self) -> Iterator[FrameResult]:
        try:
            yield from self._run_live() if self.is_live else self._run_file()
            self._ended = STOPPED if self._stop.is_set() else END_OF_SOURCE
        finally:
            self.close()

    def _run_file(self) -> Iterator[FrameResult]:
        config = self.config
        planner = IntervalPlanner(
            self.tasks,
            interval=config.interval,
            max_people=config.max_people,
            max_pairs=config.max_pairs,
            egocentric=config.egocentric,
        )
        for frame in self._timed_frames():
            self._frames += 1
            scene = self._locate(frame)
            queries = planner.plan(scene, frame.time, aspect=_aspect(frame))
            answers: list[Prediction] = []
            if queries:
                self._asked += 1
                with self.timed("ask"):
                    answers = self._model.answer(frame, queries)
            yield self._result(frame, scene, answers, planner.left_out(scene, frame.time))
            self._running.wait()
            if self._stop.is_set():
                return

    def _run_live(self) -> Iterator[FrameResult]:
        config = self.config
        planner = BudgetPlanner(
            self.tasks,
            max_people=config.max_people,
            max_pairs=config.max_pairs,
            egocentric=config.egocentric,
        )
        with Asker(self._model) as asker, Capture(self._source, self._running) as capture:
            self._capture = capture
            if self._stop.is_set():
                return
            for frame in capture:
                scene = self._locate(frame)
                answers = asker.collect()
                self._seconds["ask"] = asker.seconds
                if asker.is_idle:
                    queries = planner.plan(scene, frame.time, asker.limit, aspect=_aspect(frame))
                    if queries:
                        self._asked += 1
                        asker.ask(frame, queries)
                yield self._result(frame, scene, answers, planner.left_out(scene, frame.time))

    def _timed_frames(self) -> Iterator[Frame]:
        frames = iter(self._source)
        while True:
            with self.timed("read"):
                frame = next(frames, None)
            if frame is None:
                return
            yield frame

    def _locate(self, frame: Frame) -> Scene:
        """Where everybody is in the frame."""
        with self.timed("detect"):
            detections = self._detector.detect(frame)
        with self.timed("track"):
            scene = self._tracker.update(detections, frame)
        self._smoother.forget(self._tracker.ended)
        self._newest.forget(self._tracker.ended)
        self._people.update(track.id for track in scene.people)
        return scene

    def _result(
        self, frame: Frame, scene: Scene, answers: list[Prediction], left_out: int
    ) -> FrameResult:
        fresh = tuple(self._smoother.update(answers, answers[0].time)) if answers else ()
        carried = self._newest.update(fresh, scene, frame.time)
        self._answers.update(answer.task for answer in fresh)
        self._shown += 1
        return FrameResult(
            frame,
            scene.people,
            fresh,
            carried,
            shot=scene.shot,
            is_cut=scene.is_cut,
            hands=scene.hands,
            left_out=left_out,
        )

    def _live_facts(self) -> str:
        """What the status line adds while running live."""
        if self._capture is None:
            return ""
        self._shown_at.append(time.monotonic())
        span = self._shown_at[-1] - self._shown_at[0]
        rate = f"{(len(self._shown_at) - 1) / span:.1f} fps, " if span > 0 else ""
        return f"{rate}{self._capture.skipped} frames skipped"

    @contextmanager
    def timed(self, stage: str) -> Iterator[None]:
        """Count the time spent within to a stage of the report."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self._seconds[stage] += time.perf_counter() - begun


def _aspect(frame: Frame) -> float:
    """Width divided by height."""
    height, width = frame.image.shape[:2]
    return float(width / height)


def open_session(
    source: str | Path | int,
    config: RunConfig | None = None,
    *,
    progress: Progress | None = None,
    testing: selftest.Progress | None = None,
    **settings: Any,
) -> Session:
    """Open a video, image folder, camera number or stream address for a run.

    Args:
        source: a file, a folder of images, the number of a camera, or an rtsp/http address.
        config: the settings; None for the defaults.
        progress: told of detector networks being fetched: name, bytes so far, bytes in all.
        testing: told of the self-test where a bundle first starts on an engine: tasks that are
            done, and in all.
        settings: single settings by name that replace those of `config`, as `interval=1.0`.

    Returns:
        A session to iterate; also a context manager.

    Raises:
        UsageError: a setting is unknown or out of range.
        SourceError: the source cannot be read.
        BundleError: the model bundle is damaged, foreign or incomplete.
        DetectorError: a detector network is missing or does not run.
        EngineError: no inference engine runs here.
    """
    config = _configured(config, settings)
    with ExitStack() as resources:
        opened = resources.enter_context(
            open_source(str(source), start=config.start, end=config.end)
        )
        bundle = resources.enter_context(open_bundle(config.bundle))
        model = Model(
            bundle,
            engine=config.engine,
            precision=config.precision,
            tasks=config.tasks,
            testing=testing,
        )
        resources.callback(model.close)
        detector = build_detector(
            detections=config.detections,
            egocentric=config.egocentric,
            offline=config.offline,
            width=opened.info.width,
            height=opened.info.height,
            source=opened.info.name,
            progress=progress,
        )
        resources.callback(detector.close)
        return Session(opened, detector, model, bundle, config, resources.pop_all())


def _configured(config: RunConfig | None, settings: Mapping[str, Any]) -> RunConfig:
    known = [field.name for field in fields(RunConfig)]
    for name in settings:
        if name not in known:
            unknown_name("setting", name, known)
    values = dict(settings)
    for name in ("bundle", "detections"):
        if values.get(name) is not None:
            values[name] = Path(values[name])
    return replace(config or RunConfig(), **values)
