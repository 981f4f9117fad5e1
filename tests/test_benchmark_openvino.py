from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from test_benchmarks import tables

from benchmarks import openvino_graphs
from benchmarks.openvino_graphs import Timing
from sfedge.bundle import DEMO_BUNDLE
from sfedge.graphs import GraphIO


def test_libraries_are_compared_graph_by_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenVINO is not installed: ONNX Runtime stands in, twice as fast, and refuses a graph."""

    def stand_in(begun: float, path: Path, io: GraphIO, hint: str) -> Timing:
        if hint == "bf16" and io.name == "trunk":
            raise RuntimeError("no such operator")
        timing = openvino_graphs.onnx_runtime(begun, path, io)
        return replace(timing, runs=[0.5 * seconds for seconds in timing.runs])

    def here(work: Callable[..., Any], *arguments: Any) -> Any:
        return work(0.0, *arguments)

    class Module:
        __version__ = "2026.4"

    monkeypatch.setattr(openvino_graphs, "apart", here)
    monkeypatch.setattr(openvino_graphs, "openvino", stand_in)
    monkeypatch.setattr(openvino_graphs.importlib, "import_module", lambda name: Module)
    page = tmp_path / "page.md"
    words = [str(DEMO_BUNDLE), "--rounds", "1", "--hint", "f32", "--hint", "bf16"]
    result = CliRunner().invoke(
        openvino_graphs.main, [*words, "--out", str(page)], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    ((_, *rows),) = tables(page.read_text(encoding="utf-8"))
    fp32 = [row for row in rows if row[0].startswith("fp32/")]
    assert [row[:2] for row in fp32] == [
        ["fp32/encoder", "ONNX Runtime"],
        ["fp32/encoder", "OpenVINO, f32"],
        ["fp32/encoder", "OpenVINO, bf16"],
        ["fp32/trunk", "ONNX Runtime"],
        ["fp32/trunk", "OpenVINO, f32"],
        ["fp32/trunk", "OpenVINO, bf16"],
    ]
    assert fp32[-1][2:] == ["does not load it", *["–"] * 4]
    assert {row[-1] for row in fp32[:-1]} == {"1.000000"}


def test_cosine_is_that_of_whole_outputs() -> None:
    a = np.array([[3.0, 4.0]], np.float32)
    assert openvino_graphs._cosine(a, 2 * a) == pytest.approx(1)
    assert openvino_graphs._cosine(a, a[:, ::-1]) == pytest.approx(24 / 25)
