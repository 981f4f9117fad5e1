import os
import subprocess
import sys
from pathlib import Path

from scenes import CLIP_FRAMES, WITH_SFEDGE, Scene

import sfedge
from sfedge.results.records import read_records

BLOCKED = ("torch", "torchvision", "transformers", "peft", "open_clip", "timm", "PyQt6", "pandas")


def test_the_whole_command_runs_without_training_libraries_windows_and_data_frames(
    scene: Scene, tmp_path: Path
) -> None:
    code = (
        f"import sys\nsys.modules.update(dict.fromkeys({BLOCKED!r}))\n"
        "from sfedge.cli import main\nmain(sys.argv[1:])"
    )
    child = subprocess.run(
        [
            *(sys.executable, "-c", code, "run", str(scene.video), "--out", str(tmp_path)),
            *("--detections", str(scene.detections)),
        ],
        env=WITH_SFEDGE,
        capture_output=True,
        text=True,
    )
    assert child.returncode == 0, child.stderr
    summary = list(read_records(tmp_path / "sway.jsonl"))[-1]
    assert summary["shown"] == CLIP_FRAMES
    assert all(summary["answers"].values())


def test_no_module_of_the_runtime_imports_what_it_must_not() -> None:
    root = Path(sfedge.__file__).parent
    names = sorted(
        ".".join(("sfedge", *path.relative_to(root).with_suffix("").parts)).removesuffix(
            ".__init__"
        )
        for path in root.rglob("*.py")
        # A script of sfedge's that only an environment with MediaPipe's library runs.
        if path.name not in ("__main__.py", "mediapipe_server.py")
    )
    assert "sfedge.runtime.pipeline" in names
    code = (
        "import importlib, sys\n"
        f"sys.modules.update(dict.fromkeys({BLOCKED!r}))\n"
        f"for name in {names!r}: importlib.import_module(name)"
    )
    child = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(root.parent)},
        capture_output=True,
        text=True,
    )
    assert child.returncode == 0, child.stderr
