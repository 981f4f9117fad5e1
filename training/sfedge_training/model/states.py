"""The network's weights by stable names, parted into what the recipe trains and what it freezes.

Names do not show whether LoRA is in place, so the language model that pre-training leaves bare
loads into one with adapters.
"""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from sfedge.core.errors import DataError
from sfedge_training.model.model_config import FrozenPart
from sfedge_training.model.social_fusion import SocialFusion

_TRAINED = ("connector.", "gaze_head.", "box_embedding", "landmark_embedding.")
_LORA = ".lora_"
_TIED = "llm.lm_head.weight"  # the embeddings' own weight under a second name


def trained_state(model: SocialFusion) -> dict[str, Tensor]:
    """Connector, embeddings of boxes and landmarks, gaze head and LoRA, sharing memory."""
    return {name: tensor for name, tensor in _state(model).items() if _is_trained(name)}


def frozen_state(model: SocialFusion) -> dict[str, Tensor]:
    """Encoder and language model without LoRA, sharing memory with the model."""
    return {name: tensor for name, tensor in _state(model).items() if not _is_trained(name)}


def load_state(
    model: SocialFusion, tensors: Mapping[str, Tensor], *, without_lora: bool = False
) -> None:
    """Copy one part of the network or more into the model, wherever it lies.

    Args:
        model: built with the settings of the weights.
        tensors: by their stable names.
        without_lora: they come from a bare language model; the model's LoRA stays as it is.

    Raises:
        DataError: a part is incomplete, or a tensor is foreign or of another shape.
    """
    own = _state(model)
    parts = {part_of(name) for name in tensors if name in own}
    wanted = {name for name in own if part_of(name) in parts}
    wanted -= {name for name in wanted if without_lora and _LORA in name}
    problems = [
        *(["no tensor is the model's"] if not parts else []),
        *(f"{name} is missing" for name in sorted(wanted - set(tensors))),
        *(f"{name} is unknown" for name in sorted(set(tensors) - wanted)),
        *(
            f"{name} is {[*tensors[name].shape]}, not {[*own[name].shape]}"
            for name in sorted(wanted & set(tensors))
            if tensors[name].shape != own[name].shape
        ),
    ]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise DataError(
            f"the weights do not fit the model: {', '.join(problems[:3])}{more}",
            fix="Build the model with the settings that the weights were saved with.",
        )
    with torch.no_grad():
        for name, tensor in tensors.items():
            own[name].copy_(tensor)


def part_of(name: str) -> Literal["trained"] | FrozenPart:
    """Which part of the network a tensor belongs to."""
    if _is_trained(name):
        return "trained"
    return "language" if name.startswith("llm.") else "encoder"


def _state(model: SocialFusion) -> dict[str, Tensor]:
    state = {_stable(name): tensor for name, tensor in model.state_dict().items()}
    if model.lm.config.tie_word_embeddings:
        del state[_TIED]
    return state


def _stable(name: str) -> str:
    """A name of `state_dict` without what peft puts into it."""
    name = name.replace("llm.base_model.model.", "llm.", 1)
    return name.replace(".base_layer.", ".").replace(".default.", ".")


def _is_trained(name: str) -> bool:
    return name.startswith(_TRAINED) or _LORA in name
