"""How each trained system is built, trained, saved and loaded."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from sfedge.core.errors import DataError
from sfedge_training.baselines.gazelle import GazeLLE, gazelle_loss
from sfedge_training.baselines.probes import LinearProbes, probe_loss
from sfedge_training.baselines.vlm.store import load_baseline
from sfedge_training.baselines.vlm.vlm_command import baseline
from sfedge_training.baselines.vlm.vlm_config import VlmConfig
from sfedge_training.data.batch import Batch
from sfedge_training.data.features import filled_store
from sfedge_training.data.mixture import Opener, ViewSpec, pictures_opener
from sfedge_training.loop.checkpoint import load_model, on_cpu, read_tensors, replacing
from sfedge_training.loop.evaluate import evaluate, usual_device
from sfedge_training.loop.json_files import write_json
from sfedge_training.loop.recipe import Recipe
from sfedge_training.loop.train import Loss
from sfedge_training.loop.training_run import Planned, System, social_fusion
from sfedge_training.model.encoders import build_encoder
from sfedge_training.model.model_config import ModelConfig
from sfedge_training.model.social_fusion import SocialFusion, build_model
from sfedge_training.reproduce.configs import EncoderConfig
from sfedge_training.reproduce.runs import Run, Workplace


@dataclass(frozen=True, slots=True, kw_only=True)
class Learner:
    """A system to train, and the function that loads what `system.save` wrote."""

    system: System[Any, Any]
    load: Callable[[Path], Any]


def fusion_learner(run: Run, at: Workplace) -> Learner:
    """SocialFusion."""
    config, allowed = cast(ModelConfig, run.config), at.allow_remote_code

    def build() -> SocialFusion:
        torch.manual_seed(run.recipe.seed)
        return build_model(config, allow_remote_code=allowed)

    return Learner(
        system=social_fusion(config, build, workers=at.workers),
        load=lambda folder: load_model(folder, allow_remote_code=allowed)[0],
    )


def baseline_learner(run: Run, at: Workplace) -> Learner:
    """A pre-trained vision-language model with LoRA."""
    config, allowed = cast(VlmConfig, run.config), at.allow_remote_code
    return Learner(
        system=baseline(config, run.recipe, allow_remote_code=allowed, workers=at.workers),
        load=lambda folder: load_baseline(folder, allow_remote_code=allowed)[0],
    )


def gaze_lle_learner(run: Run, at: Workplace) -> Learner:
    """Gaze-LLE's head on an encoder."""
    return _on_encoder(run, at, GazeLLE, gazelle_loss)


def probes_learner(run: Run, at: Workplace) -> Learner:
    """A linear probe for each task of the recipe on an encoder."""
    return _on_encoder(run, at, partial(LinearProbes, tasks=run.recipe.tasks), probe_loss)


def _on_encoder(
    run: Run, at: Workplace, head: Callable[..., Any], loss: Loss[Any, Batch]
) -> Learner:
    config = cast(EncoderConfig, run.config)

    def build() -> Any:
        torch.manual_seed(run.recipe.seed)
        encoder = build_encoder(
            config.encoder,
            config.encoder_weights,
            config.encoder_layer,
            allow_remote_code=at.allow_remote_code,
        )
        return head(encoder)

    def opener(model: Any, planned: Planned) -> Opener[Batch]:
        features = None
        if at.features is not None and not run.recipe.augment:
            features = filled_store(
                at.features,
                model.encoder,
                planned(),
                encoder_name=config.encoder,
                layer=config.encoder_layer,
                precision=run.recipe.precision,
                device=usual_device(),
                workers=at.workers,
            )
        return pictures_opener(ViewSpec(model.encoder.input, model.token_grid, features))

    def save(folder: Path, model: nn.Module, recipe: Recipe, card: Mapping[str, Any]) -> None:
        with replacing(folder) as part:
            write_json(part / "model.json", config.to_json())
            write_json(part / "recipe.json", recipe.to_json())
            write_json(part / "card.json", card)
            save_file(on_cpu(_trainable(model)), part / "trained.safetensors")

    def load(folder: Path) -> Any:
        model = build()
        own, learned = _trainable(model), read_tensors(folder / "trained.safetensors")
        if {n: t.shape for n, t in learned.items()} != {n: t.shape for n, t in own.items()}:
            raise DataError("these weights are another model's", where=str(folder))
        with torch.no_grad():
            for name, tensor in learned.items():
                own[name].copy_(tensor)
        return model

    return Learner(
        system=System(
            settings=config,
            build=build,
            loss=loss,
            opener=opener,
            score=partial(evaluate, device=usual_device(), workers=at.workers),
            save=save,
        ),
        load=load,
    )


def _trainable(model: nn.Module) -> dict[str, Tensor]:
    return {name: value for name, value in model.named_parameters() if value.requires_grad}
