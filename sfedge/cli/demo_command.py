"""`sfedge demo`: makes a clip of real people on the spot and runs the main job on it."""

from pathlib import Path

import click

from sfedge.cli.options import offline_option


@click.command(epilog="\b\nExamples:\n  sfedge demo\n  sfedge demo --out /tmp/look")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("out"),
    show_default=True,
    help="Folder for the clip and the results.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(min=1.0, max=600.0),
    default=12.0,
    show_default=True,
    help="Length of the clip.",
)
@offline_option
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def demo(out: Path, seconds: float, offline: bool, as_json: bool) -> int:
    """Run on a generated clip of two people.

    The clip is put together from photographs that scikit-image and matplotlib carry.
    """
    from sfedge.cli.run_command import run_source
    from sfedge.core.config import RunConfig
    from sfedge.demo.demo_clip import make_demo_clip
    from sfedge.runtime.outputs import make_folder

    make_folder(out)
    clip = out / "demo.mp4"
    click.echo(f"making the clip {clip}", err=True)
    make_demo_clip(clip, seconds=seconds)
    return run_source(str(clip), RunConfig(offline=offline), out, as_json=as_json)
