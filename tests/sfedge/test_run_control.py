"""Stops, pauses, signals, gaps and the clock in live runs."""

import signal
import threading
import time
from collections.abc import Iterator, Sequence
from types import SimpleNamespace

import pytest
from fake_parts import IMAGE, Camera, Notices, OnePerson, Slow, threads_of_runs

import sfedge
from sfedge import Frame, FrameResult, Pipeline
from sfedge.core.structures import Gap, Prediction, Query
from sfedge.inference.model import Model
from sfedge.runtime import live
from sfedge.runtime import session as session_module


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert not threads_of_runs()


def pipeline(camera: Camera, model: object | None = None, **settings: object) -> Pipeline:
    return sfedge.Pipeline(camera, detector=OnePerson(), model=model or Slow(), **settings)


class Holds(Slow):
    """Answers when it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.is_asked, self.go = threading.Event(), threading.Event()
        self.has_answered = False

    def answer(self, frame: Frame, queries: Sequence[Query]) -> list[Prediction]:
        self.is_asked.set()
        self.go.wait(30)
        self.has_answered = True
        return super().answer(frame, queries)


def test_the_end_waits_for_a_running_query() -> None:
    model = Holds()
    run = pipeline(Camera(10_000), model)
    results = iter(run)
    next(results)
    assert model.is_asked.wait(10)
    threading.Timer(0.3, model.go.set).start()
    run.stop()
    assert list(results) == []
    assert model.has_answered
    assert run.report.is_complete


@pytest.mark.parametrize("hangs", [False, True])
def test_engines_are_closed_after_the_query_and_never_under_it(
    hangs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, closed = Holds(), []
    monkeypatch.setattr(Model, "answer", lambda _, *words: model.answer(*words))
    monkeypatch.setattr(Model, "close", lambda _: closed.append(model.has_answered))
    if hangs:
        monkeypatch.setattr(session_module, "PATIENCE", 0.2)
    with sfedge.Pipeline(Camera(10_000), detector=OnePerson()) as run:
        results = iter(run)
        while not model.is_asked.is_set():
            next(results)
        if not hangs:
            model.go.set()
    assert closed == ([] if hangs else [True])
    assert any("did not come" in loss for loss in run.report.losses) == hangs
    model.go.set()
    for thread in threading.enumerate():
        if thread.name == "sfedge model":
            thread.join(10)
    run.close()
    assert closed == [True]


@pytest.mark.parametrize("is_live", [False, True])
@pytest.mark.parametrize("order", [("stop", "pause"), ("pause", "stop")])
def test_a_pause_before_or_after_a_stop_does_not_hold_the_run(
    is_live: bool, order: tuple[str, str]
) -> None:
    source = Camera(10_000) if is_live else ((IMAGE, i / 100) for i in range(10_000))
    run = pipeline(source, live=is_live)  # type: ignore[arg-type]
    results = iter(run)
    next(results)
    for call in order:
        getattr(run, call)()
    assert list(results) == []
    assert run.report.ended == "stopped"


def test_pictures_of_a_camera_pass_unseen_while_it_is_paused() -> None:
    camera = Camera(1_000_000, every=0.01)
    with pipeline(camera) as run:
        results = iter(run)
        next(results)
        run.pause()
        first = camera.given  # of those that pass unseen; the one before may be on its way
        give_up = time.monotonic() + 60
        while camera.given < first + 30 and time.monotonic() < give_up:
            time.sleep(0.01)
        end = camera.given - 1  # the next may still pass after the pause, and this one too
        run.resume()
        seen = [next(results).index for _ in range(4)]
        run.stop()
        report = run.report
    assert end - first >= 29
    assert seen == sorted(set(seen))
    assert not [index for index in seen if first <= index < end]
    assert len([index for index in seen if index < first]) <= 1
    assert report.frames <= camera.given - (end - first)  # those of the pause are not counted


@pytest.mark.parametrize("is_live", [False, True])
def test_a_pause_that_races_a_stop_does_not_hang(is_live: bool) -> None:
    for _ in range(5):
        source = Camera(10_000) if is_live else ((IMAGE, i / 100) for i in range(10_000))
        run = pipeline(source, live=is_live)  # type: ignore[arg-type]
        is_over = threading.Event()

        def press(run: Pipeline = run, is_over: threading.Event = is_over) -> None:
            while not is_over.wait(0.001):
                run.pause()

        presser = threading.Thread(target=press)
        results = iter(run)
        next(results)
        presser.start()
        run.stop()
        for _ in results:
            pass
        is_over.set()
        presser.join()
        assert run.report.ended == "stopped"


@pytest.mark.parametrize("is_live", [False, True])
def test_a_signal_at_any_moment_does_not_deadlock(is_live: bool) -> None:
    """Its handler runs within whatever the main thread does, also while that holds a lock."""
    many = 100_000_000  # the signals come late where others run
    source = Camera(many, every=0.001) if is_live else ((IMAGE, i / 9) for i in range(many))
    run = pipeline(source, live=is_live)  # type: ignore[arg-type]
    calls = 0

    def handle(*_: object) -> None:
        nonlocal calls
        calls += 1
        run.pause()
        run.resume()
        if calls == 300:
            run.stop()

    before = signal.signal(signal.SIGALRM, handle)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.0005)
    try:
        for _ in run:
            pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert run.report.ended == "stopped"
    assert calls >= 300


class Notes:
    """A sink that writes down what comes, in order."""

    def __init__(self) -> None:
        self.lines: list[FrameResult | Gap] = []

    def write(self, result: FrameResult) -> None:
        self.lines.append(result)

    def gap(self, gap: Gap) -> None:
        self.lines.append(gap)


def test_sinks_get_a_gap_when_it_begins_and_again_when_it_is_over(
    caplog: pytest.LogCaptureFixture,
) -> None:
    notes, notices = Notes(), Notices()
    camera = Camera(20, silence=(10, notices.gap_is_known))
    with pipeline(camera, sinks=[notes, notices]) as run:
        results = list(run)
        report, gaps = run.report, run.gaps
    kinds = [type(line) for line in notes.lines]
    assert kinds.count(Gap) == 2
    first = kinds.index(Gap)
    begun, over = (line for line in notes.lines if isinstance(line, Gap))
    assert begun.end is None
    assert kinds[first + 1] is Gap  # no frame came in between
    assert over.start == begun.start == pytest.approx(9 * 0.02)
    assert over.end is not None
    assert over.end > over.start
    assert gaps == (over,)
    assert [line for line in notes.lines if isinstance(line, FrameResult)] == results
    assert not report.is_complete
    assert [(r.name, r.getMessage()) for r in caplog.records if r.levelname == "WARNING"] == [
        ("sfedge.runtime", f"camera 0: no picture came from {gap.start} to {gap.end} s")
        for gap in (begun, over)
    ]


def test_a_live_run_ends_by_the_clock_when_the_camera_has_died() -> None:
    notes = Notes()
    begun = time.monotonic()
    with pipeline(Camera(5, dies=True), sinks=[notes], end=1.5) as run:
        results = list(run)
        report = run.report
    assert time.monotonic() - begun >= 1.5
    assert results[-1].time < 0.1
    assert isinstance(notes.lines[-1], Gap)
    assert notes.lines[-1].reason == "the camera is gone"
    assert run.gaps == (notes.lines[-1],)
    assert report.ended == "end of range"
    assert not report.is_complete


class Waits(Camera):
    """Sends the frames from some index on only when it may."""

    def __init__(self, frames: int, index: int, *, every: float) -> None:
        super().__init__(frames, every=every)
        self._index, self.may_go_on = index, threading.Event()

    def __iter__(self) -> Iterator[Frame]:
        for frame in super().__iter__():
            while frame.index >= self._index and not self.may_go_on.wait(0.01):
                if self.closed.is_set():
                    return
            yield frame


def test_frames_of_a_live_source_at_or_after_the_end_are_not_shown() -> None:
    camera = Waits(50, 5, every=0.2)
    with pipeline(camera, end=1.2) as run:
        times = []
        for result in run:
            times.append(result.time)
            camera.may_go_on.set()  # else the newest of all could be the first that is taken
        assert max(times) < 1.2
        assert run.report.ended == "end of range"
        assert run.report.is_complete


@pytest.mark.parametrize(
    ("end", "ended"),
    [(0.2, "end of range"), (20.0, "end of source"), (500.0, "end of source")],
)
def test_a_live_source_that_keeps_the_range_itself_is_distinguished_from_one_that_ended(
    end: float, ended: str
) -> None:
    with pipeline(Camera(10), end=end) as run:  # its frames end at 0.2 s
        assert len(list(run)) <= 10
        assert run.report.ended == ended
        assert run.report.is_complete


@pytest.mark.parametrize(("end", "ended"), [(0.24, "end of range"), (0.26, "end of source")])
def test_the_clock_of_a_live_source_may_be_a_quarter_of_a_second_ahead(
    end: float, ended: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    still = SimpleNamespace(monotonic=lambda: 0.0, perf_counter=lambda: 0.0, sleep=time.sleep)
    monkeypatch.setattr(live, "time", still)
    with pipeline(Camera(1), end=end) as run:
        list(run)
        assert run.report.ended == ended
