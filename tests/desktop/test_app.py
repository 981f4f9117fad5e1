"""The program around the window, as a user starts it: in a process of its own."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scenes import Scene

from sfedge.system import libraries
from sfedge.system.libraries import Library
from sfedge_desktop.screen import no_screen

# Two seconds are promised; a busy machine gets more. The clip plays for twenty.
SOON = 10.0

# Says when both people have answers, and what the screen then shows.
WATCH = """
import sys
from sfedge_desktop import main_window
from sfedge_desktop.app import main
from PyQt6.QtCore import QTimer
from PyQt6.QtGui import QGuiApplication

def look():
    QGuiApplication.primaryScreen().grabWindow(0).save(sys.argv[1])
    print("shown", flush=True)

def show_newest(self, before=main_window.MainWindow._show_newest, looks=[]):
    before(self)
    items = [self.people.table.item(row, 1) for row in range(self.people.table.rowCount())]
    if len(items) == 2 and all(item and "%" in item.text() for item in items) and not looks:
        looks.append(True)
        QTimer.singleShot(300, look)

main_window.MainWindow._show_newest = show_newest
main(sys.argv[2:])
"""

# Prints what the window shows of a source that cannot be played, or of an internal error.
SHOW = """
import sys
from sfedge_desktop import main_window
from sfedge_desktop.app import main

Window = main_window.MainWindow
for name in ("_show_failure", "_show_internal_error"):
    def show(self, message, before=getattr(Window, name)):
        before(self, message)
        print(self.video.text, flush=True)
        self.close()
    setattr(Window, name, show)
"""
BREAK = """
def fail(self, message):
    raise ValueError("odd")
Window._show_failure = fail
"""
# Says when a source is being opened.
OPEN = """
from PyQt6.QtCore import QTimer
def play(self, source, before=Window.play):
    before(self, source)
    QTimer.singleShot(0, lambda: print("opening", flush=True))
Window.play = play
"""
MAIN = """
main(sys.argv[1:])
"""


@contextmanager
def start(
    *words: object, code: str = "from sfedge_desktop.app import main; main()", **changes: str | None
) -> Iterator["subprocess.Popen[str]"]:
    """The program, with changes to its environment (None: not set); killed at the end."""
    environment = {**os.environ, **{k: v for k, v in changes.items() if v is not None}}
    for name in (name for name, value in changes.items() if value is None):
        environment.pop(name, None)
    with subprocess.Popen(
        [sys.executable, "-c", code, *map(str, words)],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def run(
    *words: object, code: str = "from sfedge_desktop.app import main; main()", **changes: str | None
) -> tuple[int, str, str]:
    with start(*words, code=code, **changes) as process:
        out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def without_qt(module: str) -> str:
    return (
        f"import sys; sys.modules[{module!r}] = None; from sfedge_desktop.app import main; main()"
    )


def test_help_needs_no_qt() -> None:
    code, out, err = run("--help", code=without_qt("PyQt6"))
    assert (code, err) == (0, "")
    assert "sfedge-desktop walk.mp4" in out


def test_without_pyqt6_a_sentence_says_how_to_install_it() -> None:
    code, out, err = run(code=without_qt("PyQt6"))
    assert (code, out) == (1, "")
    assert err == ("sfedge-desktop: error: the window needs PyQt6. Run: pip install PyQt6.\n")


def test_an_unknown_task_is_reported_with_the_near_one() -> None:
    code, _, err = run("--tasks", "expressions", SFEDGE_BUNDLE=None)
    assert code == 2
    assert "Did you mean 'expression'?" in err
    assert err.count("\n") == 1


def test_a_task_of_the_model_that_the_environment_names_is_not_refused() -> None:
    code, out, err = run("missing.mp4", "--tasks", "posture", code=SHOW + MAIN)
    assert code == 0, err
    assert "missing.mp4 cannot be played" in out


@pytest.mark.parametrize("tasks", ["gaze,", "relation, gaze"])
def test_tasks_are_read_as_the_command_reads_them(tasks: str) -> None:
    code, out, err = run("missing.mp4", "--tasks", tasks, code=SHOW + MAIN)
    assert code == 0, err
    assert "missing.mp4 cannot be played" in out


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can lack a screen")
@pytest.mark.parametrize(
    ("display", "what"),
    [
        (None, "there is no screen (neither DISPLAY nor WAYLAND_DISPLAY is set)"),
        (":987", "the screen :987 does not answer"),
    ],
)
def test_without_a_screen_a_sentence_says_so(display: str | None, what: str) -> None:
    code, out, err = run(QT_QPA_PLATFORM=None, WAYLAND_DISPLAY=None, DISPLAY=display)
    assert (code, out) == (1, "")
    assert err.startswith(f"sfedge-desktop: error: {what}")
    assert "`sfedge run SOURCE` works without a screen." in err
    assert err.count("\n") == 1


def test_an_unknown_platform_is_reported_with_what_qt_said() -> None:
    code, _, err = run(QT_QPA_PLATFORM="nonsense")
    assert code == 1
    assert 'Could not find the Qt platform plugin "nonsense"' in err
    assert err.count("\n") == 1


def test_libraries_that_qt_lacks_are_named_with_their_packages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    absent = tuple(
        Library(f"libabsent{n}.so.9", f"libabsent{n}-9", "PyQt6", f"libabsent{n}") for n in (1, 2)
    )
    monkeypatch.setattr(libraries, "LIBRARIES", absent)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("QT_QPA_PLATFORM", raising=False)
    assert str(no_screen('Could not load the Qt platform plugin "xcb"')) == (
        "the window needs libraries that are not installed here: libabsent1.so.9, "
        "libabsent2.so.9. Run: sudo apt install libabsent1-9 libabsent2-9."
    )


def test_a_plugin_path_that_opencv_left_behind_does_no_harm(tmp_path: Path) -> None:
    words, path = ("missing.mp4",), str(tmp_path)
    code, out, err = run(*words, code=SHOW + MAIN, QT_QPA_PLATFORM_PLUGIN_PATH=path)
    assert code == 0, err
    assert "missing.mp4 cannot be played" in out


def test_a_slot_that_fails_neither_aborts_nor_prints_a_traceback() -> None:
    code, out, err = run("missing.mp4", code=SHOW + BREAK + MAIN)
    assert code == 0, err
    assert "Internal error (ValueError: odd)." in out
    assert "Traceback" not in err


def test_debug_prints_where_it_failed() -> None:
    code, _, err = run("missing.mp4", "--debug", code=SHOW + BREAK + MAIN)
    assert code == 0
    assert "ValueError: odd" in err
    assert "in fail" in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_soon_while_it_opens(number: signal.Signals, two_people: Scene) -> None:
    with start(two_people.video, code=SHOW + OPEN + MAIN) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "opening\n"
        begun = time.monotonic()
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        assert time.monotonic() - begun < SOON
    assert process.returncode == 0, err
    assert "Traceback" not in err


@pytest.fixture
def screen() -> Iterator[str]:
    """A virtual screen's name, for DISPLAY."""
    if shutil.which("Xvfb") is None:
        if os.environ.get("CI") == "true":
            pytest.fail("there is no Xvfb, which `make test` installs where it may")
        pytest.skip("there is no Xvfb: apt install xvfb")
    reading, writing = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1280x900x24"],
        pass_fds=[writing],
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    try:
        with os.fdopen(reading) as pipe:
            yield f":{pipe.readline().strip()}"
    finally:
        server.terminate()
        server.wait()


def test_a_real_window_shows_people_and_ends_on_a_signal(
    screen: str, two_people: Scene, tmp_path: Path
) -> None:
    path = tmp_path / "screen.png"
    words = (path, two_people.video, "--tasks", "expression")
    with start(*words, code=WATCH, DISPLAY=screen, QT_QPA_PLATFORM="xcb") as process:
        assert process.stdout is not None
        shown = process.stdout.readline()
        begun = time.monotonic()
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=60)
        assert shown == "shown\n", err
        assert time.monotonic() - begun < SOON
    assert process.returncode == 0, err
    assert "Traceback" not in err
    seen = np.asarray(Image.open(path).convert("RGB")).astype(int)
    for red, green, blue in ((230, 159, 0), (0, 158, 115)):  # persons 1 and 2, picture and table
        near = np.abs(seen - (red, green, blue)).max(axis=2) < 24
        assert near.sum() > 200
