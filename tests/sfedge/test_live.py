import contextlib
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from clips import write_clip
from fake_parts import IMAGE, Camera, OnePerson, Slow, answer_to, threads_of_runs
from numpy.typing import NDArray
from scenes import Finished, Scene, make_scene

import sfedge
from sfedge import EngineError, Frame, SourceError
from sfedge.core.structures import Prediction, Query
from sfedge.core.tasks import TASKS
from sfedge.inference.model import Model
from sfedge.results.records import read_records
from sfedge.runtime import live
from sfedge.runtime.live import Asker, Capture, Control
from sfedge.sources import open_source

PATIENCE = 60.0  # seconds for what comes at once where nothing is wrong
BROADCAST_FRAMES = 300


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert not threads_of_runs()  # a stream's is in the middle of a read; nobody else waits for it


@pytest.fixture(scope="module")
def quick(
    tmp_path_factory: pytest.TempPathFactory,
    astronaut: NDArray[np.uint8],
    admiral: NDArray[np.uint8],
) -> Scene:
    return make_scene(tmp_path_factory.mktemp("live"), astronaut, admiral[:512], frames=12)


def wait_for(condition: Callable[[], bool]) -> None:
    give_up = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < give_up
        time.sleep(0.005)


def test_frames_come_in_order_and_each_is_shown_or_counted_as_skipped(quick: Scene) -> None:
    results, least = [], 0
    with sfedge.open(quick.video, detections=quick.detections, live=True) as session:
        for result in session:
            results.append(result)
            assert result.index >= least  # the newest: nothing may pile up
            # A slow screen: meanwhile three more come, or all.
            least = min(session.report.frames + 3, 12) - 1
            wait_for(lambda least=least: session.report.frames > least)  # type: ignore[misc]
        report = session.report
    indices = [result.index for result in results]
    assert indices == sorted(set(indices))
    assert report.frames == 12
    assert report.shown == len(results) <= 5
    assert report.shown + report.skipped == report.frames
    assert report.is_complete


def test_answers_come_with_an_age_and_only_about_frames_that_were_asked(
    quick: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer, answered, results = Model.answer, threading.Semaphore(0), []

    def counted(self: Model, frame: Frame, queries: list[Query]) -> list[Prediction]:
        try:
            return answer(self, frame, queries)
        finally:
            answered.release()

    monkeypatch.setattr(Model, "answer", counted)
    with sfedge.open(quick.video, detections=quick.detections, live=True) as session:
        asked = 0
        for result in session:
            results.append(result)
            if session.report.asked > asked:  # the clip must not end before the answers come
                asked = session.report.asked
                session.pause()
                assert answered.acquire(timeout=PATIENCE)
                session.resume()
        report = session.report
    fresh = [(result, answer) for result in results for answer in result.fresh]
    assert fresh
    shown = {result.index: result.time for result in results}
    for result, answer in fresh:
        assert answer.frame <= result.index
        assert shown[answer.frame] == answer.time
        assert result.age(answer) == pytest.approx(result.time - answer.time)
    assert len({answer.frame for _, answer in fresh}) <= report.asked <= report.shown
    assert sum(report.answers.values()) == len(fresh)
    for result in results:
        keys = [answer.key for answer in result.predictions]
        assert len(keys) == len(set(keys))


class Waits(Slow):
    """Answers when three more frames were shown."""

    def __init__(self) -> None:
        super().__init__()
        self.shown, self.is_over = 0, threading.Event()

    def answer(self, frame: Frame, queries: Sequence[Query]) -> list[Prediction]:
        until, give_up = self.shown + 3, time.monotonic() + PATIENCE
        while self.shown < until and time.monotonic() < give_up and not self.is_over.wait(0.002):
            pass
        return super().answer(frame, queries)


def test_showing_never_waits_for_a_model_that_is_slower_than_the_camera() -> None:
    model, results, rounds = Waits(), [], 0
    with sfedge.Pipeline(Camera(1_000_000), detector=OnePerson(), model=model) as session:
        for result in session:
            results.append(result)
            model.shown += 1
            rounds += bool(result.fresh)
            if rounds == 3:
                model.is_over.set()  # the end of a run waits for its last round
                break
        report = session.report
    # Had showing waited, each frame that was shown would have been one that was asked about.
    assert report.shown >= 2 * report.asked
    assert report.shown >= report.asked + 3
    for result in results:
        for answer in result.fresh:
            shown_meanwhile = [one for one in results if answer.frame <= one.index < result.index]
            assert len(shown_meanwhile) >= 3


def test_a_model_that_fails_ends_the_run_with_its_error(
    quick: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Model, frame: Frame, queries: list[Query]) -> list[Prediction]:
        raise EngineError("the device is gone")

    monkeypatch.setattr(Model, "answer", fail)
    with (
        sfedge.open(quick.video, detections=quick.detections, live=True) as session,
        pytest.raises(EngineError, match="the device is gone"),
    ):
        session.run()


def test_a_recording_keeps_its_own_pace(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", [0.0, 0.1, 0.35, 0.4])
    begun = time.monotonic()
    with open_source(str(clip)) as source, Capture(source, Control()) as capture:
        arrivals = [(time.monotonic() - begun, frame.time) for frame in capture if frame]
    assert capture.captured == 4
    assert arrivals[-1][1] == pytest.approx(0.4)
    for arrived, due in arrivals:
        assert arrived >= due


def test_stopping_does_not_wait_for_the_next_picture(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", [0.0, 60.0])
    control = Control()
    with open_source(str(clip)) as source, Capture(source, control) as capture:
        seen = []
        for frame in capture:
            if frame is not None:
                seen.append(frame.time)
                control.is_stopped = True
    assert seen == [0.0]


def test_a_source_that_fails_ends_the_run_with_its_error(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", 5)

    with open_source(str(clip)) as source:

        class Unplugged:
            info, losses, close = source.info, source.losses, source.close

            def __iter__(self) -> Iterator[Frame]:
                yield from list(source)[:2]
                raise SourceError("the camera was unplugged")

        with Capture(Unplugged(), Control()) as capture:  # type: ignore[arg-type]
            with pytest.raises(SourceError, match="unplugged"):
                list(capture)
            assert 1 <= capture.captured <= 2


def recording() -> Iterator[tuple[NDArray[np.uint8], float]]:
    """Hours at ten pictures a second."""
    return ((IMAGE, index / 10) for index in range(1_000_000))


@pytest.mark.parametrize("is_paused", [False, True])
def test_stop_ends_all_threads_soon(is_paused: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_JOIN", PATIENCE)  # nobody ends by giving up
    with sfedge.Pipeline(recording(), detector=OnePerson(), live=True) as session:
        results = iter(session)
        next(results)
        if is_paused:
            session.pause()
        begun: list[float] = []

        def stop() -> None:
            begun.append(time.monotonic())
            session.stop()

        timer = threading.Timer(0.2, stop)
        timer.start()
        for _ in results:
            pass
        timer.join()
        # Two seconds are promised, a busy machine gets more; by itself it would not end for hours.
        assert time.monotonic() - begun[0] < 10
        assert session.report.ended == "stopped"
        assert not session.report.is_complete


def test_a_paused_recording_goes_on_where_it_was() -> None:
    parts = {"detector": OnePerson(), "model": Slow()}
    with sfedge.Pipeline(recording(), live=True, **parts) as session:
        results = iter(session)
        for _ in range(3):
            next(results)
        session.pause()
        before = session.report.frames
        time.sleep(0.8)
        held = session.report.frames
        begun = time.monotonic()
        session.resume()
        after = next(result for result in results if result.index >= held)
        spent = time.monotonic() - begun
        results.close()  # type: ignore[attr-defined]
    assert held <= before + 1  # one that was on its way
    # The frames of the pause are not made up for.
    assert after.time <= (held - 1) / 10 + spent + 0.11


def test_leaving_early_ends_the_threads(quick: Scene) -> None:
    with sfedge.open(quick.video, detections=quick.detections, live=True) as session:
        results = iter(session)
        next(results)
        results.close()  # type: ignore[attr-defined]


def test_the_picture_that_the_model_sees_is_its_own(quick: Scene) -> None:
    """Whoever shows a frame may draw on it while the model still reads it."""
    seen: list[int] = []

    class Looks:
        def answer(self, frame: Frame, queries: list[Query]) -> list[Prediction]:
            time.sleep(0.2)
            seen.append(int(frame.image.max()))
            return [answer_to(query, frame) for query in queries]

    image = np.zeros((4, 4, 3), np.uint8)
    query = Query(TASKS["gaze"], (1,), sfedge.Box(0, 0, 1, 1), (sfedge.Box(0, 0, 1, 1),))
    asker = Asker(Looks())  # type: ignore[arg-type]
    asker.ask(Frame(image, 0, 0.0), [query])
    image[:] = 255
    while not (answers := asker.collect()):
        time.sleep(0.01)
    assert [answer.task for answer in answers] == ["gaze"]
    assert asker.cost([query]) >= 0.2
    assert asker.finish(5)
    assert seen == [0]


@pytest.fixture(scope="module")
def broadcast(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A transport stream of half a minute, which no test sees the end of."""
    path = tmp_path_factory.mktemp("broadcast") / "clip.ts"
    options = {"preset": "ultrafast", "g": "5", "bf": "0"}
    return write_clip(
        path, BROADCAST_FRAMES, size=(640, 360), rate=10, options=options
    ).read_bytes()


@pytest.fixture
def stream(broadcast: bytes) -> Iterator[str]:
    """The address of an endless stream: a network camera that sends ten pictures a second."""
    is_over = threading.Event()

    class Camera(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            with contextlib.suppress(OSError):  # the watcher has left
                size = len(broadcast) // BROADCAST_FRAMES
                for number, first in enumerate(range(0, len(broadcast), size)):
                    self.wfile.write(broadcast[first : first + size])
                    if number > 10 and is_over.wait(0.1):
                        break

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Camera) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://user:secret@127.0.0.1:{server.server_address[1]}/yard"
        is_over.set()
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("live", [False, True])
def test_a_stream_is_live_whatever_the_setting(stream: str, quick: Scene, live: bool) -> None:
    with sfedge.open(stream, detections=quick.detections, live=live) as session:
        assert session.is_live
        watched = 0.0
        for result in session:
            watched = result.time
            if watched > 1:
                break
            time.sleep(0.3)  # a slow screen
        assert session.report.skipped > 0


def test_a_stream_without_a_picture_in_time_is_an_error(
    stream: str, tmp_path: Path, quick: Scene, command: Callable[..., Finished]
) -> None:
    out = tmp_path / "out"
    words = ("--detections", quick.detections, "--out", out, "--start", "0.35")
    finished = command("run", stream, *words, "--end", "0.350001")
    assert finished.code == 1
    line = finished.err.splitlines()[-1]
    assert "no picture came between start and end" in line
    assert "leave it more time" in line
    assert list(out.iterdir()) == []


@pytest.mark.parametrize("ended_by", ["--end", signal.SIGINT, signal.SIGTERM])
def test_a_streams_run_ends_well_by_its_end_or_by_a_signal(
    stream: str,
    tmp_path: Path,
    quick: Scene,
    command: Callable[..., Finished],
    ended_by: str | signal.Signals,
) -> None:
    words = ["run", stream, "--detections", quick.detections, "--tasks", "domain"]
    words += ["--out", tmp_path / "out"]
    if isinstance(ended_by, str):
        words += [ended_by, "1.5"]
        finished = command(*words)
    else:
        has_ended = threading.Event()

        def press() -> None:
            give_up = time.monotonic() + PATIENCE
            while not list(tmp_path.glob("out/*.jsonl")) and time.monotonic() < give_up:
                if has_ended.wait(0.05):
                    return
            if not has_ended.wait(0.3):  # else it has failed, and the signal would end the tests
                signal.raise_signal(ended_by)

        presser = threading.Thread(target=press)
        presser.start()
        finished = command(*words)
        has_ended.set()
        presser.join()
    assert finished.code == 0, finished.err
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert len(names) == 4
    assert all(re.fullmatch(r"yard-\d{8}-\d{6}\.[a-z0-9.]+", name) for name in names)
    assert not any(".part" in name for name in names)
    rows = list(read_records(next((tmp_path / "out").glob("*.jsonl"))))
    assert rows[0]["source"]["is_live"]
    assert "secret" not in (tmp_path / "out" / names[-1]).read_text() + str(rows)
    assert rows[-1]["is_complete"]
    assert rows[-1]["frames"] == rows[-1]["shown"] + rows[-1]["skipped"]
