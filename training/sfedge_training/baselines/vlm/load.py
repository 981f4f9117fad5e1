"""Baselines with their published weights, from a folder or the hub."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoProcessor,
    AutoTokenizer,
    InternVLForConditionalGeneration,
    InternVLProcessor,
    Qwen2VLForConditionalGeneration,
    Qwen2VLProcessor,
)

from sfedge.core.errors import ConfigError, SfedgeError
from sfedge_training.baselines.vlm.adapters import Adapter
from sfedge_training.baselines.vlm.library import internvl3, qwen2_vl
from sfedge_training.baselines.vlm.remote import MolmoAdapter, SailAdapter
from sfedge_training.baselines.vlm.vlm_config import REMOTE, VlmConfig
from sfedge_training.baselines.vlm.vlm_model import VisionLanguageModel

_Parts = tuple[nn.Module, Adapter]


def build_baseline(config: VlmConfig, *, allow_remote_code: bool = False) -> VisionLanguageModel:
    """A baseline on the CPU in float32, its LoRA at its start.

    Args:
        config: all settings.
        allow_remote_code: run the Python code that the hub delivers with some families' weights.

    Raises:
        ConfigError: the weights cannot be had or do not fit, or the family needs code of the hub
            and that is not allowed.
    """
    if config.family in REMOTE and not allow_remote_code:
        raise ConfigError(
            f"{config.family} is Python code on the hub that would run on this computer",
            where=config.source,
            fix="Read that code, then pass --allow-remote-code, and --revision to pin it.",
        )
    try:
        network, adapter = _LOADERS[config.family](config)
    except SfedgeError:
        raise
    except Exception as error:  # code of the hub may raise anything
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(
            f"the model cannot be loaded ({reason})",
            where=f"{config.family} {config.source}",
            fix="Name a folder that holds it with --weights, or fetch it again.",
        ) from error
    return VisionLanguageModel(config, network, adapter)


def _qwen2_vl(config: VlmConfig) -> _Parts:
    network = _complete(Qwen2VLForConditionalGeneration, config)
    processor = Qwen2VLProcessor.from_pretrained(config.source, revision=_revision(config))
    return network, qwen2_vl(processor, config.image_tokens)


def _internvl3(config: VlmConfig) -> _Parts:
    network = _complete(InternVLForConditionalGeneration, config)
    processor = InternVLProcessor.from_pretrained(config.source, revision=_revision(config))
    return network, internvl3(processor, config.image_tokens)


def _molmoe(config: VlmConfig) -> _Parts:
    trusted = {"trust_remote_code": True, "revision": _revision(config)}
    network: Any = AutoModelForCausalLM.from_pretrained(
        config.source, dtype=torch.float32, **trusted
    )
    auto: Any = AutoProcessor
    processor = auto.from_pretrained(config.source, **trusted)
    return network, MolmoAdapter(processor, config.image_tokens)


def _sail_vl(config: VlmConfig) -> _Parts:
    trusted = {"trust_remote_code": True, "revision": _revision(config)}
    network: Any = AutoModel.from_pretrained(config.source, dtype=torch.float32, **trusted)
    tokenizer = AutoTokenizer.from_pretrained(config.source, **trusted)
    return network, SailAdapter(network, tokenizer, config.image_tokens)


def _complete(kind: Any, config: VlmConfig) -> nn.Module:
    network, report = kind.from_pretrained(
        config.source,
        revision=_revision(config),
        dtype=torch.float32,
        output_loading_info=True,
    )
    absent = sorted(report["missing_keys"])
    if absent:
        more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
        raise ConfigError(
            f"the weights lack {absent[0]}{more}",
            where=f"{config.family} {config.source}",
            fix="Fetch the model again.",
        )
    found: nn.Module = network
    return found


def _revision(config: VlmConfig) -> str:
    return config.revision or "main"


_LOADERS: dict[str, Callable[[VlmConfig], _Parts]] = {
    "qwen2-vl": _qwen2_vl,
    "internvl3": _internvl3,
    "molmoe": _molmoe,
    "sail-vl": _sail_vl,
}
