"""Sources as they are handed out: zips of pictures with a table `labels.csv`."""

import csv
import io
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sfedge.core.errors import DataError
from sfedge.system.zips import DAMAGED_ZIP

_TABLE = "labels.csv"


def table_in(file: Path, columns: Iterable[str]) -> list[dict[str, str]]:
    """The rows of the zip's table.

    Raises:
        DataError: the zip or its table cannot be read, or a column is missing.
    """
    with _opened(file) as archive:
        try:
            text = archive.read(_TABLE).decode("utf-8-sig")
        except (KeyError, UnicodeDecodeError) as error:
            raise DataError(f"its {_TABLE} cannot be read ({error})", where=str(file)) from error
    rows = list(csv.DictReader(io.StringIO(text)))
    known = rows[0].keys() if rows else ()
    missing = [name for name in columns if name not in known]
    if missing:
        raise DataError(f"{_TABLE} lacks {', '.join(missing)}", where=str(file))
    return rows


def pictures_in(file: Path, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Names and bytes of pictures, in the order asked for.

    Raises:
        DataError: one is not there or damaged.
    """
    with _opened(file) as archive:
        for name in names:
            try:
                yield name, archive.read(name)
            except KeyError as error:
                raise DataError(f"{name} is in its table alone", where=str(file)) from error


@contextmanager
def _opened(file: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(file) as archive:
            yield archive
    except (OSError, *DAMAGED_ZIP) as error:
        raise DataError(
            f"this file cannot be read ({error})", where=str(file), fix="Fetch it again."
        ) from error
