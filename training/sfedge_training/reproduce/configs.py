"""A row's settings of its model, made whole and checked."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from sfedge.core.errors import ConfigError, unknown_name
from sfedge_training.baselines.vlm.vlm_config import REMOTE, VlmConfig
from sfedge_training.loop.card import Settings
from sfedge_training.model.encoders import REMOTE_CODE
from sfedge_training.model.model_config import PRESETS, ModelConfig

Weights = Mapping[str, str]  # where weights lie, by encoder, family of baselines, or "language"


@dataclass(frozen=True, slots=True, kw_only=True)
class EncoderConfig:
    """An encoder under a head that learns: Gaze-LLE's, or linear probes."""

    encoder: str  # a name in sfedge_training.model.encoders.ENCODERS
    encoder_weights: str | None = None
    encoder_layer: int = -1

    def to_json(self) -> dict[str, Any]:
        """A JSON object."""
        return asdict(self)


def fusion_config(given: Mapping[str, Any], weights: Weights) -> ModelConfig:
    """SocialFusion's settings: a preset, and what differs from it.

    Raises:
        ConfigError: a setting is unknown or out of range.
        UnknownNameError: there is no such preset.
    """
    preset = given.get("preset", "paper")
    if preset not in PRESETS:
        unknown_name("preset", preset, PRESETS, where="model")
    changes = {name: value for name, value in given.items() if name != "preset"}
    config = ModelConfig.from_json(PRESETS[preset].to_json() | changes)
    return replace(
        config,
        encoder_weights=weights.get(config.encoder, config.encoder_weights),
        language=weights.get("language", config.language),
    )


def baseline_config(given: Mapping[str, Any], weights: Weights) -> VlmConfig:
    """A baseline's settings: its family, and what differs from the defaults.

    Raises:
        ConfigError: a setting is unknown or out of range.
        UnknownNameError: there is no such family.
    """
    config = VlmConfig.from_json(dict(given))
    return replace(config, weights=weights.get(config.family, config.weights))


def encoder_config(given: Mapping[str, Any], weights: Weights) -> EncoderConfig:
    """An encoder's settings.

    Raises:
        ConfigError: a setting is unknown, or no encoder is named.
    """
    unknown = sorted(set(given) - {field.name for field in fields(EncoderConfig)})
    if unknown or "encoder" not in given:
        problem = f"unknown settings {', '.join(unknown)}" if unknown else "no encoder is named"
        raise ConfigError(problem, where="model")
    config = EncoderConfig(**given)
    return replace(config, encoder_weights=weights.get(config.encoder, config.encoder_weights))


def needs_remote_code(config: Settings) -> bool:
    """Whether Python code that comes with the weights builds the model."""
    given = config.to_json()
    return given.get("family") in REMOTE or given.get("encoder") in REMOTE_CODE
