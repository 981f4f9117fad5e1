"""What stands between the pipeline's thread and the window."""

import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fake_parts import Camera, OnePerson, Slow
from PIL import Image
from PyQt6.QtCore import Qt
from PyQt6.QtGui import QColor
from scenes import Scene

import sfedge
from sfedge import Frame, FrameResult, RunConfig, RunReport
from sfedge_desktop import worker as worker_module
from sfedge_desktop.worker import Shown, Slot, Worker, internal_error, qt_image

REPORT = RunReport(
    frames=1, shown=1, skipped=0, asked=1, people=2, answers={}, losses=(), ended="",
    is_complete=False, seconds={},
)  # fmt: skip


def shown() -> Shown:
    picture = np.zeros((4, 6, 3), np.uint8)
    return Shown(FrameResult(Frame(picture, 0, 0.0), (), (), ()), qt_image(picture), REPORT)


def test_the_slot_keeps_the_newest_and_tells_once() -> None:
    slot = Slot()
    first, second = shown(), shown()
    assert slot.put(first)
    assert not slot.put(second)
    assert slot.take() is second
    assert slot.take() is None
    assert slot.put(first)


def test_the_slot_tells_when_the_newest_was_taken() -> None:
    slot = Slot()
    slot.put(shown())
    assert slot.taken is None
    begun = time.monotonic()
    slot.take()
    slot.take()  # nothing is there: this is no taking
    assert slot.taken is not None
    assert begun <= slot.taken <= time.monotonic()
    slot.put(shown())
    assert slot.taken is None


@pytest.mark.usefixtures("application")
@pytest.mark.parametrize("is_stopped", [False, True])
def test_no_photograph_takes_the_place_of_one_that_a_busy_window_has_not_shown_yet(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, is_stopped: bool
) -> None:
    monkeypatch.setattr(worker_module, "_PICTURE", 0.01)
    for name in ("a.png", "b.png"):
        Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / name)

    def opened(source: str, config: RunConfig, **_: object) -> sfedge.Session:
        return sfedge.Pipeline(source, config, detector=OnePerson(), model=Slow())

    monkeypatch.setattr(sfedge, "open", opened)
    worker = Worker(str(tmp_path), RunConfig(live=True))
    is_here = threading.Event()
    worker.newer.connect(is_here.set, Qt.ConnectionType.DirectConnection)
    running = threading.Thread(target=worker.run)
    running.start()
    assert is_here.wait(60)
    time.sleep(0.5)  # in which the second could come
    if is_stopped:
        worker.stop()
    else:
        names = []
        while len(names) < 2 and is_here.wait(60):
            is_here.clear()
            if (newest := worker.slot.take()) is not None:
                names.append(Path(newest.result.frame.file).name)
        assert names == ["a.png", "b.png"]
    running.join(60)
    assert not running.is_alive()


@pytest.mark.parametrize("width", [1, 3, 6, 7])
def test_a_picture_keeps_its_pixels_whatever_its_width(width: int) -> None:
    rng = np.random.default_rng(width)
    picture = rng.integers(0, 256, (5, 2 * width, 3), np.uint8)[:, ::2]  # not contiguous
    image = qt_image(picture)
    expected = picture.copy()
    picture[:] = 0  # the image must not follow
    got = [
        [QColor(image.pixel(x, y)).getRgb()[:3] for x in range(width)]
        for y in range(image.height())
    ]
    assert np.array_equal(got, expected)


@pytest.mark.usefixtures("application")
def test_a_run_that_is_stopped_before_it_begins_opens_nothing() -> None:
    worker = Worker("nowhere.mp4", RunConfig(live=True))
    ends: list[object] = []
    failures: list[str] = []
    worker.finished.connect(ends.append)
    worker.failed.connect(failures.append)
    worker.stop()
    worker.run()
    assert ends == [None]
    assert failures == []


@pytest.mark.usefixtures("application")
@pytest.mark.parametrize("is_stopped", [False, True])
def test_a_models_self_test_is_reported_before_the_run_and_can_be_stopped(
    two_people: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_stopped: bool
) -> None:
    monkeypatch.setenv("SFEDGE_CACHE", str(tmp_path))
    tasks = ("expression", "looking_at_me")
    config = RunConfig(tasks=tasks, detections=two_people.detections)
    worker = Worker(str(two_people.video), config)
    shown_in_order: list[object] = []

    def report(done: int, total: int) -> None:
        shown_in_order.append((done, total))
        if is_stopped:
            worker.stop()

    worker.testing.connect(report)
    worker.opened.connect(lambda opened: (shown_in_order.append(opened.model), worker.stop()))
    worker.failed.connect(shown_in_order.append)
    worker.run()
    whole: list[object] = [(0, 2), (1, 2), (2, 2), "sfedge demo"]
    assert shown_in_order == (whole[:1] if is_stopped else whole)


def test_an_internal_error_is_named_as_one() -> None:
    assert internal_error(KeyError("x")) == (
        "Internal error (KeyError: 'x'). Start it again with --debug and report what it prints."
    )


def open_camera(monkeypatch: pytest.MonkeyPatch, **settings: Any) -> None:
    """Every source is a camera of one person, and the model answers at once."""

    def opened(source: str, config: RunConfig, **_: object) -> sfedge.Session:
        return sfedge.Pipeline(
            Camera(10_000, **settings), config, detector=OnePerson(), model=Slow()
        )

    monkeypatch.setattr(sfedge, "open", opened)


@pytest.mark.usefixtures("application")
@pytest.mark.parametrize("seed", range(8))
def test_pauses_and_stops_at_any_moment_end_the_run(
    monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    open_camera(monkeypatch, every=0.001)
    worker, rng = Worker("0", RunConfig(live=True)), random.Random(seed)
    ends: list[object] = []
    failures: list[str] = []
    worker.finished.connect(ends.append, Qt.ConnectionType.DirectConnection)
    worker.failed.connect(failures.append, Qt.ConnectionType.DirectConnection)
    is_over = threading.Event()

    def disturb(calls: list[Callable[[], None]], moments: list[float]) -> None:
        for moment in moments:
            is_over.wait(moment)
            rng.choice(calls)()

    disturbing = [
        threading.Thread(
            target=disturb, args=([worker.pause, worker.resume], [rng.random() / 100] * 40)
        )
        for _ in range(2)
    ]
    stopping = threading.Thread(target=disturb, args=([worker.stop], [rng.random() / 4]))
    running = threading.Thread(target=worker.run)
    threads = [running, *disturbing, stopping]
    for thread in rng.sample(threads, len(threads)):
        thread.start()
    running.join(60)
    is_over.set()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()
    assert failures == []
    assert len(ends) == 1
    assert ends[0] is None or isinstance(ends[0], RunReport)


@pytest.mark.usefixtures("application")
def test_a_pause_before_the_source_is_open_holds_its_first_pictures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    open_camera(monkeypatch)
    worker = Worker("0", RunConfig(live=True))
    worker.pause()
    opened = threading.Event()
    worker.opened.connect(lambda _: opened.set(), Qt.ConnectionType.DirectConnection)
    running = threading.Thread(target=worker.run)
    running.start()
    assert opened.wait(60)
    time.sleep(0.3)
    assert worker.slot.take() is None
    worker.resume()
    until = time.monotonic() + 60
    while (found := worker.slot.take()) is None and time.monotonic() < until:
        time.sleep(0.01)
    worker.stop()
    running.join(60)
    assert found is not None
    assert not running.is_alive()
