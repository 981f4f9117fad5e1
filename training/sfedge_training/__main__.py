"""`sfedge-train`: draw or render a dataset, train, evaluate."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import torch

from sfedge.cli import ending
from sfedge.core.errors import UsageError
from sfedge.core.tasks import TASKS
from sfedge_training.analysis.challenge import lam_file
from sfedge_training.analysis.check import check
from sfedge_training.analysis.examples.examples_command import figure
from sfedge_training.baselines.vlm.vlm_command import vlm_evaluate, vlm_train
from sfedge_training.collection.collect_command import collect
from sfedge_training.collection.locate_command import locate
from sfedge_training.data.features import FeatureStore, filled_store
from sfedge_training.data.labelled_folder import tasks_in
from sfedge_training.data.mixture import ViewSpec, pictures_opener
from sfedge_training.data.people_tasks import use_people_tasks
from sfedge_training.data.sample import Dataset, Split
from sfedge_training.data.task_folder import add_task_folder
from sfedge_training.humans.render_command import render
from sfedge_training.loop.calibrate_command import calibrate_command
from sfedge_training.loop.checkpoint import (
    DEFAULT_MODEL,
    load_model,
    load_pretrained,
    load_recipe,
)
from sfedge_training.loop.chosen_config import chosen_config
from sfedge_training.loop.evaluate import evaluate, usual_device
from sfedge_training.loop.json_files import read_json
from sfedge_training.loop.recipe import OWN, Recipe
from sfedge_training.loop.reports import load_datasets, print_figures, recipe_datasets, samples_of
from sfedge_training.loop.taught import load_tokenizer
from sfedge_training.loop.teaching import EncoderTeacher, teaching_loss
from sfedge_training.loop.train import this_process, train
from sfedge_training.loop.training_options import (
    FOLDER,
    MODEL_OPTIONS,
    dataset_names,
    encoder_weights_option,
    evaluation_options,
    image_size_option,
    model_options,
    preset_option,
    recipe_of,
    run_options,
)
from sfedge_training.loop.training_run import Planned, social_fusion, train_and_save
from sfedge_training.model.model_config import FOR_PEOPLE, PRESETS, ModelConfig
from sfedge_training.model.social_fusion import SocialFusion, build_model
from sfedge_training.reproduce.reproduce_command import reproduce


@click.group()
@click.option(
    "--task",
    "folders",
    type=FOLDER,
    multiple=True,
    help="Folder with a task of your own: its entry, tasks.json, and what reads its data, "
    "loader.py, which is run. Give it once for each.",
)
def main(folders: tuple[Path, ...]) -> None:
    """Train SocialFusion and its baselines, on the paper's datasets, your own or drawings."""
    for folder in folders:
        add_task_folder(folder)


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
    from sfedge_training.drawings import mark_made, write_drawings

    write_drawings(root, count=count, val=val, test=test, seed=seed)
    mark_made(root, {"count": count, "val": val, "test": test, "seed": seed})
    click.echo(f"Drawings are in {root}")


@main.command()
@preset_option(name for name, config in PRESETS.items() if config.unpublished)
@run_options
@encoder_weights_option
@image_size_option
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
    encoder_weights: str | None,
    image_size: int | None,
    encoder_epochs: int,
    workers: int,
    stop_after: int | None,
    save_every: float,
    **settings: Any,
) -> None:
    """Train every part of a preset without published weights, on DATA.

    First the encoder under shallow heads, then the whole network without LoRA. The encoder and
    language model that come out stand in for CLIP and Llama in `train --pretrained`. An encoder
    that begins with weights of its own keeps its first layers.
    """
    recipe = recipe_of({**settings, "pretraining": True})
    if this_process().num_processes > 1 or recipe.micro_batches > 1:
        raise UsageError(
            "pre-training normalises over whole batches",
            where="pretrain",
            fix="Run it in one process, without --micro-batches.",
        )
    config = PRESETS[preset]
    _ask_as(preset)
    if image_size is not None:
        config = replace(config, image_size=image_size)
    torch.manual_seed(recipe.seed)
    model = build_model(replace(config, encoder_weights=encoder_weights), with_lora=False)
    model.config = config  # whatever the encoder begins with, what it learns is saved
    model.unfreeze_all()
    if encoder_weights is not None:
        for layer in model.encoder.early_layers():
            layer.requires_grad_(False)
    loaded = recipe_datasets(data, recipe, "train")
    recipe = _with_own_tasks(recipe, loaded)
    if encoder_epochs:
        train(
            EncoderTeacher(model.encoder, recipe.tasks),
            {dataset.name: dataset.samples for dataset in loaded},
            replace(recipe, epochs=encoder_epochs, patience=0),
            out / "encoder",
            loss=teaching_loss,
            opener=pictures_opener(ViewSpec(model.encoder.input, model.encoder.grid)),
            mixes_gaze=True,  # batch normalisation wants every batch to look alike
            workers=workers,
            save_every=save_every,
        )
    train_and_save(
        social_fusion(config, lambda: model, batch=recipe.batch, workers=workers),
        recipe,
        loaded,
        data,
        out,
        workers=workers,
        stop_after=stop_after,
        save_every=save_every,
    )


@main.command(name="train")
@preset_option(PRESETS)
@run_options
@model_options
@click.option(
    "--pretrained",
    type=FOLDER,
    help="`model` folder of a pre-training; brings the parts that have no published weights.",
)
@click.option(
    "--with-connector",
    is_flag=True,
    help="With --pretrained: begin with its connector, embeddings and gaze head, too, not anew.",
)
@click.option(
    "--start-from",
    type=FOLDER,
    callback=lambda *given: _started_from(given[-1]),
    help="`model` folder of an earlier training, or `default`, the model that comes with sfedge "
    "where no such folder is here: its network, with all that it learned, learns on.",
)
@click.option(
    "--keep-tasks",
    is_flag=True,
    help="With --start-from: the model still answers all that the earlier one does, whatever DATA "
    "teaches.",
)
@click.option(
    "--features",
    type=FOLDER,
    help="Where the encoder's features of every view are stored, once; training then opens no "
    "pictures. With --no-augment alone.",
)
@click.pass_context
def train_command(
    context: click.Context,
    /,
    data: Path,
    out: Path,
    preset: str,
    pretrained: Path | None,
    with_connector: bool,
    start_from: Path | None,
    keep_tasks: bool,
    features: Path | None,
    allow_remote_code: bool,
    workers: int,
    stop_after: int | None,
    save_every: float,
    **settings: Any,
) -> None:
    """Run the recipe on DATA: connector, box embedding, gaze head and LoRA are trained.

    DATA holds one folder for each dataset, in its native layout. A run that was stopped goes on
    where it was. `accelerate launch -m sfedge_training train …` shares it among several GPUs.
    """
    chosen = {name: settings.pop(name) for name in MODEL_OPTIONS}
    recipe = recipe_of(settings)
    if features is not None and recipe.augment:
        raise UsageError(
            "stored features are of pictures as they are",
            where="--features",
            fix="Add --no-augment, or leave --features out.",
        )
    if with_connector and pretrained is None:
        raise UsageError(
            "there is no pre-training to take it from",
            where="--with-connector",
            fix="Leave it out.",
        )
    if keep_tasks and (start_from is None or OWN not in recipe.datasets):
        raise UsageError(
            "tasks are kept of an earlier model that learns on from your own pictures",
            where="--keep-tasks",
            fix=f"Name it with --start-from, beside --datasets {OWN}, or leave --keep-tasks out.",
        )
    kept: tuple[str, ...] = ()
    if start_from is None:
        _ask_as(preset)
        config = chosen_config(preset, chosen, pretrained)
        if pretrained is not None:
            load_recipe(pretrained)  # its tasks are those of today
    else:
        given = {"preset": None, "pretrained": None, **chosen}
        _refuse_beside_start(context, given)
        before = load_recipe(start_from)
        kept = before.tasks if keep_tasks else ()
        if before.pretraining:
            raise UsageError(
                "this is a pre-training, whose language model has no LoRA",
                where="--start-from",
                fix="Name it with --pretrained.",
            )
        config = ModelConfig.from_json(read_json(start_from / "model.json"))

    def build() -> SocialFusion:
        torch.manual_seed(recipe.seed)
        if start_from is not None:
            return load_model(start_from, allow_remote_code=allow_remote_code)[0]
        own = None
        if pretrained is not None and "language" in config.unpublished:
            own = load_tokenizer(pretrained)
        model = build_model(config, allow_remote_code=allow_remote_code, tokenizer=own)
        if pretrained is not None:
            load_pretrained(model, pretrained, with_connector=with_connector)
        return model

    loaded = recipe_datasets(data, recipe, "train")

    def stored(model: SocialFusion, planned: Planned) -> FeatureStore | None:
        if features is None:
            return None
        return filled_store(
            features,
            model.encoder,
            planned(),
            encoder_name=config.encoder,
            layer=config.encoder_layer,
            precision=recipe.precision,
            device=usual_device(),
            workers=workers,
        )

    train_and_save(
        social_fusion(
            *(config, build),
            features=stored,
            batch=max(recipe.batch // recipe.micro_batches, 1),
            workers=workers,
        ),
        _with_own_tasks(recipe, loaded, kept),
        loaded,
        data,
        out,
        workers=workers,
        stop_after=stop_after,
        save_every=save_every,
        origin=start_from or pretrained,
    )


def _started_from(named: Path | None) -> Path | None:
    """The folder that `--start-from` names."""
    is_ours = named is not None and str(named) == "default" and not named.exists()
    return DEFAULT_MODEL if is_ours else named


def _ask_as(preset: str) -> None:
    """Ask the tasks as a model of this preset learns them."""
    if preset in FOR_PEOPLE:
        use_people_tasks()


def _refuse_beside_start(context: click.Context, names: Iterable[str]) -> None:
    usual = click.core.ParameterSource.DEFAULT
    given = [name for name in names if context.get_parameter_source(name) is not usual]
    if given:
        raise UsageError(
            f"the model to start from decides about {', '.join(given)}",
            where="--start-from",
            fix="Leave them out.",
        )


@main.command(name="evaluate")
@evaluation_options
def evaluate_command(
    model: Path,
    data: Path,
    split: Split,
    datasets: str,
    allow_remote_code: bool,
    as_json: bool,
) -> None:
    """Print the scores of MODEL on a split of DATA."""
    names = dataset_names(datasets)
    network, recipe, _ = load_model(model, allow_remote_code=allow_remote_code)
    loaded = load_datasets(data, names, split, exact_faces=recipe.exact_faces)
    figures = evaluate(network, samples_of(loaded), device=usual_device())
    print_figures(figures, as_json=as_json)


def _with_own_tasks(recipe: Recipe, loaded: list[Dataset], kept: Iterable[str] = ()) -> Recipe:
    """The recipe with the tasks that occur in a user's own pictures, where they are read.

    Args:
        recipe: of the training.
        loaded: training splits.
        kept: tasks that are answered besides, where the user's own pictures are read.
    """
    own = [s for dataset in loaded if dataset.name == OWN for s in dataset.samples]
    wanted = {*tasks_in(own), *kept}
    return replace(recipe, own_tasks=tuple(task for task in TASKS if task in wanted))


for _command in (
    collect,
    locate,
    check,
    calibrate_command,
    lam_file,
    vlm_train,
    vlm_evaluate,
    reproduce,
    figure,
    render,
):
    main.add_command(_command)


def run() -> None:
    """Run `sfedge-train` and leave the program with its exit code."""
    ending.run(main, "sfedge-train")


if __name__ == "__main__":
    run()
