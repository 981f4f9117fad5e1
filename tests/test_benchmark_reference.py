"""The frame that is timed is the runtime's: its parts, its sharing of views, and its answers."""

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner
from test_benchmarks import tables

from benchmarks import reference
from benchmarks.full_size_run import built, three_people
from benchmarks.reference import Reference, Settings
from sfedge.core.tasks import HEATMAP_SIZE
from sfedge_training.analysis.flops import encoder_flops
from sfedge_training.model.social_fusion import SocialFusion


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def model() -> SocialFusion:
    return built("tiny")


def make(model: SocialFusion, batch: int) -> Reference:
    queries = sorted(three_people(), key=lambda query: query.task.output == "heatmap")
    settings = Settings(preset="tiny", device="cpu", precision="fp32", batch=batch, frames=1)
    return Reference(model, queries, settings)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_command_times_each_part(tmp_path: Path, precision: str) -> None:
    page = tmp_path / "page.md"
    words = ["--preset", "tiny", "--device", "cpu", "--frames", "2", "--batch", "4"]
    result = CliRunner().invoke(
        reference.main,
        [*words, "--precision", precision, "--out", str(page)],
        catch_exceptions=False,
    )
    assert result.exit_code == 0, result.output
    text = page.read_text(encoding="utf-8")
    assert f"--preset tiny --device cpu --precision {precision} --batch 4 --frames 2\n" in text
    assert "7 views, 17 queries" in text
    ((_, *rows),) = tables(text)
    assert [row[0] for row in rows] == [*reference.PARTS, "whole frame"]
    assert all(float(cell) > 0 for row in rows for cell in row[1:4])
    work = [float(row[2]) for row in rows]
    assert sum(work[:-1]) == pytest.approx(work[-1], rel=0.02)


def test_how_many_go_in_one_pass_changes_nothing_but_time(model: SocialFusion) -> None:
    one, many = (make(model, batch).frame(lambda: None) for batch in (1, 17))
    assert one[0].shape == (15, len(model.answer_ids))
    assert one[1].shape == (2, HEATMAP_SIZE, HEATMAP_SIZE)
    for found, wanted in zip(one, many, strict=True):
        assert (found - wanted).abs().max() <= 1e-4 * wanted.abs().max()
        assert wanted.std() > 0


def test_operations_are_those_of_views_and_queries(model: SocialFusion) -> None:
    made, marks = make(model, 17), []
    made.frame(lambda: marks.append(None))
    assert len(marks) == len(reference.PARTS) + 1
    found = reference.operations(made, encoder_flops(model.encoder))
    assert found[0] == 7 * encoder_flops(model.encoder)
    layers = [p for p in model.connector.parameters() if p.ndim == 2]
    tokens = model.token_grid**2
    assert found[1] == 7 * 2 * tokens * sum(p.numel() for p in layers)
    *blocks, _ = model.lm.model.layers
    linear = 2 * tokens * sum(p.numel() for b in blocks for p in b.parameters() if p.ndim == 2)
    assert 17 * linear < found[2] < 17 * 3 * linear  # attention comes on top
