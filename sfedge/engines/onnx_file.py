"""Writes ONNX files without the onnx package: the few messages of its protobuf that are needed."""

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

# ONNX's numbers of element types, by numpy's names.
_TYPES = {"float32": 1, "uint8": 2, "int8": 3, "int32": 6, "int64": 7}
_VARINT, _BYTES, _FIXED32 = 0, 2, 5  # how a field is written, in protobuf
_IR_VERSION = 8

Attribute = int | float | str | Sequence[int]
# By name: numpy's name of the element type, and the shape; None is a size that the caller chooses.
Ports = Mapping[str, tuple[str, Sequence[int | None]]]


@dataclass(frozen=True, slots=True)
class Node:
    """One operation of a graph."""

    operator: str  # of ONNX's own
    inputs: Sequence[str]
    outputs: Sequence[str]
    attributes: Mapping[str, Attribute] = field(default_factory=dict)


def write_onnx(
    nodes: Iterable[Node],
    inputs: Ports,
    outputs: Ports,
    constants: Mapping[str, NDArray[Any]],
    *,
    opset: int = 17,
) -> bytes:
    """The content of an ONNX file.

    Args:
        nodes: in the order of their computation.
        inputs: what the caller gives.
        outputs: what the caller gets.
        constants: arrays held in the file, by name.
        opset: version of ONNX's operators.
    """
    graph = b"".join(
        (
            *(_bytes(1, _node(node)) for node in nodes),
            _bytes(2, b"graph"),
            *(_bytes(5, _tensor(name, value)) for name, value in constants.items()),
            *(_bytes(11, _port(name, *port)) for name, port in inputs.items()),
            *(_bytes(12, _port(name, *port)) for name, port in outputs.items()),
        )
    )
    return _number(1, _IR_VERSION) + _bytes(7, graph) + _bytes(8, _number(2, opset))


def _node(node: Node) -> bytes:
    return b"".join(
        (
            *(_bytes(1, name.encode()) for name in node.inputs),
            *(_bytes(2, name.encode()) for name in node.outputs),
            _bytes(4, node.operator.encode()),
            *(_bytes(5, _attribute(name, value)) for name, value in node.attributes.items()),
        )
    )


def _attribute(name: str, value: Attribute) -> bytes:
    head = _bytes(1, name.encode())
    if isinstance(value, str):
        return head + _bytes(4, value.encode()) + _number(20, 3)
    if isinstance(value, float):
        return head + _varint(2 << 3 | _FIXED32) + struct.pack("<f", value) + _number(20, 1)
    if isinstance(value, int):
        return head + _number(3, value) + _number(20, 2)
    return head + b"".join(_number(8, item) for item in value) + _number(20, 7)


def _tensor(name: str, value: NDArray[Any]) -> bytes:
    return b"".join(
        (
            *(_number(1, size) for size in value.shape),
            _number(2, _TYPES[value.dtype.name]),
            _bytes(8, name.encode()),
            _bytes(9, value.astype(value.dtype.newbyteorder("<"), copy=False).tobytes()),
        )
    )


def _port(name: str, kind: str, sizes: Sequence[int | None]) -> bytes:
    dims = (_bytes(2, b"batch") if size is None else _number(1, size) for size in sizes)
    shape = b"".join(_bytes(1, dim) for dim in dims)
    tensor = _bytes(1, _number(1, _TYPES[kind]) + _bytes(2, shape))
    return _bytes(1, name.encode()) + _bytes(2, tensor)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3 | _VARINT) + _varint(value)


def _bytes(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | _BYTES) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1  # negative numbers: two's complement of 64 bits
    coded = bytearray()
    while value > 127:
        coded.append(value & 127 | 128)
        value >>= 7
    coded.append(value)
    return bytes(coded)
