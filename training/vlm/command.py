"""`python -m training vlm-train` and `vlm-evaluate`: a baseline's training and its scores."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import torch

from training.card import build_card
from training.data.sample import Split
from training.evaluate import usual_device
from training.options import FOLDER, dataset_names, datasets_option, in_full, run_options
from training.recipe import Recipe
from training.reports import load_datasets, print_figures, samples_of
from training.vlm.config import IMAGE_TOKENS, PUBLISHED, VlmConfig
from training.vlm.evaluate import evaluate_baseline
from training.vlm.load import build_baseline
from training.vlm.store import load_baseline, save_baseline
from training.vlm.train import train_baseline

_Command = Callable[..., None]


def _remote_code_option(command: _Command) -> _Command:
    return click.option(
        "--allow-remote-code",
        is_flag=True,
        help="Run the Python code that the hub delivers with molmoe and sail-vl.",
    )(command)


@click.command("vlm-train")
@run_options
@click.option(
    "--family", type=click.Choice(sorted(PUBLISHED)), required=True, help="Which of the baselines."
)
@click.option(
    "--weights",
    metavar="NAME",
    default="",
    help="A folder as transformers saves it, or owner/name on the Hugging Face hub. "
    "[the family's published ones]",
)
@click.option("--revision", metavar="COMMIT", help="Of the hub's repository. [its newest]")
@click.option(
    "--image-tokens",
    default=IMAGE_TOKENS,
    show_default=True,
    help="Most tokens that a picture may become.",
)
@click.option(
    "--recompute",
    is_flag=True,
    help="Compute activations again in the backward pass: less memory, a third more time.",
)
@_remote_code_option
def vlm_train(
    data: Path,
    out: Path,
    family: str,
    weights: str,
    revision: str | None,
    image_tokens: int,
    recompute: bool,
    allow_remote_code: bool,
    workers: int,
    stop_after: int | None,
    **settings: Any,
) -> None:
    """Teach a pre-trained vision-language model the tasks of DATA as text, with LoRA.

    Boxes stand in the question and gaze is answered as (X,Y), both from 0 to 1000. With several
    datasets the training is joint, with one it is single. A run that was stopped goes on where it
    was.
    """
    recipe = Recipe(datasets=dataset_names(settings.pop("datasets")), **settings)
    config = VlmConfig(
        family=family,
        weights=in_full(weights),
        revision=revision,
        image_tokens=image_tokens,
        recompute=recompute,
    )
    torch.manual_seed(recipe.seed)
    model = build_baseline(config, allow_remote_code=allow_remote_code)
    loaded = load_datasets(data, recipe.datasets, "train")
    device = usual_device()
    steps = train_baseline(
        model,
        {dataset.name: dataset.samples for dataset in loaded},
        recipe,
        out,
        device=device,
        workers=workers,
        stop_after=stop_after,
    )
    if steps == stop_after:
        click.echo(f"Stopped after {steps} steps; the same command goes on")
        return
    figures = evaluate_baseline(
        model,
        samples_of(load_datasets(data, recipe.datasets, "test")),
        device=device,
        workers=workers,
    )
    card = build_card(config, recipe, loaded, steps=steps, scores=figures, data=data)
    save_baseline(out / "model", model, recipe, card)
    print_figures(figures)
    click.echo(f"The model is in {out / 'model'}")


@click.command("vlm-evaluate")
@click.argument("model", type=FOLDER)
@click.argument("data", type=FOLDER)
@click.option(
    "--split",
    type=click.Choice(["val", "test"]),
    default="test",
    show_default=True,
    help="Which samples to answer.",
)
@datasets_option
@click.option("--json", "as_json", is_flag=True, help="Print the scores as JSON.")
@_remote_code_option
def vlm_evaluate(
    model: Path, data: Path, split: Split, datasets: str, as_json: bool, allow_remote_code: bool
) -> None:
    """Print the scores of the baseline MODEL on a split of DATA.

    An answer that is none of those asked for counts as wrong; `unparsable` tells how many are.
    """
    names = Recipe(datasets=dataset_names(datasets)).datasets
    baseline, _, _ = load_baseline(model, allow_remote_code=allow_remote_code)
    samples = samples_of(load_datasets(data, names, split))
    figures = evaluate_baseline(baseline, samples, device=usual_device())
    if as_json:
        click.echo(json.dumps(figures, indent=1))
    else:
        print_figures(figures)
