"""One training run from its data to a model on disk with its scores, for any kind of model."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

import click
import torch
from torch import nn

from sfedge.core.errors import DataError
from sfedge_training.data.batch import Batch
from sfedge_training.data.features import FeatureStore
from sfedge_training.data.mixture import Opener, ViewSpec, pictures_opener, some_landmarks
from sfedge_training.data.sample import Dataset, Sample
from sfedge_training.loop.card import Settings, build_card
from sfedge_training.loop.checkpoint import load_learned, save_model
from sfedge_training.loop.evaluate import Figures, evaluate, usual_device
from sfedge_training.loop.losses import loss
from sfedge_training.loop.memory import memory_advice
from sfedge_training.loop.recipe import Recipe
from sfedge_training.loop.reports import print_figures, recipe_datasets, samples_of
from sfedge_training.loop.train import (
    Countable,
    Loss,
    Trained,
    is_sharded,
    planned_samples,
    this_process,
    train,
)
from sfedge_training.model.model_config import ModelConfig
from sfedge_training.model.social_fusion import SocialFusion, cast_frozen

Planned = Callable[[], Sequence[Sample]]  # every sample that a run will open
_Model = TypeVar("_Model", bound=nn.Module)
_Batch = TypeVar("_Batch", bound=Countable)


@dataclass(frozen=True, slots=True, kw_only=True)
class System(Generic[_Model, _Batch]):
    """What sets one kind of model apart in a run.

    Attributes:
        settings: what shapes the model.
        build: the model at its start, on the CPU.
        prepare: makes it ready to learn by a recipe.
        loss: what it descends.
        opener: opens planned batches as the model wants them; given what will be opened.
        score: figures of samples, by task.
        save: writes model, recipe and card to a folder.
        fit: takes from the training samples what is no weight, before anything is learned.
        mixes_gaze: gaze is mixed into the batches.
    """

    settings: Settings
    build: Callable[[], _Model]
    loss: Loss[_Model, _Batch]
    opener: Callable[[_Model, Planned], Opener[_Batch]]
    score: Callable[[_Model, Sequence[Sample]], Mapping[str, Figures]]
    save: Callable[[Path, _Model, Recipe, Mapping[str, Any]], None]
    prepare: Callable[[_Model, Recipe], None] = lambda *_: None
    fit: Callable[[_Model, Sequence[Sample]], None] = lambda *_: None
    mixes_gaze: bool = False


def social_fusion(
    config: ModelConfig,
    build: Callable[[], SocialFusion],
    *,
    features: Callable[[SocialFusion, Planned], FeatureStore | None] = lambda *_: None,
    batch: int = 64,
    workers: int = 0,
) -> System[SocialFusion, Batch]:
    """The paper's model as a system to train.

    Args:
        config: its settings.
        build: makes it.
        features: the encoder's stored features, in which all views are that are planned.
        batch: samples that are answered at once for its scores.
        workers: processes that read pictures for them.
    """

    def opener(model: SocialFusion, planned: Planned) -> Opener[Batch]:
        store = features(model, planned)
        return pictures_opener(ViewSpec(model.encoder.input, model.token_grid, store))

    def fit(model: SocialFusion, samples: Sequence[Sample]) -> None:
        embedding = model.landmark_embedding
        if embedding is not None and not embedding.is_fitted:
            embedding.fit(some_landmarks(samples))

    def prepare(model: SocialFusion, recipe: Recipe) -> None:
        model.gradient_checkpointing = recipe.gradient_checkpointing
        if recipe.precision == "bf16":
            cast_frozen(model, torch.bfloat16)

    return System(
        settings=config,
        build=build,
        prepare=prepare,
        fit=fit,
        loss=loss,
        opener=opener,
        score=partial(evaluate, device=usual_device(), batch=batch, workers=workers),
        save=save_model,
    )


def learn(
    system: System[_Model, _Batch],
    recipe: Recipe,
    samples: Mapping[str, Sequence[Sample]],
    run: Path,
    *,
    validation: Mapping[str, Sequence[Sample]] | None = None,
    workers: int = 0,
    stop_after: int | None = None,
    save_every: float = 300.0,
) -> tuple[_Model, Trained]:
    """Build a model and train it; `sfedge_training.loop.train.train` documents the other arguments.

    Returns:
        The model, in the main process and where it is done as it will come back from disk: whole
        and in full precision, however training held it.
    """
    model = system.build()
    system.fit(model, [sample for of in samples.values() for sample in of])
    mixes = system.mixes_gaze
    planned = partial(planned_samples, samples, validation, recipe, mixes_gaze=mixes)
    opener = system.opener(model, planned)  # while it is in full precision
    system.prepare(model, recipe)
    trained = train(
        model,
        samples,
        recipe,
        run,
        loss=system.loss,
        opener=opener,
        mixes_gaze=mixes,
        validation=validation,
        workers=workers,
        stop_after=stop_after,
        save_every=save_every,
    )
    is_as_built = recipe.precision == "fp32" and not is_sharded()
    if is_as_built or not trained.is_done or not this_process().is_main_process:
        return model, trained
    del model
    whole = system.build()
    load_learned(run, whole, recipe)
    return whole, trained


def train_and_save(
    system: System[_Model, _Batch],
    recipe: Recipe,
    loaded: Sequence[Dataset],
    data: Path,
    out: Path,
    *,
    workers: int = 0,
    stop_after: int | None = None,
    save_every: float = 300.0,
    origin: Path | None = None,
) -> None:
    """Train on what is loaded, score the test split, write `out/model` and print the figures.

    Args:
        system: what is trained.
        recipe: all settings.
        loaded: training splits.
        data: the folder that they come from, for the other splits.
        out: the run's folder; a run that was stopped goes on there.
        workers: processes that prepare batches.
        stop_after: stop when this many steps are done, without a model.
        save_every: seconds between two checkpoints.
        origin: `model` folder that the model begins from, for its card.
    """
    tested = samples_of(recipe_datasets(data, recipe, "test"))  # that they can be read, first
    model, trained = learn(
        system,
        recipe,
        {dataset.name: dataset.samples for dataset in loaded},
        out,
        validation=_validation(data, recipe) if recipe.patience else None,
        workers=workers,
        stop_after=stop_after,
        save_every=save_every,
    )
    if not this_process().is_main_process:
        return
    if not trained.is_done:
        click.echo(f"Stopped after {trained.steps} steps; the same command goes on")
        return
    with memory_advice(recipe):
        figures = system.score(model, tested)
    card = build_card(
        system.settings,
        recipe,
        loaded,
        steps=trained.steps,
        scores=figures,
        data=data,
        origin=origin,
    )
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
