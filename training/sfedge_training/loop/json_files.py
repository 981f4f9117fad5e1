"""JSON objects as files."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sfedge.core.errors import DataError


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write a JSON object to a file, indented for readers."""
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object from a file.

    Raises:
        DataError: it is missing, damaged or something else.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(f"this file cannot be read ({error})", where=str(path)) from error
    if not isinstance(value, dict):
        raise DataError("this file holds no JSON object", where=str(path))
    return value
