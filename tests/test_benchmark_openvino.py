from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scenes import DRAWN_BUNDLE
from test_benchmarks import tables

from benchmarks import full_size, openvino_graphs
from benchmarks.openvino_graphs import Timing
from sfedge.bundle.graph_io import GraphIO
from sfedge_export.package import extend_bundle


def test_engines_are_compared_graph_by_graph(tmp_path: Path) -> None:
    bundle, page = tmp_path / "all", tmp_path / "page.md"
    extend_bundle(DRAWN_BUNDLE, bundle, precisions=("fp32", "int8-cpu", "bf16", "int8-qdq"))
    result = CliRunner().invoke(
        openvino_graphs.main,
        [str(bundle), "--rounds", "1", "--out", str(page)],
        catch_exceptions=False,
    )
    assert result.exit_code == 0, result.output
    text = page.read_text(encoding="utf-8")
    ((_, *rows),) = tables(text)
    ways = list(dict.fromkeys(row[1] for row in rows))
    for way in full_size.OPENVINO:
        assert (way in ways) != (f"{way} was not measured: " in text)
    graphs = list(dict.fromkeys(row[0] for row in rows))
    assert [row[:2] for row in rows] == [[graph, way] for graph in graphs for way in ways]
    assert graphs[0] == "encoder"
    assert all(graph.startswith("trunk, a prompt of ") for graph in graphs[1:])
    by_way = {tuple(row[:2]): row for row in rows}
    assert by_way["encoder", full_size.FP32][3] == "1.00 × cpu/fp32"
    assert all(float(cell) > 0 for row in rows for cell in (row[2], row[4], row[5]))
    assert by_way["encoder", full_size.FP32][-1] == "1.000000"
    assert all(float(row[-1]) > 0.9 for row in rows)


def test_a_sample_has_the_prompt_that_is_asked_for() -> None:
    io = GraphIO("trunk", {"tokens": (4, 5), "past": (2, 2, 1, 9, 3), "padding": (9,)}, {})
    found = openvino_graphs.inputs(io, 6)
    shapes = {name: array.shape for name, array in found.items()}
    assert shapes == {"tokens": (1, 4, 5), "past": (1, 2, 2, 1, 6, 3), "padding": (1, 6)}
    assert not found["padding"].any()
    assert found["past"].all()


def test_speed_is_reported_beside_the_nearest_precision() -> None:
    def timed(seconds: float, output: float) -> list[dict[str, Timing]]:
        values = np.array([3.0, output], np.float32)
        return [{"encoder": Timing(1.0, [seconds], [2 * seconds], values)}]

    rows = openvino_graphs.rows(
        {
            "cpu/fp32": timed(2.0, 4.0),
            "cpu/int8-cpu": timed(1.0, 4.0),
            "openvino/bf16": timed(0.5, 4.0),
            "openvino/int8-qdq": timed(0.25, 2.25),
        }
    )
    assert [row[3] for row in rows] == [
        "1.00 × cpu/fp32", "1.00 × cpu/int8-cpu", "4.00 × cpu/fp32", "4.00 × cpu/int8-cpu",
    ]  # fmt: skip
    assert float(rows[-1][-1]) == pytest.approx((9 + 9) / (5 * 3.75))
