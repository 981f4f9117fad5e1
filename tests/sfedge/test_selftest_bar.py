"""What a user sees while a bundle's self-test runs, on a real terminal and elsewhere."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from scenes import Scene

import sfedge
from sfedge.cli.bars import selftest_bar

MESSAGE = "sfedge: testing the engine on this machine, once"


def on_terminal(words: list[str], cache: Path) -> str:
    """What a command writes to stderr where that is a terminal of 100 columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    root = str(Path(sfedge.__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": root, "SFEDGE_CACHE": str(cache)}
    child = subprocess.Popen(
        [sys.executable, "-m", "sfedge", *words],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    )
    os.close(theirs)
    text = b""
    try:
        while part := os.read(ours, 4096):
            text += part
    except OSError:  # the terminal is gone with the last who had it open
        pass
    os.close(ours)
    assert child.wait() == 0, text.decode()
    return text.decode()


def test_a_run_tells_of_the_test_at_the_first_start_only(scene: Scene, tmp_path: Path) -> None:
    words = ["run", str(scene.video), "--detections", str(scene.detections)]
    words += ["--out", str(tmp_path / "out"), "--tasks", "gaze,domain"]
    first = on_terminal(words, tmp_path / "cache")
    assert f"{MESSAGE}: 0 of 2 tasks" in first
    assert first.index(MESSAGE) < first.index("model sfedge demo")
    assert MESSAGE not in on_terminal(words, tmp_path / "cache")


def test_nothing_is_shown_where_stderr_is_no_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    with selftest_bar() as show:
        show(0, 2)
        show(2, 2)
    assert capfd.readouterr() == ("", "")
