"""The paper's tables as files: a folder for each table, a TOML file for each of its rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import tomllib

from sfedge.core.errors import ConfigError, unknown_name
from sfedge_training.loop.evaluate import PAPER_MEASURES, Measure

RECIPES = Path(__file__).parents[1] / "recipes"

# Gradient conflict degree, the mean over pairs of tasks (table 4).
CONFLICT = Measure("All tasks", "GCD", "all", "gradient_conflict", unit=1.0, less_is_better=True)
# By the heading of their columns.
MEASURES = {f"{m.dataset} {m.name}": m for m in (*PAPER_MEASURES, CONFLICT)}

Part = Literal["train", "val", "test"]  # which part of the datasets a table is measured on


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of a table: what the paper did for it, and the figures that it got.

    Attributes:
        name: of its file.
        system: a name in SYSTEMS, or "published" for figures that others reported.
        head: the row's first cells, by their headings.
        runs: groups of datasets, each trained on together; single training has one a dataset.
        model: settings of the system's model that differ from its defaults.
        recipe: settings of the recipe that differ from its defaults.
        paper: the paper's figures by heading, in the table's units.
    """

    name: str
    system: str
    head: Mapping[str, str]
    runs: tuple[tuple[str, ...], ...]
    model: Mapping[str, Any]
    recipe: Mapping[str, Any]
    paper: Mapping[str, float]

    @property
    def title(self) -> str:
        """The row's first cells in one line."""
        return ", ".join(cell for cell in self.head.values() if cell)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """One table of the paper.

    Attributes:
        name: of its folder: `table1`.
        title: what it compares.
        part: which part of the datasets it is measured on.
        columns: headings, names in MEASURES.
        notes: sentences that belong below it.
        rows: in the paper's order.
    """

    name: str
    title: str
    part: Part
    columns: tuple[str, ...]
    notes: tuple[str, ...]
    rows: tuple[Row, ...]


def read_table(name: str, recipes: Path = RECIPES) -> Table:
    """A table and all its rows.

    Args:
        name: of the table's folder.
        recipes: the folder with a folder for each table.

    Raises:
        UnknownNameError: there is no such table.
        ConfigError: a file is missing, or has a key that no table has.
    """
    known = sorted(path.parent.name for path in recipes.glob("*/table.toml"))
    if not known:
        raise ConfigError("there is no */table.toml", where=str(recipes))
    if name not in known:
        unknown_name("table", name, known)
    folder = recipes / name
    path = folder / "table.toml"
    given = _read(path, {"title": str, "part": str, "columns": list, "rows": list, "notes": list})
    problems = [
        f"column {heading!r} is unknown" for heading in given["columns"] if heading not in MEASURES
    ]
    if given["part"] not in get_args(Part):
        problems.append(f"part is {given['part']!r}, it must be train, val or test")
    if problems:
        raise ConfigError("; ".join(problems), where=str(path))
    return Table(
        name=name,
        title=given["title"],
        part=given["part"],
        columns=tuple(given["columns"]),
        notes=tuple(given["notes"]),
        rows=tuple(_read_row(folder / f"{row}.toml") for row in given["rows"]),
    )


def _read_row(path: Path) -> Row:
    given = _read(
        path,
        {"system": str, "runs": list, "head": dict, "model": dict, "recipe": dict, "paper": dict},
    )
    problems = [
        f"figure {heading!r} is unknown" for heading in given["paper"] if heading not in MEASURES
    ]
    if problems:
        raise ConfigError("; ".join(problems), where=str(path))
    return Row(name=path.stem, **given | {"runs": tuple(tuple(group) for group in given["runs"])})


def _read(path: Path, kinds: Mapping[str, type]) -> dict[str, Any]:
    """A TOML file with these keys and no others; those of lists and tables may be left out."""
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ConfigError(f"this file cannot be read ({error})", where=str(path)) from error
    empty = {key: kind() for key, kind in kinds.items() if kind is not str}
    given = empty | given
    problems = [
        *(f"{key} is unknown" for key in sorted(given.keys() - kinds.keys())),
        *(f"{key} is missing" for key in sorted(kinds.keys() - given.keys())),
        *(
            f"{key} is {given[key]!r}, not a {kind.__name__}"
            for key, kind in kinds.items()
            if key in given and not isinstance(given[key], kind)
        ),
    ]
    if problems:
        raise ConfigError("; ".join(problems), where=str(path))
    return given
