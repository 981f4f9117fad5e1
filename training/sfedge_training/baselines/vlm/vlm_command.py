"""`sfedge-train vlm-train` and `vlm-evaluate`: a baseline's training and its scores."""

from functools import partial
from pathlib import Path
from typing import Any

import click
import torch

from sfedge.core.errors import UsageError
from sfedge_training.baselines.vlm.batches import ChatBatch, chat_opener
from sfedge_training.baselines.vlm.load import build_baseline
from sfedge_training.baselines.vlm.store import load_baseline, save_baseline
from sfedge_training.baselines.vlm.vlm_config import IMAGE_TOKENS, PUBLISHED, VlmConfig
from sfedge_training.baselines.vlm.vlm_evaluate import evaluate_baseline
from sfedge_training.baselines.vlm.vlm_model import VisionLanguageModel, answer_loss
from sfedge_training.data.sample import Split
from sfedge_training.loop.evaluate import usual_device
from sfedge_training.loop.recipe import Recipe
from sfedge_training.loop.reports import load_datasets, print_figures, recipe_datasets, samples_of
from sfedge_training.loop.training_options import (
    dataset_names,
    evaluation_options,
    in_full,
    lora_options,
    recipe_of,
    remote_code_option,
    run_options,
)
from sfedge_training.loop.training_run import System, train_and_save
from sfedge_training.model.social_fusion import cast_frozen


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
@lora_options
@remote_code_option
def vlm_train(
    data: Path,
    out: Path,
    family: str,
    weights: str,
    revision: str | None,
    image_tokens: int,
    allow_remote_code: bool,
    workers: int,
    stop_after: int | None,
    save_every: float,
    **settings: Any,
) -> None:
    """Teach a pre-trained vision-language model the tasks of DATA as text, with LoRA.

    Boxes are in the question and gaze is answered as (X,Y), both from 0 to 1000. With several
    datasets the training is joint, with one it is single. A run that was stopped goes on where it
    was.
    """
    if settings["gaze_weight"] != Recipe().gaze_weight:
        raise UsageError(
            "gaze is text like every other answer here, and has no weight",
            where="--gaze-weight",
            fix="Leave it out.",
        )
    lora = {name: settings.pop(name) for name in ("lora_alpha", "lora_dropout")}
    recipe = recipe_of(settings)
    config = VlmConfig(
        family=family,
        weights=in_full(weights),
        revision=revision,
        image_tokens=image_tokens,
        **{name: value for name, value in lora.items() if value is not None},
    )
    system = baseline(config, recipe, allow_remote_code=allow_remote_code, workers=workers)
    train_and_save(
        system,
        recipe,
        recipe_datasets(data, recipe, "train"),
        data,
        out,
        workers=workers,
        stop_after=stop_after,
        save_every=save_every,
    )


def baseline(
    config: VlmConfig, recipe: Recipe, *, allow_remote_code: bool = False, workers: int = 0
) -> System[VisionLanguageModel, ChatBatch]:
    """A pre-trained vision-language model as a system to train.

    Args:
        config: which, and its settings.
        recipe: its seed decides LoRA's start.
        allow_remote_code: run the Python code that comes with some families' weights.
        workers: processes that read pictures for its scores.
    """

    def build() -> VisionLanguageModel:
        torch.manual_seed(recipe.seed)
        return build_baseline(config, allow_remote_code=allow_remote_code)

    def prepare(model: VisionLanguageModel, recipe: Recipe) -> None:
        if recipe.gradient_checkpointing:
            model.enable_gradient_checkpointing()
        if recipe.precision == "bf16":
            cast_frozen(model, torch.bfloat16)

    return System(
        settings=config,
        build=build,
        prepare=prepare,
        loss=answer_loss,
        opener=lambda model, _: chat_opener(model.adapter),
        score=partial(
            evaluate_baseline,
            device=usual_device(),
            batch=max(recipe.batch // recipe.micro_batches, 1),
            workers=workers,
        ),
        save=save_baseline,
        mixes_gaze=True,  # it is text like every other answer
    )


@click.command("vlm-evaluate")
@evaluation_options
def vlm_evaluate(
    model: Path, data: Path, split: Split, datasets: str, as_json: bool, allow_remote_code: bool
) -> None:
    """Print the scores of the baseline MODEL on a split of DATA.

    An answer that is none of those asked for counts as wrong; `unparsable` counts them.
    """
    names = dataset_names(datasets)
    network, recipe, _ = load_baseline(model, allow_remote_code=allow_remote_code)
    loaded = load_datasets(data, names, split, exact_faces=recipe.exact_faces)
    figures = evaluate_baseline(network, samples_of(loaded), device=usual_device())
    print_figures(figures, as_json=as_json)
