"""Graphs in sixteen bits for GPUs, with what needs its digits left in thirty-two.

Products run in sixteen bits, and what lies between two of them. Norms, softmax and the heads keep
float32, and so does the residual stream, which all blocks add to; inputs and outputs do anyway.
Types are written into the graph, so that no engine needs a flag or may choose.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike
from onnx import NodeProto, TensorProto, helper, shape_inference

from sfedge_export.graph_file import Array, GraphFile, GraphWriter
from sfedge_export.linears import is_head

# Sums of many terms, quotients of them, and interpolation, which few engines have in 16 bits. A
# Gemm is the label head: the exporter writes what has no token dimension so.
_NAMES = (
    "BatchNormalization Gemm InstanceNormalization LayerNormalization Pow Reciprocal ReduceMean "
    "ReduceSum Resize Softmax Sqrt"
)
_PRECISE = frozenset(_NAMES.split())
# ONNX has convolutions and pooling in bfloat16 only from operator set 22 on.
_NO_BFLOAT16 = frozenset(["AveragePool", "Conv", "ConvTranspose", "MaxPool"])
_PRODUCTS = frozenset(["Conv", "MatMul"])
_QUANTISING = frozenset(["QuantizeLinear", "DequantizeLinear"])
# What attention looks at is in 16 bits from the start, or it would lift the scores to 32.
_ATTENDED = ("past", "past_last", "padding")


def write_half(
    source: Path, target: Path, opset: int, kind: DTypeLike, *, is_rehearsal: bool = False
) -> None:
    """Write the graph at `source` in 16 bits.

    Args:
        source: a graph in float32; its linear layers may be quantised already.
        target: where it goes.
        opset: of the new graph.
        kind: numpy's float16 or ml_dtypes' bfloat16.
        is_rehearsal: hold everything in float32, rounded to 16 bits wherever the graph itself would
            hold it in 16: what a CPU runs that has no operators for `kind`.
    """
    _Lowering(GraphFile(source), np.dtype(kind), is_rehearsal).write(target, opset)


class _Lowering:
    """One graph on its way; `_low` and `_full` know every float value by its name."""

    def __init__(self, source: GraphFile, kind: np.dtype[Any], is_rehearsal: bool) -> None:
        self._source, self._graph, self._kind = source, GraphWriter(source), kind
        self._is_rehearsal = is_rehearsal
        self._type = helper.np_dtype_to_tensor_dtype(kind)
        self._products = _PRODUCTS if kind == np.float16 else _PRODUCTS - _NO_BFLOAT16
        self._precise = _PRECISE if kind == np.float16 else _PRECISE | _NO_BFLOAT16
        model = shape_inference.infer_shapes(source.model)
        values = (*model.graph.input, *model.graph.value_info, *model.graph.output)
        self._floats = {v.name for v in values if _is_float(v.type.tensor_type.elem_type)}
        self._floats |= {t.name for t in source.model.graph.initializer if _is_float(t.data_type)}
        self._outputs = {value.name for value in source.model.graph.output}
        self._full: dict[str, str] = {value.name: value.name for value in source.model.graph.input}
        self._low: dict[str, str] = {}
        self._dequantised: set[str] = set()
        for name in _ATTENDED:
            if name in self._full:
                self._low[name] = self._lowered(name)
                del self._full[name]

    def write(self, target: Path, opset: int) -> None:
        for node in self._source.nodes:
            self._lower(node)
        self._graph.write(target, opset)

    def _lower(self, node: NodeProto) -> None:
        floats = [name for name in node.input if name in self._floats]
        computed = [name for name in floats if self._source.dims(name) is None]
        results = [name for name in node.output if name in self._floats]
        if node.op_type == "DequantizeLinear":
            self._dequantised.update(node.output)
        if self._is_low(node, computed) and (floats or results):
            self._add(node, [self._as_low(n) if n in floats else n for n in node.input], "low")
            return
        inputs = [self._as_full(name) if name in floats else name for name in node.input]
        # An eight-bit product comes out in float32; what follows it does not need that.
        is_quantised = node.op_type == "MatMul" and node.input[0] in self._dequantised
        self._add(node, inputs, "lowered" if is_quantised else "full")

    def _is_low(self, node: NodeProto, computed: Sequence[str]) -> bool:
        if node.op_type in self._precise | _QUANTISING or is_head(node, self._source):
            return False
        if node.op_type in self._products:
            return node.input[0] not in self._dequantised
        are_low = [name in self._low and name not in self._full for name in computed]
        if node.op_type == "Concat":  # a part that comes from outside does not lift the others
            return any(are_low)
        return bool(are_low) and all(are_low)

    def _add(self, node: NodeProto, inputs: Sequence[str], into: str) -> None:
        made = NodeProto()
        made.CopyFrom(node)
        del made.input[:]
        made.input.extend(inputs)
        self._graph.keep(made)
        for index, name in enumerate(node.output):
            if name not in self._floats:
                continue
            if into == "full":
                self._full[name] = name
            elif into == "lowered":
                self._low[name] = self._lowered(name)
            elif name in self._outputs:
                made.output[index] = f"{name}/low"
                self._graph.add("Cast", [f"{name}/low"], name, to=TensorProto.FLOAT)
            else:
                self._low[name] = self._lowered(name) if self._is_rehearsal else name

    def _as_low(self, name: str) -> str:
        if name not in self._low:
            if self._source.dims(name) is not None:
                self._low[name] = self._graph.weight(f"{name}/half", lambda: self._rounded(name))
            else:
                self._low[name] = self._lowered(self._full[name])
        return self._low[name]

    def _as_full(self, name: str) -> str:
        if self._source.dims(name) is not None:
            return name
        if name not in self._full:
            self._full[name] = self._cast(self._low[name], TensorProto.FLOAT, "full")
        return self._full[name]

    def _rounded(self, name: str) -> Array:
        weight = self._source.weight(name).astype(self._kind)
        return weight.astype(np.float32) if self._is_rehearsal else weight

    def _lowered(self, name: str) -> str:
        half = self._cast(name, self._type, "half")
        return self._cast(half, TensorProto.FLOAT, "rounded") if self._is_rehearsal else half

    def _cast(self, name: str, kind: int, suffix: str) -> str:
        return self._graph.add("Cast", [name], f"{name}/{suffix}", to=kind)


def _is_float(kind: int) -> bool:
    return kind == TensorProto.FLOAT
