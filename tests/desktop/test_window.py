"""The window on a real clip: plays, pauses, stops, tells errors, and closes in time."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PyQt6.QtWidgets import QApplication

from desktop.main_window import MainWindow
from sfedge import RunConfig

LIVE = RunConfig(live=True, tasks=("expression", "looking_at_me"))


def wait_for(app: QApplication, condition: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the window did not get there in time"
        app.processEvents()
        time.sleep(0.01)


def picture_of(window: MainWindow) -> bytes:
    image = window.video.grab().toImage()
    bits = image.constBits()
    assert bits is not None
    return bytes(bits.asarray(image.sizeInBytes()))


def test_a_clip_plays_with_answers_pauses_and_stops(
    application: QApplication, two_people_clip: Path
) -> None:
    window = MainWindow(LIVE, str(two_people_clip))
    window.show()
    try:
        wait_for(application, lambda: window.people.rowCount() == 2)
        wait_for(
            application,
            lambda: "%" in (item.text() if (item := window.people.item(0, 1)) else ""),
        )
        assert window.notice.isVisible()
        assert "drawings" in window.notice.text()
        window.pause_action.setChecked(True)
        wait_for(application, lambda: is_still(application, window))
        window.pause_action.setChecked(False)
        still = picture_of(window)
        wait_for(application, lambda: picture_of(window) != still)
        window.stop_action.trigger()
        assert not window.is_running
        assert window.people.rowCount() == 0
    finally:
        window.close()
    assert window.has_ended
    assert not [t for t in threading.enumerate() if t.name.startswith("sfedge")]


def is_still(app: QApplication, window: MainWindow) -> bool:
    before = picture_of(window)
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        app.processEvents()
        time.sleep(0.01)
    return picture_of(window) == before


def test_the_window_closes_within_two_seconds_while_it_plays(
    application: QApplication, two_people_clip: Path
) -> None:
    window = MainWindow(LIVE, str(two_people_clip))
    window.show()
    wait_for(application, lambda: window.people.rowCount() == 2)
    begun = time.monotonic()
    window.close()
    assert time.monotonic() - begun < 2
    assert window.has_ended


def test_a_file_that_is_no_video_is_told_in_the_window(
    application: QApplication, tmp_path: Path
) -> None:
    path = tmp_path / "notes.mp4"
    path.write_text("not a video")
    window = MainWindow(LIVE, str(path))
    window.show()
    wait_for(application, lambda: not window.is_running)
    assert "notes.mp4" in window.video.text
    assert window.start_action.isEnabled()
    window.close()


def test_a_real_window_opens_on_a_virtual_screen_and_ends_on_a_signal(
    two_people_clip: Path, tmp_path: Path
) -> None:
    if shutil.which("Xvfb") is None or sys.platform != "linux":
        pytest.skip("Xvfb is not installed: apt install xvfb libxcb-cursor0")
    command = "import sys; from desktop.app import main; main(sys.argv[1:])"
    run = [sys.executable, "-c", command, str(two_people_clip), "--tasks", "expression"]
    number = 90 + os.getpid() % 400
    screen = subprocess.Popen(
        ["Xvfb", f":{number}", "-screen", "0", "1280x900x24"], stderr=subprocess.DEVNULL
    )
    window = None
    try:
        environment = {**os.environ, "DISPLAY": f":{number}", "QT_QPA_PLATFORM": "xcb"}
        window = subprocess.Popen(run, env=environment, stderr=subprocess.PIPE, text=True)
        time.sleep(8)
        assert window.poll() is None, window.stderr.read() if window.stderr else ""
        begun = time.monotonic()
        window.send_signal(signal.SIGTERM)
        _, messages = window.communicate(timeout=10)
        assert time.monotonic() - begun < 4
        assert window.returncode == 0, messages
        assert "Traceback" not in messages
    finally:
        if window is not None and window.poll() is None:
            window.kill()
        screen.terminate()
        screen.wait()
