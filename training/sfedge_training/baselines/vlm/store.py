"""Baselines on disk: a folder of JSON and safetensors, written whole or not at all.

model.json           VlmConfig
recipe.json          Recipe
card.json            data, recipe, scores, versions: the model card
tasks.json           what was asked
trained.safetensors  LoRA; the rest is loaded from where `model.json` says
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from sfedge.core.errors import DataError
from sfedge_training.baselines.vlm.load import build_baseline
from sfedge_training.baselines.vlm.vlm_config import VlmConfig
from sfedge_training.baselines.vlm.vlm_model import VisionLanguageModel
from sfedge_training.loop.checkpoint import load_recipe, on_cpu, read_tensors, replacing
from sfedge_training.loop.json_files import read_json, write_json
from sfedge_training.loop.recipe import Recipe
from sfedge_training.loop.taught import save_tasks


def save_baseline(
    folder: Path, model: VisionLanguageModel, recipe: Recipe, card: Mapping[str, Any]
) -> None:
    """Write the model to `folder`; an earlier one there is replaced when the new one is whole."""
    with replacing(folder) as part:
        write_json(part / "model.json", model.config.to_json())
        write_json(part / "recipe.json", recipe.to_json())
        write_json(part / "card.json", card)
        save_tasks(part, recipe)
        save_file(on_cpu(model.trained_state()), part / "trained.safetensors")


def load_baseline(
    folder: Path, *, allow_remote_code: bool = False
) -> tuple[VisionLanguageModel, Recipe, dict[str, Any]]:
    """A baseline with its recipe and card, on the CPU in evaluation mode.

    Raises:
        DataError: the folder holds no whole model, LoRA of another one, or one that was taught
            other prompts or labels than are asked today.
        ConfigError: the weights that it builds on cannot be had, see `build_baseline`.
    """
    config = VlmConfig.from_json(read_json(folder / "model.json"), where=str(folder))
    recipe = load_recipe(folder)
    card = read_json(folder / "card.json")
    tensors = read_tensors(folder / "trained.safetensors")
    model = build_baseline(config, allow_remote_code=allow_remote_code)
    own = model.trained_state()
    if {n: t.shape for n, t in tensors.items()} != {n: t.shape for n, t in own.items()}:
        raise DataError(
            "the LoRA does not fit the model that it builds on",
            where=str(folder),
            fix=f"Bring {config.source} to what it was in training, or train again.",
        )
    with torch.no_grad():
        for name, tensor in tensors.items():
            own[name].copy_(tensor)
    return model.eval(), recipe, card
