"""The pipeline on a thread of its own; the window never waits for it."""

import threading
from dataclasses import dataclass

from PyQt6.QtCore import QObject, pyqtSignal

import sfedge
from sfedge import FrameResult, RunConfig, RunReport, SfedgeError, SourceInfo
from sfedge.structures import Image


@dataclass(frozen=True, slots=True)
class Opened:
    """What the window shows of a run from its start."""

    source: SourceInfo
    model: str
    notice: str
    device: str


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """One frame to show: what is known, the picture with it drawn on, and the run so far."""

    result: FrameResult
    picture: Image
    report: RunReport


class Slot:
    """Room for the newest frame; an older one that nobody took is replaced."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: Shown | None = None

    def put(self, shown: Shown) -> bool:
        """Keep `shown`; True where the slot was empty, so that nobody has been told yet."""
        with self._lock:
            was_empty, self._held = self._held is None, shown
        return was_empty

    def take(self) -> Shown | None:
        """The newest frame, once."""
        with self._lock:
            held, self._held = self._held, None
        return held


class Worker(QObject):
    """Runs one source to its end; moved to a QThread, whose `started` is joined to `run`.

    `stop`, `pause` and `resume` may be called from the window's thread: the busy one handles no
    queued call.
    """

    opened = pyqtSignal(Opened)
    newer = pyqtSignal()  # a frame waits in `slot`
    failed = pyqtSignal(str)  # one sentence for the user
    finished = pyqtSignal(str)  # why the run ended

    def __init__(self, source: str, config: RunConfig) -> None:
        super().__init__()
        self.slot = Slot()
        self._source, self._config = source, config
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._session: sfedge.Session | None = None
        self._is_paused = False

    def run(self) -> None:
        """Open the source and put a frame in the slot each time there is a newer one."""
        ended = ""
        try:
            with sfedge.open(self._source, self._config) as session:
                with self._lock:
                    self._session = session
                    if self._is_paused:
                        session.pause()
                self.opened.emit(
                    Opened(session.info, session.model_name, session.notice, session.device)
                )
                if self._stop.is_set():
                    return
                for result in session:
                    shown = Shown(result, session.draw(result), session.report)
                    if self.slot.put(shown):
                        self.newer.emit()
                ended = self._farewell(session.report)
        except SfedgeError as error:
            self.failed.emit(str(error))
        finally:
            with self._lock:
                self._session = None
            self.finished.emit(ended)

    def stop(self) -> None:
        """End the run soon; from any thread."""
        self._stop.set()
        with self._lock:
            if self._session is not None:
                self._session.stop()

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

    def _farewell(self, report: RunReport) -> str:
        lost = f" Lost: {'; '.join(report.losses)}" if report.losses else ""
        return f"{report.shown} frames shown, {report.skipped} skipped.{lost}"
