import os
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from sfedge.detect import networks
from sfedge.detect.mediapipe_runtime import call_apart, load_error


@pytest.fixture(scope="module")
def paths() -> dict[str, Path]:
    return networks.fetch()


def _run(code: str, seconds: float = 100) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )


def test_nothing_of_mediapipes_chatter_reaches_the_terminal() -> None:
    run = _run(
        "import numpy as np, os\n"
        "from sfedge.detect import build_detector\n"
        "from sfedge.detect.mediapipe_runtime import quiet\n"
        "from sfedge.core.structures import Frame\n"
        "from skimage.data import astronaut\n"
        "detector = build_detector(width=512, height=512)\n"
        "print(len(detector.detect(Frame(astronaut(), 0, 0.0))))\n"
        "detector.close()\n"
        "with quiet(): os.write(2, b'an error of somebody else\\n')\n"
    )
    assert (run.returncode, run.stdout) == (0, "2\n")
    assert run.stderr == "an error of somebody else\n"


def test_qts_plugins_are_left_alone() -> None:
    names = ("QT_QPA_PLATFORM_PLUGIN_PATH", "QT_QPA_FONTDIR")
    run = _run(
        "import os\n"
        f"os.environ.pop({names[0]!r}, None); os.environ[{names[1]!r}] = 'mine'\n"
        "from sfedge.detect.mediapipe_runtime import import_mediapipe\n"
        "import_mediapipe()\n"
        f"print([os.environ.get(name) for name in {names!r}])\n"
    )
    assert run.stdout == "[None, 'mine']\n"


def test_a_network_that_cannot_run_is_told_and_the_program_goes_on_and_ends(
    paths: dict[str, Path], tmp_path: Path
) -> None:
    bad = tmp_path / "hand_landmarker.task"
    with zipfile.ZipFile(paths["hand-landmarker"]) as bundle, zipfile.ZipFile(bad, "w") as swapped:
        swapped.writestr("hand_detector.tflite", bundle.read("hand_landmarks_detector.tflite"))
        swapped.writestr("hand_landmarks_detector.tflite", bundle.read("hand_detector.tflite"))
    # A detector that failed once hung the next one, when Python collected what was left of it.
    run = _run(
        "import gc, time\n"
        "from pathlib import Path\n"
        "from sfedge.detect import networks\n"
        "from sfedge.detect.mediapipe_tasks import MediaPipeDetector\n"
        "from sfedge.core.errors import DetectorError\n"
        "paths = networks.fetch()\n"
        f"bad = paths | {{'hand-landmarker': Path({str(bad)!r})}}\n"
        "for _ in range(2):\n"
        "    start = time.monotonic()\n"
        "    try:\n"
        "        MediaPipeDetector(bad)\n"
        "    except DetectorError as error:\n"
        "        print(error)\n"
        "    gc.collect()\n"
        "    assert time.monotonic() - start < 60\n"
        "MediaPipeDetector(paths).close()\n"
        "MediaPipeDetector(bad)\n",
        seconds=250,
    )
    assert run.returncode == 1
    line = f"{bad}: the network hand-landmarker does not start (CalculatorGraph::Run() failed)."
    assert [text.startswith(line) for text in run.stdout.splitlines()] == [True, True]
    assert run.stderr.splitlines()[-1].startswith("sfedge.core.errors.DetectorError")


def test_a_network_that_hangs_holds_up_neither_close_nor_the_programs_end() -> None:
    run = _run(
        "import time\n"
        "from sfedge.detect import build_detector\n"
        "detector = build_detector(width=1, height=1)\n"
        "detector._tasks['hand-landmarker']._lib._executor.submit(time.sleep, 600)\n"
        "start = time.monotonic()\n"
        "detector.close()\n"
        "print(time.monotonic() - start < 5)\n"
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "True\n", "")


def test_a_detector_that_nobody_closes_does_not_hold_up_the_programs_end() -> None:
    run = _run(
        "import gc\n"
        "from sfedge.detect import build_detector\n"
        "first = [build_detector(width=1, height=1)]\n"
        "first.append(first)\n"  # only the cycle collector frees it
        "del first\n"
        "gc.collect()\n"
        "second = build_detector(width=1, height=1)\n"
        "print('end')\n"
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "end\n", "")


def test_detectors_in_several_threads_start_and_end_together() -> None:
    run = _run(
        "import threading\n"
        "from sfedge.detect import build_detector\n"
        "def live():\n"
        "    detector = build_detector(width=1, height=1)\n"
        "    detector.close()\n"
        "    ended.append(detector)\n"
        "ended = []\n"
        "threads = [threading.Thread(target=live) for _ in range(3)]\n"
        "[thread.start() for thread in threads]\n"
        "[thread.join() for thread in threads]\n"
        "print(len(ended))\n"
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "3\n", "")


@pytest.mark.skipif(sys.platform != "linux", reason="the loader's messages are Linux's")
def test_a_missing_system_library_is_told_with_its_package(tmp_path: Path) -> None:
    (tmp_path / "libGL.so.1").write_bytes(b"")
    code = (
        "from sfedge.detect.mediapipe_runtime import import_mediapipe\n"
        "from sfedge.core.errors import DetectorError\n"
        "try: import_mediapipe()\n"
        "except DetectorError as error: print(error)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"LD_LIBRARY_PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "libGL.so.1" in run.stdout
    assert run.stdout.endswith("Run: sudo apt install libgl1.\n")


@pytest.mark.parametrize(
    ("message", "package"),
    [
        ("libGLESv2.so.2: cannot open shared object file: No such file or directory", "libgles2"),
        ("libEGL.so.1: cannot open shared object file: No such file or directory", "libegl1"),
        ("libgthread-2.0.so.0: cannot open shared object file", "libglib2.0-0"),
        ("PortAudio library not found", "libportaudio2"),
    ],
)
def test_each_system_library_has_its_package(message: str, package: str) -> None:
    assert f"Run: sudo apt install {package}." in str(load_error(OSError(message)))


def test_work_that_fails_apart_raises_here_and_work_that_hangs_is_left() -> None:
    with pytest.raises(ZeroDivisionError):
        call_apart(lambda: 1 // 0, 5)
    with pytest.raises(TimeoutError):
        call_apart(threading.Event().wait, 0.05)
    assert call_apart(lambda: 7, 5) == 7
