"""`sfedge engine`: native engines for the device at hand."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from sfedge.bundle import open_bundle
from sfedge.engines.trt_build import MAX_BATCH, build_engines

_EPILOG = """\b
Examples:
  sfedge engine build
  sfedge engine build my-bundle.zip --precision fp16 --max-batch 4
"""


@click.group(epilog=_EPILOG)
def engine() -> None:
    """Compile a bundle's graphs for the device at hand."""


@engine.command(epilog=_EPILOG)
@click.argument("bundle", type=click.Path(path_type=Path), required=False)
@click.option("--precision", help="One that the bundle has; fp16 by default, else fp32.")
@click.option(
    "--max-batch",
    type=click.IntRange(1, MAX_BATCH),
    default=8,
    show_default=True,
    help="Most queries that one run may answer.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what was built as JSON.")
def build(bundle: Path | None, precision: str | None, max_batch: int, as_json: bool) -> None:
    """Build TensorRT engines from BUNDLE, a folder or zip; without one, from the demo model.

    Needs TensorRT, and takes minutes for a large model. The engines go into the user's cache and
    run on this device with this version of TensorRT only.
    """
    with open_bundle(bundle) as opened:
        engines, folder = build_engines(
            opened,
            precision=precision,
            max_batch=max_batch,
            report=lambda text: click.echo(text, err=True),
        )
    if as_json:
        told = {"folder": str(folder), **asdict(engines)}
        click.echo(json.dumps(told, indent=1, ensure_ascii=False))
        return
    device = engines.device.name if engines.device else "any device its builder knows"
    click.echo(f"{engines.bundle}, {engines.precision}, for {device}, by {engines.builder}")
    for item in engines.engines:
        click.echo(f"  {item.file:<18} {item.size / 1e6:8.1f} MB")
    click.echo(f"in {folder}")
