"""`sfedge-train reproduce`: the paper's tables, row by row."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import click
import tomllib
from accelerate import PartialState

from sfedge.core.errors import SfedgeError, UsageError, unknown_name
from sfedge_training.baselines.vlm.vlm_config import PUBLISHED
from sfedge_training.data.sample import DRAWN_MARK
from sfedge_training.loop.evaluate import Figures
from sfedge_training.loop.memory import memory_advice
from sfedge_training.loop.recipe import Recipe
from sfedge_training.loop.training_options import FOLDER, in_full, remote_code_option
from sfedge_training.model.encoders import ENCODERS
from sfedge_training.reproduce.configs import needs_remote_code
from sfedge_training.reproduce.plot import write_plot
from sfedge_training.reproduce.recipe_rows import RECIPES, Row, Table, read_table
from sfedge_training.reproduce.runs import Run, Workplace, merged
from sfedge_training.reproduce.systems import SYSTEMS, is_done, planned
from sfedge_training.reproduce.table import Outcome, write_csv, write_markdown

_REMOTE = "Its code comes with its weights: read it, then pass --allow-remote-code."


@click.command()
@click.argument("table")
@click.option("--data", type=FOLDER, required=True, help="Holds a folder for each dataset.")
@click.option(
    "--out",
    type=FOLDER,
    default="runs/paper",
    show_default=True,
    help="For the table, and `runs/` with what was trained; all tables share it.",
)
@click.option("--row", "only", multiple=True, metavar="NAME", help="Run these rows alone.")
@click.option("--list", "is_list", is_flag=True, help="List the rows and their state.")
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="KEY=VALUE",
    help="A setting in place of the rows' own, as recipe.epochs=1 or model.image_tokens=256.",
)
@click.option(
    "--weights",
    multiple=True,
    metavar="NAME=PLACE",
    help="Where the weights of an encoder, of a family of baselines or of `language` lie: a file, "
    "a folder or owner/name on the Hugging Face hub.",
)
@remote_code_option
@click.option(
    "--workers",
    default=0,
    show_default=True,
    help="Processes that read pictures; 0 reads them between the steps.",
)
@click.option(
    "--features",
    type=FOLDER,
    help="Where linear probes keep the encoders' features, which then are computed once: about a "
    "megabyte a picture.",
)
@click.option(
    "--recipes",
    type=FOLDER,
    default=RECIPES,
    help="Folder with a folder for each table. [the paper's]",
)
def reproduce(
    table: str,
    data: Path,
    out: Path,
    only: tuple[str, ...],
    is_list: bool,
    changes: tuple[str, ...],
    weights: tuple[str, ...],
    allow_remote_code: bool,
    workers: int,
    features: Path | None,
    recipes: Path,
) -> None:
    """Run the rows of the paper's TABLE, table1 to table9, and set them beside its figures.

    What is done is left as it is, what was stopped goes on. OUT/TABLE.md, .csv and .png hold the
    table; a row that cannot be run is reported there and at the end, and the others go on.
    """
    if PartialState().num_processes > 1:
        raise UsageError(
            "rows run in one process each",
            where="reproduce",
            fix="Start the command once for each GPU, with other rows by --row.",
        )
    wanted = read_table(table, recipes)
    known = [row.name for row in wanted.rows]
    for name in only:
        if name not in known:
            unknown_name("row", name, known, where=f"--row of {table}")
    changed = _changes(changes)
    places = _places(weights)
    plans = {row.name: planned(row, weights=places, changes=changed) for row in wanted.rows}
    at = Workplace(
        data=data,
        out=out,
        allow_remote_code=allow_remote_code,
        workers=workers,
        features=features,
    )
    if is_list:
        for row in wanted.rows:
            click.echo(_state(row, plans[row.name], wanted, at))
        return
    outcomes = [
        _outcome(row, plans[row.name], wanted, at, is_chosen=not only or row.name in only)
        for row in wanted.rows
    ]
    out.mkdir(parents=True, exist_ok=True)
    page = out / f"{table}.md"
    write_markdown(page, wanted, outcomes, [*_remarks(data, changes)])
    write_csv(page.with_suffix(".csv"), wanted, outcomes)
    write_plot(page.with_suffix(".png"), wanted, outcomes)
    click.echo(f"The table is in {page}, with {page.stem}.csv and {page.stem}.png beside it")
    failed = [name for outcome in outcomes for name in outcome.failed]
    if failed:
        raise SfedgeError(
            f"{len(failed)} of its runs failed",
            where=table,
            fix=f"They are listed in {page}; the same command tries them again.",
        )


def _outcome(
    row: Row, runs: Sequence[Run], table: Table, at: Workplace, *, is_chosen: bool
) -> Outcome:
    """A row's figures: new ones where it is chosen, else what is there."""
    parts: list[dict[str, Figures]] = []
    places: dict[str, str] = {}
    reasons: list[str] = []
    failed: list[str] = []
    for run in runs:
        if not is_done(run, table.part, at):
            if not is_chosen:
                reasons.append("Not run yet.")
                continue
            if needs_remote_code(run.config) and not at.allow_remote_code:
                reasons.append(_REMOTE)
                continue
            click.echo(f"{table.name} {row.name}: {run.name}", err=True)
        try:
            with memory_advice(run.recipe):
                figures = SYSTEMS[run.system].measure(run, table.part, at)
        except (SfedgeError, OSError, RuntimeError, ValueError, MemoryError) as error:
            failed.append(run.name)
            reasons.append(f"{run.name}: {error}")
            click.echo(f"{run.name}: {error}", err=True)
            continue
        parts.append(figures)
        places |= dict.fromkeys(figures, run.name)
    return Outcome(
        row=row,
        figures=merged(parts),
        runs=places,
        reason=" ".join(dict.fromkeys(reasons)),
        failed=tuple(failed),
    )


def _state(row: Row, runs: Sequence[Run], table: Table, at: Workplace) -> str:
    """A line on what is done of a row."""
    done = sum(is_done(run, table.part, at) for run in runs)
    progress = f"{done} of {len(runs)} runs are done" if runs else "published figures"
    return f"{row.name:24} {row.title}: {progress}"


def _remarks(data: Path, changes: Iterable[str]) -> Iterator[str]:
    if (data / DRAWN_MARK).exists():
        yield "The data are drawings: nothing here can be compared with the paper."
    if changes:
        yield f"Settings were changed for all rows: {', '.join(changes)}."


def _changes(texts: Iterable[str]) -> dict[str, dict[str, Any]]:
    """`--set`, by the part that it changes."""
    known = {
        "recipe": {f.name for f in fields(Recipe)} - {"datasets", "own_tasks", "pretraining"},
        "model": {f.name for kind in SYSTEMS.values() for f in fields(kind.settings)},
    }
    changes: dict[str, dict[str, Any]] = {part: {} for part in known}
    for text in texts:
        key, mark, value = text.partition("=")
        part, _, name = key.strip().partition(".")
        if not mark or part not in known:
            raise UsageError(
                f"{text!r} is no setting",
                where="--set",
                fix="As recipe.epochs=1 or model.hidden=64.",
            )
        if name not in known[part]:
            unknown_name(f"setting of {part}", name, known[part], where="--set")
        changes[part][name] = _value(value.strip())
    return changes


def _value(text: str) -> Any:
    """A number, truth value or text in quotes as TOML has them; else the text as it is."""
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _places(texts: Iterable[str]) -> dict[str, str]:
    """`--weights`, by what they are of."""
    known = (*ENCODERS, *PUBLISHED, "language")
    places = {}
    for text in texts:
        name, mark, place = text.partition("=")
        if not mark or not place:
            raise UsageError(f"{text!r} names no place", where="--weights", fix="As NAME=PLACE.")
        if name not in known:
            unknown_name("part with weights", name, known, where="--weights")
        places[name] = in_full(place)
    return places
