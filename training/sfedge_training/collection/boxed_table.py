"""A table of labels whose empty boxes are filled, and nothing else of it changed."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sfedge.core.boxes import Box
from sfedge.core.errors import DataError

_CORNERS = ("x1", "y1", "x2", "y2")
_PIXELS = tuple(f"{name}_px" for name in _CORNERS)


@dataclass(slots=True)
class BoxedTable:
    """The lines of a table as they stand in it, the header among them."""

    header: list[str]
    lines: list[list[str]]
    encoding: str  # with or without a mark at its beginning

    def set_box(self, line: int, box: Box, size: tuple[int, int]) -> tuple[float, ...]:
        """Write a box into the fields of a line, in the unit that the table has columns for.

        Args:
            line: counted from 1.
            box: in fractions of the picture.
            size: width and height of the upright picture, in pixels.

        Returns:
            The four numbers as they are read from the table.
        """
        fields = self.lines[line - 1]
        fields += [""] * (len(self.header) - len(fields))
        corners = (box.x1, box.y1, box.x2, box.y2)
        names, values = [*_CORNERS], [f"{value:.4f}" for value in corners]
        if not set(_CORNERS) <= set(self.header):
            names = [*_PIXELS]
            values = [f"{value * size[place % 2]:.1f}" for place, value in enumerate(corners)]
        for name, value in zip(names, values, strict=True):
            fields[self.header.index(name)] = value
        return tuple(float(value) for value in values)

    def write(self, file: Path) -> None:
        """Write the table in place of what the file held; it is never seen half written."""
        growing = file.with_name(f".{file.name}")
        with growing.open("w", newline="", encoding=self.encoding) as out:
            csv.writer(out, lineterminator="\n").writerows(self.lines)
        growing.replace(file)


def read_boxed_table(file: Path) -> BoxedTable:
    """Read a table; where it has no columns for boxes it gets `x1`, `y1`, `x2`, `y2`.

    Raises:
        DataError: it cannot be read, or is not UTF-8, so that writing it would spoil names.
    """
    try:
        with file.open(newline="", encoding="utf-8") as opened:
            texts = [*opened]
    except UnicodeDecodeError as error:
        raise DataError(
            f"this table is not UTF-8 ({error.reason} at byte {error.start})",
            where=str(file),
            fix="Save it as UTF-8.",
        ) from error
    except OSError as error:
        raise DataError(f"this table cannot be read ({error})", where=str(file)) from error
    has_mark = bool(texts) and texts[0].startswith("\ufeff")
    texts = [text.removeprefix("\ufeff") for text in texts]
    lines = [next(csv.reader([text]), []) for text in texts]
    first = next((fields for fields in lines if fields), [])
    if not any(_has_all(first, names) for names in (_CORNERS, _PIXELS)):
        first += [name for name in _CORNERS if name not in _stripped(first)]
    return BoxedTable(_stripped(first), lines, "utf-8-sig" if has_mark else "utf-8")


def _has_all(header: Sequence[str], names: Sequence[str]) -> bool:
    return {*names} <= {*_stripped(header)}


def _stripped(fields: Sequence[str]) -> list[str]:
    return [name.strip() for name in fields]
