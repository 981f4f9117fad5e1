"""One training run from its data to a model on disk with its scores, whatever is trained."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

import click
from accelerate import PartialState
from torch import nn

from sfedge.errors import DataError
from training.batch import Batch
from training.card import Settings, build_card
from training.checkpoint import load_best, save_model
from training.config import ModelConfig
from training.data.mixture import Opener, ViewSpec, pictures_opener
from training.data.sample import Dataset, Sample
from training.evaluate import Figures, evaluate, usual_device
from training.losses import loss
from training.model import SocialFusion
from training.recipe import Recipe
from training.reports import print_figures, recipe_datasets, samples_of
from training.train import Countable, Loss, is_sharded, train

_Model = TypeVar("_Model", bound=nn.Module)
_Batch = TypeVar("_Batch", bound=Countable)


@dataclass(frozen=True, slots=True, kw_only=True)
class System(Generic[_Model, _Batch]):
    """What sets one kind of model apart in a run.

    Attributes:
        settings: what shapes the model.
        build: the model at its start, on the CPU.
        loss: what it descends.
        opener: opens planned batches as the model wants them.
        score: figures of samples, by task.
        save: writes model, recipe and card to a folder.
        mixes_gaze: gaze stands within the batches.
    """

    settings: Settings
    build: Callable[[], _Model]
    loss: Loss[_Model, _Batch]
    opener: Callable[[_Model], Opener[_Batch]]
    score: Callable[[_Model, Sequence[Sample]], Mapping[str, Figures]]
    save: Callable[[Path, _Model, Recipe, Mapping[str, Any]], None]
    mixes_gaze: bool = False


def social_fusion(
    config: ModelConfig,
    build: Callable[[], SocialFusion],
    *,
    recompute: bool = False,
    workers: int = 0,
) -> System[SocialFusion, Batch]:
    """The paper's model as a system to train.

    Args:
        config: its settings.
        build: makes it.
        recompute: activations again in the backward pass.
        workers: processes that read pictures for its scores.
    """

    def built() -> SocialFusion:
        model = build()
        model.recompute = recompute
        return model

    return System(
        settings=config,
        build=built,
        loss=loss,
        opener=lambda model: pictures_opener(ViewSpec(model.encoder.input, model.token_grid)),
        score=partial(evaluate, device=usual_device(), workers=workers),
        save=save_model,
    )


def train_and_save(
    system: System[_Model, _Batch],
    model: _Model,
    recipe: Recipe,
    loaded: Sequence[Dataset],
    data: Path,
    out: Path,
    *,
    workers: int = 0,
    stop_after: int | None = None,
    save_every: float = 300.0,
) -> None:
    """Train on what is loaded, score the test split, write `out/model` and tell the figures.

    Args:
        system: what is trained.
        model: as the system builds it.
        recipe: all settings.
        loaded: training splits.
        data: the folder that they come from, for the other splits.
        out: the run's folder; a run that was stopped goes on there.
        workers: processes that prepare batches.
        stop_after: stop when this many steps are done, without a model.
        save_every: seconds between two checkpoints.
    """
    held_out = _validation(data, recipe) if recipe.patience else None
    steps = train(
        model,
        {dataset.name: dataset.samples for dataset in loaded},
        recipe,
        out,
        loss=system.loss,
        opener=system.opener(model),
        mixes_gaze=system.mixes_gaze,
        validation=held_out,
        workers=workers,
        stop_after=stop_after,
        save_every=save_every,
    )
    if not PartialState().is_main_process:
        return
    if steps == stop_after:
        click.echo(f"Stopped after {steps} steps; the same command goes on")
        return
    if is_sharded():
        model = system.build()
        load_best(out, model)
    figures = system.score(model, samples_of(recipe_datasets(data, recipe, "test")))
    card = build_card(system.settings, recipe, loaded, steps=steps, scores=figures, data=data)
    system.save(out / "model", model, recipe, card)
    print_figures(figures)
    click.echo(f"The model is in {out / 'model'}")


def _validation(data: Path, recipe: Recipe) -> dict[str, Sequence[Sample]]:
    """Validation samples by dataset; a small one may have none."""
    found: dict[str, Sequence[Sample]]
    found = {d.name: d.samples for d in recipe_datasets(data, recipe, "val") if d.samples}
    if not found:
        raise DataError(
            "there are no validation samples to stop by",
            where=str(data),
            fix="Train without --patience, or with more data.",
        )
    return found
