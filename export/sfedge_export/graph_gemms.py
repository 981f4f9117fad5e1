"""The GEMMs (matrix multiplications) of a graph, by size: the unit in which its work is counted."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import prod
from pathlib import Path

import onnx
from onnx import ModelProto, NodeProto, TensorShapeProto, shape_inference

from sfedge.bundle.graph_io import PROMPT_AXES

Gemm = tuple[int, int, int]  # rows, inner, columns
Rows = list[list[int]]


def gemms_by_prompt(path: Path, prompts: Iterable[int]) -> Rows | dict[str, Rows]:
    """The GEMMs of a graph, by the prompt's length where that changes them.

    Args:
        path: of the graph.
        prompts: tokens of each prompt.

    Returns:
        What `count_gemms` returns, or that by the number of tokens, in digits as JSON wants keys.
    """
    if not _free_prompts(onnx.load(str(path), load_external_data=False)):
        return count_gemms(path)
    return {str(prompt): count_gemms(path, prompt) for prompt in sorted({*prompts})}


def count_gemms(path: Path, prompt: int = 0) -> Rows:
    """Sizes and counts of the GEMMs that a graph runs to answer one sample.

    Convolutions count as the GEMMs that they are equivalent to.

    Args:
        path: of the graph.
        prompt: tokens of the prompt, where the graph leaves their number free.

    Returns:
        [count, rows, inner, columns] each, those with the most work first.
    """
    model = onnx.load(str(path), load_external_data=False)
    for size in _free_prompts(model):
        size.dim_value = prompt
    for port in model.graph.input:
        port.type.tensor_type.shape.dim[0].dim_value = 1
    del model.graph.value_info[:]
    graph = shape_inference.infer_shapes(model, data_prop=True).graph
    dims = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.input, *graph.output, *graph.value_info):
        dims[value.name] = tuple(d.dim_value or 1 for d in value.type.tensor_type.shape.dim)
    counts: Counter[Gemm] = Counter()
    for node in graph.node:
        for count, gemm in _gemms(node, dims):
            counts[gemm] += count
    rows = [[count, *gemm] for gemm, count in counts.items()]
    return sorted(rows, key=lambda row: (-prod(row), row))


def _free_prompts(model: ModelProto) -> list[TensorShapeProto.Dimension]:
    """The sizes of a graph's inputs that are a prompt's length, where it takes any length."""
    sizes = [
        port.type.tensor_type.shape.dim[PROMPT_AXES[port.name]]
        for port in model.graph.input
        if port.name in PROMPT_AXES
    ]
    return [size for size in sizes if not size.HasField("dim_value")]


def _gemms(node: NodeProto, dims: Mapping[str, Sequence[int]]) -> Iterator[tuple[int, Gemm]]:
    if node.op_type not in ("MatMul", "Gemm", "Conv", "ConvTranspose"):
        return
    a, b, out = dims[node.input[0]], dims[node.input[1]], dims[node.output[0]]
    whole = {attribute.name: attribute.i for attribute in node.attribute}
    if node.op_type == "MatMul" and len(b) == 2:  # with a weight: all rows at once
        yield 1, (prod(a[:-1]), b[0], b[1])
    elif node.op_type == "MatMul":
        yield prod(out[:-2]), (a[-2], a[-1], b[-1])
    elif node.op_type == "Gemm":
        yield 1, (out[0], b[1] if whole.get("transB") else b[0], out[1])
    elif node.op_type == "Conv":
        groups = whole.get("group", 1)
        yield groups, (prod(out[2:]), prod(b[1:]), out[1] // groups)
    else:
        groups = whole.get("group", 1)
        yield groups, (prod(a[2:]), a[1] // groups, prod(b[1:]))
