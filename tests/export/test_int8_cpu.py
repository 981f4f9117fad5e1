"""Linear layers in eight bits, against the same arithmetic in numpy."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from sfedge.engines import ort
from sfedge_export.graph_file import GraphFile
from sfedge_export.int8_cpu import quantise_columns, write_int8_cpu

OPSET = 18
RNG = np.random.default_rng(5)
X = RNG.normal(0, 1, (2, 7, 40)).astype(np.float32)
X[0, 3] *= 300  # a token that outweighs all others
X[1, 2] = 0
WEIGHT = RNG.normal(0, 0.1, (40, 48)).astype(np.float32)
WEIGHT[:, 5] = 0
OTHER = RNG.normal(0, 0.1, (40, 64)).astype(np.float32)
NARROW = RNG.normal(0, 0.1, (48, 3)).astype(np.float32)
BIAS = RNG.normal(0, 30, 48).astype(np.float32)


def write(path: Path) -> Path:
    """x @ WEIGHT + BIAS, x @ OTHER, and a head behind the first."""
    weights = {"w": WEIGHT, "v": OTHER, "n": NARROW, "b": BIAS}
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["xw"]),
        helper.make_node("Add", ["xw", "b"], ["biased"]),
        helper.make_node("MatMul", ["x", "v"], ["other"]),
        helper.make_node("MatMul", ["biased", "n"], ["head"]),
    ]
    dims = ["batch", 7]
    outputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [*dims, width])
        for name, width in (("biased", 48), ("other", 64), ("head", 3))
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [*dims, 40])],
        outputs,
        [numpy_helper.from_array(array, name) for name, array in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)
    onnx.save(model, path, save_as_external_data=True, location=f"{path.name}.data")
    return path


@pytest.fixture
def quantised(tmp_path: Path) -> Path:
    (tmp_path / "int8").mkdir()
    target = tmp_path / "int8" / "g.onnx"
    write_int8_cpu(GraphFile(write(tmp_path / "g.onnx")), target, OPSET)
    return target


def rounded(x: np.ndarray, axis: int) -> np.ndarray:
    """Each vector along `axis` as 255 steps hold it."""
    step = np.abs(x.astype(np.float64)).max(axis, keepdims=True) / 127
    return np.where(step == 0, 0, np.rint(x / np.where(step == 0, 1, step)) * step)


needs_exact_sums = pytest.mark.skipif(
    not ort._adds_exactly(),
    reason="without VNNI, graphs that are not optimised overflow; the runtime optimises all",
)
LEVELS = [
    "ORT_ENABLE_ALL",
    "ORT_ENABLE_EXTENDED",
    pytest.param("ORT_DISABLE_ALL", marks=needs_exact_sums),
]


@pytest.mark.parametrize("level", LEVELS)
def test_every_token_has_its_own_scale_and_the_bias_its_place(quantised: Path, level: str) -> None:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = getattr(onnxruntime.GraphOptimizationLevel, level)
    ort.exact_integers(options)
    session = onnxruntime.InferenceSession(
        str(quantised), options, providers=["CPUExecutionProvider"]
    )
    biased, other, head = session.run(None, {"x": X})
    wanted = rounded(X, -1) @ rounded(WEIGHT, 0) + BIAS
    np.testing.assert_allclose(biased, wanted, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(other, rounded(X, -1) @ rounded(OTHER, 0), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(head, biased @ NARROW, rtol=1e-4, atol=1e-2)
    (alone, *_) = session.run(None, {"x": X[1:]})
    np.testing.assert_allclose(alone, biased[1:], rtol=1e-5, atol=1e-5)


def test_an_input_is_quantised_once_and_heads_are_left(quantised: Path) -> None:
    nodes = onnx.load(str(quantised), load_external_data=False).graph.node
    operators = [node.op_type for node in nodes]
    assert operators.count("QuantizeLinear") == 1
    assert operators.count("MatMulInteger") == 2
    assert operators.count("MatMul") == 1
    assert {node.domain for node in nodes} == {""}


def test_weights_take_a_quarter_of_the_room(quantised: Path) -> None:
    floats = (WEIGHT.size + OTHER.size) * 4
    size = quantised.with_name("g.onnx.data").stat().st_size
    assert floats / 4 <= size < floats / 4 + 2000  # scales, bias and the head


def test_columns_are_off_by_half_a_step_at_most() -> None:
    codes, scales = quantise_columns(WEIGHT)
    assert codes.dtype == np.int8
    assert np.abs(codes.astype(int)).max() == 127
    assert not codes[:, 5].any()
    assert (np.abs(codes * scales - WEIGHT) <= scales * 0.5001).all()
