"""`sfedge detectors`: which there are, and their networks in the user's cache."""

import json
from pathlib import Path

import click

from sfedge.cli.bars import download_bar
from sfedge.detect import DETECTORS
from sfedge.detect.conversion import networks

_EPILOG = """\b
Examples:
  sfedge detectors list
  sfedge detectors fetch
  sfedge detectors add mediapipe-0.10.21-cp311-cp311-manylinux_2_28_x86_64.whl
"""


@click.group(epilog=_EPILOG)
def detectors() -> None:
    """List the detectors of faces, hands and persons, and fetch the networks that they need.

    Networks are fetched when they are first needed. Here they are fetched ahead, as for a machine
    that will be offline, or added from a file.
    """


_json_option = click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")


@detectors.command()
@_json_option
def fetch(as_json: bool) -> None:
    """Fetch the networks that are missing or damaged."""
    lacking = networks.missing()
    with download_bar() as progress:
        paths = networks.fetch(progress=progress)
    if as_json:
        outcome = {"fetched": lacking, "paths": {name: str(path) for name, path in paths.items()}}
        click.echo(json.dumps(outcome, indent=1))
        return
    fetched = f"Fetched {', '.join(lacking)}." if lacking else "All networks are there."
    click.echo(f"{fetched} They are in {networks.folder()}")


@detectors.command(name="list")
@_json_option
def list_(as_json: bool) -> None:
    """Show the detectors, and the networks with what they find and whether they are there."""
    rows = [
        {
            "name": listing.name,
            "finds": listing.network.finds,
            "status": listing.status,
            "bytes": listing.network.source.size,
            "licence": networks.LICENCE,
            "source": listing.network.source.url,
            "source_sha256": listing.network.source.sha256,
            "sha256": listing.network.sha256,
            "path": str(listing.path),
        }
        for listing in networks.listed()
    ]
    if as_json:
        summaries = {name: kind.summary for name, kind in DETECTORS.items()}
        click.echo(json.dumps({"detectors": summaries, "networks": rows}, indent=1))
        return
    for name, kind in DETECTORS.items():
        click.echo(f"{name:18}{kind.summary}")
    click.echo(f"{'FILE.json':18}an ONNX network of your own, see docs/detectors.md\n")
    for row in rows:
        size = f"{int(str(row['bytes'])) / 1e6:.1f} MB"
        click.echo(
            f"{row['name']:18}{row['status']:10}{size:>8}   {row['finds']}, {row['licence']}"
        )
    click.echo(f"In {networks.folder()}")


@detectors.command()
@click.argument("file", type=click.Path(path_type=Path))
@_json_option
def add(file: Path, as_json: bool) -> None:
    """Take networks from FILE: a mediapipe 0.10.21 wheel, or one of Google's .tflite files."""
    added = networks.add(file)
    missing = networks.missing()
    if as_json:
        click.echo(json.dumps({"added": added, "missing": missing}, indent=1))
        return
    rest = f" Still missing: {', '.join(missing)}." if missing else ""
    click.echo(f"Added {', '.join(added)}.{rest}")
