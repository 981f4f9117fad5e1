"""Which products of a graph are with weights, and so worth fewer bits."""

from onnx import NodeProto

from export.graph_file import GraphFile

# A product with fewer columns, as the gaze head's, costs nothing and decides much.
_FEWEST_COLUMNS = 32


def linear_weight(node: NodeProto, graph: GraphFile) -> str | None:
    """The constant matrix [in, out] that a MatMul multiplies tokens with; None where it has none.

    Products of two activations and those of few columns count as none. The label head is none,
    either: the exporter writes what has no token dimension as Gemm.
    """
    if node.op_type != "MatMul":
        return None
    dims = graph.dims(node.input[1])
    if dims is None or len(dims) != 2 or dims[1] < _FEWEST_COLUMNS:
        return None
    return node.input[1]
