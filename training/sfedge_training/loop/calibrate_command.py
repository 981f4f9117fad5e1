"""`sfedge-train calibrate`: what a model's probabilities are worth."""

from pathlib import Path

import click

from sfedge_training.data.sample import Split
from sfedge_training.loop.calibrate import calibrate
from sfedge_training.loop.checkpoint import load_recipe
from sfedge_training.loop.reports import load_datasets, samples_of
from sfedge_training.loop.training_options import FOLDER, dataset_names, datasets_option


@click.command(name="calibrate")
@click.argument("model", type=FOLDER)
@click.argument("data", type=FOLDER)
@datasets_option
@click.option("--workers", default=0, show_default=True, help="Processes that read pictures.")
def calibrate_command(model: Path, data: Path, datasets: str, workers: int) -> None:
    """Calibrate MODEL's probabilities on the validation split of DATA.

    Also sets below which probability an answer is unsure: so that 90 % of the others are right,
    and at most 2 % of hands without a gesture get a sure answer that is one, with at most a
    quarter unsure. Both are written into the model's card, and exported with it.
    """
    load_recipe(model)  # its tasks are what DATA is read for
    split: Split = "val"
    samples = samples_of(load_datasets(data, dataset_names(datasets), split))
    for name, found in calibrate(model, samples, split=split, workers=workers).items():
        click.echo(
            f"{name:14} temperature {found.temperature:.3g}, unsure below {found.threshold:.3g}: "
            f"{found.unsure:.1%} of {found.answers}, of the others {found.right_if_sure:.1%} are "
            f"right; calibration error {found.error_before:.3f} -> {found.error:.3f}"
        )
