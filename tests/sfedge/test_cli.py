"""The command itself: help, wrong words, internal errors, missing libraries, times."""

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest
from scenes import WITH_SFEDGE, Command, Scene

import sfedge
from sfedge.cli import cli, main
from sfedge.cli.ending import with_options
from sfedge.cli.run_command import seconds


def commands() -> list[str]:
    with click.Context(cli) as context:
        return cli.list_commands(context)


def test_help_tells_every_command_without_loading_what_a_run_needs(command: Command) -> None:
    finished = command("--help")
    assert finished.code == 0
    for name in commands():
        assert f"\n  {name} " in finished.out
    code = (
        "import sys\nfrom sfedge.cli import main\ntry:\n    main(['--help'])\n"
        "except SystemExit:\n"
        "    print([n for n in ('cv2', 'av', 'mediapipe', 'onnxruntime') if n in sys.modules])"
    )
    child = subprocess.run(
        [sys.executable, "-c", code], env=WITH_SFEDGE, capture_output=True, text=True, check=True
    )
    assert child.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", commands())
def test_every_command_has_help_with_examples(command: Command, name: str) -> None:
    finished = command(name, "--help")
    assert finished.code == 0
    assert f"Usage: sfedge {name}" in finished.out
    assert re.search(rf"Examples:\n +sfedge {name}", finished.out)
    assert "\\b" not in finished.out  # click's mark, where it was not understood


@pytest.mark.parametrize("words", [(), ("detectors",), ("engine",)])
def test_a_command_without_its_words_shows_its_help(
    command: Command, words: tuple[str, ...]
) -> None:
    finished = command(*words)
    assert finished.code == 2
    assert finished.out == ""
    assert finished.err == command(*words, "--help").out


def test_the_version_is_reported(command: Command) -> None:
    assert command("--version").out == f"sfedge, version {sfedge.__version__}\n"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("rnu", "x"), "no command is called 'rnu'. Did you mean 'run'?"),
        (("run",), "Missing argument 'SOURCE'. Try 'sfedge run --help'."),
        (("run", "x", "--interva"), "Did you mean '--interval'? Try 'sfedge run --help'."),
        (("run", "x", "y"), "unexpected extra argument"),
        (("run", ""), "an argument is empty. A variable in the command may have no value."),
        (("run", "x", "--out", ""), "an argument is empty."),
    ],
)
def test_a_command_that_is_written_wrongly_gets_one_line_and_a_hint(
    command: Command, words: tuple[str, ...], message: str
) -> None:
    finished = command(*words)
    assert finished.code == 2
    assert finished.out == ""
    (line,) = finished.err.splitlines()
    assert line.startswith("sfedge: error: ")
    assert message in line


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            sfedge.ConfigError("end=2.0 is not after start=5.0; max_pairs=-1 is negative"),
            "--end 2.0 is not after --start 5.0; --max-pairs -1 is negative.",
        ),
        (
            sfedge.ConfigError("detections= and detector='mediapipe' exclude each other"),
            "--detections and --detector 'mediapipe' exclude each other.",
        ),
        (
            sfedge.EngineError("it is wrong", where="end=1.mp4", fix="Try it (interval=2)."),
            "end=1.mp4: it is wrong. Try it (--interval 2).",
        ),
        (
            sfedge.UsageError("it is none", where="detector_engine"),
            "--detector-engine: it is none.",
        ),
        (
            sfedge.UsageError("none of /x/end=2", fix="Give model=."),
            "none of /x/end=2. Give model=.",
        ),
    ],
)
def test_errors_of_the_library_name_options(error: sfedge.SfedgeError, text: str) -> None:
    assert with_options(error) == text


def test_a_traceback_is_shown_only_with_debug(command: Command, tmp_path: Path) -> None:
    assert command("run", tmp_path / "none.mp4").err.count("\n") == 1
    with pytest.raises(sfedge.SourceError, match="no such file"):
        main(["run", str(tmp_path / "none.mp4"), "--debug"])


def test_an_internal_error_is_one_line_too(
    command: Command, scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sfedge.tracking.track.Tracker.update", lambda *_, **__: 1 // 0)
    finished = command("run", scene.video, "--detections", scene.detections, "--out", tmp_path)
    assert finished.code == 1
    line = finished.err.splitlines()[-1]
    assert line.startswith("sfedge: error: internal error (ZeroDivisionError")
    assert "--debug" in line


@pytest.mark.skipif(sys.platform != "linux", reason="the loader's messages are Linux's")
def test_the_command_needs_no_library_of_a_window_system(tmp_path: Path) -> None:
    for name in ("libGL.so.1", "libEGL.so.1", "libxcb.so.1", "libX11.so.6", "libglib-2.0.so.0"):
        (tmp_path / name).write_bytes(b"")  # whoever loads it fails
    child = subprocess.run(
        [sys.executable, "-c", "import sfedge.runtime.process, sfedge.detect.tiled_detector"],
        env={**WITH_SFEDGE, "LD_LIBRARY_PATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert (child.returncode, child.stderr) == (0, "")


def test_a_missing_library_of_the_system_is_reported_with_its_package(tmp_path: Path) -> None:
    message = "libGL.so.1: cannot open shared object file: No such file or directory"
    (tmp_path / "cv2.py").write_text(f"raise ImportError({message!r})")  # as other OpenCV wheels do
    child = subprocess.run(
        [sys.executable, "-m", "sfedge", "run", str(tmp_path)],
        env={**WITH_SFEDGE, "PYTHONPATH": f"{tmp_path}:{WITH_SFEDGE['PYTHONPATH']}"},
        capture_output=True,
        text=True,
    )
    assert child.returncode == 1
    assert child.stderr == (
        f"sfedge: error: a library of the system is missing ({message}). "
        "Run: sudo apt install libgl1.\n"
    )


@pytest.mark.parametrize(
    ("text", "expected"), [("90", 90), ("1:30", 90), ("1:00:00.5", 3600.5), ("0", 0), (7.25, 7.25)]
)
def test_times_are_read_as_people_write_them(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "1:60", "1:2:3:4", "soon", "1:-1"])
def test_other_times_are_refused(text: str) -> None:
    with pytest.raises(click.BadParameter, match="write 90, 1:30 or 0:01:30"):
        seconds(text)
