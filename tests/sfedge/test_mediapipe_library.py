"""MediaPipe's library in a process of its own: what goes through the pipe, and how it fails.

A script with prepared answers replaces its interpreter; one slow test runs the library.
"""

import platform
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from sfedge.core.boxes import iou
from sfedge.core.errors import DetectorError
from sfedge.core.structures import Detection, Frame
from sfedge.detect import build_detector
from sfedge.detect.conversion import networks
from sfedge.detect.mediapipe import mediapipe_library
from sfedge.detect.mediapipe.mediapipe_library import PYTHON, SILENT, MediaPipeLibrary

GREETING = """
import json, sys
def say(**answer): print(json.dumps(answer), flush=True)
"""
# Answers with what it got: the size and the first pixel stand in the find.
ECHO = """
say(version="9.9")
say(found=[])
while line := sys.stdin.buffer.readline():
    request = json.loads(line)
    data = sys.stdin.buffer.read(3 * request["width"] * request["height"])
    rows = {
        "short": [{"score": 0.9, "box": [1, 2, 3, 4], "points": [[0, 0]] * 6},
                  {"score": 0.5, "box": [5, 6, 7, 8], "points": [[0, 0]] * 6}],
        "hands": [{"side": "left", "score": 0.8, "points": [[*data[:3]]] * 21}],
        "poses": [{"points": [[request["width"], request["height"], 0.5]] * 33}],
    }[request["network"]]
    say(found=rows, seconds=0.25)
"""


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PYTHON, raising=False)


def interpreter(folder: Path, code: str) -> Path:
    """An executable that runs this code, whatever it is asked to run."""
    path = folder / "python"
    path.write_text(f"#!{sys.executable}\n{GREETING}{textwrap.dedent(code)}")
    path.chmod(0o755)
    return path


def test_pictures_go_out_and_finds_come_back(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    library = MediaPipeLibrary({}, interpreter(tmp_path, ECHO))
    picture = np.full((7, 5, 3), 9, np.uint8)
    picture[0, 0] = (1, 2, 3)
    (face,) = library.find_faces(picture, "short", 0.6)
    assert face.box == (1, 2, 3, 4)
    (hand,) = library.find_hands(picture)
    assert (hand.side, hand.side_score) == ("left", 0.8)
    assert (hand.points == (1, 2, 3)).all()
    (pose,) = library.find_poses(picture[:, ::-1])  # not contiguous
    assert (pose.points == (5, 7, 0.5)).all()
    assert library.seconds == 0.75
    library.close()
    library.close()
    assert capfd.readouterr().err == (
        "sfedge: note: MediaPipe's library 9.9 is used, and may report every run to "
        "play.googleapis.com; 0.10.33 does not.\n"
    )


@pytest.mark.parametrize(
    ("version", "words"),
    [
        (SILENT, "was seen to open no connection"),
        ("1.2.3", "and reports every run to play.googleapis.com"),
        ("0.10.35", "and reports every run to play.googleapis.com"),
        ("2.0", "and may report every run"),
    ],
)
def test_what_a_version_reports_is_said(version: str, words: str) -> None:
    assert words in mediapipe_library.what_it_sends(version)


def test_without_an_environment_the_way_to_one_is_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DetectorError, match=rf"{PYTHON} is not set\. Run: python3 -m venv"):
        MediaPipeLibrary({})
    monkeypatch.setenv(PYTHON, str(tmp_path / "absent"))
    with pytest.raises(DetectorError, match="absent is no file"):
        MediaPipeLibrary({})
    (tmp_path / "absent").write_text("no program")
    with pytest.raises(DetectorError, match="it cannot be started"):
        MediaPipeLibrary({})


def test_the_last_words_of_a_process_that_ends_are_reported(tmp_path: Path) -> None:
    code = 'print("some chatter", file=sys.stderr)\nraise ImportError("libEGL.so.1: no such file")'
    with pytest.raises(DetectorError, match=r"it has ended: ImportError: libEGL\.so\.1"):
        MediaPipeLibrary({}, interpreter(tmp_path, code))


def test_an_error_of_the_library_and_its_end_are_errors_here(tmp_path: Path) -> None:
    code = 'say(version="1")\nsay(found=[])\nsys.stdin.buffer.readline()\nsay(error="bad picture")'
    library = MediaPipeLibrary({}, interpreter(tmp_path, code))
    picture = np.zeros((1, 1, 3), np.uint8)
    with pytest.raises(DetectorError, match="bad picture"):
        library.find_hands(picture)
    with pytest.raises(DetectorError, match="it has ended"):
        library.find_hands(picture)
    library.close()


def test_a_process_that_hangs_is_given_up_and_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mediapipe_library, "_CALL_SECONDS", 0.2)
    monkeypatch.setattr(mediapipe_library, "_CLOSE_SECONDS", 0.2)
    code = 'import time\nsay(version="1")\nsay(found=[])\ntime.sleep(600)'
    library = MediaPipeLibrary({}, interpreter(tmp_path, code))
    with pytest.raises(DetectorError, match=r"no answer within 0\.2 s"):
        library.find_hands(np.zeros((1, 1, 3), np.uint8))
    begun = time.monotonic()
    library.close()
    assert time.monotonic() - begun < 60  # it would sleep for ten minutes


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="0.10.33 has no wheel for this machine")
def test_the_default_detector_finds_what_the_library_finds(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    astronaut: NDArray[np.uint8],
    admiral: NDArray[np.uint8],
) -> None:
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    python = tmp_path / "venv" / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", f"mediapipe=={SILENT}"]
    subprocess.run(install, check=True)
    monkeypatch.setenv(PYTHON, str(python))
    detectors = [
        build_detector(name, width=1, height=1) for name in ("mediapipe", "mediapipe-onnx")
    ]
    for number, picture in enumerate((astronaut, admiral, astronaut[:, ::-1])):
        frame = Frame(picture, number, 10.0 * number)
        theirs, ours = (sorted(d.detect(frame), key=_place) for d in detectors)
        assert [one.kind for one in theirs] == [one.kind for one in ours]
        for a, b in zip(theirs, ours, strict=True):
            assert iou(a.box, b.box) > 0.98
            assert a.score == pytest.approx(b.score, abs=0.01)
    for detector in detectors:
        detector.close()


def _place(detection: Detection) -> tuple[str, float]:
    return detection.kind, detection.box.x1


def test_the_script_needs_nothing_of_sfedge() -> None:
    script = Path(mediapipe_library.__file__).with_name("mediapipe_server.py").read_text()
    assert "import sfedge" not in script
    assert "from sfedge" not in script
    assert {*networks.DETECTING} == {
        name for name in networks.NETWORKS if f'"{name}"' in script
    }  # the files that it asks for are those that it is given
