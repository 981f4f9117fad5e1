"""`sfedge-train locate`: where the faces and hands of your own labelled pictures are."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import click

from sfedge.detect.conversion import networks
from sfedge.scoring.labels_table import TABLE
from sfedge_training.collection.located_folder import BEFORE, Summary, locate_in
from sfedge_training.collection.locating import Outcome
from sfedge_training.collection.looking import NETWORKS
from sfedge_training.data.landmark_store import STORE

_FOLDER = click.Path(path_type=Path, file_okay=False)
_LOSS = 1  # exit code where pictures were missing or could not be read
_LISTED = 20  # lines of the table
_HINTS: dict[Outcome, str] = {
    "several": "several could be meant: draw the boxes of these lines",
    "nothing": "nothing was found, and training leaves out these lines",
    "given, not seen": "nothing was seen in the box of these lines",
}


@click.command()
@click.argument("folder", type=_FOLDER)
@click.option(
    "--workers",
    type=click.IntRange(1),
    default=2,
    show_default=True,
    help="Processes that look at pictures.",
)
@click.option("--offline", is_flag=True, help="Fetch no detector network.")
def locate(folder: Path, workers: int, offline: bool) -> None:
    """Find the faces and hands that the labels of FOLDER are about.

    FOLDER holds your own pictures and labels.csv, see docs/own-data.md. The detectors' networks
    look at each picture; a row without a box gets that of the face or hand that its label is about,
    and landmarks.npz is written, which the default model reads beside the picture. Boxes that are
    there stay. The table as it was is kept in labels.before-locate.csv. A run that was stopped goes
    on, and one that is done looks only for what was not found.

    The exit code is 1 if pictures are missing or damaged.
    """
    files = networks.fetch(NETWORKS, offline=offline)
    summary = locate_in(folder, files, workers=workers)
    for line in _lines(summary, folder):
        click.echo(line)
    if summary.lost:
        sys.exit(_LOSS)


def _lines(summary: Summary, folder: Path) -> Iterator[str]:
    outcomes: tuple[Outcome, ...] = get_args(Outcome)
    yield f"{'labels':16}{'known':>8}" + "".join(f"{name:>17}" for name in outcomes)
    for task in summary.tasks:
        counts = "".join(f"{summary.outcomes[task, name]:17}" for name in outcomes)
        yield f"{task:16}{summary.known[task]:8}{counts}"
    if summary.others:
        yield f"{summary.others} labels of other tasks were left as they are"
    for name, hint in _HINTS.items():
        if name in summary.lines:
            yield f"{hint}: {_listed(summary.lines[name])}"
    for line, why in list(summary.lost.items())[:_LISTED]:
        yield f"{folder / TABLE}:{line}: {why}"
    if len(summary.lost) > _LISTED:
        yield f"and {len(summary.lost) - _LISTED} more lines whose picture was not seen"
    yield f"{folder}/: {TABLE}, {STORE}; the table as it was is {BEFORE}"


def _listed(lines: list[int]) -> str:
    once = [*dict.fromkeys(lines)]  # a line may hold labels of several tasks
    shown = ", ".join(map(str, once[:_LISTED]))
    return shown + (f" and {len(once) - _LISTED} more" if len(once) > _LISTED else "")
