"""Adds normalisation metadata to a TFLite model, which MediaPipe's tasks ask of some networks.

A TFLite model is a FlatBuffer (flatbuffers.dev, "Internals"): tables that point forward to others
by relative offsets. The new root table and its lists are therefore laid *before* the old bytes,
which stay as they are and in which all offsets remain true. The tables are those of TensorFlow
Lite's schema.fbs and of metadata_schema.fbs in TensorFlow Lite Support.
"""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

_MODEL_SLOTS = {"version": 0, "buffers": 4, "metadata": 6}  # fields of the table Model
_ENTRY = b"TFLITE_METADATA"  # the Metadata entry that MediaPipe reads
_NORMALISATION = struct.pack("<I", 1)  # NormalizationOptions in the union ProcessUnitOptions


@dataclass(frozen=True, slots=True)
class _Piece:
    """A table, vector or string with all that it points to; a multiple of 4 bytes."""

    data: bytes
    entry: int  # where in `data` an offset to it must point
    links: tuple[
        tuple[int, int], ...
    ] = ()  # (where in `data`, position in the old file) still open


_Field = (
    bytes | _Piece | int | None
)  # number of 4 bytes, new piece, position in the old file, absent


def with_normalisation(model: bytes, *, mean: float, std: float) -> bytes:
    """The model with metadata that says its input is (pixel - mean) / std, pixels in 0 to 255.

    The same arguments give the same bytes.

    Args:
        model: a .tflite file.
        mean: subtracted from each pixel value.
        std: what the difference is divided by.

    Raises:
        ValueError: `model` is not a TFLite model.
    """
    if model[4:8] != b"TFL3":
        raise ValueError("not a TFLite model: the identifier TFL3 is missing")
    fields = _model_fields(model)
    buffers = _elements(model, fields[_MODEL_SLOTS["buffers"]])
    entries = [
        entry
        for entry in _elements(model, fields[_MODEL_SLOTS["metadata"]])
        if _name(model, entry) != _ENTRY
    ]
    payload = _bytes_vector(_normalisation(mean, std))
    entry = _table(_text(_ENTRY), struct.pack("<I", len(buffers)))
    fields[_MODEL_SLOTS["buffers"]] = _vector([*buffers, _table(payload)])
    fields[_MODEL_SLOTS["metadata"]] = _vector([*entries, entry])
    root = _table(*fields)
    # The alignment of the old file's tensors (16, by the schema) is kept.
    head = bytearray(struct.pack("<I", 8 + root.entry) + b"TFL3" + root.data)
    head += bytes(-len(head) % 16)
    for at, position in root.links:
        struct.pack_into("<I", head, 8 + at, len(head) + position - (8 + at))
    return bytes(head) + model


def _normalisation(mean: float, std: float) -> bytes:
    """A ModelMetadata buffer whose one input tensor has a NormalizationOptions."""
    options = _table(_floats([mean]), _floats([std]))
    unit = _table(_NORMALISATION, options)
    tensor = _table(None, None, None, None, _vector([unit]))  # process_units is the fifth
    graph = _table(None, None, _vector([tensor]))  # input_tensor_metadata is the third
    root = _table(None, None, None, _vector([graph]))  # subgraph_metadata is the fourth
    return struct.pack("<I", 8 + root.entry) + b"M001" + root.data


def _model_fields(model: bytes) -> list[_Field]:
    """The fields of the root table by slot: the version as bytes, all others as positions."""
    root = _uint32(model, 0)
    offsets = _offsets(model, root)
    offsets += [0] * (_MODEL_SLOTS["metadata"] + 1 - len(offsets))
    fields: list[_Field] = [
        None if offset == 0 else root + offset + _uint32(model, root + offset) for offset in offsets
    ]
    version = root + offsets[_MODEL_SLOTS["version"]]
    fields[_MODEL_SLOTS["version"]] = model[version : version + 4]
    return fields


def _offsets(model: bytes, table: int) -> list[int]:
    """Where each field of a table lies behind its start; 0 for one that is absent."""
    shape: int = table - struct.unpack_from("<i", model, table)[0]
    (size,) = struct.unpack_from("<H", model, shape)
    return [*struct.unpack_from(f"<{size // 2 - 2}H", model, shape + 4)]


def _name(model: bytes, entry: int) -> bytes:
    """The name of a Metadata table, its first field."""
    cell = entry + _offsets(model, entry)[0]
    text = cell + _uint32(model, cell)
    return model[text + 4 : text + 4 + _uint32(model, text)]


def _elements(model: bytes, vector: _Field) -> list[int]:
    """Positions of the tables that a vector of the old file lists."""
    if not isinstance(vector, int):
        return []
    cells = range(vector + 4, vector + 4 + 4 * _uint32(model, vector), 4)
    return [cell + _uint32(model, cell) for cell in cells]


def _table(*fields: _Field) -> _Piece:
    present = [field for field in fields if field is not None]
    cells = iter(range(4, 4 + 4 * len(present), 4))
    offsets = [0 if field is None else next(cells) for field in fields]
    size = 4 + 2 * len(fields)
    shape = struct.pack(f"<HH{len(offsets)}H", size, 4 + 4 * len(present), *offsets)
    head = bytes(-size % 4) + shape
    return _with_children(head + struct.pack("<i", size), present, entry=len(head))


def _vector(items: Sequence[_Field]) -> _Piece:
    return _with_children(struct.pack("<I", len(items)), items, entry=0)


def _with_children(head: bytes, fields: Sequence[_Field], entry: int) -> _Piece:
    """`head`, a cell of 4 bytes for each field, and then the pieces that the cells point to."""
    data = bytearray(head + bytes(4 * len(fields)))
    links: list[tuple[int, int]] = []
    for cell, field in zip(range(len(head), len(data), 4), fields, strict=True):
        if isinstance(field, bytes):
            data[cell : cell + 4] = field
        elif isinstance(field, int):
            links.append((cell, field))
        elif field is not None:
            struct.pack_into("<I", data, cell, len(data) + field.entry - cell)
            links += [(len(data) + at, position) for at, position in field.links]
            data += field.data
    return _Piece(bytes(data), entry, tuple(links))


def _floats(values: Sequence[float]) -> _Piece:
    return _Piece(struct.pack(f"<I{len(values)}f", len(values), *values), 0)


def _text(text: bytes) -> _Piece:
    data = text + b"\0"
    return _Piece(struct.pack("<I", len(data) - 1) + data + bytes(-len(data) % 4), 0)


def _bytes_vector(data: bytes) -> _Piece:
    return _Piece(struct.pack("<I", len(data)) + data + bytes(-len(data) % 4), 0)


def _uint32(data: bytes, at: int) -> int:
    value: int = struct.unpack_from("<I", data, at)[0]
    return value
