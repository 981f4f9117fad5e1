import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import click
import numpy as np
import pytest
from clips import write_clip
from fake_parts import Camera, OnePerson
from scenes import CLIP_FRAMES, Finished, Scene, make_scene

import sfedge
from sfedge.cli import cli, main
from sfedge.cli.run_command import seconds
from sfedge.core.boxes import Box, iou
from sfedge.results.records import read_records

Command = Callable[..., Finished]
PYTHONPATH = {**os.environ, "PYTHONPATH": str(Path(sfedge.__file__).parents[1])}


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
        [sys.executable, "-c", code], env=PYTHONPATH, capture_output=True, text=True, check=True
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


def test_a_traceback_is_shown_only_with_debug(command: Command, tmp_path: Path) -> None:
    assert command("run", tmp_path / "none.mp4").err.count("\n") == 1
    with pytest.raises(sfedge.SourceError, match="no such file"):
        main(["run", str(tmp_path / "none.mp4"), "--debug"])


def test_a_fault_of_the_program_is_one_line_too(
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
        env={**PYTHONPATH, "LD_LIBRARY_PATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert (child.returncode, child.stderr) == (0, "")


def test_a_missing_library_of_the_system_is_told_with_its_package(tmp_path: Path) -> None:
    message = "libGL.so.1: cannot open shared object file: No such file or directory"
    (tmp_path / "cv2.py").write_text(f"raise ImportError({message!r})")  # as other OpenCV wheels do
    child = subprocess.run(
        [sys.executable, "-m", "sfedge", "run", str(tmp_path)],
        env={**PYTHONPATH, "PYTHONPATH": f"{tmp_path}:{PYTHONPATH['PYTHONPATH']}"},
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


def test_a_run_tells_the_model_first_and_the_files_last(
    command: Command, scene: Scene, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    finished = command(
        "run", scene.video, "--out", out, "--detections", scene.detections, "--tasks", "gaze,domain"
    )
    assert finished.code == 0, finished.err
    with sfedge.open(scene.video, detections=scene.detections) as session:
        assert finished.err.startswith(f"model {session.model_name} on cpu (onnxruntime")
        assert session.notice in finished.err
    counts, files = finished.out.splitlines()
    assert counts.startswith(f"{CLIP_FRAMES} frames, 2 people, ")
    head, _, names = files.partition(": ")
    assert head == f"{out}{os.sep}"
    assert names.split(", ") == [
        "sway.annotated.mp4",
        "sway.jsonl",
        "sway.csv",
        "sway.metadata.json",
    ]
    assert all((out / name).exists() for name in names.split(", "))
    rows = list(read_records(out / "sway.jsonl"))
    assert {row["task"] for row in rows if row["type"] == "prediction"} == {"gaze", "domain"}


def test_a_run_prints_json_where_a_program_reads_it(
    command: Command, scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    finished = command(
        *("run", scene.video, "--detections", scene.detections, "--tasks", "domain", "--json"),
        *("--start", "0:00.5", "--end", "1", "--interval", "0", "--every-frame", "--live"),
    )
    assert finished.code == 0, finished.err
    printed = json.loads(finished.out)
    assert printed["outputs"]["records"] == "out/sway.jsonl"
    rows = list(read_records(printed["outputs"]["records"]))
    assert rows[-1] == {"type": "summary", "file": str(scene.video), **printed["summary"]}
    assert rows[0]["settings"]["live"] is True
    assert all(0.5 <= row["time"] < 1 for row in rows if row["type"] == "frame")
    assert printed["seconds"]["ask"] > 0


def test_the_options_of_the_library_are_those_of_the_command(
    command: Command, scene: Scene, tmp_path: Path
) -> None:
    words = (
        "run",
        scene.video,
        "--detections",
        scene.detections,
        "--interval",
        "0",
        "--end",
        "0.4",
    )

    def run(*more: object) -> tuple[Finished, list[dict[str, Any]]]:
        finished = command(*words, "--out", tmp_path, "--no-video", *more)
        assert finished.code == 0, finished.err
        return finished, list(read_records(tmp_path / "sway.jsonl"))

    tasks = ("--tasks", "expression,domain")
    _, rows = run(*tasks, "--smoothing", "0")
    answers = [row for row in rows if row["type"] == "prediction"]
    assert {len(row["people"]) for row in answers} == {1, 2}
    assert all(row["probabilities"] == row["raw"] for row in answers)
    _, rows = run(*tasks, "--smoothing", "5", "--no-pairs", "--wide")
    answers = [row for row in rows if row["type"] == "prediction"]
    assert {len(row["people"]) for row in answers} == {1}
    assert any(row["probabilities"] != row["raw"] for row in answers)
    with (tmp_path / "sway.csv").open(newline="", encoding="utf-8") as file:
        for line, row in zip(csv.DictReader(file), answers, strict=True):
            shares = row["probabilities"].items()
            assert [float(line[f"expression.{label}"]) for label, _ in shares] == [
                share for _, share in shares
            ]
    finished, rows = run(*tasks, "--max-people", "1", "--max-pairs", "4")
    answers = [row for row in rows if row["type"] == "prediction"]
    assert len({tuple(row["people"]) for row in answers}) == 1
    assert {row["left_out"] for row in rows if row["type"] == "frame"} == {1}
    assert "people were left out, up to 1 in a frame: only the largest" in finished.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--no-pairs", "--max-pairs", "3"), "--no-pairs and --max-pairs contradict each other"),
        (("--max-people", "0"), "--max-people is below 1"),
        (("--every", "1.5"), "--every '1.5' is not 10 or 0.5s"),
        (("--as-video", "0"), "--as-video 0.0 is not in 0 to 1000"),
        (("--smoothing", "-1"), "--smoothing -1.0 is not in 0 to 60 s"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    command: Command, words: tuple[str, ...], message: str
) -> None:
    finished = command("run", "none.mp4", *words)
    assert finished.code == 2
    assert message in finished.err


def test_a_break_of_a_camera_is_said_when_it_begins_and_when_it_ends(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def open_camera(source: str, config: sfedge.RunConfig, **_: object) -> sfedge.Session:
        camera = Camera(12, every=0.05, silence=(5, 0.3))
        return sfedge.Pipeline(camera, config, detector=OnePerson(), tasks=["gesture"])

    monkeypatch.setattr("sfedge.runtime.pipeline.open_session", open_camera)
    finished = command("run", "0", "--out", tmp_path)
    notes = [line for line in finished.err.splitlines() if "frames" in line]
    assert notes[0] == "sfedge: warning: no frames since 0.2 s: the cable was pulled."
    assert notes[1].startswith("sfedge: warning: frames again from 0.")


def test_a_run_on_two_onnx_runtimes_says_that_they_clash(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata = tmp_path / "onnxruntime_gpu-1.31.0.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: onnxruntime-gpu\nVersion: 1.31.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    finished = command("run", tmp_path / "none.mp4")
    assert "warning: onnxruntime and onnxruntime-gpu are installed over each" in finished.err
    assert "pip uninstall -y onnxruntime onnxruntime-gpu" in finished.err


def test_real_detectors_find_the_people_where_they_are(
    command: Command, scene: Scene, tmp_path: Path
) -> None:
    """The whole way on photographs: both faces, and every task answers."""
    finished = command("run", scene.video, "--out", tmp_path, "--end", "0.7")
    assert finished.code == 0, finished.err
    frames = [row for row in read_records(tmp_path / "sway.jsonl") if row["type"] == "frame"]
    last = frames[-1]
    x = last["frame"]
    truth = [
        Box(
            *(
                (10 + x + 300 * u) / 640 if i % 2 == 0 else (50 + 300 * u) / 360
                for i, u in enumerate((0.34, 0.13, 0.55, 0.39))
            )
        ),
        Box(
            *(
                (330 - x + 300 * u) / 640 if i % 2 == 0 else (50 + 300 * u) / 360
                for i, u in enumerate((0.36, 0.2, 0.66, 0.58))
            )
        ),
    ]
    found = [Box(*person["face"]) for person in last["people"] if person["face"]]
    assert len(found) == 2
    for face in truth:
        assert max(iou(face, box) for box in found) > 0.4
    counts = list(read_records(tmp_path / "sway.jsonl"))[-1]["answers"]
    assert all(
        counts[task] for task in ("expression", "looking_at_me", "gaze", "domain", "relation")
    )


def start(scene: Scene, out: Path) -> "subprocess.Popen[str]":
    """A run that takes ten seconds, with its first one and a half already on disk."""
    child = subprocess.Popen(
        [
            *(sys.executable, "-m", "sfedge", "run", str(scene.video), "--out", str(out)),
            *("--detections", str(scene.detections), "--live", "--tasks", "expression"),
        ],
        env=PYTHONPATH,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    records = out / "sway.part.jsonl"
    give_up = time.monotonic() + 60
    while not records.exists() or records.read_text().count('"type": "frame"') < 15:
        assert child.poll() is None, child.communicate()
        assert time.monotonic() < give_up
        time.sleep(0.02)
    return child


@pytest.fixture(scope="module")
def long_scene(
    tmp_path_factory: pytest.TempPathFactory, astronaut: np.ndarray, admiral: np.ndarray
) -> Scene:
    return make_scene(tmp_path_factory.mktemp("long"), astronaut, admiral[:512], frames=100)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_command_with_its_code_and_playable_files(
    long_scene: Scene, tmp_path: Path, number: int, code: int
) -> None:
    child = start(long_scene, tmp_path)
    child.send_signal(number)
    out, err = child.communicate(timeout=60)
    assert child.returncode == code, err
    assert "Traceback" not in err
    assert f"{tmp_path}/: sway.annotated.part.mp4, sway.part.jsonl" in out
    shown = list(read_records(tmp_path / "sway.part.jsonl"))[-1]["shown"]
    with av.open(str(tmp_path / "sway.annotated.part.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) == shown > 5
    assert not (tmp_path / "sway.annotated.mp4").exists()


def test_sigterm_while_the_model_is_opened_leaves_nothing_temporary(
    scene: Scene, tmp_path: Path
) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    child = subprocess.Popen(
        [sys.executable, "-m", "sfedge", "run", str(scene.video), "--out", str(tmp_path / "out")],
        env={**PYTHONPATH, "TMPDIR": str(scratch)},
        stderr=subprocess.PIPE,
        text=True,
    )
    give_up = time.monotonic() + 60
    while not list(scratch.glob("sfedge-bundle-*")):
        assert child.poll() is None, child.communicate()
        assert time.monotonic() < give_up
        time.sleep(0.005)
    child.send_signal(signal.SIGTERM)
    _, err = child.communicate(timeout=60)
    assert child.returncode == 143, err
    assert err == ""
    assert list(scratch.iterdir()) == []


def test_even_a_killed_command_leaves_playable_and_readable_files(
    long_scene: Scene, tmp_path: Path
) -> None:
    child = start(long_scene, tmp_path)
    child.kill()
    child.communicate(timeout=60)
    rows = list(read_records(tmp_path / "sway.part.jsonl"))
    assert [row["type"] for row in rows].count("frame") >= 10
    with av.open(str(tmp_path / "sway.annotated.part.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) > 0


def test_a_reader_that_has_had_enough_ends_the_command_quietly(tmp_path: Path) -> None:
    line = f"{sys.executable} -m sfedge run --help | head -n 1"
    child = subprocess.run(
        ["bash", "-c", line], env=PYTHONPATH, capture_output=True, text=True, check=True
    )
    assert child.stdout.startswith("Usage: sfedge run")
    assert child.stderr == ""


@pytest.mark.parametrize("streams", [">&- 2>&-", "2>&1 | true", "--json | head -n 1 2>&-"])
def test_a_run_is_finished_whoever_reads_what_it_says(
    scene: Scene, tmp_path: Path, streams: str
) -> None:
    words = f"run {scene.video} --detections {scene.detections} --tasks domain --end 0.3"
    line = f"{sys.executable} -m sfedge {words} {streams}; exit ${{PIPESTATUS[0]}}"
    child = subprocess.run(
        ["bash", "-c", line], env=PYTHONPATH, cwd=tmp_path, capture_output=True, text=True
    )
    assert child.returncode == 0, child.stderr
    rows = list(read_records(tmp_path / "out" / "sway.jsonl"))  # nothing else got into the file
    assert rows[-1]["is_complete"]
    assert len((tmp_path / "out" / "sway.csv").read_text().splitlines()) > 1
    with av.open(str(tmp_path / "out" / "sway.annotated.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) == 3
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


def test_a_report_that_cannot_be_written_is_an_error(scene: Scene, tmp_path: Path) -> None:
    child = subprocess.run(
        ["bash", "-c", f"{sys.executable} -m sfedge info --json > /dev/full"],
        env=PYTHONPATH,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert child.returncode == 1
    assert "No space left on device" in child.stderr
    assert "Traceback" not in child.stderr


def test_the_demo_makes_its_own_clip_and_every_task_answers(
    command: Command, tmp_path: Path
) -> None:
    finished = command("demo", "--out", tmp_path, "--seconds", "3")
    assert finished.code == 0, finished.err
    assert "demo.annotated.mp4" in finished.out.splitlines()[-1]
    assert (tmp_path / "demo.mp4").exists()
    summary = list(read_records(tmp_path / "demo.jsonl"))[-1]
    assert summary["people"] == 2
    assert all(summary["answers"].values()), summary["answers"]


def test_a_clip_in_another_folder_goes_to_out_here(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    clip = write_clip(tmp_path / "clip.mp4", 3)
    (tmp_path / "none.csv").write_text("frame,kind,x1,y1,x2,y2\n")
    finished = command("run", clip, "--detections", "none.csv")
    assert finished.code == 0
    assert (tmp_path / "out" / "clip.annotated.mp4").exists()
