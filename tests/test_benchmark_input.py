"""The benchmark of training's input: its page is whole and its figures are those of the text."""

from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from test_benchmarks import tables

from benchmarks import input as benchmark
from sfedge_training.data.sample_picture import LEAST_LEFT


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("results") / "input.md"
    words = ["--preset", "tiny", "--seconds", "0.01", "--out", str(out)]
    result = CliRunner().invoke(benchmark.main, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return out.read_text(encoding="utf-8")


def test_the_page_tells_of_every_way_to_read(page: str) -> None:
    assert "python -m benchmarks.input --preset tiny --seconds 0.01\n" in page
    apart, alone, together, needs = tables(page)
    assert [row[:2] for row in apart[1:]] == [
        [f"1/{scale}", f"{left:g}"] for scale, left in sorted(LEAST_LEFT.items())
    ]
    assert [row[0] for row in alone[1:]] == [kind.task for kind in benchmark.KINDS]
    assert len(together) == 4
    assert all(float(rate) > 0 for row in together[1:] for rate in row[1:])
    assert "An estimate, not measured" in page
    assert [row[0] for row in needs[1:]] == [row[0] for row in together[1:]]


def test_reduced_pixels_are_below_one_of_255_from_full_decoding(page: str) -> None:
    means = [float(row[3]) for row in tables(page)[0][1:]]
    assert min(means) > 0
    assert max(means) < 1


def test_a_gpus_needs_follow_from_the_operations_of_a_sample(page: str) -> None:
    _, _, together, needs = tables(page)
    operations, samples, cores = np.array([[float(x) for x in row[1:]] for row in needs[1:]]).T
    assert operations * samples == pytest.approx([0.4 * 989] * 3, rel=0.01)
    of_one_core = np.array([float(row[1]) for row in together[1:]])
    assert cores == pytest.approx(samples / of_one_core, rel=0.06)
    assert operations[2] < operations[0] == operations[1]


def test_the_page_that_is_kept_is_of_the_papers_model() -> None:
    kept = (Path(benchmark.__file__).parent / "results" / "input.md").read_text(encoding="utf-8")
    assert "preset `paper`" in kept
    assert "2.36 MB in float32" in kept
