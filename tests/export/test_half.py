"""Graphs in sixteen bits: what is lowered, what is not, and how near they stay."""

from pathlib import Path

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, shape_inference

from sfedge.bundle.bundle import open_bundle
from sfedge.bundle.graph_io import GraphIO, graph_io
from sfedge.bundle.manifest import GRAPHS
from sfedge_export.half import write_half
from sfedge_export.onnx_graphs import random_inputs
from sfedge_export.precision_session import open_session

HALF = {"fp16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}


def types(path: Path) -> tuple[onnx.GraphProto, dict[str, int]]:
    """A graph, and the element type of everything in it by name."""
    model = shape_inference.infer_shapes(onnx.load(str(path)), strict_mode=True)
    graph = model.graph
    kinds = {tensor.name: tensor.data_type for tensor in graph.initializer}
    for value in (*graph.input, *graph.output, *graph.value_info):
        kinds[value.name] = value.type.tensor_type.elem_type
    return graph, kinds


def contract(bundle_path: Path, name: str) -> GraphIO:
    with open_bundle(bundle_path) as bundle:
        return graph_io(bundle.manifest)[name]


@pytest.mark.parametrize("precision", HALF)
@pytest.mark.parametrize("name", GRAPHS)
def test_products_are_in_sixteen_bits_norms_and_softmax_in_thirty_two(
    small_precisions: Path, precision: str, name: str
) -> None:
    graph, kinds = types(small_precisions / precision / f"{name}.onnx")
    for port in (*graph.input, *graph.output):
        assert kinds[port.name] == TensorProto.FLOAT
    for node in graph.node:
        used = {kinds[given] for given in node.input if given}
        if node.op_type in ("Softmax", "Pow", "Sqrt", "ReduceMean", "LayerNormalization", "Gemm"):
            assert HALF[precision] not in used
        if node.op_type == "MatMul" and name != "gaze":
            assert used == {HALF[precision]}


@pytest.mark.parametrize("name", ["trunk", "gaze"])
def test_the_residual_stream_is_never_rounded(small_precisions: Path, name: str) -> None:
    graph, kinds = types(small_precisions / "fp16" / f"{name}.onnx")
    made = {output: node for node in graph.node for output in node.output}
    norms = [node.input[0] for node in graph.node if node.op_type == "Pow"]
    assert norms
    for value in norms:
        assert kinds[value] == TensorProto.FLOAT
        assert value not in made or made[value].op_type == "Add"  # not from a cast


@pytest.mark.parametrize("name", GRAPHS)
def test_values_stay_within_the_rounding_of_the_type(small_precisions: Path, name: str) -> None:
    io = contract(small_precisions, name)
    inputs = {key: value.numpy() for key, value in random_inputs(io, 2).items()}
    exact, half = (
        open_session(small_precisions / precision / f"{name}.onnx").run(None, inputs)[0]
        for precision in ("fp32", "fp16")
    )
    error = np.abs(exact - half).max() / np.abs(exact).max()
    assert 0 < error < 5e-3


def test_a_rehearsal_rounds_as_the_graph_itself(small_precisions: Path, tmp_path: Path) -> None:
    io = contract(small_precisions, "trunk")
    inputs = {key: value.numpy() for key, value in random_inputs(io, 2).items()}
    source, rehearsed = small_precisions / "fp32" / "trunk.onnx", tmp_path / "trunk.onnx"

    def errors(path: Path) -> np.ndarray:
        (found,) = open_session(path).run(None, inputs)
        return np.asarray(found - exact)

    (exact,) = open_session(source).run(None, inputs)
    write_half(source, rehearsed, 18, np.float16, is_rehearsal=True)
    real, played = errors(small_precisions / "fp16" / "trunk.onnx"), errors(rehearsed)
    # ONNX Runtime drops the rounding between two operators that it runs in float32.
    assert 0.8 < np.abs(played).mean() / np.abs(real).mean() < 3
    write_half(source, rehearsed, 18, ml_dtypes.bfloat16, is_rehearsal=True)
    coarse = errors(rehearsed)  # three binary digits fewer
    assert 4 < np.abs(coarse).mean() / np.abs(played).mean() < 16
