"""The two threads of a live run by themselves: the reading one and the asking one."""

import math
import threading
import time
from collections.abc import Iterator, Sequence
from types import SimpleNamespace

import numpy as np
import pytest
from fake_parts import IMAGE, Camera, answer_to, threads_of_runs

from sfedge.core.boxes import Box
from sfedge.core.structures import Frame, Gap, Prediction, Query
from sfedge.core.tasks import TASKS
from sfedge.runtime import live
from sfedge.runtime.live import Asker, Capture, Control
from sfedge.sources.source import SourceInfo

LATE = 1000.0  # the time of a first frame, seconds
QUERY = Query(TASKS["gaze"], (1,), Box(0, 0, 1, 1), (Box(0, 0, 1, 1),))


class Late:
    """Frames whose times begin late: a part of a recording, or a stream that was joined."""

    losses: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    gaps: tuple[Gap, ...] = ()

    def __init__(self, frames: int, *, is_live: bool) -> None:
        self._frames = frames
        self.info = SourceInfo("late", 160, 90, None, None, None, is_live=is_live)

    def __iter__(self) -> Iterator[Frame]:
        for index in range(self._frames):
            yield Frame(IMAGE, index, LATE + 0.1 * index)

    def close(self) -> None:
        pass


@pytest.mark.parametrize("frames", [1, 2])
@pytest.mark.parametrize("is_live", [False, True])
def test_a_source_whose_times_begin_late_is_not_waited_for(is_live: bool, frames: int) -> None:
    give_up = time.monotonic() + 60
    seen: list[float] = []
    with Capture(Late(frames, is_live=is_live), Control()) as capture:
        for frame in capture:
            if frame is not None:
                seen.append(frame.time)
            if time.monotonic() > give_up:
                break
        clock = capture.clock
    assert seen[-1] == LATE + 0.1 * (frames - 1)
    # By the clock the stream is where its frames are.
    assert LATE <= clock < LATE + 60


def test_a_camera_that_is_silent_is_waited_for_without_haste() -> None:
    begun = time.monotonic()
    silent = 0
    with Capture(Camera(1, dies=True), Control()) as capture:
        for frame in capture:
            silent += frame is None
            if silent == 10:
                break
    waited = time.monotonic() - begun
    assert silent <= waited / live.POLL + 2  # two may be woken early: by the frame, at the end


def test_a_frame_that_has_come_is_taken_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """To wait for the next one, too, would show all frames late and drop half of them."""
    monkeypatch.setattr(live, "POLL", 60.0)
    has_come, is_taken = threading.Event(), threading.Event()

    class Pauses(Late):
        def __iter__(self) -> Iterator[Frame]:
            first, second = super().__iter__()
            yield first
            has_come.set()
            is_taken.wait(10)
            yield second

    seen: list[int] = []
    with Capture(Pauses(2, is_live=True), Control()) as capture:
        assert has_come.wait(60)
        for frame in capture:
            is_taken.set()
            seen += [] if frame is None else [frame.index]
    assert seen == [0, 1]
    assert capture.skipped == 0


class Clock:
    """Time that goes on only where somebody sleeps; ends a pause when its time has come."""

    def __init__(self, control: Control, until: float) -> None:
        self.now, self._control, self._until = 0.0, control, until

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        if self.now >= self._until:
            self._control.is_paused = False


def test_a_recording_is_played_at_its_own_pace_and_a_pause_moves_all_that_follows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    control = Control()
    clock = Clock(control, until=0.8)
    monkeypatch.setattr(live, "time", clock)
    played: list[float] = []

    class Paused(Late):
        def __iter__(self) -> Iterator[Frame]:
            for frame in super().__iter__():
                control.is_paused = frame.index == 2
                yield frame
                played.append(clock.now)

    with Capture(Paused(5, is_live=False), control) as capture:
        for _ in capture:
            pass
    assert capture.captured == 5
    # Due at 0.2 s, the third one is held until 0.8 s, give or take a look at the flags.
    assert played[:2] == pytest.approx([0.0, 0.1])
    assert 0.8 <= played[2] <= 0.8 + 2 * live.POLL
    assert np.diff(played[2:]) == pytest.approx([0.1, 0.1])


def test_a_frame_that_comes_when_the_reading_was_closed_is_not_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else the frames would be more than those shown and those skipped."""
    monkeypatch.setattr(live, "_JOIN", 0.01)
    is_here, is_closed = threading.Event(), threading.Event()

    class Slept(Control):
        """The thread that reads sleeps where it looks whether there is a pause."""

        @property
        def is_paused(self) -> bool:
            is_here.set()
            assert is_closed.wait(60)
            return False

        @is_paused.setter
        def is_paused(self, _: bool) -> None:
            pass

    capture = Capture(Late(1, is_live=True), Slept())
    assert is_here.wait(60)
    capture.close()
    is_closed.set()
    assert not threads_of_runs()
    assert (capture.captured, capture.skipped) == (0, 0)


class Takes:
    """Advances a clock of its own by a number of seconds for each query of a round."""

    tasks = (TASKS["gaze"],)

    def __init__(self, *seconds: float) -> None:
        self.now, self._seconds = 0.0, iter(seconds)

    def answer(self, frame: Frame, queries: Sequence[Query]) -> list[Prediction]:
        self.now += len(queries) * next(self._seconds)
        return [answer_to(query, frame) for query in queries]


def test_rounds_are_predicted_by_what_those_before_have_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model = Takes(0.04, 0.04, 0.22)
    monkeypatch.setattr(live, "time", SimpleNamespace(perf_counter=lambda: model.now))
    asker = Asker(model)
    frame = Frame(np.zeros((4, 4, 3), np.uint8), 0, 0.0)
    assert asker.cost([QUERY]) == 0.0  # the first measures, alone
    assert asker.cost([QUERY] * 2) == math.inf
    counts, costs = [], []
    for number in (1, 2, 2):
        asker.ask(frame, [QUERY] * number)
        while not (answers := asker.collect()):
            time.sleep(0.001)
        counts.append(len(answers))
        costs.append(asker.cost([QUERY] * 2))
    assert asker.finish(10)

    # One view and one query took 0.04 s, then both queries 0.08 s, then 0.44 s.
    assert costs == pytest.approx([0.06, 0.07, 0.255])
    assert counts == [1, 2, 2]
    assert asker.seconds == pytest.approx(0.56)


def test_a_round_begins_only_after_the_answers_of_the_last_one_are_collected() -> None:
    """Else one frame would be given two answers to the same question."""
    asker = Asker(Takes(0.0, 0.0))
    asker.ask(Frame(np.zeros((4, 4, 3), np.uint8), 0, 0.0), [QUERY])
    while asker.cost([QUERY]) == 0.0 and asker.seconds == 0.0:  # until the model has answered
        time.sleep(0.001)
    assert asker.finish(60)  # and the round has ended
    was_idle = asker.is_idle
    answers = asker.collect()

    assert not was_idle
    assert asker.is_idle
    assert len(answers) == 1
