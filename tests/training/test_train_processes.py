"""The loop in several parts, in several processes, killed, and stopped early."""

import csv
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from launch import TWO_PROCESSES
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import Tensor, nn

from sfedge.core.errors import SfedgeError
from sfedge_training.data.batch import Batch
from sfedge_training.data.mixture import ViewSpec, pictures_opener
from sfedge_training.data.sample import Sample
from sfedge_training.drawings import write_drawings
from sfedge_training.loop.checkpoint import Progress, load_learned, save_model
from sfedge_training.loop.losses import loss
from sfedge_training.loop.memory import MemoryExhaustedError, memory_advice
from sfedge_training.loop.recipe import Recipe
from sfedge_training.loop.reports import load_datasets
from sfedge_training.loop.train import train
from sfedge_training.model.model_config import PRESETS
from sfedge_training.model.social_fusion import SocialFusion, build_model
from sfedge_training.model.states import trained_state

ROOT = Path(__file__).parents[2]
CONFIG = replace(PRESETS["tiny"], hidden=32, lora_rank=2)
RECIPE = Recipe(epochs=1, batch=6, warmup=2)  # 5 datasets of 4: batches of 6, 6, 4 and of 4


@pytest.fixture(scope="module")
def drawings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawings")
    write_drawings(folder, count=8, val=3, test=1, seed=0)
    return folder


def samples_in(drawings: Path, split: str = "train") -> dict[str, list[Sample]]:
    loaded = load_datasets(drawings, Recipe().datasets, split)  # type: ignore[arg-type]
    return {dataset.name: list(dataset.samples)[:4] for dataset in loaded if dataset.samples}


def fresh_model() -> SocialFusion:
    torch.manual_seed(0)
    return build_model(CONFIG)


def run_train(
    samples: dict[str, list[Sample]],
    recipe: Recipe,
    run: Path,
    validation: dict[str, list[Sample]] | None = None,
) -> tuple[SocialFusion, int]:
    model = fresh_model()
    opener = pictures_opener(ViewSpec(model.encoder.input, model.token_grid))
    kinds = {"loss": loss, "opener": opener, "validation": validation}
    done = train(model, samples, recipe, run, **kinds)  # type: ignore[arg-type]
    assert done.is_done
    return model, done.steps


def column(run: Path, name: str) -> list[float]:
    with (run / "log.csv").open(newline="", encoding="utf-8") as file:
        return [float(row[name]) for row in csv.DictReader(file) if row[name]]


def same_weights(one: nn.Module, other: nn.Module) -> None:
    assert isinstance(one, SocialFusion)
    assert isinstance(other, SocialFusion)
    for name, tensor in trained_state(one).items():
        torch.testing.assert_close(trained_state(other)[name], tensor, atol=1e-5, rtol=1e-4)


def nearly_same_weights(one: SocialFusion, other: SocialFusion) -> None:
    """All but those hardly any gradient reaches: AdamW makes whole steps of their rounding.

    Sums in another order round otherwise, so only a division of a batch may be compared like this.
    """
    differing = count = 0
    for name, tensor in trained_state(one).items():
        same = trained_state(other)[name]
        differing += int((~torch.isclose(same, tensor, atol=1e-5, rtol=1e-4)).sum())
        count += tensor.numel()
        assert (same - tensor).abs().max() < RECIPE.learning_rate
    assert differing <= count / 10_000


@pytest.mark.parametrize("parts", [2, 5])
def test_a_batch_in_parts_is_the_same_step(drawings: Path, tmp_path: Path, parts: int) -> None:
    samples = samples_in(drawings)
    whole, _ = run_train(samples, RECIPE, tmp_path / "whole")
    divided, _ = run_train(samples, replace(RECIPE, micro_batches=parts), tmp_path / "parts")

    assert len(column(tmp_path / "whole", "loss")) == 4
    for name in ("loss", "gradient_norm", "label_loss", "gaze_loss"):
        assert column(tmp_path / "parts", name) == pytest.approx(
            column(tmp_path / "whole", name), rel=1e-5
        )
    nearly_same_weights(whole, divided)


def words(drawings: Path, run: Path, *more: object) -> list[str]:
    """`sfedge-train train` with augmentation, as a user would type it."""
    return [
        *("-m", "sfedge_training", "train", str(drawings), "--out", str(run), "--batch", "4"),
        *("--pretrained", str(drawings / "parts"), "--warmup", "3", *map(str, more)),
    ]


@pytest.fixture(scope="module")
def parts(drawings: Path) -> Path:
    """Encoder and language model for the command to build on."""
    torch.manual_seed(0)
    bare = build_model(PRESETS["tiny"], with_lora=False)
    save_model(drawings / "parts", bare, Recipe(pretraining=True), {})
    return drawings / "parts"


def environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


@pytest.mark.usefixtures("parts")
def test_two_processes_descend_as_one_on_the_same_batch(drawings: Path, tmp_path: Path) -> None:
    # A weight of one number: the balanced one feeds roundings back.
    settings = ("--epochs", 1, "--datasets", "affectnet,gazefollow,pisc", "--gaze-weight", "paper")
    alone = [sys.executable, *words(drawings, tmp_path / "one", *settings)]
    shared = words(drawings, tmp_path / "two", *settings, "--micro-batches", 2)
    for command in (alone, [sys.executable, *TWO_PROCESSES, *shared]):
        ended = subprocess.run(
            command, cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=300
        )
        assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("The model is in") == 1

    one, two = tmp_path / "one", tmp_path / "two"
    assert len(column(one, "loss")) >= 6
    assert column(two, "loss") == pytest.approx(column(one, "loss"), rel=2e-5)
    assert column(two, "gradient_norm") == pytest.approx(column(one, "gradient_norm"), rel=2e-4)


@pytest.mark.usefixtures("parts")
def test_a_killed_run_goes_on_as_if_it_had_not_been_killed(drawings: Path, tmp_path: Path) -> None:
    """Killed in the middle of an epoch, with dropout and augmentation; then 200 steps more."""
    settings = ("--epochs", 100, "--lora-dropout", 0.1)
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    # Ten steps an epoch: eight of labels, two of gaze. Killed at the first checkpoint past 35.
    command = [sys.executable, *words(drawings, killed, *settings, "--save-every", 0.2)]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment(), stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    ) as process:
        while _steps_saved(killed) < 35:
            assert process.poll() is None
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    done = _steps_saved(killed)
    assert 35 <= done < 795  # 1000 are to be done
    assert process.returncode == -signal.SIGKILL
    assert not (killed / "model").exists()

    stop = ("--stop-after", done + 200)
    for run in (killed, whole):
        subprocess.run(
            [sys.executable, *words(drawings, run, *settings, *stop)],
            *(),
            cwd=ROOT,
            env=environment(),
            check=True,
            capture_output=True,
            timeout=500,
        )
    unbroken, resumed = column(whole, "loss"), column(killed, "loss")
    assert len(unbroken) == len(resumed) == done + 200
    assert max(abs(a - b) for a, b in zip(unbroken, resumed, strict=True)) <= 1e-6
    assert len(set(unbroken[-10:])) == 10


def _steps_saved(run: Path) -> int:
    found = sorted((run / "checkpoints").glob("step-*"))
    return int(found[-1].name.removeprefix("step-")) if found else 0


def test_a_run_stops_when_validation_gets_no_better_and_keeps_its_best(
    drawings: Path, tmp_path: Path
) -> None:
    samples, held_out = samples_in(drawings), samples_in(drawings, "val")
    recipe = replace(RECIPE, epochs=40, learning_rate=2e-2, patience=2, augment=False)
    model, steps = run_train(samples, recipe, tmp_path, held_out)

    printed = column(tmp_path, "validation_loss")
    best = int(np.argmin(printed))
    assert best + 1 + 2 == len(printed) < 40
    assert steps == 4 * len(printed)
    again, _ = run_train(samples, replace(recipe, epochs=best + 1), tmp_path / "best")
    # The schedule is another, so the weights are compared with what was kept.
    assert again is not model
    kept = fresh_model()
    load_learned(tmp_path, kept, recipe)
    same_weights(model, kept)
    ended, more = run_train(samples, recipe, tmp_path, held_out)  # it is over, and stays so
    assert more == steps
    same_weights(model, ended)


def test_progress_counts_epochs_that_bring_nothing() -> None:
    progress = Progress(steps=3)
    for value in (2.0, 1.0, 1.5, 1.0):
        progress = progress.judged(value)
    assert (progress.best, progress.stale) == (1.0, 2)
    assert progress.is_over(2)
    assert not progress.is_over(3)
    assert not progress.is_over(0)


def test_tensorboard_shows_what_the_table_holds(drawings: Path, tmp_path: Path) -> None:
    run_train(samples_in(drawings), RECIPE, tmp_path)
    board = EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()
    shown = [event.value for event in board.Scalars("loss")]
    assert shown == pytest.approx(column(tmp_path, "loss"), rel=1e-5)


class _Hungry(nn.Module):
    """Asks for more memory than any machine has."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))


def _devour(model: _Hungry, batch: Batch, _: float) -> tuple[Tensor, dict[str, Tensor]]:
    return model.weight.expand(1 << 46).contiguous().sum(), {}


def test_memory_that_runs_out_is_answered_with_advice(drawings: Path, tmp_path: Path) -> None:
    model = fresh_model()
    opener = pictures_opener(ViewSpec(model.encoder.input, model.token_grid))
    with pytest.raises(
        MemoryExhaustedError, match=r"--micro-batches 2.*--gradient-checkpointing.*bf16"
    ) as printed:
        train(_Hungry(), samples_in(drawings), RECIPE, tmp_path, loss=_devour, opener=opener)
    assert "6 samples in 1 micro-batch" in str(printed.value)
    assert isinstance(printed.value, SfedgeError)


def test_other_failures_are_not_taken_for_a_lack_of_memory() -> None:
    with pytest.raises(RuntimeError, match="shapes"), memory_advice(RECIPE):
        raise RuntimeError("shapes do not match")


def test_checkpoints_of_a_model_that_processes_share_out(tmp_path: Path) -> None:
    script = ROOT / "tests" / "sharded_training.py"
    ended = subprocess.run(
        [sys.executable, *TWO_PROCESSES, str(script), str(tmp_path)],
        cwd=ROOT,
        env={**environment(), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("the same") == 2
