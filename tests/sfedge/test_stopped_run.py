"""A run that is ended from outside: signals, readers that leave, full disks."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import av
import numpy as np
import pytest
from scenes import WITH_SFEDGE, Scene, make_scene

from sfedge.results.records import read_records

# The command, which comes no further than to the model once its bundle is unpacked.
OPENING = """
import time
from sfedge.cli import main
from sfedge.runtime import pipeline

def open_model(*_, **__):
    print("opening", flush=True)
    time.sleep(600)

pipeline.BundleModel = open_model
main()
"""


def start(scene: Scene, out: Path) -> "subprocess.Popen[str]":
    """A run that takes half a minute, with its first one and a half already on disk."""
    child = subprocess.Popen(
        [
            *(sys.executable, "-m", "sfedge", "run", str(scene.video), "--out", str(out)),
            *("--detections", str(scene.detections), "--live", "--tasks", "expression"),
        ],
        env={**WITH_SFEDGE, "TMPDIR": str(out)},  # what a killed one leaves is the test's
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    records = out / "sway.part.jsonl"
    give_up = time.monotonic() + 300
    while not records.exists() or records.read_text().count('"type": "frame"') < 15:
        assert child.poll() is None, child.communicate()
        assert time.monotonic() < give_up
        time.sleep(0.02)
    return child


@pytest.fixture(scope="module")
def long_scene(
    tmp_path_factory: pytest.TempPathFactory, astronaut: np.ndarray, admiral: np.ndarray
) -> Scene:
    return make_scene(tmp_path_factory.mktemp("long"), astronaut, admiral[:512], frames=300)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_command_with_its_code_and_playable_files(
    long_scene: Scene, tmp_path: Path, number: int, code: int
) -> None:
    child = start(long_scene, tmp_path)
    child.send_signal(number)
    out, err = child.communicate(timeout=300)
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
        [sys.executable, "-c", OPENING, "run", str(scene.video), "--out", str(tmp_path / "out")],
        env={**WITH_SFEDGE, "TMPDIR": str(scratch)},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "opening\n"
    assert list(scratch.glob("sfedge-bundle-*"))
    child.send_signal(signal.SIGTERM)
    _, err = child.communicate(timeout=300)
    assert child.returncode == 143, err
    assert err == ""
    assert list(scratch.iterdir()) == []


def test_even_a_killed_command_leaves_playable_and_readable_files(
    long_scene: Scene, tmp_path: Path
) -> None:
    child = start(long_scene, tmp_path)
    child.kill()
    child.communicate(timeout=300)
    rows = list(read_records(tmp_path / "sway.part.jsonl"))
    assert [row["type"] for row in rows].count("frame") >= 10
    with av.open(str(tmp_path / "sway.annotated.part.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) > 0


def test_a_reader_that_has_had_enough_ends_the_command_quietly(tmp_path: Path) -> None:
    line = f"{sys.executable} -m sfedge run --help | head -n 1"
    child = subprocess.run(
        ["bash", "-c", line], env=WITH_SFEDGE, capture_output=True, text=True, check=True
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
        ["bash", "-c", line], env=WITH_SFEDGE, cwd=tmp_path, capture_output=True, text=True
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
        env=WITH_SFEDGE,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert child.returncode == 1
    assert child.stderr == (
        "sfedge: error: stdout: what the command prints cannot be written (No space left on "
        "device). Print to another place, or free some space there.\n"
    )
