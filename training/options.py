"""Options that commands of `python -m training` share."""

from collections.abc import Callable, Iterable
from pathlib import Path

import click

from training.recipe import DATASET_TASKS, Recipe

FOLDER = click.Path(path_type=Path, file_okay=False)
Command = Callable[..., None]


def preset_option(names: Iterable[str]) -> Callable[[Command], Command]:
    """`--preset`, one of these."""
    return click.option(
        "--preset",
        type=click.Choice(sorted(names)),
        default="tiny",
        show_default=True,
        help="Parts and size of the network.",
    )


def datasets_option(command: Command) -> Command:
    """`--datasets`, a text with commas."""
    return click.option(
        "--datasets",
        metavar="NAME,…",
        default=",".join(DATASET_TASKS),
        show_default=True,
        help="Which of the folders in DATA to read.",
    )(command)


def run_options(command: Command) -> Command:
    """`DATA`, `--out`, and every setting of the recipe."""
    usual = Recipe()
    options: tuple[Callable[[Command], Command], ...] = (
        click.argument("data", type=FOLDER),
        click.option("--out", type=FOLDER, required=True, help="Folder of this run."),
        datasets_option,
        click.option(
            "--epochs",
            default=usual.epochs,
            show_default=True,
            help="In each, every dataset gives as many samples as the smallest has.",
        ),
        click.option("--batch", default=usual.batch, show_default=True, help="Samples in a step."),
        click.option(
            "--learning-rate",
            default=usual.learning_rate,
            show_default=True,
            help="Its highest value, after the warm-up.",
        ),
        click.option(
            "--warmup",
            default=usual.warmup,
            show_default=True,
            help="Steps in which the learning rate rises.",
        ),
        click.option(
            "--gaze-weight",
            type=float,
            help="Weight of the heatmap loss, the paper's lambda. [1 / number of datasets]",
        ),
        click.option(
            "--augment/--no-augment",
            default=usual.augment,
            show_default=True,
            help="Flips, small shifts and changes of light.",
        ),
        click.option(
            "--precision",
            type=click.Choice(["fp32", "bf16"]),
            default=usual.precision,
            show_default=True,
            help="Of the forward pass; weights stay fp32.",
        ),
        click.option(
            "--seed",
            default=usual.seed,
            show_default=True,
            help="Decides the start, the order and the augmentation.",
        ),
        click.option(
            "--workers",
            default=0,
            show_default=True,
            help="Processes that read pictures; 0 reads them between the steps.",
        ),
        click.option(
            "--stop-after",
            type=int,
            metavar="STEP",
            help="Stop there; the same command goes on later.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def dataset_names(text: str) -> tuple[str, ...]:
    """The value of `--datasets`, taken apart."""
    return tuple(name for name in (part.strip() for part in text.split(",")) if name)


def in_full(name: str) -> str:
    """A local path from the root, so that a saved model finds it from anywhere; else `name`."""
    path = Path(name)
    return str(path.resolve()) if name and path.exists() else name
