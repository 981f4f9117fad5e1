"""What live running adds: the newest frame wins, and the model answers beside the picture."""

import threading
import time
from collections.abc import Iterator, Sequence
from types import TracebackType

from sfedge.core.structures import Frame, Prediction, Query
from sfedge.inference.model import Model
from sfedge.sources.source import Source

REFRESH = 0.5  # seconds that one round of questions should take
_JOIN = 2.0  # seconds a thread is given to end
_WEIGHT = 0.3  # of the newest measurement in the running mean


class Capture:
    """Reads a source in a thread of its own and keeps only the newest frame.

    A context manager and, within it, an iterator of frames for one other thread. A frame that a
    newer one replaces before it was taken is counted in `skipped`. A recording is played at its
    own pace.

    Args:
        source: not iterated yet; closed at the end.
        running: cleared for a pause: a recording waits, a camera's pictures pass unseen.
    """

    def __init__(self, source: Source, running: threading.Event) -> None:
        self._source, self._running = source, running
        self._slot: Frame | None = None
        self._changed = threading.Condition()
        self._error: BaseException | None = None
        self._has_ended = False
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read, name="sfedge capture", daemon=True)
        self.captured = 0  # frames that the source gave
        self.skipped = 0  # of these, the ones that nobody took

    def __enter__(self) -> "Capture":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        self._source.close()  # wakes a reader that waits for its next frame
        self._thread.join(_JOIN)
        with self._changed:
            self.skipped += self._slot is not None
            self._slot = None

    def __iter__(self) -> Iterator[Frame]:
        """Each time the newest frame, waiting for one; ends with the source or at `stop`.

        Raises:
            SfedgeError: the source failed.
        """
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._slot is not None or self._has_ended)
                if self._slot is None or self._stop.is_set():
                    break
                frame, self._slot = self._slot, None
            yield frame
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """End the iteration, from any thread."""
        self._stop.set()
        self._running.set()
        with self._changed:
            self._has_ended = True
            self._changed.notify_all()

    def _read(self) -> None:
        is_recording = not self._source.info.is_live
        began: float | None = None  # the clock's time at which the recording's second 0 was due
        try:
            for frame in self._source:
                if is_recording:
                    now = time.monotonic()
                    began = now - frame.time if began is None else began
                    self._stop.wait(max(began + frame.time - now, 0.0))
                    held = time.monotonic()
                    self._running.wait()
                    began += time.monotonic() - held
                if self._stop.is_set():
                    return
                if self._running.is_set():
                    self._put(frame)
        except BaseException as error:  # told in the thread that iterates
            self._error = error
        finally:
            with self._changed:
                self._has_ended = True
                self._changed.notify_all()

    def _put(self, frame: Frame) -> None:
        with self._changed:
            self.captured += 1
            self.skipped += self._slot is not None
            self._slot = frame
            self._changed.notify_all()


class Asker:
    """Asks the model in a thread of its own, one round of questions at a time.

    A context manager. All methods are for the one thread that shows the frames.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._round: tuple[Frame, Sequence[Query]] | None = None
        self._answers: list[Prediction] = []
        self._changed = threading.Condition()
        self._error: BaseException | None = None
        self._has_ended = False
        self._seconds_per_query: float | None = None
        self._seconds = 0.0
        self._thread = threading.Thread(target=self._work, name="sfedge model", daemon=True)

    def __enter__(self) -> "Asker":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._changed:
            self._has_ended = True
            self._changed.notify_all()
        self._thread.join(_JOIN)

    @property
    def is_idle(self) -> bool:
        """Whether a new round may be asked."""
        with self._changed:
            return self._round is None

    @property
    def limit(self) -> int:
        """How many questions one round may hold to be answered within `REFRESH`."""
        if self._seconds_per_query is None:
            return 1  # the first round measures
        return max(int(REFRESH / max(self._seconds_per_query, 1e-6)), 1)

    @property
    def seconds(self) -> float:
        """Time spent in the model so far."""
        return self._seconds

    def ask(self, frame: Frame, queries: Sequence[Query]) -> None:
        """Begin a round; returns at once. Only where `is_idle`."""
        # The frame goes on to be shown, and who shows it may draw on it.
        copy = Frame(frame.image.copy(), frame.index, frame.time)
        with self._changed:
            self._round = (copy, queries)
            self._changed.notify_all()

    def collect(self) -> list[Prediction]:
        """Answers that have arrived since the last call.

        Raises:
            SfedgeError: the model failed.
        """
        with self._changed:
            if self._error is not None:
                raise self._error
            answers, self._answers = self._answers, []
        return answers

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._round is not None or self._has_ended)
                if self._has_ended or self._round is None:
                    return
                frame, queries = self._round
            begun = time.perf_counter()
            try:
                answers = self._model.answer(frame, queries)
            except BaseException as error:  # told in the thread that shows
                with self._changed:
                    self._error = error
                return
            spent = time.perf_counter() - begun
            self._seconds += spent
            each, known = spent / len(queries), self._seconds_per_query
            self._seconds_per_query = each if known is None else known + _WEIGHT * (each - known)
            with self._changed:
                self._answers += answers
                self._round = None
