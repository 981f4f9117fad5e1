"""Live runs: the newest frame wins, and the model answers in the background."""

import logging
import math
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

from sfedge.core.structures import Frame, Prediction, Query
from sfedge.inference.costs import Costs
from sfedge.runtime import own_parts
from sfedge.runtime.protocols import Model
from sfedge.sources.source import Source
from sfedge.system.closing import Closing

REFRESH = 0.5  # seconds that one round of queries should take
PATIENCE = 30.0  # seconds that the end of a run waits for a query that is being answered
POLL = 0.05  # seconds between two looks at what other threads and signal handlers have asked for
_JOIN = 2.0  # seconds that the capture thread is given to end

_log = logging.getLogger("sfedge.runtime")


class Control:
    """Requests of other threads and signal handlers to a run.

    Plain flags without a lock: a signal handler interrupts its thread anywhere, also where that
    thread holds a lock, and must not wait for it. Whoever waits looks at the flags every `POLL`
    seconds.
    """

    def __init__(self) -> None:
        self.is_stopped = False
        self.is_paused = False

    def sleep(self, seconds: float) -> None:
        """Wait; no longer than to a stop."""
        until = time.monotonic() + seconds
        while not self.is_stopped and (left := until - time.monotonic()) > 0:
            time.sleep(min(left, POLL))

    def wait_while_paused(self) -> None:
        """Wait for the end of a pause, or for a stop."""
        while self.is_paused and not self.is_stopped:
            time.sleep(POLL)


class Capture(Closing):
    """Reads a source in a thread of its own and keeps only the newest frame.

    An iterator of frames for one other thread. A frame that a newer one replaces before it was
    taken is counted in `skipped`. A recording is played at its own pace.

    Args:
        source: not iterated yet; closed with the capture.
        control: a stop ends the iteration; in a pause a recording waits, a camera's frames are
            dropped. Stopped when the capture is closed.
    """

    def __init__(self, source: Source, control: Control) -> None:
        self._source, self._control = source, control
        self._slot: Frame | None = None
        self._changed = threading.Condition()
        self._error: BaseException | None = None
        self._has_ended = False
        self._began = time.monotonic()  # the clock's time at the stream's second 0
        self._thread = threading.Thread(target=self._read, name="sfedge capture", daemon=True)
        self.captured = 0  # frames that the source gave
        self.skipped = 0  # of these, the ones that nobody took
        self._thread.start()

    def close(self) -> None:
        """End the reading and close the source; never waits long for a frame that does not come."""
        self._control.is_stopped = True
        self._source.close()  # wakes a reader that waits for its next frame
        self._thread.join(_JOIN)
        with self._changed:
            self.skipped += self._slot is not None
            self._slot = None

    @property
    def clock(self) -> float:
        """Seconds of a live stream by the clock, whether or not frames come."""
        return time.monotonic() - self._began

    def __iter__(self) -> Iterator[Frame | None]:
        """Each time the newest frame, None where none has come for a moment.

        Ends with the source or at a stop.

        Raises:
            SfedgeError: the source failed.
        """
        while not self._control.is_stopped:
            with self._changed:
                if self._slot is None and not self._has_ended:
                    self._changed.wait(POLL)
                frame, self._slot = self._slot, None
                if frame is None and self._has_ended:
                    break
            yield frame
        if self._error is not None:
            raise self._error

    def _read(self) -> None:
        try:
            for frame in self._source:
                if self._source.info.is_live:
                    if self.captured == 0:
                        self._began = time.monotonic() - frame.time
                else:
                    self._keep_pace(frame)
                if self._control.is_stopped:
                    return
                if not self._control.is_paused:
                    self._put(frame)
        except BaseException as error:  # raised again in the thread that iterates
            self._error = error
        finally:
            with self._changed:
                self._has_ended = True
                self._changed.notify_all()

    def _keep_pace(self, frame: Frame) -> None:
        """Wait until a recording's frame is due; a pause moves all that follows."""
        if self.captured == 0:
            self._began = time.monotonic() - frame.time
        self._control.sleep(self._began + frame.time - time.monotonic())
        held = time.monotonic()
        self._control.wait_while_paused()
        self._began += time.monotonic() - held

    def _put(self, frame: Frame) -> None:
        with self._changed:
            if self._control.is_stopped:  # closed meanwhile: nobody takes or counts it any more
                return
            self.captured += 1
            self.skipped += self._slot is not None
            self._slot = frame
            self._changed.notify_all()


class Asker:
    """Asks the model in a thread of its own, one round of queries at a time.

    All methods are for the one thread that shows the frames; `finish` ends the thread.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._round: tuple[Frame, Sequence[Query]] | None = None
        self._answers: list[Prediction] = []
        self._changed = threading.Condition()
        self._error: BaseException | None = None
        self._has_ended = False
        self._costs = Costs()
        self._seconds = 0.0
        self._thread = threading.Thread(target=self._work, name="sfedge model", daemon=True)
        self._thread.start()

    @property
    def is_idle(self) -> bool:
        """Whether a new round may be asked: the last one is answered, and its answers collected.

        Else the answers of two rounds, about two frames, could be collected as those of one.
        """
        with self._changed:
            return self._round is None and not self._answers

    @property
    def is_alive(self) -> bool:
        """Whether the thread may still use the model."""
        return self._thread.is_alive()

    def cost(self, queries: Sequence[Query]) -> float:
        """Seconds that a round of these queries is likely to take; the first one has one query."""
        with self._changed:
            known = self._costs.of(queries)
        return known if known is not None else math.inf if len(queries) > 1 else 0.0

    @property
    def seconds(self) -> float:
        """Time spent in the model so far."""
        return self._seconds

    def ask(self, frame: Frame, queries: Sequence[Query]) -> None:
        """Begin a round; returns at once. Only where `is_idle`."""
        # The frame goes on to be shown, and who shows it may draw on it.
        copy = replace(frame, image=frame.image.copy())
        with self._changed:
            self._round = (copy, queries)
            self._changed.notify_all()

    def check(self) -> None:
        """Raise what the model has failed with, if it has."""
        if self._error is not None:
            raise self._error

    def collect(self) -> list[Prediction]:
        """The answers of the round that has ended since the last call; none where none has.

        Raises:
            SfedgeError: the model failed.
        """
        self.check()
        with self._changed:
            answers, self._answers = self._answers, []
        return answers

    def finish(self, patience: float) -> bool:
        """End the thread after the round that is being answered.

        Args:
            patience: seconds to wait for it.

        Returns:
            Whether it has ended; if not, the model must stay open.
        """
        with self._changed:
            self._has_ended = True
            self._changed.notify_all()
        self._thread.join(patience)
        return not self.is_alive

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._round is not None or self._has_ended)
                if self._has_ended or self._round is None:
                    return
                frame, queries = self._round
            begun = time.perf_counter()
            try:
                answers = own_parts.answers(self._model, frame, queries)
            except BaseException as error:  # raised again in the thread that shows
                self._error = error
                return
            spent = time.perf_counter() - begun
            _log.debug("%d queries answered in %.3f s", len(queries), spent)
            self._seconds += spent
            with self._changed:
                self._costs.learn(queries, spent)
                self._answers += answers
                self._round = None
