"""`sfedge-export`: a trained model to a bundle, or a bundle to other precisions."""

import json
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import click

from sfedge.bundle.manifest import MANIFEST_NAME
from sfedge.cli import ending
from sfedge.core.errors import ConfigError, MissingExtraError, unknown_name
from sfedge.core.tasks import TASKS, Task, select_tasks

_DRAWN = "Learned from drawings only: its answers about real people mean nothing."
_EPILOG = """\b
Examples:
  sfedge-export runs/tiny/model --out tiny.zip
  sfedge-export tiny.zip --compare photographs --precision int8-cpu
"""


@click.command(epilog=_EPILOG)
@click.argument("source", type=click.Path(path_type=Path), required=False)
@click.option(
    "--preset",
    help="In place of SOURCE: the network of this preset with random weights, to measure its speed "
    "(paper, dinov2, edge, small, tiny).",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help='The bundle: a folder, or a zip where the name ends in ".zip".',
)
@click.option(
    "--compare",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="FOLDER",
    help="Make nothing: print how far the precisions of SOURCE, a bundle, are from its fp32 on the "
    "pictures of a folder. Take pictures like those that the tasks see.",
)
@click.option("--json", "as_json", is_flag=True, help="With --compare: print JSON.")
@click.option("--name", help="Shown wherever the model answers.  [default: that of the bundle]")
@click.option(
    "--notice",
    help="Limits shown beside every answer.  [default: none, or that it learned from drawings]",
)
@click.option(
    "--licence",
    help="Terms of the weights, for the model card.  [default: none]",
)
@click.option(
    "--mirrored",
    is_flag=True,
    help="An answer is the mean of those about a view and its mirror image: righter, in twice the "
    "time.",
)
@click.option(
    "--created",
    type=click.DateTime(["%Y-%m-%dT%H:%M:%SZ"]),
    help="Time to write down, in UTC; a bundle made twice for one time is the same.  "
    "[default: now]",
)
@click.option(
    "--precision",
    "precisions",
    multiple=True,
    help="fp32, int8-cpu, fp16, bf16, int8-qdq or fp8-qdq; give it once for each that is wanted.  "
    "[default: fp32 and int8-cpu]",
)
@click.option(
    "--pictures",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Folder of pictures to calibrate and compare precisions on.  "
    "[default: two photographs and the heads in them]",
)
@click.option(
    "--allow-remote-code",
    is_flag=True,
    help="Run the Python code that the hub delivers with MolmoE's and SAIL-VL's encoders.",
)
def main(
    source: Path | None,
    preset: str | None,
    out: Path | None,
    compare: Path | None,
    as_json: bool,
    name: str | None,
    notice: str | None,
    licence: str | None,
    mirrored: bool,
    created: datetime | None,
    precisions: tuple[str, ...],
    pictures: Path | None,
    allow_remote_code: bool,
) -> None:
    """Make a bundle for `sfedge` out of SOURCE.

    SOURCE is the `model` folder of a finished training, or a bundle whose fp32 other precisions are
    made of. Every network is compared with PyTorch first, every precision with fp32; what differs
    is not written.
    """
    if compare is not None:
        if source is None or out is not None:
            raise click.UsageError("--compare takes a bundle as SOURCE, and no --out.")
        _compare(source, compare, precisions, as_json=as_json)
        return
    if out is None:
        raise click.UsageError("Missing option '--out'.")
    if (source is None) == (preset is None):
        raise click.UsageError("Give either SOURCE or --preset.")
    try:
        from sfedge_export.calibration_pictures import in_folder
        from sfedge_export.package import export_bundle, extend_bundle
        from sfedge_export.precisions import DEFAULT
        from sfedge_export.untrained import NOTICE, untrained
        from sfedge_training.loop.calibrate import as_calibrated
        from sfedge_training.loop.checkpoint import load_model
        from sfedge_training.model.model_config import PRESETS
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"exporting needs {error.name}, which is not installed",
            fix="Run: pip install 'sfedge[cpu,export]'.",
        ) from error
    shown = in_folder(pictures) if pictures else None
    precisions = precisions or DEFAULT
    if source is not None and (source.is_file() or (source / MANIFEST_NAME).is_file()):
        if name or notice is not None or licence or mirrored or created:
            raise ConfigError(
                "a bundle keeps its name, notice, licence, mirror and date",
                where=str(source),
                fix="Leave out --name, --notice, --licence, --mirrored and --created.",
            )
        manifest = extend_bundle(source, out, precisions=precisions, pictures=shown)
    else:
        tasks: list[Task] = [*TASKS.values()]
        if source is not None:
            model, recipe, card = load_model(source, allow_remote_code=allow_remote_code)
            limits = _DRAWN if card.get("data", {}).get("is_drawn") else ""
            learned = select_tasks(recipe.tasks)
            tasks = [
                as_calibrated(replace(TASKS[task], margin=recipe.margin(task)), card)
                for task in learned
            ]
        elif preset in PRESETS:
            model, card, limits = untrained(preset), {}, NOTICE
        else:
            unknown_name("preset", str(preset), [*PRESETS], where="--preset")
        manifest = export_bundle(
            model,
            out,
            name=name or out.resolve().stem,
            created=f"{created or datetime.now(timezone.utc):%Y-%m-%dT%H:%M:%SZ}",
            notice=limits if notice is None else notice,
            mirrored=mirrored,
            card={**card, **({"licence": licence} if licence else {})},
            tasks=tasks,
            precisions=precisions,
            pictures=shown,
        )
    size = sum(entry.size for entry in manifest.files)
    count = len(manifest.tasks)
    click.echo(
        f"{out}: {manifest.name}, {count} {'task' if count == 1 else 'tasks'}, "
        f"{', '.join(manifest.precisions)}, {size / 1e6:.1f} MB unpacked"
    )


def _compare(bundle: Path, pictures: Path, precisions: tuple[str, ...], *, as_json: bool) -> None:
    from sfedge_export.compare import as_text, compare

    found = compare(bundle, pictures, precisions)
    if as_json:
        click.echo(json.dumps({name: one.to_json() for name, one in found.items()}, indent=1))
    else:
        click.echo("\n\n".join(f"{name}\n{as_text(one)}" for name, one in found.items()))


def run() -> None:
    """Run `sfedge-export` and leave the program with its exit code."""
    ending.run(main, "sfedge-export")


if __name__ == "__main__":
    run()
