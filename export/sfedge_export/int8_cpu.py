"""Eight-bit graphs for CPUs: every linear layer in whole numbers, each token with its own scale.

One scale for all tokens, as ONNX Runtime's own quantiser takes it, loses to outliers: a single
large token takes the digits of all others. Only standard operators are used, in the order that
ONNX Runtime fuses.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from onnx import NodeProto, TensorProto

from sfedge_export.graph_file import Array, GraphFile, GraphWriter
from sfedge_export.linears import linear_weight

_MOST = 127  # codes go from -127 to 127; those of tokens are stored 128 higher, without a sign
_ZERO = 128
_LEAST = 1e-30  # the largest value of a token counts as at least this, or zeros had no scale


def write_int8_cpu(source: GraphFile, target: Path, opset: int) -> None:
    """Write `source`, a graph in float32, with its linear layers in eight bits."""
    graph = GraphWriter(source)
    tokens: dict[str, _Tokens] = {}  # by what was quantised
    for node in graph.source.nodes:
        weight = linear_weight(node, graph.source)
        if weight is None:
            graph.keep(node)
            continue
        x = node.input[0]
        if x not in tokens:  # queries, keys and values share their input, as gate and up do
            dims = graph.source.dims(weight)
            assert dims is not None
            tokens[x] = _quantise_tokens(graph, x, dims[0])
        _add_product(graph, node, weight, tokens[x])
    graph.write(target, opset)


def quantise_columns(weight: Array) -> tuple[Array, Array]:
    """A matrix [in, out] as int8 codes of the same shape and float32 scales [out]."""
    largest = np.maximum(np.maximum(weight.max(0), -weight.min(0)), np.float32(_LEAST))
    scales = (largest / np.float32(_MOST)).astype(np.float32)
    return np.rint(weight / scales).astype(np.int8), scales


@dataclass(frozen=True, slots=True)
class _Tokens:
    """Names of what an activation became."""

    codes: str  # uint8, of its shape
    largest: str  # of all scales, a single number
    shares: str  # each token's scale as a share of the largest [..., 1]


def _quantise_tokens(graph: GraphWriter, x: str, width: int) -> _Tokens:
    """Quantise x [..., width] along its last axis."""

    def sizes(*values: int) -> str:
        return graph.constant(np.array(values, np.int64))

    highest = graph.add("ReduceMax", [x, sizes(-1)], f"{x}/highest", keepdims=1)
    lowest = graph.add("ReduceMin", [x, sizes(-1)], f"{x}/lowest", keepdims=1)
    depth = graph.add("Neg", [lowest], f"{x}/depth")
    reach = graph.add("Max", [highest, depth, _number(graph, _LEAST)], f"{x}/reach")
    scales = graph.add("Mul", [reach, _number(graph, 1 / _MOST)], f"{x}/scales")
    largest = graph.add("ReduceMax", [scales], f"{x}/largest", keepdims=0)
    shares = graph.add("Div", [scales, largest], f"{x}/shares")
    # QuantizeLinear takes a scale for each index of one axis, so that tokens must be that axis.
    rows = graph.add("Reshape", [x, sizes(-1, width)], f"{x}/rows")
    row_scales = graph.add("Reshape", [scales, sizes(-1)], f"{x}/row_scales")
    count = graph.add("Shape", [row_scales], f"{x}/count")
    zeros = graph.add("Expand", [_zero(graph), count], f"{x}/zeros")
    row_codes = graph.add("QuantizeLinear", [rows, row_scales, zeros], f"{x}/row_codes", axis=0)
    shape = graph.add("Shape", [x], f"{x}/shape")
    codes = graph.add("Reshape", [row_codes, shape], f"{x}/codes")
    return _Tokens(codes, largest, shares)


def _add_product(graph: GraphWriter, node: NodeProto, weight: str, tokens: _Tokens) -> None:
    """What `node` computed of the tokens and its weight, from the codes of both.

    ONNX Runtime fuses product, cast and one scale for each column. It would take a scale for each
    token, too, but then puts a bias that follows in the wrong place (1.32): hence the token's share
    comes last.
    """
    (y,) = node.output
    source = graph.source
    w_codes = graph.weight(f"{weight}/codes", lambda: quantise_columns(source.weight(weight))[0])
    w_scales = graph.weight(f"{weight}/scales", lambda: quantise_columns(source.weight(weight))[1])
    whole = graph.add("MatMulInteger", [tokens.codes, w_codes, _zero(graph)], f"{y}/whole")
    product = graph.add("Cast", [whole], f"{y}/product", to=TensorProto.FLOAT)
    scales = graph.add("Mul", [tokens.largest, w_scales], f"{y}/scales")
    scaled = graph.add("Mul", [product, scales], f"{y}/scaled")
    graph.add("Mul", [scaled, tokens.shares], y)


def _zero(graph: GraphWriter) -> str:
    return graph.constant(np.array(_ZERO, np.uint8))


def _number(graph: GraphWriter, value: float) -> str:
    return graph.constant(np.array(value, np.float32))
