"""The plain loop and this project compute the same, and the command reports what each takes."""

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from test_benchmarks import tables

from benchmarks import training
from benchmarks.plain_loop import mixed_tasks, plain_loss, plain_work, random_batch
from benchmarks.training_step import OURS, PLAIN, STORED, VARIANTS, Settings, build
from sfedge_training.loop.losses import loss

SETTINGS = Settings(preset="tiny", layers=3, batch=6, steps=1, precision="fp32", device="cpu")


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def test_the_recipes_four_datasets_share_a_batch() -> None:
    assert mixed_tasks(5) == ("expression", "gesture", "looking_at_me", "domain", "expression")
    assert [mixed_tasks(32).count(task) for task in ("gesture", "domain", "relation")] == [8, 4, 4]


def test_the_plain_loops_loss_and_gradients_are_this_projects() -> None:
    model = build(SETTINGS)
    batch = random_batch(model, mixed_tasks(6))
    found = []

    for total in (plain_loss(model, batch), loss(model, batch, 1.0)[0]):
        model.zero_grad()
        torch.autograd.backward(total)
        grads = {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}
        found.append((total.item(), grads))

    (plain, reference), (ours, own) = found
    assert ours == pytest.approx(plain, rel=1e-4)
    assert own.keys() == reference.keys()
    assert sum("lora_" in name for name in own) == 3 * 7 * 2
    for name, gradient in own.items():
        size = float(reference[name].abs().max())
        assert size > 0
        assert float((gradient - reference[name]).abs().max()) <= 1e-4 * size, name


def test_the_plain_loop_pads_all_samples_to_the_longest() -> None:
    model = build(SETTINGS)

    work = plain_work(model, mixed_tasks(6))

    longest = len(model.prompts["gesture"])
    assert 600 < longest < 680
    assert work.rows == work.logits == 6 * (longest + 36 + 1)


def test_the_command_tells_time_memory_and_operations(tmp_path: Path) -> None:
    page = tmp_path / "training.md"
    wanted = ["--preset", "tiny", "--layers", "2", "--batch", "2", "--steps", "1"]

    result = CliRunner().invoke(
        training.main, [*wanted, "--out", str(page)], catch_exceptions=False
    )

    assert result.exit_code == 0, result.output
    text = page.read_text(encoding="utf-8")
    assert text in result.output
    assert f"python -m benchmarks.training {' '.join(wanted)} --precision fp32 --device cpu" in text
    (_, *steps), (_, *counts), (_, *full) = tables(text)
    assert [row[0] for row in steps] == [row[0] for row in counts] == list(VARIANTS)
    assert steps[0][3] == "1.00"
    assert all(float(cell) > 0 for row in steps for cell in row[1:])
    operations = {row[0]: float(row[1]) for row in counts}
    assert operations[PLAIN] > operations[OURS]
    assert [row[0] for row in full] == [PLAIN, OURS, STORED]
    assert all(float(row[2]) > 2 for row in full[1:])
