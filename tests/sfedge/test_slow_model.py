"""Live with a model of three seconds a query, in the time of the stream and of no clock."""

import math
import threading
import time
from collections.abc import Iterator, Sequence
from types import SimpleNamespace

import pytest
from fake_parts import IMAGE, Camera, OnePerson, Slow, answer_to, threads_of_runs

import sfedge
from sfedge import EngineError, Frame, FrameResult
from sfedge.core.structures import Prediction, Query
from sfedge.runtime import live
from sfedge.runtime import session as session_module
from sfedge.runtime.live import Asker

SECONDS_PER_QUERY = 3.0
FRAME_EVERY = 0.25  # seconds of the stream
PATIENCE = 60.0  # seconds of the clock for what comes at once where nothing is wrong


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert not threads_of_runs()


class Stage(Camera):
    """A camera whose next frame comes when the last one was shown; its time is all that counts."""

    def __init__(self, seconds: float) -> None:
        super().__init__(round(seconds / FRAME_EVERY), every=FRAME_EVERY)
        self.now = 0.0
        self._may_go_on = threading.Semaphore()

    def __iter__(self) -> Iterator[Frame]:
        for index in range(self._frames):
            while not self._may_go_on.acquire(timeout=0.05):
                if self.closed.is_set():
                    return
            self.now = index * self._every
            yield Frame(IMAGE.copy(), index, self.now)

    def go_on(self) -> None:
        self._may_go_on.release()


class SlowOnStage(Slow):
    """Takes its seconds for each query by the time of a stage."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self._stage = stage
        self.has_begun = threading.Event()
        self.due = math.inf  # when the answers of a round are there

    def answer(self, frame: Frame, queries: Sequence[Query]) -> list[Prediction]:
        self.due = frame.time + SECONDS_PER_QUERY * len(queries)
        self.has_begun.set()
        give_up = time.monotonic() + PATIENCE
        while self._stage.now < self.due and not self._stage.closed.is_set():
            assert time.monotonic() < give_up, "the frames wait for the answers"
            time.sleep(0.001)
        return [answer_to(query, frame) for query in queries]


def watch(
    seconds: float, detector: OnePerson, monkeypatch: pytest.MonkeyPatch
) -> list[FrameResult]:
    """All frames of a stream, with the answers in the frames in which they are due."""
    stage = Stage(seconds)
    model = SlowOnStage(stage)

    class Punctual(Asker):
        """No thread of it is ever late."""

        def ask(self, frame: Frame, queries: Sequence[Query]) -> None:
            model.has_begun.clear()
            super().ask(frame, queries)
            assert model.has_begun.wait(PATIENCE)

        def collect(self) -> list[Prediction]:
            answers = super().collect()
            if stage.now >= model.due:
                while not answers:
                    time.sleep(0.001)
                    answers = super().collect()
                model.due = math.inf
            return answers

    monkeypatch.setattr(session_module, "Asker", Punctual)
    clock = SimpleNamespace(
        perf_counter=lambda: stage.now, monotonic=time.monotonic, sleep=time.sleep
    )
    monkeypatch.setattr(live, "time", clock)
    results = []
    with sfedge.Pipeline(stage, detector=detector, model=model) as pipeline:
        for result in pipeline:
            results.append(result)
            stage.go_on()
    assert [result.index for result in results] == list(range(round(seconds / FRAME_EVERY)))
    return results


def test_each_answer_is_visible_in_nine_of_ten_frames_after_the_first_round(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    results = watch(60.0, OnePerson(), monkeypatch)
    names = ("expression", "gesture", "gaze", "looking_at_me")
    first = {
        name: next(r.index for r in results if name in {a.task for a in r.fresh}) for name in names
    }
    after = [result for result in results if result.index >= max(first.values())]
    assert len(after) > len(results) / 3
    for name in names:
        visible = [r for r in after if name in {answer.task for answer in r.predictions}]
        assert len(visible) >= 0.9 * len(after), name
    # They are old, and say so.
    ages = [result.age(answer) for result in after for answer in result.carried]
    assert max(ages) > 5


def test_answers_end_with_their_person_and_who_comes_back_is_asked_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    results = watch(65.0, OnePerson(gone=(35.0, 45.0)), monkeypatch)
    last = max(result.time for result in results if result.tracks and result.time < 45)
    away = [result for result in results if last < result.time < 45]
    assert len(away) > 10
    assert not [result for result in away if result.carried]
    # What was asked before still arrives, once; nobody who has come back is shown with it.
    back = [result for result in results if result.time >= 45]
    assert {answer.time >= 45 for result in back for answer in result.carried} == {True}
    asked = [answer.task for result in back for answer in result.fresh if answer.time >= 45]
    assert len(set(asked[:4])) == 4


class FailsAtLast(Slow):
    """Fails in the round that is under way when the stream ends."""

    def __init__(self, camera: Camera) -> None:
        super().__init__()
        self._camera = camera

    def answer(self, frame: Frame, queries: Sequence[Query]) -> list[Prediction]:
        self._camera.closed.wait(PATIENCE)
        raise EngineError("the device is gone")


def test_an_error_in_the_last_round_is_raised_and_the_run_is_not_complete() -> None:
    source = Camera(8)
    with sfedge.Pipeline(source, detector=OnePerson(), model=FailsAtLast(source)) as pipeline:
        with pytest.raises(EngineError, match="the device is gone"):
            list(pipeline)
        assert not pipeline.report.is_complete
