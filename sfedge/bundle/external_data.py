"""Which weight files an ONNX graph refers to, read from its bytes without the onnx package.

ONNX keeps large weights in files beside the graph and names them in it. A bundle's manifest must
list each of them, or weights could be loaded that no checksum covers.
"""

import mmap
from collections.abc import Iterator
from pathlib import Path

from sfedge.core.errors import BundleError

# Where a model can hold tensors: message -> {field number: message it holds}
# (onnx/onnx.proto of ONNX 1.23).
_MESSAGES: dict[str, dict[int, str]] = {
    "Model": {7: "Graph", 20: "Training", 25: "Function"},
    "Training": {1: "Graph", 2: "Graph"},
    "Graph": {1: "Node", 5: "Tensor", 15: "Sparse"},
    "Function": {7: "Node", 11: "Attribute"},
    "Node": {5: "Attribute"},
    "Attribute": {5: "Tensor", 6: "Graph", 10: "Tensor", 11: "Graph", 22: "Sparse", 23: "Sparse"},
    "Sparse": {1: "Tensor", 2: "Tensor"},
    "Tensor": {13: "Entry"},
    "Entry": {},
}
_KEY, _VALUE = 1, 2  # fields of an Entry
_OPERATOR = 4  # field of a Node
_COMPILED = b"EPContext"  # a node that holds a device's ready machine code
_MAX_DEPTH = 64


class _CompiledError(Exception):
    """A node holds machine code."""


def external_files(graph: Path) -> set[str]:
    """Names of the files that hold weights of the graph, as it spells them.

    Raises:
        BundleError: the file is no ONNX graph, or it carries compiled code.
    """
    try:
        with graph.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            return set(_locations(data, 0, len(data), "Model", 0))
    except _CompiledError as error:
        raise BundleError(
            "it carries compiled code, which sfedge never runs",
            where=str(graph),
            fix="Export the bundle again, without an engine inside.",
        ) from error
    except (ValueError, IndexError) as error:  # undecodable text is a ValueError
        raise BundleError(
            "this is no ONNX graph", where=str(graph), fix="Export or fetch the bundle again."
        ) from error


def _locations(data: mmap.mmap, start: int, end: int, kind: str, depth: int) -> Iterator[str]:
    if depth > _MAX_DEPTH:
        raise ValueError("nested too deeply")
    inner = _MESSAGES[kind]
    texts: dict[int, bytes] = {}
    for number, low, high in _fields(data, start, end):
        if number in inner:
            yield from _locations(data, low, high, inner[number], depth + 1)
        elif kind == "Entry":
            texts[number] = data[low:high]
        elif kind == "Node" and number == _OPERATOR and data[low:high] == _COMPILED:
            raise _CompiledError
    if texts.get(_KEY) == b"location":
        yield texts[_VALUE].decode() if _VALUE in texts else ""


def _fields(data: mmap.mmap, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """The length-delimited fields of a protobuf message: number, first byte, end."""
    at = start
    while at < end:
        tag, at = _varint(data, at)
        wire = tag & 7
        if wire == 0:
            _, at = _varint(data, at)
        elif wire in (1, 5):
            at += 8 if wire == 1 else 4
        elif wire == 2:
            size, at = _varint(data, at)
            if at + size > end:
                raise ValueError("a field is longer than its message")
            yield tag >> 3, at, at + size
            at += size
        else:
            raise ValueError(f"wire type {wire}")
    if at != end:
        raise ValueError("a message ends within a field")


def _varint(data: mmap.mmap, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("a number is too long")
