"""`sfedge score`: how right a bundle is on labelled pictures."""

import json
from pathlib import Path

import click

from sfedge.cli.options import (
    detector_engine_option,
    detector_option,
    engine_option,
    offline_option,
    precision_option,
)
from sfedge.core.config import DetectorEngine, EngineName, RunConfig
from sfedge.core.errors import UsageError
from sfedge.core.tasks import task_names

_LOSS = 1  # exit code where pictures were missing or could not be read
_EPILOG = """\b
Examples:
  sfedge score data/folder
  sfedge score own.zip data/folder
  sfedge score own.zip faces --task looking_at_me --column looking_at_camera
  sfedge score own.zip hands --task gesture --limit 200 --out hands-score
  sfedge score own.zip faces --task expression --rename smiling=happiness --by age

\b
Exit codes:
  0    done
  1    failed, or done with pictures missing
  2    the command was written wrongly
"""


def _pairs(context: click.Context, option: click.Parameter, given: tuple[str, ...]) -> object:
    """The pairs that are written OWN=LABEL."""
    pairs = [text.partition("=") for text in given]
    for own, sign, _ in pairs:
        if not own.strip() or not sign:
            raise click.BadParameter("write OWN=LABEL, as smiling=happiness")
    return {own.strip(): label.strip() for own, _, label in pairs}


@click.command(epilog=_EPILOG)
@click.argument("first", metavar="[BUNDLE]", type=click.Path(path_type=Path))
@click.argument("second", metavar="FOLDER", type=click.Path(path_type=Path), required=False)
@click.option(
    "--task",
    "tasks",
    metavar="NAME,…",
    help="Tasks to score. [all that are in the table and the model]",
)
@click.option("--column", metavar="NAME", help="Column with the labels of the task. [label]")
@click.option(
    "--rename",
    "renamed",
    metavar="OWN=LABEL",
    multiple=True,
    callback=_pairs,
    help="A label of the table is called so here; `OWN=` leaves its rows out. May be repeated.",
)
@click.option(
    "--split",
    metavar="NAME",
    help="Rows to score, by their split, or all. [final or test, where the table has it; else all]",
)
@click.option(
    "--by", metavar="NAME,…", help="Columns of the table whose values are scored apart, too."
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    help="Score this many pictures, chosen by a hash of their names.",
)
@engine_option
@precision_option
@detector_option
@detector_engine_option
@click.option("--seed", default=0, show_default=True, help="Of the intervals' draws.")
@offline_option
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("score"),
    show_default=True,
    help="Folder for the results.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def score(
    first: Path,
    second: Path | None,
    tasks: str | None,
    column: str | None,
    renamed: dict[str, str],
    split: str | None,
    by: str | None,
    limit: int | None,
    engine: EngineName,
    precision: str | None,
    detector: str,
    detector_engine: DetectorEngine,
    seed: int,
    offline: bool,
    out: Path,
    as_json: bool,
) -> int:
    """Compare the answers of BUNDLE with the labels of FOLDER, as `sfedge run` would answer.

    BUNDLE is a folder or a zip; without one, the default model is scored. FOLDER holds labels.csv
    and its pictures. Each picture is found, cropped, asked about and
    answered as in a run: what the detectors miss counts as wrong. The results are a page, figures
    as JSON, each single answer as a table, and a picture of the confusions for each task.
    """
    from sfedge.bundle.manifest import MANIFEST_NAME
    from sfedge.cli.bars import download_bar, selftest_bar
    from sfedge.scoring.markdown import losses, summary_lines
    from sfedge.scoring.score import Choice, score_folder
    from sfedge.scoring.score_files import write_score
    from sfedge.scoring.tables import to_json

    bundle, folder = (None, first) if second is None else (first, second)
    if second is None and (first.suffix == ".zip" or (first / MANIFEST_NAME).is_file()):
        raise UsageError(
            "this is a bundle, and there is no folder of pictures to score it on",
            where=str(first),
            fix=f"Run: sfedge score {first} FOLDER",
        )
    choice = Choice(
        tasks=None if tasks is None else task_names(tasks),
        column=column,
        renamed=renamed,
        split=split,
        limit=limit,
        by=()
        if by is None
        else tuple(dict.fromkeys(n.strip() for n in by.split(",") if n.strip())),
        seed=seed,
    )
    config = RunConfig(
        engine=engine,
        precision=precision,
        detector=detector,
        detector_engine=detector_engine,
        offline=offline,
    )
    with download_bar() as fetching, selftest_bar() as testing:
        found = score_folder(bundle, folder, choice, config, progress=fetching, testing=testing)
    write_score(out, found)
    for text in losses(found):
        click.echo(f"sfedge: note: {text}", err=True)
    for text in found.remarks:
        click.echo(f"sfedge: note: {text}", err=True)
    if as_json:
        click.echo(json.dumps(to_json(found), indent=1, ensure_ascii=False))
    else:
        click.echo("\n".join(summary_lines(found)))
        click.echo(f"{out}/: {', '.join(sorted(path.name for path in out.iterdir()))}")
    return _LOSS if found.asked.missing or found.asked.unreadable else 0
