"""`sfedge-export`, from a checkpoint on disk to a bundle that runs."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sfedge.bundle.bundle import open_bundle
from sfedge.core.errors import DataError, UnknownNameError
from sfedge.core.tasks import TASKS
from sfedge_export.__main__ import main
from sfedge_export.untrained import untrained
from sfedge_training.loop.checkpoint import load_model, save_model
from sfedge_training.loop.recipe import Recipe
from sfedge_training.model.model_config import PRESETS
from sfedge_training.model.social_fusion import SocialFusion, build_model

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As a training on drawings leaves it: the tiny preset, but with pooled tokens."""
    torch.manual_seed(0)
    model = build_model(replace(PRESETS["tiny"], pool=2))
    with torch.no_grad():
        for name, parameter in model.llm.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.05)
    folder = tmp_path_factory.mktemp("run") / "model"
    recipe = Recipe(datasets=("gazefollow", "pisc", "ego4d_lam"), exact_faces=True)
    save_model(folder, model, recipe, {"data": {"is_drawn": True}, "scores": {"gaze": {}}})
    return folder


def test_a_checkpoint_becomes_a_zip_that_answers_as_it_does(
    checkpoint: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    assert_runtime_answers_as_pytorch: Callable[[Path, SocialFusion], None],
) -> None:
    out = tmp_path / "demo.zip"
    main(
        [
            *(str(checkpoint), "--out", str(out), "--created", "2026-01-02T03:04:05Z"),
            *("--precision", "fp32", "--licence", "CC0 1.0"),
        ],
        standalone_mode=False,
    )
    assert capsys.readouterr().out.startswith(f"{out}: demo, 4 tasks, fp32, ")
    assert list(tmp_path.iterdir()) == [out]
    with open_bundle(out) as bundle:
        manifest = bundle.manifest
    assert (manifest.created, manifest.preset) == ("2026-01-02T03:04:05Z", "custom")
    assert not manifest.mirrored
    assert "drawings" in manifest.notice
    exact = replace(TASKS["looking_at_me"], margin=0.0)  # faces as the model saw them
    wanted = {name: TASKS[name] for name in ("gaze", "domain", "relation")}
    assert {task.name: task for task in manifest.tasks} == wanted | {exact.name: exact}
    assert manifest.card["scores"] == {"gaze": {}}
    assert manifest.card["licence"] == "CC0 1.0"
    assert_runtime_answers_as_pytorch(out, load_model(checkpoint)[0])


def test_a_preset_becomes_a_bundle_with_random_weights_that_says_so(
    tmp_path: Path, assert_runtime_answers_as_pytorch: Callable[[Path, SocialFusion], None]
) -> None:
    arguments = ["--preset", "tiny", "--out", str(tmp_path / "random"), "--precision", "fp32"]
    main(arguments, standalone_mode=False)
    with open_bundle(tmp_path / "random") as bundle:
        manifest = bundle.manifest
    assert (manifest.name, manifest.preset, len(manifest.tasks)) == ("random", "tiny", 6)
    assert "Random weights" in manifest.notice
    assert manifest.card["parity"]["lora"]["effect"] > 0
    assert_runtime_answers_as_pytorch(tmp_path / "random", untrained("tiny"))


def test_a_bundle_may_answer_with_the_mirror_image(tmp_path: Path) -> None:
    arguments = ["--preset", "tiny", "--out", str(tmp_path / "random"), "--precision", "fp32"]
    main([*arguments, "--mirrored"], standalone_mode=False)
    with open_bundle(tmp_path / "random") as bundle:
        assert bundle.manifest.mirrored


def test_an_unknown_preset_is_refused_with_those_there_are(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"'papre'.*paper"):
        main(["--preset", "papre", "--out", str(tmp_path / "x")], standalone_mode=False)


def test_a_folder_without_a_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no model\.json is here"):
        main([str(tmp_path), "--out", str(tmp_path / "x")], standalone_mode=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--out", "x"), "either SOURCE or --preset"),
        (("nowhere", "--out", "x", "--preset", "tiny"), "either SOURCE or --preset"),
        (("nowhere",), "Missing option '--out'"),
        (("nowhere", "--out", "x", "--created", "yesterday"), "'yesterday' does not match"),
    ],
    ids=["neither", "both", "no-out", "no-time"],
)
def test_a_wrong_call_is_reported_without_a_traceback(
    arguments: tuple[str, ...], message: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sfedge_export", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_a_terminated_export_leaves_nothing(checkpoint: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "sfedge_export",
        str(checkpoint),
        "--out",
        str(tmp_path / "x.zip"),
    ]
    with subprocess.Popen(command, cwd=ROOT) as process:
        while not list(tmp_path.glob(".x.zip.*/bundle/fp32/*.onnx")):
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=300) == 143
    assert list(tmp_path.iterdir()) == []
