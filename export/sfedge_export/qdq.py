"""Eight-bit graphs for TensorRT: linear layers between pairs of QuantizeLinear and its inverse.

TensorRT reads such a pair as the wish to compute in that type. A token's scale cannot depend on the
token there: one scale holds for all that a layer takes, the largest value that pictures led to.
What is between the layers is in 16 bits, as in fp16.
"""

from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ml_dtypes
import numpy as np
from numpy.typing import DTypeLike

from sfedge_export.graph_file import Array, GraphFile, GraphWriter
from sfedge_export.half import write_half
from sfedge_export.int8_cpu import quantise_columns
from sfedge_export.linears import linear_weight

INT8, FLOAT8 = np.dtype(np.int8), np.dtype(ml_dtypes.float8_e4m3fn)

_LEAST = 1e-30  # a layer that took nothing but zeros on all pictures still has a scale
_MOST = {"int8": 127.0, "float8_e4m3fn": 448.0}  # the largest number of the type


def write_qdq(
    source: GraphFile, target: Path, opset: int, ranges: Mapping[str, float], kind: DTypeLike
) -> None:
    """Write `source` with its linear layers in eight bits, the rest in sixteen.

    Args:
        source: a graph in float32.
        target: where it goes.
        opset: of the new graph; 19 or more for eight-bit floats.
        ranges: the largest absolute input of each linear layer, by its name; one that no task of
            the bundle has reached has none, and stays in sixteen bits.
        kind: numpy's int8 or ml_dtypes' float8_e4m3fn.
    """
    graph = GraphWriter(source)
    kind = np.dtype(kind)
    tokens: dict[str, str] = {}  # what was quantised, and what came of it
    for node in graph.source.nodes:
        weight, x = linear_weight(node, graph.source), node.input[0] if node.input else ""
        if weight is None or x not in ranges:
            graph.keep(node)
            continue
        if x not in tokens:
            tokens[x] = _rounded(graph, x, ranges[x], kind)
        graph.add("MatMul", [tokens[x], _weight(graph, weight, kind)], node.output[0])
    with TemporaryDirectory(dir=target.parent) as scratch:
        between = Path(scratch) / target.name
        graph.write(between, opset)
        write_half(between, target, opset, np.float16)


def _rounded(graph: GraphWriter, x: str, largest: float, kind: np.dtype[Any]) -> str:
    """What the codes of an activation stand for."""
    scale = np.array(max(largest, _LEAST) / _MOST[kind.name], np.float32)
    pair = [graph.constant(scale), graph.weight(f"zero_{kind.name}", lambda: np.zeros((), kind))]
    codes = graph.add("QuantizeLinear", [x, *pair], f"{x}/codes")
    return graph.add("DequantizeLinear", [codes, *pair], f"{x}/values")


def _weight(graph: GraphWriter, name: str, kind: np.dtype[Any]) -> str:
    """A weight's codes and what makes values of them."""
    source = graph.source

    def parts() -> tuple[Array, Array]:
        weight = source.weight(name)
        if kind == np.int8:
            return quantise_columns(weight)
        # TensorRT takes one scale for a whole weight in eight-bit floats.
        scale = np.float32(max(float(np.abs(weight).max()), _LEAST) / _MOST[kind.name])
        return (weight / scale).astype(kind), np.array(scale, np.float32)

    codes = graph.weight(f"{name}/codes", lambda: parts()[0])
    scales = graph.weight(f"{name}/scales", lambda: parts()[1])
    axis = {"axis": 1} if kind == np.int8 else {}
    return graph.add("DequantizeLinear", [codes, scales], f"{name}/values", **axis)
