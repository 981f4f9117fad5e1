"""`python -m training`: draw a dataset, train, evaluate."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import torch

from sfedge import __version__
from sfedge.errors import SfedgeError, UsageError
from training.agreement import agree
from training.card import DRAWN_MARK, build_card
from training.challenge import lam_file
from training.check import check
from training.checkpoint import load_model, load_pretrained, save_model
from training.config import PRESETS, ModelConfig
from training.data.folder import tasks_in
from training.data.mixture import ViewSpec
from training.data.sample import Dataset, Split
from training.evaluate import evaluate, usual_device
from training.losses import loss
from training.model import SocialFusion, build_model
from training.options import (
    FOLDER,
    dataset_names,
    datasets_option,
    in_full,
    preset_option,
    run_options,
)
from training.recipe import OWN, Recipe
from training.reports import load_datasets, print_figures, samples_of
from training.teaching import EncoderTeacher, teaching_loss
from training.train import train
from training.vlm.command import vlm_evaluate, vlm_train


@click.group()
def main() -> None:
    """Train SocialFusion and its baselines, on the paper's datasets, your own or drawings."""


@main.command()
@click.argument("root", type=FOLDER)
@click.option("--count", default=8000, show_default=True, help="Training samples a dataset.")
@click.option("--val", default=300, show_default=True, help="Validation samples a dataset.")
@click.option("--test", default=1000, show_default=True, help="Test samples a dataset.")
@click.option("--seed", default=0, show_default=True, help="Decides every stroke.")
def draw(root: Path, count: int, val: int, test: int, seed: int) -> None:
    """Write a drawn dataset to ROOT, in the native layouts of the five datasets.

    The people are made of simple shapes; face, hands, eyes and company show the label.
    """
    from training.drawings import write_drawings

    write_drawings(root, count=count, val=val, test=test, seed=seed)
    made = {"count": count, "val": val, "test": test, "seed": seed, "sfedge": __version__}
    (root / DRAWN_MARK).write_text(json.dumps(made) + "\n", encoding="utf-8")
    click.echo(f"Drawings are in {root}")


@main.command()
@preset_option(name for name, config in PRESETS.items() if config.unpublished)
@run_options
@click.option(
    "--encoder-epochs",
    default=4,
    show_default=True,
    help="Epochs of the encoder alone under shallow heads, before the whole; 0 for none.",
)
def pretrain(
    data: Path,
    out: Path,
    preset: str,
    encoder_epochs: int,
    workers: int,
    stop_after: int | None,
    **settings: Any,
) -> None:
    """Train every part of a preset without published weights, on DATA.

    First the encoder under shallow heads, then the whole network without LoRA. The encoder and
    language model that come out stand in for CLIP and Llama in `train --pretrained`.
    """
    recipe = _recipe({**settings, "pretraining": True})
    model = _new_model(PRESETS[preset], recipe)
    model.unfreeze_all()
    loaded = load_datasets(data, recipe.datasets, "train")
    recipe = _with_own_tasks(recipe, loaded)
    samples = {dataset.name: dataset.samples for dataset in loaded}
    if encoder_epochs:
        train(
            EncoderTeacher(model.encoder, recipe.tasks),
            samples,
            replace(recipe, epochs=encoder_epochs),
            out / "encoder",
            loss=teaching_loss,
            view=ViewSpec(model.encoder.input, model.encoder.grid),
            device=usual_device(),
            mixes_gaze=True,  # batch normalisation wants every batch to look alike
            workers=workers,
        )
    _train_and_save(model, recipe, loaded, data, out, workers=workers, stop_after=stop_after)


@main.command(name="train")
@preset_option(PRESETS)
@run_options
@click.option(
    "--encoder-weights",
    metavar="NAME",
    help="Weights of the preset's encoder: a tag of its library (open_clip, timm), a file, a "
    "folder with one safetensors file, or owner/name on the Hugging Face hub. [the preset's]",
)
@click.option(
    "--language",
    metavar="NAME",
    help="The Llama to adapt: a folder as transformers saves it, or owner/name on the Hugging "
    "Face hub. [the preset's]",
)
@click.option(
    "--pretrained",
    type=FOLDER,
    help="`model` folder of a pre-training; brings the parts that have no published weights.",
)
def train_command(
    data: Path,
    out: Path,
    preset: str,
    encoder_weights: str | None,
    language: str | None,
    pretrained: Path | None,
    workers: int,
    stop_after: int | None,
    **settings: Any,
) -> None:
    """Run the recipe on DATA: connector, box embedding, gaze head and LoRA are trained.

    DATA holds one folder for each dataset, in its native layout. A run that was stopped goes on
    where it was.
    """
    config, recipe = PRESETS[preset], _recipe(settings)
    if encoder_weights is not None:
        config = replace(config, encoder_weights=in_full(encoder_weights))
    if language is not None:
        weights = language != "tiny"
        config = replace(config, language=in_full(language), language_weights=weights)
    if config.unpublished and pretrained is None:
        raise UsageError(
            f"preset {preset!r} has no published weights for: {', '.join(config.unpublished)}",
            where="--pretrained",
            fix="Run `python -m training pretrain` first and name its `model` folder here.",
        )
    if pretrained is not None and not config.unpublished:
        raise UsageError(
            "encoder and language model have published weights",
            where="--pretrained",
            fix="Leave it out.",
        )
    model = _new_model(config, recipe)
    if pretrained is not None:
        load_pretrained(model, pretrained)
    loaded = load_datasets(data, recipe.datasets, "train")
    recipe = _with_own_tasks(recipe, loaded)
    _train_and_save(model, recipe, loaded, data, out, workers=workers, stop_after=stop_after)


def _recipe(settings: dict[str, Any]) -> Recipe:
    return Recipe(datasets=dataset_names(settings.pop("datasets")), **settings)


def _new_model(config: ModelConfig, recipe: Recipe) -> SocialFusion:
    torch.manual_seed(recipe.seed)
    return build_model(config, with_lora=not recipe.pretraining)


def _train_and_save(
    model: SocialFusion,
    recipe: Recipe,
    loaded: list[Dataset],
    data: Path,
    out: Path,
    *,
    workers: int,
    stop_after: int | None,
) -> None:
    device = usual_device()
    steps = train(
        model,
        {dataset.name: dataset.samples for dataset in loaded},
        recipe,
        out,
        loss=loss,
        view=ViewSpec(model.encoder.input, model.token_grid),
        device=device,
        workers=workers,
        stop_after=stop_after,
    )
    if steps == stop_after:
        click.echo(f"Stopped after {steps} steps; the same command goes on")
        return
    figures = evaluate(
        model,
        samples_of(load_datasets(data, recipe.datasets, "test")),
        device=device,
        workers=workers,
    )
    card = build_card(model.config, recipe, loaded, steps=steps, scores=figures, data=data)
    save_model(out / "model", model, recipe, card)
    print_figures(figures)
    click.echo(f"The model is in {out / 'model'}")


@main.command(name="evaluate")
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
def evaluate_command(model: Path, data: Path, split: Split, datasets: str, as_json: bool) -> None:
    """Print the scores of MODEL on a split of DATA."""
    names = Recipe(datasets=dataset_names(datasets)).datasets
    network, _, _ = load_model(model)
    figures = evaluate(
        network, samples_of(load_datasets(data, names, split)), device=usual_device()
    )
    if as_json:
        click.echo(json.dumps(figures, indent=1))
    else:
        print_figures(figures)


def _with_own_tasks(recipe: Recipe, loaded: list[Dataset]) -> Recipe:
    """The recipe with the tasks that occur in a user's own pictures, where they are read."""
    own = [s for dataset in loaded if dataset.name == OWN for s in dataset.samples]
    return replace(recipe, own_tasks=tasks_in(own))


for _command in (check, agree, lam_file, vlm_train, vlm_evaluate):
    main.add_command(_command)

if __name__ == "__main__":
    try:
        main(standalone_mode=False)
    except SfedgeError as error:
        click.echo(f"training: error: {error}", err=True)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(130)
