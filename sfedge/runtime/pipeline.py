"""A session of chosen parts: source, detector, tracker, model and sinks, or the defaults."""

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from sfedge.bundle.bundle import Bundle, open_bundle
from sfedge.core.config import RunConfig, parsed_every
from sfedge.core.errors import SourceError, UsageError, unknown_name
from sfedge.core.frame_result import FrameResult
from sfedge.core.structures import Image
from sfedge.core.tasks import Task, select_tasks
from sfedge.detect import build_detector
from sfedge.engines.small_network import Place
from sfedge.inference import selftest
from sfedge.inference.model import Model as BundleModel
from sfedge.runtime.arrays import Frames, NoSource, as_frame, as_source, check_order, not_a_source
from sfedge.runtime.protocols import Detector, Model, Sink, Tracker
from sfedge.runtime.session import Session
from sfedge.sources.source import Source
from sfedge.system.cache import Progress
from sfedge.tracking.track import Tracker as PeopleTracker

SourceLike = str | Path | int | Image | Frames | Source


class Pipeline(Session):
    """A session whose parts may be a program's own; what is not given is the default.

    Without a source, frames come one by one through `step`. Parts that are given are the
    program's to close.

    Args:
        source: a path, an address, a camera's number, a picture as an array, or an iterable of
            frames: arrays (H, W, 3) of uint8 RGB, or pairs of one and its time in seconds.
        config: the settings; None for the defaults.
        detector: finds people: an object, see `sfedge.runtime.protocols.Detector`; or, as in the
            settings, the name of a detector or a JSON file that describes one.
        tracker: follows them, likewise.
        model: answers queries, likewise.
        sinks: take each result before it comes out of the iteration.
        progress: called while detector networks are fetched: name, bytes so far, bytes in all.
        testing: called during the self-test, where a bundle first starts on an engine: tasks that
            are done, and in all.
        settings: single settings by name that replace those of `config`, as `interval=1.0`.

    Raises:
        UsageError: a setting or a part is unknown, of a wrong type or out of range.
        SourceError: the source cannot be read.
        BundleError: the model bundle is damaged, foreign or incomplete.
        DetectorError: a detector network is missing or does not run.
        EngineError: no inference engine runs here.
    """

    def __init__(
        self,
        source: SourceLike | None = None,
        config: RunConfig | None = None,
        *,
        detector: Detector | str | Path | None = None,
        tracker: Tracker | None = None,
        model: Model | None = None,
        sinks: Sequence[Sink] = (),
        progress: Progress | None = None,
        testing: selftest.Progress | None = None,
        **settings: Any,
    ) -> None:
        if isinstance(detector, str | Path):
            settings["detector"] = str(detector)
            detector = None
        config = configured(config, settings)
        _check_parts(source, config, detector, tracker, model, sinks)
        self._has_source = source is not None
        self._last = -math.inf  # time of the last frame that came through `step`
        bundle: Bundle | None = None
        beside = ""  # the engine of a bundle's model
        with ExitStack() as resources:
            if model is not None:
                _check_tasks(config, model.tasks)
            else:
                bundle = resources.enter_context(open_bundle(config.bundle))
                _check_tasks(config, bundle.manifest.tasks)
            opened = (
                as_source(
                    source,
                    start=config.start,
                    end=config.end,
                    as_video=config.as_video,
                    codecs=config.codecs,
                )
                if self._has_source
                else NoSource()
            )
            resources.callback(opened.close)
            if bundle is not None:
                own = BundleModel(
                    bundle,
                    engine=config.engine,
                    precision=config.precision,
                    tasks=config.tasks,
                    testing=testing,
                )
                resources.callback(own.close)
                model, beside = own, own.choice.name
            assert model is not None
            if detector is None:
                found = build_detector(
                    config.detector,
                    detections=config.detections,
                    offline=config.offline,
                    place=Place(config.detector_engine, beside),
                    width=opened.info.width,
                    height=opened.info.height,
                    source=opened.info.name,
                    face_mesh=bool(getattr(model, "reads_landmarks", False)),
                    progress=progress,
                )
                resources.callback(found.close)
                detector = found
            tracker = tracker or PeopleTracker(egocentric=config.egocentric)
            super().__init__(opened, detector, tracker, model, sinks, bundle, config)
            self._resources = resources.pop_all()

    def step(self, image: Image, time: float) -> FrameResult:
        """Look at one frame, ask about it and return when it is answered; for callbacks.

        Args:
            image: (H, W, 3) uint8 RGB; not copied.
            time: seconds, on any clock that goes forwards.

        Raises:
            UsageError: the image or time is none, or the pipeline has a source to iterate.
            SfedgeError: the detector or the model failed.
        """
        if self._has_source:
            raise UsageError(
                "a pipeline with a source is iterated", fix="Leave out the source to use step."
            )
        frame = as_frame((image, time), self._tally.frames)
        check_order(frame, self._last)
        self._last = frame.time
        self._is_started = True
        if self._tally.frames == 0:
            height, width = frame.image.shape[:2]
            self.info = replace(self.info, width=width, height=height)
        self._tally.frames += 1
        return self._look(frame)


def _check_tasks(config: RunConfig, known: Sequence[Task]) -> None:
    """Refuse names that the model does not know, before anything else is opened."""
    if config.tasks is not None:
        select_tasks(config.tasks, [task.name for task in known])


def open_session(
    source: SourceLike,
    config: RunConfig | None = None,
    *,
    progress: Progress | None = None,
    testing: selftest.Progress | None = None,
    **settings: Any,
) -> Session:
    """Open a video, folder of pictures, camera, stream or frames for a run: the default pipeline.

    Args:
        source: as of `Pipeline`.
        config: the settings; None for the defaults.
        progress: as of `Pipeline`.
        testing: as of `Pipeline`.
        settings: single settings by name that replace those of `config`, as `interval=1.0`.

    Returns:
        A session to iterate; also a context manager.

    Raises:
        SfedgeError: as of `Pipeline`.
    """
    if source is None:
        raise not_a_source(source)
    return Pipeline(source, config, progress=progress, testing=testing, **settings)


def analyze(
    image: Image | str | Path, config: RunConfig | None = None, **settings: Any
) -> FrameResult:
    """Find what people do in one picture.

    The model is loaded for this picture alone: for many, open them together or use `Pipeline.step`.

    Args:
        image: (H, W, 3) uint8 RGB, or the path of a picture.
        config: the settings; None for the defaults.
        settings: single settings by name.

    Raises:
        UsageError: it is not one picture.
        SfedgeError: as of `Pipeline`.
    """
    with open_session(image, config, **settings) as session:
        if session.info.frames != 1:
            raise UsageError(
                "analyze takes one picture", where=session.info.name, fix="Use sfedge.open for it."
            )
        for result in session:
            return result
        raise SourceError("; ".join(session.report.losses) or "it holds no picture")


def configured(config: RunConfig | None, settings: Mapping[str, Any]) -> RunConfig:
    """The settings of `config`, some replaced by name.

    Raises:
        UsageError: there is no such setting, or a value is out of range or of a wrong type.
    """
    known = [field.name for field in fields(RunConfig)]
    for name in settings:
        if name not in known:
            unknown_name("setting", name, known)
    return replace(config or RunConfig(), **settings)


def _check_parts(
    source: SourceLike | None,
    config: RunConfig,
    detector: object,
    tracker: object,
    model: object,
    sinks: object,
) -> None:
    """Check that each part has its method, and that settings and parts do not exclude each other.

    Raises:
        UsageError: they do, or a part lacks its method.
    """
    if not isinstance(sinks, Sequence):
        raise UsageError("sinks are a list", where=type(sinks).__name__, fix="Write sinks=[sink].")
    given: list[tuple[str, object, str]] = [
        ("detector", detector, "detect"),
        ("tracker", tracker, "update"),
    ]
    given += [("model", model, "answer"), *(("sink", sink, "write") for sink in sinks)]
    for name, part, method in given:
        if part is not None and not callable(getattr(part, method, None)):
            raise UsageError(f"a {name} has a method {method!r}", where=type(part).__name__)
    if detector is not None and config.detections is not None:
        raise UsageError("detections= and detector= exclude each other", fix="Give one.")
    if model is not None and config.bundle is not None:
        raise UsageError("bundle= and model= exclude each other", fix="Give one.")
    if source is None:
        _check_for_step(config)


def _check_for_step(config: RunConfig) -> None:
    """Refuse settings that choose or time the frames of a source, which `step` does not have.

    Raises:
        UsageError: one is given.
    """
    needless = [name for name in ("start", "end", "as_video", "live") if getattr(config, name)]
    if parsed_every(config.every) != (1, 0.0):
        needless.append("every")
    if needless:
        raise UsageError(
            f"{', '.join(f'{name}=' for name in needless)} needs a source",
            fix="Leave it out with step, which gives each frame its answers.",
        )
    if config.detections is not None:
        raise UsageError("boxes from a file need a source", fix="Give a detector of your own.")
