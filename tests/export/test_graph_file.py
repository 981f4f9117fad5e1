"""Graphs rewritten weight by weight."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from sfedge_export.graph_file import GraphFile, GraphWriter

LARGE = np.arange(1 << 19, dtype=np.float32).reshape(512, 1024)  # 2 MiB
SMALL = np.arange(100, dtype=np.float32)


def source(folder: Path) -> GraphFile:
    ports = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [512, 1024]) for n in "xy"]
    nodes = [helper.make_node("Add", ["x", "large"], ["y"])]
    constants = [numpy_helper.from_array(LARGE, "large"), numpy_helper.from_array(SMALL, "unused")]
    graph = helper.make_graph(nodes, "g", ports[:1], ports[1:], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, folder / "g.onnx", save_as_external_data=True, location="g.onnx.data")
    return GraphFile(folder / "g.onnx")


def test_constants_are_read_one_at_a_time(tmp_path: Path) -> None:
    graph = source(tmp_path)
    assert graph.dims("large") == (512, 1024)
    assert graph.dims("x") is None
    np.testing.assert_array_equal(graph.weight("large"), LARGE)
    held = graph.model.SerializeToString()
    assert len(held) < 2000  # what was read did not stay


def test_a_rewritten_graph_holds_what_it_uses(tmp_path: Path) -> None:
    writer = GraphWriter(source(tmp_path))
    half = writer.constant(np.array(0.5, np.float32))
    small = writer.weight("small", lambda: SMALL[:, None].repeat(1024, 1)[:1])
    writer.add("Mul", ["x", half], "halved")
    writer.add("Add", ["halved", small], "moved")
    writer.add("Add", ["moved", "large"], "y")
    (tmp_path / "new").mkdir()
    path = tmp_path / "new" / "h.onnx"
    writer.write(path, 18)
    onnx.checker.check_model(str(path), full_check=True)
    model = onnx.load(str(path), load_external_data=False)
    places = {t.name: {e.key: e.value for e in t.external_data} for t in model.graph.initializer}
    assert "unused" not in places
    assert places[half] == {}  # small enough for the graph itself
    assert places["small"]["location"] == places["large"]["location"] == "h.onnx.data"
    assert int(places["large"]["offset"]) % 65536 == 0
    np.testing.assert_array_equal(GraphFile(path).weight("large"), LARGE)
    size = int(places["large"]["offset"]) + LARGE.nbytes
    assert path.with_name("h.onnx.data").stat().st_size == size
