"""Eight-bit graphs for CPUs: every linear layer in whole numbers, each token with its own scale.

One scale for all tokens, as ONNX Runtime's own quantiser takes it, loses to outliers: a single
large token takes the digits of all others. Only standard operators are used, in the order that
ONNX Runtime fuses into one pass after the product.
"""

from pathlib import Path

import numpy as np
from onnx import NodeProto, TensorProto

from export.graph_file import Array, GraphFile, GraphWriter
from export.linears import linear_weight

_MOST = 127  # codes go from -127 to 127; those of tokens are stored 128 higher, without a sign
_ZERO = 128
_LEAST = 1e-30  # the largest value of a token counts as at least this, or zeros had no scale


def write_int8_cpu(source: Path, target: Path, opset: int) -> None:
    """Write the graph at `source` with its linear layers in eight bits."""
    graph = GraphWriter(GraphFile(source))
    tokens: dict[str, tuple[str, str]] = {}  # what was quantised: to its codes and scales
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
        _add_product(graph, node, weight, *tokens[x])
    graph.write(target, opset)


def quantise_columns(weight: Array) -> tuple[Array, Array]:
    """A matrix [in, out] as int8 codes of the same shape and float32 scales [out]."""
    largest = np.maximum(np.maximum(weight.max(0), -weight.min(0)), np.float32(_LEAST))
    scales = (largest / np.float32(_MOST)).astype(np.float32)
    return np.rint(weight / scales).astype(np.int8), scales


def _quantise_tokens(graph: GraphWriter, x: str, width: int) -> tuple[str, str]:
    """Codes of x [..., width] as uint8 of the same shape, and scales [..., 1]."""

    def number(value: float) -> str:
        return graph.constant(np.array(value, np.float32))

    def sizes(*values: int) -> str:
        return graph.constant(np.array(values, np.int64))

    highest = graph.add("ReduceMax", [x, sizes(-1)], f"{x}/highest", keepdims=1)
    lowest = graph.add("ReduceMin", [x, sizes(-1)], f"{x}/lowest", keepdims=1)
    largest = graph.add("Max", [highest, graph.add("Neg", [lowest], f"{x}/depth")], f"{x}/largest")
    largest = graph.add("Max", [largest, number(_LEAST)], f"{x}/bounded")
    scales = graph.add("Mul", [largest, number(1 / _MOST)], f"{x}/scales")
    # QuantizeLinear takes a scale for each index of one axis, so that tokens must be that axis.
    rows = graph.add("Reshape", [x, sizes(-1, width)], f"{x}/rows")
    row_scales = graph.add("Reshape", [scales, sizes(-1)], f"{x}/row_scales")
    count = graph.add("Shape", [row_scales], f"{x}/count")
    zeros = graph.add("Expand", [_zero(graph), count], f"{x}/zeros")
    row_codes = graph.add("QuantizeLinear", [rows, row_scales, zeros], f"{x}/row_codes", axis=0)
    shape = graph.add("Shape", [x], f"{x}/shape")
    return graph.add("Reshape", [row_codes, shape], f"{x}/codes"), scales


def _add_product(
    graph: GraphWriter, node: NodeProto, weight: str, codes: str, token_scales: str
) -> None:
    """What `node` computed of the tokens and its weight, from the codes of both."""
    (y,) = node.output
    source = graph.source
    w_codes = graph.weight(f"{weight}/codes", lambda: quantise_columns(source.weight(weight))[0])
    w_scales = graph.weight(f"{weight}/scales", lambda: quantise_columns(source.weight(weight))[1])
    whole = graph.add("MatMulInteger", [codes, w_codes, _zero(graph)], f"{y}/whole")
    product = graph.add("Cast", [whole], f"{y}/product", to=TensorProto.FLOAT)
    scales = graph.add("Mul", [token_scales, w_scales], f"{y}/scales")
    graph.add("Mul", [product, scales], y)


def _zero(graph: GraphWriter) -> str:
    return graph.constant(np.array(_ZERO, np.uint8))
