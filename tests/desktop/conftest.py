"""Qt without a screen, a clip of two people, and a window on it."""

import os
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from numpy.typing import NDArray
from PyQt6.QtCore import Qt, QThread
from PyQt6.QtWidgets import QApplication
from scenes import Scene, make_scene

from sfedge import RunConfig
from sfedge_desktop.main_window import MainWindow

Wait = Callable[[Callable[[], bool]], None]


@pytest.fixture(scope="session")
def application() -> QApplication:
    os.environ.pop("QT_QPA_PLATFORM_PLUGIN_PATH", None)
    app = QApplication.instance() or QApplication(["test"])
    assert isinstance(app, QApplication)
    return app


@pytest.fixture(scope="session")
def two_people(
    tmp_path_factory: pytest.TempPathFactory,
    astronaut: NDArray[np.uint8],
    admiral: NDArray[np.uint8],
) -> Scene:
    """Two people for twenty seconds, so that no test reaches the end unasked on a busy machine."""
    folder = tmp_path_factory.mktemp("two_people")
    return make_scene(folder, astronaut, admiral[:512], frames=200)


@pytest.fixture
def wait_for(application: QApplication) -> Wait:
    """Lets the window work until something holds."""

    def wait(condition: Callable[[], bool]) -> None:
        until = time.monotonic() + 300
        while not condition():
            assert time.monotonic() < until, "the window did not get there in time"
            application.processEvents()
            QThread.msleep(5)

    return wait


@pytest.fixture
def open_window(wait_for: Wait) -> Iterator[Callable[[RunConfig], MainWindow]]:
    """Opens windows, which are closed and left without threads at the end."""
    windows: list[MainWindow] = []

    def open_one(config: RunConfig) -> MainWindow:
        window = MainWindow(config)
        window.setAttribute(Qt.WidgetAttribute.WA_DontShowOnScreen)
        window.show()
        windows.append(window)
        return window

    yield open_one
    for window in windows:
        window.close()
    wait_for(lambda: all(window.has_ended for window in windows))
