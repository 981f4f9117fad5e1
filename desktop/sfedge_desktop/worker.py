"""The pipeline on a thread of its own; the window never waits for it."""

import logging
import threading
import time
from dataclasses import dataclass

from PyQt6.QtCore import QObject, QThread, pyqtSignal
from PyQt6.QtGui import QImage

import sfedge
from sfedge import FrameResult, Gap, Image, RunConfig, RunReport, SfedgeError, SourceInfo, Task

_PATIENCE_MS = 5000  # for a run before this one to release its camera
_POLL_MS = 100
_PICTURE = 2.0  # seconds that a photograph of a folder is shown at least

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Opened:
    """The facts of a run that the window shows from its start."""

    source: SourceInfo
    model: str
    notice: str
    device: str
    tasks: tuple[Task, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """One frame to show: what is known, the picture with it drawn on, and the run so far."""

    result: FrameResult
    picture: QImage
    report: RunReport


class Slot:
    """Room for the newest frame; an older one that nobody took is replaced."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: Shown | None = None
        self._taken: float | None = None

    @property
    def taken(self) -> float | None:
        """When the newest frame was taken, by the clock; None where it still waits."""
        with self._lock:
            return self._taken

    def put(self, shown: Shown) -> bool:
        """Keep `shown`; True where the slot was empty, so that no signal waits for it."""
        with self._lock:
            was_empty, self._held = self._held is None, shown
            self._taken = None
        return was_empty

    def take(self) -> Shown | None:
        """The newest frame, once."""
        with self._lock:
            held, self._held = self._held, None
            if held is not None:
                self._taken = time.monotonic()
        return held


class _Screen:
    """Takes a run's results, and the times without any, for the window."""

    def __init__(self, worker: "Worker", session: sfedge.Session) -> None:
        self._worker, self._session = worker, session
        self._has_begun = False

    def write(self, result: FrameResult) -> None:
        if self._session.info.is_pictures and self._has_begun:
            self._worker.wait_while_shown(_PICTURE)
        self._has_begun = True
        picture = qt_image(self._session.draw(result))
        if self._worker.slot.put(Shown(result, picture, self._session.report)):
            self._worker.newer.emit()

    def gap(self, gap: Gap) -> None:
        self._worker.gap.emit(gap)


class _StoppedError(Exception):
    """Ends a download or self-test that nobody waits for any more."""


class Worker(QObject):
    """Runs one source to its end; moved to a QThread, whose `started` is joined to `run`.

    `stop`, `pause` and `resume` may be called from the window's thread: the busy one handles no
    queued call.

    Args:
        source: a file, a folder of pictures, a camera's number or an address.
        config: how to run it.
        before: the thread of a run that is ending and may still hold the same camera.
    """

    fetching = pyqtSignal(str, int)  # a network that is being fetched, and percent of it
    testing = pyqtSignal(int, int)  # tasks of the model's self-test that are done, and in all
    opened = pyqtSignal(Opened)
    newer = pyqtSignal()  # a frame waits in `slot`
    gap = pyqtSignal(object)  # the Gap that has begun, or is over: a camera's pictures stay away
    failed = pyqtSignal(str)  # a sentence for the user
    finished = pyqtSignal(object)  # the RunReport; None where the source was not opened

    def __init__(self, source: str, config: RunConfig, before: QThread | None = None) -> None:
        super().__init__()
        self.slot = Slot()
        self._source, self._config, self._before = source, config, before
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._session: sfedge.Session | None = None
        self._is_paused = False
        self._percent = -1

    def run(self) -> None:
        """Open the source and put a frame in the slot each time there is a newer one."""
        report: RunReport | None = None
        try:
            self._wait_for_the_run_before()
            if not self._stop.is_set():
                with sfedge.open(
                    self._source,
                    self._config,
                    progress=self._report_fetching,
                    testing=self._report_test,
                ) as session:
                    try:
                        self._play(session)
                    finally:
                        report = session.report
        except _StoppedError:
            pass
        except SfedgeError as error:
            self.failed.emit(str(error))
        except Exception as error:  # shown in the window; raised in a slot it would end the program
            _log.debug("a run failed", exc_info=True)
            self.failed.emit(internal_error(error))
        finally:
            with self._lock:
                self._session = None
            self.finished.emit(report)

    def stop(self) -> None:
        """End the run soon; from any thread."""
        self._stop.set()
        with self._lock:
            if self._session is not None:
                self._session.stop()

    def wait_while_shown(self, seconds: float) -> None:
        """Wait on the run's thread until the newest frame was shown so long, or for a stop."""
        while (taken := self.slot.taken) is None:  # the window is busy
            if self._stop.wait(_POLL_MS / 1000):
                return
        self._stop.wait(max(taken + seconds - time.monotonic(), 0.0))

    def pause(self) -> None:
        """Hold the source where it is; from any thread."""
        with self._lock:
            self._is_paused = True
            if self._session is not None:
                self._session.pause()

    def resume(self) -> None:
        """Go on after `pause`; from any thread."""
        with self._lock:
            self._is_paused = False
            if self._session is not None:
                self._session.resume()

    def _wait_for_the_run_before(self) -> None:
        for _ in range(_PATIENCE_MS // _POLL_MS):
            if self._before is None or self._stop.is_set() or self._before.wait(_POLL_MS):
                break
        self._before = None

    def _play(self, session: sfedge.Session) -> None:
        with self._lock:
            self._session = session
            if self._is_paused:
                session.pause()
        if self._stop.is_set():
            return
        self.opened.emit(
            Opened(session.info, session.model_name, session.notice, session.device, session.tasks)
        )
        session.add_sink(_Screen(self, session))
        session.run()

    def _report_fetching(self, what: str, done: int, size: int) -> None:
        if self._stop.is_set():
            raise _StoppedError
        percent = done * 100 // max(size, 1)
        if percent != self._percent:
            self._percent = percent
            self.fetching.emit(what, percent)

    def _report_test(self, done: int, total: int) -> None:
        if self._stop.is_set():
            raise _StoppedError
        self.testing.emit(done, total)


def qt_image(picture: Image) -> QImage:
    """A picture (H, W, 3) RGB as Qt paints it; a copy, as QImage does not own numpy's memory."""
    height, width = picture.shape[:2]
    image = QImage(picture.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888)
    return image.convertToFormat(QImage.Format.Format_RGB32)


def internal_error(error: BaseException) -> str:
    """The message of an internal error."""
    return (
        f"Internal error ({type(error).__name__}: {error}). "
        "Start it again with --debug and report what it prints."
    )
