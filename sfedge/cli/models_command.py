"""`sfedge models`: the detector networks in the user's cache."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
from tqdm import tqdm

from sfedge.detect import networks
from sfedge.system.cache import Progress

_EPILOG = """\b
Examples:
  sfedge models fetch
  sfedge models list
  sfedge models add mediapipe-0.10.21-cp311-cp311-manylinux_2_28_x86_64.whl
"""


@click.group(epilog=_EPILOG)
def models() -> None:
    """The networks that find faces, hands and persons.

    They are fetched when they are first needed. Here they are fetched ahead, as for a machine that
    will be offline, or added from a file.
    """


_json_option = click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")


@models.command()
@_json_option
def fetch(as_json: bool) -> None:
    """Fetch the networks that are missing or damaged."""
    lacking = networks.missing()
    with download_bar() as progress:
        paths = networks.fetch(progress=progress)
    if as_json:
        told = {"fetched": lacking, "paths": {name: str(path) for name, path in paths.items()}}
        click.echo(json.dumps(told, indent=1))
        return
    fetched = f"Fetched {', '.join(lacking)}." if lacking else "All networks are there."
    click.echo(f"{fetched} They are in {networks.folder()}")


@models.command(name="list")
@_json_option
def list_(as_json: bool) -> None:
    """Show the networks, what they find, and whether they are there."""
    rows = [
        {
            "name": listing.name,
            "finds": listing.network.finds,
            "status": listing.status,
            "bytes": listing.network.size,
            "licence": networks.LICENCE,
            "source": [part.url for part in listing.network.parts],
            "sha256": listing.network.sha256,
            "path": str(listing.path),
        }
        for listing in networks.listed()
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=1))
        return
    for row in rows:
        size = f"{int(str(row['bytes'])) / 1e6:.1f} MB"
        click.echo(
            f"{row['name']:18}{row['status']:10}{size:>8}   {row['finds']}, {row['licence']}"
        )
    click.echo(f"In {networks.folder()}")


@models.command()
@click.argument("file", type=click.Path(path_type=Path))
@_json_option
def add(file: Path, as_json: bool) -> None:
    """Take networks from FILE: a mediapipe 0.10.21 wheel, or one of Google's model files."""
    added = networks.add(file)
    missing = networks.missing()
    if as_json:
        click.echo(json.dumps({"added": added, "missing": missing}, indent=1))
        return
    rest = f" Still missing: {', '.join(missing)}." if missing else ""
    click.echo(f"Added {', '.join(added)}.{rest}")


@contextmanager
def download_bar() -> Iterator[Progress]:
    """A progress bar for each file that is fetched, where stderr is a terminal."""
    bars: dict[str, tqdm] = {}

    def show(what: str, done: int, total: int) -> None:
        if what not in bars:
            close()
            bars[what] = tqdm(
                desc=what, total=total, unit="B", unit_scale=True, leave=False, disable=None
            )
        bars[what].update(done - bars[what].n)

    def close() -> None:
        for bar in bars.values():
            bar.close()

    try:
        yield show
    finally:
        close()
