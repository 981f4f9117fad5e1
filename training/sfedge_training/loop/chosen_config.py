"""The settings of a network that the command line names: a preset, and what is changed of it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from sfedge.core.errors import UsageError
from sfedge_training.loop.training_options import in_full
from sfedge_training.model.model_config import OWN_LANGUAGES, PRESETS, ModelConfig


def chosen_config(preset: str, chosen: Mapping[str, Any], pretrained: Path | None) -> ModelConfig:
    """The preset with what the options change.

    Args:
        preset: its name.
        chosen: MODEL_OPTIONS by name, None for those that were not given.
        pretrained: `model` folder of a pre-training that brings parts without published weights.

    Raises:
        UsageError: such parts are missing, or brought though they are published.
    """
    config = PRESETS[preset]
    changes = {name: value for name, value in chosen.items() if value is not None}
    if "encoder" in changes:  # another encoder's weights are others, too
        changes.setdefault("encoder_weights", None)
        changes.setdefault("image_size", None)  # and so is what it takes
    for name in ("encoder_weights", "language"):
        if changes.get(name) is not None:
            changes[name] = in_full(changes[name])
    if "language" in changes:
        changes["language_weights"] = changes["language"] not in OWN_LANGUAGES
    config = replace(config, **changes)
    if config.unpublished and pretrained is None:
        raise UsageError(
            f"there are no published weights for: {', '.join(config.unpublished)}",
            where="--pretrained",
            fix="Name them, or run `sfedge-train pretrain` first and name its `model` folder here.",
        )
    if pretrained is not None and not config.unpublished:
        raise UsageError(
            "encoder and language model have published weights",
            where="--pretrained",
            fix="Leave it out.",
        )
    return config
