"""Stages that overlap: the order, the errors and the records are those of one stage at a time."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from scenes import Scene

import sfedge
from sfedge.runtime import overlap
from sfedge.runtime import process as processing
from sfedge.runtime import session as sessions
from sfedge.runtime.overlap import Ahead, Behind
from sfedge.runtime.process import process


def test_what_is_read_ahead_comes_in_order_and_so_does_its_error() -> None:
    def numbers() -> Iterator[int]:
        yield from range(20)
        raise sfedge.SourceError("the file ends here")

    ahead = Ahead(numbers())
    assert [next(ahead) for _ in range(20)] == [*range(20)]
    with pytest.raises(sfedge.SourceError, match="the file ends here"):
        next(ahead)
    assert list(ahead) == []
    assert ahead.close()


def test_reading_ahead_goes_a_few_items_further_and_ends_with_its_reader() -> None:
    made, threads = [], set()
    is_closed = threading.Event()

    def numbers() -> Iterator[int]:
        try:
            for number in range(100):
                threads.add(threading.current_thread())
                made.append(number)
                yield number
        finally:
            is_closed.set()

    ahead = Ahead(numbers())
    assert [next(ahead), next(ahead)] == [0, 1]
    assert ahead.close()
    assert is_closed.is_set()
    assert len(made) <= 6
    assert threads.isdisjoint({threading.current_thread()})
    assert list(ahead) == []


def test_work_is_done_in_order_and_nothing_after_a_failure() -> None:
    behind, done = Behind(), []

    def job(number: int) -> Callable[[], None]:
        def do() -> None:
            if number == 12:
                raise sfedge.OutputError("the disk is full")
            done.append((number, threading.current_thread() is threading.main_thread()))

        return do

    behind.finish()  # nothing was begun
    for number in range(12):
        behind.do(job(number))
    behind.finish()
    assert done == [(number, False) for number in range(12)]
    with suppress(sfedge.OutputError):
        for number in range(12, 100):
            behind.do(job(number))
    with pytest.raises(sfedge.OutputError, match="the disk is full"):
        behind.finish()
    assert behind.give_up()
    assert len(done) == 12


def test_a_job_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlap, "_PATIENCE", 0.2)
    behind, goes_on = Behind(), threading.Event()
    is_begun = threading.Event()

    def hangs() -> None:
        is_begun.set()
        goes_on.wait(60)

    behind.do(hangs)
    assert is_begun.wait(60)
    for _ in range(overlap._WAITING):  # as many as can wait
        behind.do(lambda: None)

    assert not behind.give_up()
    goes_on.set()
    monkeypatch.setattr(overlap, "_PATIENCE", 60)
    assert behind.give_up()


def test_who_waits_for_an_item_is_let_go_when_another_thread_closes() -> None:
    goes_on, seen = threading.Event(), []

    def numbers() -> Iterator[int]:
        yield 0
        goes_on.wait(60)

    ahead = Ahead(numbers())
    waits = threading.Thread(target=lambda: seen.extend(ahead), daemon=True)
    waits.start()
    closes = threading.Thread(target=ahead.close, daemon=True)
    closes.start()
    while not ahead._is_closed:
        pass
    goes_on.set()
    for thread in (closes, waits):
        thread.join(60)
        assert not thread.is_alive()
    assert seen in ([], [0])


class InTurn:
    """Stands in for `Ahead` and `Behind`: each thing when it is asked for."""

    def __init__(self, items: Iterable[sfedge.Frame] = ()) -> None:
        self._items = iter(items)

    def __iter__(self) -> Iterator[sfedge.Frame]:
        return self._items

    def __next__(self) -> sfedge.Frame:
        return next(self._items)

    def close(self) -> bool:
        return True

    def do(self, job: Callable[[], None]) -> None:
        job()

    def finish(self) -> None:
        pass

    def give_up(self) -> bool:
        return True


def test_the_records_are_those_of_one_stage_at_a_time(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def written(out: Path) -> dict[str, bytes]:
        settings = {"detections": scene.detections, "tasks": ["gaze", "domain"]}
        with sfedge.open(scene.video, **settings) as session:
            process(session, out, every_frame=True, progress=False)
        return {path.name: path.read_bytes() for path in out.iterdir()}

    monkeypatch.setattr(processing, "now", lambda: "2026-01-01T00:00:00+00:00")
    overlapping = written(tmp_path / "overlapping")
    monkeypatch.setattr(sessions, "Ahead", InTurn)
    monkeypatch.setattr(processing, "Behind", InTurn)
    in_turn = written(tmp_path / "in_turn")

    for name in ("sway.jsonl", "sway.csv", "sway.annotated.mp4"):
        assert overlapping[name] == in_turn[name], name


def test_a_programs_own_frames_are_taken_in_its_own_thread_when_they_are_needed(
    scene: Scene,
) -> None:
    with sfedge.open(scene.video, detections=scene.detections) as session:
        images = [result.frame.image for result in session][:3]
    taken: list[tuple[int, bool]] = []

    def frames() -> Iterator[tuple[object, float]]:
        for index, image in enumerate(images):
            taken.append((index, threading.current_thread() is threading.main_thread()))
            yield image, index / 10

    with sfedge.open(frames(), detections=scene.detections, tasks=["domain"]) as own:
        for shown, _ in enumerate(own, 1):
            assert len(taken) <= shown + 2  # some are looked back from
    assert taken == [(index, True) for index in range(3)]
