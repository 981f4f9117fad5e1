"""What all loaders share: files that must be there, and a held-out part of a training set."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sfedge.core.csv_rows import number
from sfedge.core.errors import DataError

MISSING = "picture is missing"  # what every loader calls it
UNREADABLE = "picture cannot be read"
UNANNOTATED = "is listed but not annotated"  # after "clip" or "picture"


def existing(root: Path, *names: str, what: str) -> Path:
    """The first of `names` under `root` that exists; a name may hold wildcards.

    Raises:
        DataError: none does; the message lists where it was looked for.
    """
    for name in names:
        for path in sorted(root.glob(name)):
            return path
    raise DataError(
        f"{what} is missing",
        where=str(root),
        fix=f"Looked for {' and '.join(names)}; see docs/datasets.md for the layout.",
    )


def read_json(path: Path, kind: type[list[Any]] | type[dict[str, Any]]) -> Any:
    """The list or object that a JSON file holds.

    Raises:
        DataError: it cannot be read, or holds something else.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise DataError(f"this file cannot be read ({error})", where=str(path)) from error
    if not isinstance(value, kind):
        raise DataError(f"this file holds no JSON {kind.__name__}", where=str(path))
    return value


def whole(value: object) -> int:
    """A whole number from what a file holds; "3.0" is one, too.

    Raises:
        ValueError: it is none.
    """
    result = number(value)
    if not result.is_integer():
        raise ValueError(f"{value!r} is not a whole number")
    return int(result)


def is_held_out(key: str, share: float) -> bool:
    """Whether a stable hash puts `key` into a held-out part of about `share` of all keys.

    Used where a dataset has no validation split of its own; the answer never changes.
    """
    digest = hashlib.sha256(key.encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64 < share


def missing_pictures(paths: Iterable[Path]) -> set[Path]:
    """Those of `paths` that are no files; each folder is listed once."""
    wanted: dict[Path, set[str]] = {}
    for path in paths:
        wanted.setdefault(path.parent, set()).add(path.name)
    missing: set[Path] = set()
    for folder, names in wanted.items():
        there = {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
        missing |= {folder / name for name in names - there}
    return missing
