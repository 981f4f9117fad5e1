"""Eight bits for TensorRT: scales from pictures, and the arithmetic that the pairs stand for."""

from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from sfedge.bundle.bundle import open_bundle
from sfedge.bundle.manifest import GRAPHS
from sfedge_export.activation_ranges import calibrate
from sfedge_export.calibration_pictures import built_in
from sfedge_export.graph_file import GraphFile
from sfedge_export.precision_session import open_as_written
from sfedge_export.qdq import FLOAT8, INT8, write_qdq

RNG = np.random.default_rng(9)
X = RNG.normal(0, 1, (3, 5, 32)).astype(np.float32)
WEIGHT = RNG.normal(0, 0.1, (32, 40)).astype(np.float32)
LARGEST = 2.0  # some of x lies beyond


def write(path: Path) -> Path:
    """relu(x) @ WEIGHT."""
    nodes = [
        helper.make_node("Relu", ["x"], ["r"]),
        helper.make_node("MatMul", ["r", "w"], ["y"]),
    ]
    ports = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 5, width])
        for name, width in (("x", 32), ("y", 40))
    ]
    graph = helper.make_graph(
        nodes, "g", ports[:1], ports[1:], [numpy_helper.from_array(WEIGHT, "w")]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, path)
    return path


def as_int8(x: np.ndarray, largest: np.ndarray | float) -> np.ndarray:
    step = np.asarray(largest, np.float64) / 127
    return np.clip(np.rint(x / step), -128, 127) * step


def as_float8(x: np.ndarray, largest: float) -> np.ndarray:
    step = largest / 448
    return np.clip(x / step, -448, 448).astype(ml_dtypes.float8_e4m3fn).astype(np.float64) * step


@pytest.mark.parametrize("kind", [INT8, FLOAT8], ids=["int8", "float8"])
def test_the_pairs_round_and_clip(tmp_path: Path, kind: np.dtype) -> None:
    target = tmp_path / "q.onnx"
    write_qdq(GraphFile(write(tmp_path / "g.onnx")), target, 19, {"r": LARGEST}, kind)
    (found,) = open_as_written(target).run(None, {"x": X})
    if kind == INT8:
        tokens, weight = as_int8(X.clip(0), LARGEST), as_int8(WEIGHT, np.abs(WEIGHT).max(0))
    else:
        tokens, weight = as_float8(X.clip(0), LARGEST), as_float8(WEIGHT, np.abs(WEIGHT).max())
    # Activations and the product come in 16 bits.
    np.testing.assert_allclose(found, tokens @ weight, rtol=2e-3, atol=2e-3)


def test_ranges_are_the_largest_values_that_pictures_lead_to(small_bundle: Path) -> None:
    with open_bundle(small_bundle) as bundle:
        views = [*built_in()]
        parts = [
            calibrate(small_bundle / "fp32", bundle.manifest, bundle.prefix(), some)[0]
            for some in (views[:2], views[2:], views)
        ]
    assert set(parts[2]) == set(GRAPHS)
    for graph in GRAPHS:
        first, second, both = (part[graph] for part in parts)
        assert both
        for name, largest in both.items():
            np.testing.assert_array_equal(largest, np.maximum(first[name], second[name]))
            assert (largest > 0).any()
        assert any((first[name] != second[name]).any() for name in both)


@pytest.mark.parametrize(("precision", "kind"), [("int8-qdq", INT8), ("fp8-qdq", FLOAT8)])
def test_every_linear_layer_is_held_in_eight_bits(
    small_precisions: Path, precision: str, kind: np.dtype
) -> None:
    wanted = helper.np_dtype_to_tensor_dtype(kind)
    for name in GRAPHS:
        graph = onnx.load(str(small_precisions / precision / f"{name}.onnx")).graph
        whole = [w for w in graph.initializer if len(w.dims) == 2 and w.data_type == wanted]
        exact = onnx.load(str(small_precisions / "fp32" / f"{name}.onnx")).graph
        linear = [w for w in exact.initializer if len(w.dims) == 2 and min(w.dims) >= 32]
        assert len([n for n in graph.node if n.op_type == "DequantizeLinear"]) > len(whole) > 0
        assert len(whole) >= len([w for w in linear if w.dims[1] >= 32]) - 3  # tables, the head
