"""The systems that the paper's tables compare, and how a run of each comes to its figures."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from typing import Any

from sfedge.core.errors import unknown_name
from sfedge_training.analysis.challenge import answer_challenge, has_faces
from sfedge_training.analysis.conflict import measure_conflict
from sfedge_training.baselines.vlm.vlm_config import VlmConfig
from sfedge_training.data.ego4d_lam import NAME
from sfedge_training.loop.card import Settings, build_card
from sfedge_training.loop.evaluate import Figures, usual_device
from sfedge_training.loop.json_files import read_json
from sfedge_training.loop.recipe import recipe_from_json
from sfedge_training.loop.reports import samples_of
from sfedge_training.loop.training_run import learn
from sfedge_training.model.model_config import ModelConfig
from sfedge_training.reproduce.configs import (
    EncoderConfig,
    Weights,
    baseline_config,
    encoder_config,
    fusion_config,
)
from sfedge_training.reproduce.learners import (
    Learner,
    baseline_learner,
    fusion_learner,
    gaze_lle_learner,
    probes_learner,
)
from sfedge_training.reproduce.recipe_rows import CONFLICT, Part, Row
from sfedge_training.reproduce.runs import Run, Workplace, merged, scored

_PREDICTIONS = "pred.json"  # for the looking-at-me challenge


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of system.

    Attributes:
        settings: the class of its model's settings.
        config: those settings, from a row's and from where weights lie.
        measure: all that a run finds on a part of the data, by task; what is there already is
            left as it is.
        files: what it leaves when it is done.
    """

    settings: type
    config: Callable[[Mapping[str, Any], Weights], Settings]
    measure: Callable[[Run, Part, Workplace], dict[str, Figures]]
    files: Callable[[Run, Part, Workplace], Sequence[Path]]


def is_done(run: Run, part: Part, at: Workplace) -> bool:
    """Whether nothing is left to do for the figures of a part of the data."""
    return all(path.exists() for path in SYSTEMS[run.system].files(run, part, at))


def planned(
    row: Row, *, weights: Weights, changes: Mapping[str, Mapping[str, Any]]
) -> tuple[Run, ...]:
    """The runs behind a row; none where its figures are what others published.

    Args:
        row: of a table.
        weights: what lies elsewhere than its makers publish it.
        changes: settings of `recipe` and of `model` in place of the row's own; those of `model`
            concern the systems that have them.

    Raises:
        ConfigError: a setting is unknown or out of range.
        UnknownNameError: there is no such system, preset, family or dataset.
    """
    if row.system == "published":
        return ()
    if row.system not in SYSTEMS:
        unknown_name("system", row.system, SYSTEMS, where=row.name)
    kind = SYSTEMS[row.system]
    known = {field.name for field in fields(kind.settings)}
    changed = {name: value for name, value in changes["model"].items() if name in known}
    config = kind.config({**row.model, **changed}, weights)
    recipe = {**row.recipe, **changes["recipe"]}
    return tuple(
        Run(
            system=row.system,
            config=config,
            recipe=recipe_from_json({**recipe, "datasets": group}, where=row.name),
        )
        for group in row.runs
    )


def _trained(
    learner: Callable[[Run, Workplace], Learner], run: Run, part: Part, at: Workplace
) -> dict[str, Figures]:
    """Train a run, score it and save its model."""
    folder, files = at.begin(run), at.score_files(run, part)
    if not is_done(run, part, at):
        own, saved = learner(run, at), folder / "model"
        model, steps = (own.load(saved), 0) if saved.exists() else _learned(own, run, folder, at)
        for path, (name, split) in files.items():
            samples = at.dataset(name, split, run.recipe).samples
            scored(path, partial(own.system.score, model, samples))
        if _is_challenged(run, part, at.data):
            answer_challenge(model, at.data, folder / _PREDICTIONS, workers=at.workers)
        if not saved.exists():
            scores = merged(read_json(path) for path in files)
            loaded = at.taught(run.recipe)
            card = build_card(
                run.config,
                run.recipe,
                loaded,
                steps=steps,
                scores=scores,
                data=at.data,
                scored_on=", ".join(f"{name} {split}" for name, split in files.values()),
            )
            own.system.save(saved, model, run.recipe, card)
            shutil.rmtree(folder / "checkpoints")  # the model holds all that a later call wants
    return merged(read_json(path) for path in files)


def _trained_files(run: Run, part: Part, at: Workplace) -> list[Path]:
    folder = at.folder(run)
    challenge = [folder / _PREDICTIONS] if _is_challenged(run, part, at.data) else []
    return [folder / "model", *at.score_files(run, part), *challenge]


def _learned(own: Learner, run: Run, folder: Path, at: Workplace) -> tuple[Any, int]:
    """The model after its training, and the steps that this took."""
    loaded, held_out = at.taught(run.recipe), at.held_out(run.recipe)
    model, trained = learn(
        own.system,
        run.recipe,
        {dataset.name: dataset.samples for dataset in loaded},
        folder,
        validation={dataset.name: dataset.samples for dataset in held_out},
        workers=at.workers,
    )
    return model, trained.steps


def _conflict(run: Run, part: Part, at: Workplace) -> dict[str, Figures]:
    """The conflict between all tasks at SocialFusion's start, on all training samples."""
    at.begin(run)
    system = fusion_learner(run, at).system

    def measure() -> dict[str, Figures]:
        samples = samples_of(at.taught(run.recipe))
        model = system.build()
        found = measure_conflict(
            model,
            samples,
            loss=system.loss,
            opener=system.opener(model, lambda: samples),
            device=usual_device(),
            batch=run.recipe.batch,
            workers=at.workers,
        )
        pairs = {f"{one} and {other}": degree for (one, other), degree in found.pairs.items()}
        figures = {"samples": float(len(samples)), CONFLICT.key: found.mean}
        return {CONFLICT.task: figures | pairs}

    (path,) = _conflict_files(run, part, at)
    return scored(path, measure)


def _conflict_files(run: Run, _: Part, at: Workplace) -> list[Path]:
    return [at.folder(run) / "scores" / "conflict.json"]


def _learns(
    settings: type,
    config: Callable[[Mapping[str, Any], Weights], Settings],
    learner: Callable[[Run, Workplace], Learner],
) -> Kind:
    measure = partial(_trained, learner)
    return Kind(settings=settings, config=config, measure=measure, files=_trained_files)


SYSTEMS: dict[str, Kind] = {
    "socialfusion": _learns(ModelConfig, fusion_config, fusion_learner),
    "baseline": _learns(VlmConfig, baseline_config, baseline_learner),
    "gaze-lle": _learns(EncoderConfig, encoder_config, gaze_lle_learner),
    "probes": _learns(EncoderConfig, encoder_config, probes_learner),
    "conflict": Kind(
        settings=ModelConfig, config=fusion_config, measure=_conflict, files=_conflict_files
    ),
}


def _is_challenged(run: Run, part: Part, data: Path) -> bool:
    """Whether a run is to answer the challenge's test set."""
    return part == "test" and NAME in run.recipe.datasets and has_faces(data)
