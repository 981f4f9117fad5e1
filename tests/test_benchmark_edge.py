import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scenes import DRAWN_BUNDLE
from test_benchmarks import tables

from benchmarks import edge
from benchmarks.edge import Pair
from sfedge.bundle.bundle import open_bundle
from sfedge.bundle.manifest import MANIFEST_NAME
from sfedge.core.errors import BundleError
from sfedge_export.graph_gemms import count_gemms
from sfedge_export.package import extend_bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The drawn model in both precisions that the benchmark compares."""
    out = tmp_path_factory.mktemp("bundles") / "both"
    extend_bundle(DRAWN_BUNDLE, out, precisions=("fp32", "int8-cpu"))
    return out


def test_the_command_compares_two_bundles(bundle: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    words = [str(bundle), str(bundle), "--rounds", "1", "--out", str(page)]
    result = CliRunner().invoke(edge.main, words, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    text = page.read_text(encoding="utf-8")
    assert "python -m benchmarks.edge both both --rounds 1\n" in text
    ((_, *rows),) = tables(text)
    assert [row[:2] for row in rows] == [
        ["decoder", "fp32"],
        ["decoder", "int8-cpu"],
        ["whole query", "fp32"],
        ["whole query", "int8-cpu"],
    ]
    assert {row[5] for row in rows} == {"100.0%"}
    assert {row[-1] for row in rows} == {"no"}


def test_operations_are_those_of_the_graphs_at_the_tasks_prompt(bundle: Path) -> None:
    with open_bundle(bundle) as opened:
        prompt = opened.prefix()["gesture"].shape[3]
        folder = opened.graph_path("fp32", "encoder").parent
        of = {
            name: 2 * sum(int(np.prod(row)) for row in count_gemms(folder / file, prompt))
            for name in ("encoder", "connector", "trunk", "answer")
            for file in [f"{name}.onnx"]
        }
    assert edge.operations(bundle) == {
        "decoder": of["trunk"] + of["answer"],
        "whole query": sum(of.values()),
    }


def test_a_bundle_that_tells_no_products_is_refused(bundle: Path, tmp_path: Path) -> None:
    silent = shutil.copytree(bundle, tmp_path / "silent")
    text = (silent / MANIFEST_NAME).read_text().replace('"products"', '"other"')
    (silent / MANIFEST_NAME).write_text(text)
    with pytest.raises(BundleError, match="does not list its matrix products"):
        edge.operations(silent)


def test_both_count_and_clock_must_be_low_enough() -> None:
    def rounds(*middles: tuple[float, float]) -> list[dict[str, list[float]]]:
        return [{"decoder": [a], "whole query": [b]} for a, b in middles]

    pair = Pair(paper=rounds((10.0, 12.0), (20.0, 24.0)), edge=rounds((2.4, 5.0), (4.6, 14.0)))
    slow = Pair(paper=rounds((10.0, 12.0)), edge=rounds((2.6, 5.0)))
    found = edge.rows(
        {"fp32": pair, "int8-cpu": slow},
        {"decoder": 100, "whole query": 150},
        {"decoder": 24, "whole query": 76},
    )
    assert [row[4] for row in found] == ["23.5%", "26.0%", "50.0%", "41.7%"]
    assert [row[5] for row in found] == ["24.0%", "24.0%", "50.7%", "50.7%"]
    assert [row[-1] for row in found] == ["yes", "no", "no", "no"]
