"""Reads TFLite files: tensors, operators and constant values, sparse ones made dense.

A TFLite file is a FlatBuffer. The numbers of the fields are those of TensorFlow Lite's schema.fbs,
counted from 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import flatbuffers.encode
import flatbuffers.number_types
import flatbuffers.packer
import flatbuffers.table
import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

_TYPES: Mapping[int, str] = {0: "<f4", 1: "<f2", 2: "<i4", 3: "u1", 4: "<i8"}  # TensorType
_INDICES: Mapping[int, str] = {1: "<i4", 2: "<u2", 3: "u1"}  # SparseIndexVector
# BuiltinOperator, those that the detector networks are made of.
_OPERATORS: Mapping[int, str] = {
    0: "ADD", 2: "CONCATENATION", 3: "CONV_2D", 4: "DEPTHWISE_CONV_2D", 5: "DEPTH_TO_SPACE",
    6: "DEQUANTIZE", 9: "FULLY_CONNECTED", 14: "LOGISTIC", 17: "MAX_POOL_2D", 19: "RELU",
    22: "RESHAPE", 23: "RESIZE_BILINEAR", 34: "PAD", 40: "MEAN", 54: "PRELU", 124: "DENSIFY",
}  # fmt: skip
# Fields of each operator's options: name, number, type in struct's letters, default.
_OPTIONS: Mapping[str, Sequence[tuple[str, int, str]]] = {
    "ADD": [("activation", 0, "b")],
    "CONCATENATION": [("axis", 0, "i"), ("activation", 1, "b")],
    "CONV_2D": [
        ("padding", 0, "b"), ("stride_w", 1, "i"), ("stride_h", 2, "i"), ("activation", 3, "b"),
        ("dilation_w", 4, "1"), ("dilation_h", 5, "1"),
    ],
    "DEPTHWISE_CONV_2D": [
        ("padding", 0, "b"), ("stride_w", 1, "i"), ("stride_h", 2, "i"), ("multiplier", 3, "i"),
        ("activation", 4, "b"), ("dilation_w", 5, "1"), ("dilation_h", 6, "1"),
    ],
    "DEPTH_TO_SPACE": [("block_size", 0, "i")],
    "FULLY_CONNECTED": [("activation", 0, "b"), ("weights_format", 1, "b")],
    "MAX_POOL_2D": [
        ("padding", 0, "b"), ("stride_w", 1, "i"), ("stride_h", 2, "i"), ("filter_w", 3, "i"),
        ("filter_h", 4, "i"), ("activation", 5, "b"),
    ],
    "MEAN": [("keep_dims", 0, "b")],
    "RESIZE_BILINEAR": [("align_corners", 2, "b"), ("half_pixel_centers", 3, "b")],
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A tensor of a graph; a constant where it has a value."""

    name: str
    shape: tuple[int, ...]
    value: Array | None  # dense, of the tensor's shape


@dataclass(frozen=True, slots=True)
class Operator:
    """One operation: its name in TensorFlow Lite, and the numbers of the tensors."""

    name: str
    inputs: tuple[int, ...]  # -1 for one that is left out
    outputs: tuple[int, ...]
    options: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Graph:
    """A TFLite file with one subgraph."""

    tensors: tuple[Tensor, ...]
    operators: tuple[Operator, ...]  # in the order of their computation
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def read_tflite(data: bytes) -> Graph:
    """The graph of a TFLite file.

    Raises:
        ValueError: it is no such file, or holds what the detector networks do not.
    """
    if data[4:8] != b"TFL3":
        raise ValueError("not a TFLite file: the identifier TFL3 is missing")
    model = _Table(data, flatbuffers.encode.Get(flatbuffers.packer.uoffset, data, 0))
    codes = [_operator_name(code) for code in model.tables(1)]
    (graph,) = model.tables(2)
    buffers = [buffer.vector(0, "u1") for buffer in model.tables(4)]
    return Graph(
        tensors=tuple(_tensor(table, buffers) for table in graph.tables(0)),
        operators=tuple(_operator(table, codes) for table in graph.tables(3)),
        inputs=tuple(graph.vector(1, "<i4").tolist()),
        outputs=tuple(graph.vector(2, "<i4").tolist()),
    )


class _Table:
    """A table of a FlatBuffer, read by the numbers of its fields."""

    def __init__(self, data: bytes, position: int) -> None:
        self._data = data
        self._table = flatbuffers.table.Table(data, position)

    def number(self, field: int, letter: str = "i", default: int = 0) -> int:
        """A scalar; `letter` is b, B, i or I, as in `struct`."""
        flags = {
            "b": flatbuffers.number_types.Int8Flags,
            "B": flatbuffers.number_types.Uint8Flags,
            "i": flatbuffers.number_types.Int32Flags,
            "I": flatbuffers.number_types.Uint32Flags,
        }[letter]
        return int(self._table.GetSlot(4 + 2 * field, default, flags))

    def table(self, field: int) -> "_Table | None":
        """The table that a field points to."""
        offset = self._offset(field)
        return _Table(self._data, self._table.Indirect(offset)) if offset else None

    def tables(self, field: int) -> list["_Table"]:
        """The tables of a vector."""
        if not self._offset(field):
            return []
        start = self._table.Vector(self._table.Offset(4 + 2 * field))
        count = self._table.VectorLen(self._table.Offset(4 + 2 * field))
        return [_Table(self._data, self._table.Indirect(start + 4 * i)) for i in range(count)]

    def vector(self, field: int, kind: str) -> Array:
        """A vector of numbers, without a copy; empty where it is left out."""
        offset = self._table.Offset(4 + 2 * field)
        if not offset:
            return np.empty(0, kind)
        return np.frombuffer(
            self._data, kind, self._table.VectorLen(offset), self._table.Vector(offset)
        )

    def text(self, field: int) -> str:
        offset = self._offset(field)
        return bytes(self._table.String(offset)).decode() if offset else ""

    def _offset(self, field: int) -> int:
        """Offset of a field in the file; 0 where it is left out."""
        offset = self._table.Offset(4 + 2 * field)
        return self._table.Pos + offset if offset else 0


def _operator_name(code: _Table) -> str:
    number = max(code.number(0, "b"), code.number(3))  # newer files have both
    if number not in _OPERATORS:
        raise ValueError(f"operator {number} is not one of the detector networks'")
    return _OPERATORS[number]


def _operator(table: _Table, codes: Sequence[str]) -> Operator:
    name, options = codes[table.number(0, "I")], table.table(4)
    values = {}
    for option, field, letter in _OPTIONS.get(name, ()):
        default, letter = (1, "i") if letter == "1" else (0, letter)
        values[option] = options.number(field, letter, default) if options else default
    return Operator(
        name,
        tuple(table.vector(1, "<i4").tolist()),
        tuple(table.vector(2, "<i4").tolist()),
        values,
    )


def _tensor(table: _Table, buffers: Sequence[Array]) -> Tensor:
    shape = tuple(table.vector(0, "<i4").tolist())
    data, sparsity = buffers[table.number(2, "I")], table.table(6)
    value = None
    if data.size:
        kind = table.number(1, "b")
        if kind not in _TYPES:
            raise ValueError(f"tensor type {kind} is not one of the detector networks'")
        value = data.view(_TYPES[kind])
        value = _dense(value, shape, sparsity) if sparsity else value.reshape(shape)
    return Tensor(table.text(3), shape, value)


def _dense(values: Array, shape: tuple[int, ...], sparsity: _Table) -> Array:
    """A sparse tensor in full.

    Its values are at the leaves of a tree with one level for each dimension, in the traversal
    order; further levels are the insides of blocks. A level is dense, with as many children for
    each node, or compressed: the children of node i are those from segments[i] to segments[i + 1].
    """
    order, block_map = sparsity.vector(0, "<i4"), sparsity.vector(1, "<i4")
    places = np.zeros((len(order), 1), np.int64)  # of each node so far: its index at each level
    sizes = np.ones(len(order), np.int64)
    for level, metadata in enumerate(sparsity.tables(2)):
        nodes = places.shape[1]
        if metadata.number(0, "b") == 0:
            size = metadata.number(1)
            children: Array = np.full(nodes, size)
            index: Array = np.tile(np.arange(size), nodes)
            sizes[level] = size
        else:
            children = np.diff(_index_vector(metadata, 2).astype(np.int64))
            index = _index_vector(metadata, 4)
        places = np.repeat(places, children, axis=1)
        places[level] = index
    where = [places[level] for level in np.argsort(order)[: len(shape)]]
    for block, dimension in enumerate(block_map.tolist()):
        inner = order.tolist().index(len(shape) + block)
        where[dimension] = where[dimension] * sizes[inner] + places[inner]
    full = np.zeros(shape, values.dtype)
    full[tuple(where)] = values
    return full


def _index_vector(metadata: _Table, field: int) -> Array:
    """The numbers of a SparseIndexVector, a union: `field` holds its type, the next its table."""
    table = metadata.table(field + 1)
    if table is None:
        raise ValueError("a compressed dimension of a sparse tensor lacks its indices")
    return table.vector(0, _INDICES[metadata.number(field, "B")])
