"""`sfedge-train collect`: real pictures of several sources to one labelled folder."""

from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import click

from sfedge.core.tasks import TASKS
from sfedge.detect.conversion import networks
from sfedge_training.collection.balance import Class
from sfedge_training.collection.collect import Summary, collect_into
from sfedge_training.collection.looking import NETWORKS
from sfedge_training.data.sample import Split

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command()
@click.argument("data", type=_FOLDER)
@click.argument("out", type=_FOLDER)
@click.option(
    "--workers",
    type=click.IntRange(1),
    default=2,
    show_default=True,
    help="Processes that look for landmarks.",
)
@click.option(
    "--rendered",
    "renderings",
    type=_FOLDER,
    multiple=True,
    help="A folder that `render` wrote. Give it once for each.",
)
@click.option("--offline", is_flag=True, help="Fetch no detector network.")
def collect(
    data: Path, out: Path, workers: int, renderings: tuple[Path, ...], offline: bool
) -> None:
    """Bring the sources in DATA into OUT/folder, for `train OUT --datasets folder`.

    DATA holds files of other people's pictures and landmarks, as docs/default-model.md lists them;
    those that are not there are left out. OUT/folder gets the pictures, a table labels.csv, and
    landmarks.npz with what the detectors' networks find in every picture. A run that was stopped
    goes on. Of renderings the training split is taken.
    """
    files = networks.fetch(NETWORKS, offline=offline)
    summary = collect_into(out, data, files, renderings=renderings, workers=workers)
    for line in _lines(summary):
        click.echo(line)


def _lines(summary: Summary) -> Iterator[str]:
    yield f"{'':30}{'pictures':>10}{'found in':>10}"
    for folder, count in summary.looked_at.items():
        yield f"{folder:30}{count:10}{summary.found[folder] / count:10.1%}"
    splits: tuple[Split, ...] = get_args(Split)
    yield f"{'':30}" + "".join(f"{split:>10}" for split in splits) + f"{'draws':>10}"
    for of in sorted({of for of, _ in summary.rows}, key=_place):
        counts = [summary.rows[of, split] for split in splits]
        numbers = "".join(f"{count:10}" for count in counts)
        yield f"{'/'.join(of):30}{numbers}{summary.draws[of]:10.0f}"
    for label, count in summary.unsettled.items():
        yield f"{count} x {label} were left out: the landmarks do not resolve them"


def _place(of: Class) -> tuple[int, int]:
    """Where a class stands among all, new ones last."""
    task, label = of
    labels = TASKS[task].labels
    return [*TASKS].index(task), labels.index(label) if label in labels else len(labels)
