"""Tables that people made, line by line, and the numbers in them."""

import csv
from collections.abc import Iterator
from pathlib import Path

from sfedge.core.errors import DataError


def csv_rows(table: Path) -> Iterator[tuple[int, list[str]]]:
    """Number and fields of each line of a table, from 1; an empty line has no fields.

    Lines are read one by one, so that a stray quotation mark spoils no more than its own, and what
    is no UTF-8 becomes a replacement character.

    Raises:
        DataError: the table cannot be opened.
    """
    try:
        with table.open(newline="", encoding="utf-8-sig", errors="replace") as file:
            for line, text in enumerate(file, start=1):
                yield line, next(csv.reader([text]), [])
    except (OSError, csv.Error) as error:
        raise DataError(f"this table cannot be read ({error})", where=str(table)) from error


def number(value: object) -> float:
    """A finite number from what a file holds.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError(f"{value!r} is not a number")
    result = float(value)
    if result != result or result in (float("inf"), float("-inf")):
        raise ValueError(f"{value!r} is not a finite number")
    return result
