"""Records of a run, read back: JSON lines of version 2, and of version 1 in the shape of 2."""

import json
import warnings
from collections.abc import Iterator
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from sfedge.core.errors import DataError

SCHEMA = 2
_READ = (1, 2)

Row = dict[str, Any]


class CutRecordsWarning(UserWarning):
    """A record file ends in the middle of a row, as after a power cut."""


def read_records(path: str | Path) -> Iterator[Row]:
    """The rows of a record file in order, each checked, in the shape of the newest schema.

    Rows of version 1 get the fields of version 2: null, or empty, where version 1 does not say.
    A last row that was cut off, as by a power cut, is left out with a `CutRecordsWarning`.

    Raises:
        DataError: the file is missing, is no record file, of a newer schema, or damaged.
    """
    path = Path(path)
    schema, file = SCHEMA, ""
    try:
        with path.open("rb") as lines:  # bytes: a row may be cut within a letter
            for number, line in enumerate(lines, 1):
                where = f"{path}:{number}"
                if not line.endswith(b"\n"):
                    text = f"{where}: the row is cut off and left out."
                    warnings.warn(text, CutRecordsWarning, stacklevel=2)
                    return
                row = _parsed(line, where)
                if number == 1:
                    schema, file = _opening(row, where)
                if schema == 1:
                    row = _from_version_1(row, file)
                yield _checked(row, where)
    except OSError as error:
        raise DataError(
            f"no record file can be read ({error.strerror or error})", where=str(path)
        ) from error


def record_schema() -> Row:
    """The JSON Schema of a row."""
    text = (
        resources.files("sfedge.results").joinpath("record.schema.json").read_text(encoding="utf-8")
    )
    schema: Row = json.loads(text)
    return schema


def _parsed(line: bytes, where: str) -> Row:
    try:
        row = json.loads(line)
        row["type"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError("this is no row of sfedge's records", where=where) from error
    return dict(row)


def _opening(row: Row, where: str) -> tuple[int, str]:
    """The schema and the source's name, as the first row says them."""
    if row["type"] != "run":
        raise DataError("the first row is not of type 'run'", where=where)
    schema = row.get("schema")
    if schema not in _READ:
        raise DataError(
            f"record schema {schema!r}, this sfedge reads {' and '.join(map(str, _READ))}",
            where=where,
            fix="Update sfedge.",
        )
    source = row.get("source")
    name = source.get("name") if isinstance(source, dict) else None
    return int(schema), str(name or "")


def _checked(row: Row, where: str) -> Row:
    kind = row["type"]
    required = _required().get(kind)
    if required is None:
        raise DataError(f"unknown row type {kind!r}", where=where)
    missing = [name for name in required if name not in row]
    if missing:
        raise DataError(f"the {kind} row lacks {', '.join(missing)}", where=where)
    return row


@cache
def _required() -> dict[str, tuple[str, ...]]:
    """The fields that each type of row must have, from the schema."""
    kinds = ("run", "frame", "cut", "gap", "prediction", "summary")
    rules = record_schema()["$defs"]
    return {kind: tuple(rules[kind]["required"]) for kind in kinds}


# Values of fields that version 1 lacks. It has no rows of frames without people, cuts or gaps.
_DEFAULTS: dict[str, Row] = {
    "run": {},
    "frame": {"shot": 0, "hands": [], "left_out": 0},
    "prediction": {"shot": 0, "hands": [], "hand_boxes": [], "side": None},
    "summary": {"warnings": [], "hands": 0, "left_out": 0, "shots": 1, "gaps": 0},
}
_DEFAULTS_OF_A_PERSON: Row = {"person_score": None, "face_score": None, "gesture": None}


def _from_version_1(row: Row, file: str) -> Row:
    """A row of version 1 with the fields of version 2."""
    kind = row["type"]
    row = {**_DEFAULTS.get(kind, {}), "file": file, **row}
    if kind == "run":
        row["schema"] = SCHEMA
        if isinstance(row.get("source"), dict):
            row["source"] = {"identity": None, "is_pictures": False, **row["source"]}
    elif kind == "frame" and isinstance(row.get("people"), list):
        row["people"] = [_person_from_version_1(person) for person in row["people"]]
    elif "point" in row:
        row["in_frame"] = None
    return row


def _person_from_version_1(person: Any) -> Any:
    if not isinstance(person, dict):
        return person
    whole = {**_DEFAULTS_OF_A_PERSON, **person}
    if isinstance(person.get("hands"), list):
        whole["hands"] = [
            {
                "id": None,
                "is_seen": person.get("is_seen", True),
                "box": box,
                "side": None,
                "score": None,
                "is_wearers": False,
            }
            for box in person["hands"]
        ]
    return whole
