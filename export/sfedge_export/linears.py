"""Which products of a graph are with weights, and so worth fewer bits."""

from onnx import NodeProto

from sfedge_export.graph_file import GraphFile

# A product with fewer columns, as the gaze head's, costs nothing and decides much.
_FEWEST_COLUMNS = 32


def linear_weight(node: NodeProto, graph: GraphFile) -> str | None:
    """The constant matrix [in, out] that a MatMul multiplies tokens with; None where it has none.

    Products of two activations and those of few columns count as none. The label head is none,
    either: the exporter writes what has no token dimension as Gemm.
    """
    if node.op_type != "MatMul" or is_head(node, graph):
        return None
    dims = graph.dims(node.input[1])
    return None if dims is None or len(dims) != 2 else node.input[1]


def is_head(node: NodeProto, graph: GraphFile) -> bool:
    """Whether a product is with a weight of so few columns that it stays as exact as it is."""
    dims = graph.dims(node.input[1]) if node.op_type == "MatMul" else None
    return dims is not None and dims[-1] < _FEWEST_COLUMNS
