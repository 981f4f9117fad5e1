"""The window: menus, picture, people, and the wiring between them and the worker."""

from pathlib import Path

from PyQt6.QtCore import QDeadlineTimer, QSize, Qt, QThread, pyqtSignal
from PyQt6.QtGui import QAction, QCloseEvent, QDragEnterEvent, QDropEvent, QKeySequence
from PyQt6.QtWidgets import (
    QLabel,
    QMainWindow,
    QSplitter,
    QStyle,
    QToolBar,
    QVBoxLayout,
    QWidget,
)

from sfedge import Gap, RunConfig, RunReport, without_credentials
from sfedge_desktop.people_panel import PeoplePanel
from sfedge_desktop.source_dialog import choose_address, choose_camera, choose_file
from sfedge_desktop.video_view import VideoView
from sfedge_desktop.worker import Opened, Worker

_SIZE = QSize(1280, 900)  # at the start, where the screen has room for it
_CLOSING_MS = 1000  # for a run to release its camera; the program ends within two seconds
_WELCOME = (
    "Open a video or start a camera",
    "Drop a file here, or choose one (Ctrl+O), a camera (Ctrl+K) or a stream (Ctrl+L). Answers "
    "appear on the picture and in the table as they become ready. Pictures stay on this computer.",
)


class MainWindow(QMainWindow):
    """Plays one source at a time with live answers."""

    broken = pyqtSignal(str)  # an internal error; from any thread

    def __init__(self, config: RunConfig) -> None:
        super().__init__()
        self._config = config
        self._source: str | None = None
        self._worker: Worker | None = None
        self._thread: QThread | None = None
        self._ending: dict[QThread, Worker] = {}  # a thread that is destroyed too early aborts
        self._duration: float | None = None  # seconds of what plays
        self._progress = ""  # how far it is
        self._gap: Gap | None = None  # that lasts
        self._report: RunReport | None = None  # the newest
        self.video, self.people = VideoView(), PeoplePanel()
        self.state, self.losses = QLabel(), QLabel()
        self._build()
        self._build_actions()
        self.broken.connect(self._show_internal_error)
        self.video.show_message(*_WELCOME)
        self._show_state()

    @property
    def is_running(self) -> bool:
        """Whether a source is being opened or played."""
        return self._worker is not None

    @property
    def has_ended(self) -> bool:
        """Whether no thread of a run is left."""
        return self._thread is None and not self._ending

    def play(self, source: str) -> None:
        """Stop what plays and start `source`: a file, a folder, a camera's number, an address."""
        self._release()
        self._source = source
        self.people.clear_people()
        self.losses.hide()
        self._progress, self._gap, self._report = "", None, None
        self.video.show_message(f"Opening {self._name} …", percent=-1)
        before = next(reversed(self._ending), None)
        worker, thread = Worker(source, self._config, before), QThread(self)
        worker.moveToThread(thread)
        thread.started.connect(worker.run)
        thread.finished.connect(self._forget_ended)
        worker.fetching.connect(self._show_fetching)
        worker.testing.connect(self._show_testing)
        worker.opened.connect(self._show_opened)
        worker.newer.connect(self._show_newest)
        worker.gap.connect(self._show_gap)
        worker.failed.connect(self._show_failure)
        worker.finished.connect(self._show_finished)
        worker.finished.connect(thread.quit)
        self._worker, self._thread = worker, thread
        thread.start()
        self._show_state()

    def start(self) -> None:
        """Play the chosen source from its start, or go on after a pause."""
        if self._worker is not None:
            self.pause_action.setChecked(False)
        elif self._source is not None:
            self.play(self._source)

    def set_paused(self, is_paused: bool) -> None:
        """Hold the source, or go on."""
        if self._worker is not None:
            if is_paused:
                self._worker.pause()
            else:
                self._worker.resume()
        self._show_state()

    def stop(self) -> None:
        """End the run; never waits for it."""
        self._release()
        self._progress, self._gap = "", None
        self._show_losses(self._report)
        self.people.clear_people()
        self.video.show_message("Stopped", f"Start plays {self._name} from its beginning.")
        self._show_state()

    def open_file(self) -> None:
        """Ask for a video or picture and play it."""
        folder = Path(self._source).parent if self._source else Path.home()
        self._play_chosen(choose_file(self, folder))

    def open_camera(self) -> None:
        """Ask for a camera and play it."""
        self._play_chosen(choose_camera(self))

    def open_address(self) -> None:
        """Ask for a stream's address and play it."""
        self._play_chosen(choose_address(self))

    def closeEvent(self, event: QCloseEvent | None) -> None:
        self.hide()
        self._release()
        deadline = QDeadlineTimer(_CLOSING_MS)
        for thread in list(self._ending):
            if thread.wait(deadline):
                del self._ending[thread]
        super().closeEvent(event)

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:
        data = event.mimeData() if event is not None else None
        if event is not None and data is not None and data.hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:
        data = event.mimeData() if event is not None else None
        if event is not None and data is not None and data.urls():
            event.acceptProposedAction()
            url = data.urls()[0]
            self.play(url.toLocalFile() if url.isLocalFile() else url.toString())

    def _play_chosen(self, source: str | None) -> None:
        if source is not None:
            self.play(source)

    @property
    def _name(self) -> str:
        """The source that plays, as it may be shown."""
        source = self._source or ""
        if source.isdecimal():
            return f"camera {source}"
        return without_credentials(source) if "://" in source else Path(source).name

    def _build(self) -> None:
        self.setWindowTitle("sfedge")
        self.setAcceptDrops(True)
        screen = self.screen()
        self.resize(_SIZE.boundedTo(screen.availableSize() * 0.9) if screen else _SIZE)
        splitter = QSplitter(Qt.Orientation.Vertical)
        splitter.addWidget(self.video)
        splitter.addWidget(self.people)
        splitter.setSizes([self.height() * 3 // 4, self.height() // 4])
        splitter.setStretchFactor(0, 1)
        splitter.setStretchFactor(1, 0)
        splitter.setChildrenCollapsible(False)
        for label in (self.state, self.losses):
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setContentsMargins(8, 4, 8, 4)
        self.losses.setWordWrap(True)
        self.losses.hide()
        centre = QWidget()
        column = QVBoxLayout(centre)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.losses)
        column.addWidget(splitter, 1)
        self.setCentralWidget(centre)
        if (bar := self.statusBar()) is not None:
            bar.addWidget(self.state, 1)

    def _build_actions(self) -> None:
        icons = QStyle.StandardPixmap
        file = self._action("&Open video…", icons.SP_DirOpenIcon, "Ctrl+O")
        file.triggered.connect(self.open_file)
        camera = self._action("&Camera…", icons.SP_ComputerIcon, "Ctrl+K")
        camera.triggered.connect(self.open_camera)
        address = self._action("St&ream…", icons.SP_DriveNetIcon, "Ctrl+L")
        address.triggered.connect(self.open_address)
        self.start_action = self._action("S&tart", icons.SP_MediaPlay, "Ctrl+Return")
        self.start_action.triggered.connect(self.start)
        self.pause_action = self._action("&Pause", icons.SP_MediaPause, "Space")
        self.pause_action.setCheckable(True)
        self.pause_action.toggled.connect(self.set_paused)
        self.stop_action = self._action("&Stop", icons.SP_MediaStop, "Ctrl+.")
        self.stop_action.triggered.connect(self.stop)
        leave = self._action("&Quit", icons.SP_DialogCloseButton, "Ctrl+Q")
        leave.triggered.connect(self.close)
        sources = [file, camera, address]
        controls = [self.start_action, self.pause_action, self.stop_action]
        if (menus := self.menuBar()) is not None:
            for title, actions in (("&File", [*sources, leave]), ("&Play", controls)):
                if (menu := menus.addMenu(title)) is not None:
                    menu.addActions(actions)
        bar = QToolBar("Controls")
        bar.setMovable(False)
        bar.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        bar.addActions(sources)
        bar.addSeparator()
        bar.addActions(controls)
        self.addToolBar(bar)

    def _action(self, text: str, icon: QStyle.StandardPixmap, keys: str) -> QAction:
        action = QAction(text, self)
        if (style := self.style()) is not None:
            action.setIcon(style.standardIcon(icon))
        action.setShortcut(QKeySequence(keys))
        plain, shown = (
            text.replace("&", ""),
            action.shortcut().toString(QKeySequence.SequenceFormat.NativeText),
        )
        action.setToolTip(f"{plain} ({shown})")
        return action

    def _release(self) -> None:
        """Stop the run and disconnect from it; its thread ends when it can."""
        if self._worker is not None:
            self._worker.stop()
            self._forget_run()

    def _forget_run(self) -> None:
        if self._worker is not None and self._thread is not None:
            self._ending[self._thread] = self._worker
        self._worker = self._thread = None
        self.pause_action.setChecked(False)

    def _forget_ended(self) -> None:
        for thread in [thread for thread in self._ending if thread.isFinished()]:
            thread.wait()  # its last instructions
            del self._ending[thread]

    def _is_stale(self) -> bool:
        """Whether the current signal is of a run that was released."""
        return self.sender() is not self._worker

    def _show_fetching(self, what: str, percent: int) -> None:
        if not self._is_stale():
            self.video.show_message(
                "Fetching the detector networks", f"{what} – needed once.", percent=percent
            )

    def _show_testing(self, done: int, total: int) -> None:
        if not self._is_stale():
            self.video.show_message(
                "Testing the model on this machine",
                f"{done} of {total} tasks – needed once.",
                percent=100 * done // total,
            )

    def _show_opened(self, opened: Opened) -> None:
        if self._is_stale():
            return
        self.setWindowTitle(f"{self._name} – sfedge")
        self.people.show_model(opened)
        self._duration = opened.source.duration

    def _show_newest(self) -> None:
        shown = None if self._worker is None or self._is_stale() else self._worker.slot.take()
        if shown is not None:
            self.video.show_picture(shown.picture)
            self.people.show_result(shown.result)
            whole = f" of {clock(self._duration)}" if self._duration else ""
            self._progress = f"{clock(shown.result.time)}{whole}  ·  {counts(shown.report)}"
            self._show_losses(shown.report)
            self._show_state()

    def _show_failure(self, message: str) -> None:
        if not self._is_stale():
            self.people.clear_people()
            self.video.show_message(f"{self._name} cannot be played", message)

    def _show_internal_error(self, message: str) -> None:
        self._release()
        self.people.clear_people()
        self.video.show_message("Something went wrong", message)
        self._progress = ""
        self._show_state()

    def _show_finished(self, report: RunReport | None) -> None:
        if self._is_stale():
            return
        self._forget_run()
        self._progress = ""
        if report is not None:
            self._show_losses(report)
            self._progress = f"Ended  ·  {counts(report)}"
            if report.ended and not report.shown:
                self.video.show_message("Nothing to show", f"No picture came from {self._name}.")
        self._show_state()

    def _show_gap(self, gap: Gap) -> None:
        if not self._is_stale():
            self._gap = gap if gap.end is None else None
            self._show_losses(self._report)

    def _show_losses(self, report: RunReport | None) -> None:
        """Show pictures that do not come, what could not be read, and what was read otherwise."""
        self._report = report
        parts = []
        if self._gap is not None:
            parts.append(f"No pictures since {clock(self._gap.start)}: {self._gap.reason}.")
        if report is not None and report.losses:
            parts.append(f"Something was lost: {'; '.join(report.losses)}.")
        if report is not None and report.warnings:
            parts.append(f"Note: {'; '.join(report.warnings)}.")
        self.losses.setVisible(bool(parts))
        self.losses.setText("\n".join(parts))

    def _show_state(self) -> None:
        is_paused = self.pause_action.isChecked()
        self.start_action.setEnabled(
            self._source is not None and (not self.is_running or is_paused)
        )
        self.pause_action.setEnabled(self.is_running)
        self.stop_action.setEnabled(self.is_running)
        parts = ["Paused"] if is_paused else []
        self.state.setText("  ·  ".join([*parts, *filter(None, [self._progress])]))


def clock(seconds: float) -> str:
    """Seconds as m:ss, with hours where there are some."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def counts(report: RunReport) -> str:
    """The counts of a run so far, in words."""
    frames = "1 frame" if report.shown == 1 else f"{report.shown} frames"
    return f"{frames} shown, {report.skipped} dropped, {report.asked} asked about"
