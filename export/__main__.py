"""`python -m export`: a trained model to a bundle."""

import signal
import sys
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import click

from sfedge.errors import MissingExtraError, SfedgeError
from sfedge.tasks import TASKS, select_tasks

_DRAWN = "Learnt from drawings only: its answers about real people mean nothing."


@click.command()
@click.argument("checkpoint", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help='The bundle: a folder, or a zip where the name ends in ".zip".',
)
@click.option("--name", help="Shown wherever the model answers.  [default: that of the bundle]")
@click.option(
    "--notice",
    help="Limits shown beside every answer.  [default: none, or that it learnt from drawings]",
)
@click.option(
    "--created",
    type=click.DateTime(["%Y-%m-%dT%H:%M:%SZ"]),
    help="Time to write down, in UTC; a bundle made twice for one time is the same.  "
    "[default: now]",
)
@click.option(
    "--allow-remote-code",
    is_flag=True,
    help="Run the Python code that the hub delivers with MolmoE's and SAIL-VL's encoders.",
)
def main(
    checkpoint: Path,
    out: Path,
    name: str | None,
    notice: str | None,
    created: datetime | None,
    allow_remote_code: bool,
) -> None:
    """Make a bundle for `sfedge` out of CHECKPOINT, the `model` folder of a finished training.

    Every network of it is compared with PyTorch first; one that differs is not written.

    Example: python -m export runs/tiny/model --out tiny.zip
    """
    try:
        from export.package import export_bundle
        from training.checkpoint import load_model
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"exporting needs {error.name}, which is not installed",
            fix="Run in the checkout: pip install -e '.[cpu,export]'.",
        ) from error
    model, recipe, card = load_model(checkpoint, allow_remote_code=allow_remote_code)
    if notice is None:
        notice = _DRAWN if card.get("data", {}).get("is_drawn") else ""
    learnt = select_tasks(recipe.tasks)
    manifest = export_bundle(
        model,
        out,
        name=name or out.resolve().stem,
        created=f"{created or datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%SZ}",
        notice=notice,
        card=card,
        tasks=[replace(TASKS[task], margin=recipe.margin(task)) for task in learnt],
    )
    size = sum(entry.size for entry in manifest.files)
    click.echo(f"{out}: {manifest.name}, {len(manifest.tasks)} tasks, {size / 1e6:.1f} MB unpacked")


def _stop(*_: object) -> None:
    sys.exit(143)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _stop)  # an exception, so that what is half-made is removed
    try:
        main(standalone_mode=False)
    except SfedgeError as error:
        click.echo(f"export: error: {error}", err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(130)
