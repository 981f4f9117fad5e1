"""Factors moved from norms into the weights behind them: the same function, rounded less."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from sfedge_export.graph_file import GraphFile, GraphWriter
from sfedge_export.int8_cpu import write_int8_cpu
from sfedge_export.precision_session import open_session
from sfedge_export.smooth_quant import SmoothedFile

RNG = np.random.default_rng(2)
X = RNG.normal(0, 1, (2, 5, 32)).astype(np.float32)
SCALE = RNG.uniform(0.5, 1.5, 32).astype(np.float32)
SCALE[[3, 17]] = 60  # outlying channels
SCALE[8] = 0
WEIGHTS = {name: RNG.normal(0, 0.1, (32, 40)).astype(np.float32) for name in "uvw"}
WEIGHTS["u"][[3, 17]] /= 60


def graph(folder: Path, kind: str, *, is_read_elsewhere: bool = False) -> Path:
    """A norm, read by two linear layers, and a third behind a nonlinearity."""
    constants = {"scale": SCALE, "shift": (SCALE / 3).astype(np.float32), **WEIGHTS}
    if kind == "LayerNormalization":
        nodes = [helper.make_node(kind, ["x", "scale", "shift"], ["n"])]
    else:
        nodes = [helper.make_node("Mul", ["scale", "x"], ["n"])]
    nodes += [
        helper.make_node("MatMul", ["n", "u"], ["nu"]),
        helper.make_node("MatMul", ["n", "v"], ["nv"]),
        helper.make_node("Mul", ["nu", "nv"], ["m"]),
        helper.make_node("Relu", ["n"] if is_read_elsewhere else ["x"], ["r"]),
        helper.make_node("MatMul", ["r", "w"], ["rw"]),
        helper.make_node("Add", ["m", "rw"], ["y"]),
    ]
    ports = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 5, width])
        for name, width in (("x", 32), ("y", 40))
    ]
    used = {name for node in nodes for name in node.input}
    tensors = [numpy_helper.from_array(a, name) for name, a in constants.items() if name in used]
    made = helper.make_graph(nodes, "g", ports[:1], ports[1:], tensors)
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(model, folder / "g.onnx")
    return folder / "g.onnx"


def ranges(kind: str) -> dict[str, np.ndarray]:
    normed = X
    if kind == "LayerNormalization":
        normed = (X - X.mean(-1, keepdims=True)) / X.std(-1, keepdims=True)
    given = normed * SCALE + (SCALE / 3 if kind == "LayerNormalization" else 0)
    return {"n": np.abs(given).max((0, 1)), "r": X.max((0, 1)).clip(0)}


def run(path: Path) -> np.ndarray:
    (found,) = open_session(path).run(None, {"x": X})
    return np.asarray(found)


def copied(source: GraphFile, target: Path) -> Path:
    writer = GraphWriter(source)
    for node in source.nodes:
        writer.keep(node)
    writer.write(target, 18)
    return target


@pytest.mark.parametrize("kind", ["LayerNormalization", "Mul"])
def test_the_function_stays_and_loses_less_in_eight_bits(tmp_path: Path, kind: str) -> None:
    path = graph(tmp_path, kind)
    smoothed = SmoothedFile(path, ranges(kind))
    wanted = run(path)
    size = np.abs(wanted).max()
    assert np.abs(run(copied(smoothed, tmp_path / "same.onnx")) - wanted).max() < 1e-5 * size
    assert not np.array_equal(smoothed.weight("scale"), SCALE)
    np.testing.assert_array_equal(smoothed.weight("w"), WEIGHTS["w"])
    errors = []
    for source in (GraphFile(path), smoothed):
        write_int8_cpu(source, tmp_path / "int8.onnx", 18)
        errors.append(np.abs(run(tmp_path / "int8.onnx") - wanted).mean())
    assert errors[1] < 0.8 * errors[0]


def test_ranges_follow_the_factors(tmp_path: Path) -> None:
    given = ranges("Mul")
    smoothed = SmoothedFile(graph(tmp_path, "Mul"), given)
    reach = np.max([np.abs(smoothed.weight(name)).max(1) for name in "uv"], 0)
    used = SCALE != 0
    np.testing.assert_allclose(smoothed.ranges["n"][used], reach[used], rtol=1e-5)
    np.testing.assert_array_equal(smoothed.ranges["r"], given["r"])


def test_a_norm_that_something_else_reads_is_left(tmp_path: Path) -> None:
    path = graph(tmp_path, "Mul", is_read_elsewhere=True)
    smoothed = SmoothedFile(path, ranges("Mul"))
    for name in ("scale", "u", "v"):
        np.testing.assert_array_equal(smoothed.weight(name), GraphFile(path).weight(name))


def test_layers_that_nothing_was_seen_of_stay_as_they_are(tmp_path: Path) -> None:
    smoothed = SmoothedFile(graph(tmp_path, "Mul"), {})
    for name, weight in WEIGHTS.items():
        np.testing.assert_array_equal(smoothed.weight(name), weight)
    assert smoothed.ranges == {}
