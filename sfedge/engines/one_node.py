"""ONNX files of a single operator, written without the onnx package: a few bytes of protobuf."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

_TYPES = {"float32": 1, "uint8": 2, "int8": 3, "int32": 6}  # ONNX's numbers of element types
_VARINT, _BYTES = 0, 2  # how a field is written, in protobuf

Ports = Mapping[str, tuple[str, Sequence[int]]]  # by name: numpy's name of the type, and the shape


def one_node(
    operator: str, inputs: Ports, outputs: Ports, constants: Mapping[str, NDArray[np.float32]]
) -> bytes:
    """A file with one node, which takes all inputs and then all constants.

    Args:
        operator: of ONNX's own, in operator set 18.
        inputs: what the caller gives.
        outputs: what it gets.
        constants: held in the file.
    """
    names = [_text(1, name.encode()) for name in (*inputs, *constants)]
    node = b"".join((*names, *(_text(2, n.encode()) for n in outputs), _text(4, operator.encode())))
    held = [
        _text(
            5,
            b"".join(_number(1, size) for size in value.shape)
            + _number(2, _TYPES["float32"])
            + _text(8, name.encode())
            + _text(9, value.astype("<f4").tobytes()),
        )
        for name, value in constants.items()
    ]
    taken = [_text(11, _port(name, *port)) for name, port in inputs.items()]
    given = [_text(12, _port(name, *port)) for name, port in outputs.items()]
    graph = b"".join((_text(1, node), _text(2, b"graph"), *held, *taken, *given))
    return _number(1, 8) + _text(7, graph) + _text(8, _number(2, 18))


def _port(name: str, kind: str, sizes: Sequence[int]) -> bytes:
    shape = b"".join(_text(1, _number(1, size)) for size in sizes)
    tensor = _text(1, _number(1, _TYPES[kind]) + _text(2, shape))
    return _text(1, name.encode()) + _text(2, tensor)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3 | _VARINT) + _varint(value)


def _text(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | _BYTES) + _varint(len(content)) + content


def _varint(value: int) -> bytes:
    coded = bytearray()
    while value > 127:
        coded.append(value & 127 | 128)
        value >>= 7
    coded.append(value)
    return bytes(coded)
