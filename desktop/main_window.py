"""The window: menus, picture, people, and the wiring between them and the worker."""

from pathlib import Path

from PyQt6.QtCore import Qt, QThread
from PyQt6.QtGui import QAction, QCloseEvent, QDragEnterEvent, QDropEvent, QKeySequence
from PyQt6.QtWidgets import (
    QFileDialog,
    QInputDialog,
    QLabel,
    QMainWindow,
    QSplitter,
    QStyle,
    QToolBar,
    QVBoxLayout,
    QWidget,
)

from desktop.people_panel import PeoplePanel
from desktop.video_view import VideoView
from desktop.worker import Opened, Worker
from sfedge import RunConfig

_WELCOME = "Open a video, or pick a camera. Pictures stay on this computer."
_STOP_MS = 1500  # the window closes within two seconds, whatever the worker is doing


class MainWindow(QMainWindow):
    """Plays one source at a time with live answers."""

    def __init__(self, config: RunConfig, source: str | None = None) -> None:
        super().__init__()
        self._config, self._source = config, source
        self._worker: Worker | None = None
        self._thread: QThread | None = None
        self._strays: list[tuple[Worker, QThread]] = []
        self.has_ended = True  # no thread of a stopped run is left
        self.video, self.people = VideoView(), PeoplePanel()
        self.notice, self.facts = QLabel(), QLabel()
        self._build()
        self.video.show_text(_WELCOME)
        self._show_state()
        if source is not None:
            self.start()

    @property
    def is_running(self) -> bool:
        """Whether a source is being opened or played."""
        return self._worker is not None

    def play(self, source: str) -> None:
        """Stop what plays and start `source`: a file, camera number or address."""
        self.stop()
        self._source = source
        self.start()

    def start(self) -> None:
        """Play the chosen source from its start, or go on after a pause."""
        if self._worker is not None:
            self.pause_action.setChecked(False)
            return
        if self._source is None:
            self.choose_file()
            return
        self.video.show_text(f"Opening {self._source} …")
        worker, thread = Worker(self._source, self._config), QThread(self)
        worker.moveToThread(thread)
        thread.started.connect(worker.run)
        worker.opened.connect(self._show_opened)
        worker.newer.connect(self._show_newest)
        worker.failed.connect(self._show_failure)
        worker.finished.connect(self._show_finished)
        worker.finished.connect(thread.quit)
        self._worker, self._thread = worker, thread
        thread.start()
        self._show_state()

    def set_paused(self, is_paused: bool) -> None:
        """Hold the source, or go on."""
        if self._worker is not None:
            if is_paused:
                self._worker.pause()
            else:
                self._worker.resume()

    def stop(self) -> None:
        """End the run; `has_ended` tells whether its thread did so in time."""
        worker, thread = self._worker, self._thread
        self._worker = self._thread = None
        if worker is not None and thread is not None:
            # From here on its signals concern nobody.
            for signal in (worker.opened, worker.newer, worker.failed):
                signal.disconnect()
            worker.finished.disconnect(self._show_finished)
            worker.stop()
            thread.quit()
            self.has_ended = thread.wait(_STOP_MS)
            if not self.has_ended:
                self._strays.append((worker, thread))  # destroying a running thread aborts
        self.pause_action.setChecked(False)
        self._show_state()

    def choose_file(self) -> None:
        """Ask for a video or picture and play it."""
        path, _ = QFileDialog.getOpenFileName(
            self,
            "Open a video",
            str(Path.home()),
            "Videos and pictures (*.mp4 *.mov *.mkv *.avi *.webm *.m4v *.ts *.jpg *.png);;All (*)",
        )
        if path:
            self.play(path)

    def choose_camera(self) -> None:
        """Ask for a camera's number and play it."""
        number, is_chosen = QInputDialog.getInt(
            self, "Camera", "Number of the camera (0 is usually the built-in one):", 0, 0, 63
        )
        if is_chosen:
            self.play(str(number))

    def choose_address(self) -> None:
        """Ask for a stream's address and play it."""
        address, is_chosen = QInputDialog.getText(self, "Stream", "Address (rtsp://…, http://…):")
        if is_chosen and address.strip():
            self.play(address.strip())

    def closeEvent(self, event: QCloseEvent | None) -> None:
        self.stop()
        if event is not None:
            event.accept()

    def dragEnterEvent(self, event: QDragEnterEvent | None) -> None:
        data = event.mimeData() if event is not None else None
        if event is not None and data is not None and data.hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent | None) -> None:
        data = event.mimeData() if event is not None else None
        if data is not None and data.urls() and data.urls()[0].isLocalFile():
            self.play(data.urls()[0].toLocalFile())

    def _build(self) -> None:
        self.setWindowTitle("sfedge")
        self.setAcceptDrops(True)
        self.resize(1180, 820)
        self._build_actions()
        splitter = QSplitter(Qt.Orientation.Vertical)
        splitter.addWidget(self.video)
        splitter.addWidget(self.people)
        splitter.setStretchFactor(0, 4)
        splitter.setStretchFactor(1, 1)
        self.notice.setWordWrap(True)
        self.notice.setStyleSheet("background:#7a3b00; color:white; padding:6px; font-weight:600;")
        self.notice.hide()
        centre = QWidget()
        column = QVBoxLayout(centre)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.notice)
        column.addWidget(splitter, 1)
        self.setCentralWidget(centre)
        if bar := self.statusBar():
            bar.addWidget(self.facts, 1)

    def _build_actions(self) -> None:
        standard = QStyle.StandardPixmap
        file_action = self._action("&Open video…", standard.SP_DirOpenIcon, "Ctrl+O")
        file_action.triggered.connect(self.choose_file)
        camera_action = self._action("&Camera…", standard.SP_ComputerIcon, "Ctrl+K")
        camera_action.triggered.connect(self.choose_camera)
        address_action = self._action("&Stream…", standard.SP_DriveNetIcon, "Ctrl+L")
        address_action.triggered.connect(self.choose_address)
        self.start_action = self._action("S&tart", standard.SP_MediaPlay, "Ctrl+Return")
        self.start_action.triggered.connect(self.start)
        self.pause_action = self._action("&Pause", standard.SP_MediaPause, "Space")
        self.pause_action.setCheckable(True)
        self.pause_action.toggled.connect(self.set_paused)
        self.stop_action = self._action("Sto&p", standard.SP_MediaStop, "Ctrl+.")
        self.stop_action.triggered.connect(self._stop_and_tell)
        quit_action = self._action("&Quit", standard.SP_DialogCloseButton, "Ctrl+Q")
        quit_action.triggered.connect(self.close)
        sources = [file_action, camera_action, address_action]
        controls = [self.start_action, self.pause_action, self.stop_action]
        if menus := self.menuBar():
            for title, actions in (
                ("&File", [*sources, quit_action]),
                ("&Play", controls),
            ):
                if menu := menus.addMenu(title):
                    menu.addActions(actions)
        bar = QToolBar("Controls")
        bar.setMovable(False)
        bar.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        bar.addActions(sources)
        bar.addSeparator()
        bar.addActions(controls)
        self.addToolBar(bar)

    def _action(self, text: str, icon: QStyle.StandardPixmap, keys: str) -> QAction:
        style = self.style()
        action = QAction(text, self)
        if style is not None:
            action.setIcon(style.standardIcon(icon))
        action.setShortcut(QKeySequence(keys))
        return action

    def _stop_and_tell(self) -> None:
        self.stop()
        self.people.clear_people()
        self.video.show_text(_WELCOME)

    def _show_opened(self, opened: Opened) -> None:
        self.setWindowTitle(f"{opened.source.name} – sfedge")
        self.notice.setText(f"{opened.model}: {opened.notice}")
        self.notice.setVisible(bool(opened.notice))
        self.facts.setText(f"{opened.model} on {opened.device}")
        self.facts.setToolTip(self.facts.text())

    def _show_newest(self) -> None:
        shown = self._worker.slot.take() if self._worker is not None else None
        if shown is None:
            return
        self.video.show_picture(shown.picture)
        self.people.show_result(shown.result)
        report, device = shown.report, self.facts.toolTip()
        self.facts.setText(
            f"{shown.result.time:.1f} s  ·  {report.shown} frames shown, {report.skipped} skipped, "
            f"{report.asked} asked about  ·  {device}"
        )

    def _show_failure(self, message: str) -> None:
        self.people.clear_people()
        self.video.show_text(message)

    def _show_finished(self, ended: str) -> None:
        thread, self._worker, self._thread = self._thread, None, None
        if thread is not None:
            thread.quit()
            thread.wait(_STOP_MS)
        if ended:
            self.facts.setText(ended)
        self.pause_action.setChecked(False)
        self._show_state()

    def _show_state(self) -> None:
        self.start_action.setEnabled(not self.is_running)
        self.pause_action.setEnabled(self.is_running)
        self.stop_action.setEnabled(self.is_running)
