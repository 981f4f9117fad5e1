"""The language model: Llama from `transformers`, and LoRA on it through `peft`."""

import warnings
from typing import Any

import torch
from huggingface_hub.errors import HFValidationError
from peft import LoraConfig, PeftModel, get_peft_model
from peft.tuners.lora import LoraLayer
from transformers import (
    AutoConfig,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerBase,
)

from sfedge.core.errors import ConfigError
from sfedge_training.model.model_config import OWN_LANGUAGES, ModelConfig
from sfedge_training.model.tokenizer import build_tiny_tokenizer, build_word_tokenizer

LLAMA_3_2_1B = "meta-llama/Llama-3.2-1B"

# Every linear layer of every block; not `lm_head`, whose weight is that of the embeddings.
LORA_TARGETS = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")


def build_language(
    config: ModelConfig, tokenizer: PreTrainedTokenizerBase | None = None
) -> tuple[LlamaForCausalLM, PreTrainedTokenizerBase]:
    """The language model without LoRA and its tokenizer, on the CPU and in float32.

    Args:
        config: all settings.
        tokenizer: takes the place of the language model's own, or of a new one.

    Raises:
        ConfigError: there is no such model, it cannot be had, or it is no Llama.
    """
    if config.language in OWN_LANGUAGES:
        tokenizer = tokenizer or build_tiny_tokenizer()
        width = {"tiny": 128, "small": 256}[config.language]
        return LlamaForCausalLM(tiny_llama(len(tokenizer), width)), tokenizer
    if config.language_weights:
        llm, own = _pretrained(config.language)
        return llm, tokenizer or own
    llama = llama_3_2_1b() if config.language == LLAMA_3_2_1B else _llama_config(config.language)
    return LlamaForCausalLM(llama), tokenizer or build_word_tokenizer()


def llama_3_2_1b() -> LlamaConfig:
    """The sizes of Llama 3.2 1B, as its makers published them."""
    return LlamaConfig(
        vocab_size=128256,
        hidden_size=2048,
        intermediate_size=8192,
        num_hidden_layers=16,
        num_attention_heads=32,
        num_key_value_heads=8,
        head_dim=64,
        max_position_embeddings=131072,
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
        bos_token_id=128000,
        eos_token_id=128001,
        rope_parameters={
            "rope_type": "llama3",
            "rope_theta": 500000.0,
            "factor": 32.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 8192,
        },
    )


def tiny_llama(vocabulary: int, width: int = 128) -> LlamaConfig:
    """The same architecture at a size that a CPU trains."""
    return LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=3 * width,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=width // 4,
        max_position_embeddings=1024,
        rms_norm_eps=1e-5,
        tie_word_embeddings=True,
        bos_token_id=0,
        eos_token_id=None,
        rope_parameters={"rope_type": "default", "rope_theta": 10000.0},
    )


def add_lora(llm: LlamaForCausalLM, config: ModelConfig) -> PeftModel:
    """Freeze the language model and put trainable low-rank adapters on its linear layers."""
    settings = LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules=list(LORA_TARGETS),
        bias="none",
        task_type="CAUSAL_LM",
    )
    with warnings.catch_warnings():
        # peft 0.21 asks Llama for an attribute that transformers 5.24 has renamed.
        warnings.filterwarnings("ignore", ".*is_gradient_checkpointing", FutureWarning)
        adapted = get_peft_model(llm, settings)
    assert isinstance(adapted, PeftModel)
    for layer in adapted.modules():
        if isinstance(layer, LoraLayer):
            # Autocast chooses the precision; peft would go through float32 and back.
            layer.cast_input_dtype_enabled = False
    return adapted


def causal_lm(llm: LlamaForCausalLM | PeftModel) -> LlamaForCausalLM:
    """The Llama itself, with the adapters' layers in place where there are any."""
    base = llm.get_base_model() if isinstance(llm, PeftModel) else llm
    assert isinstance(base, LlamaForCausalLM)
    return base


def _pretrained(name: str) -> tuple[LlamaForCausalLM, PreTrainedTokenizerBase]:
    _llama_config(name)
    try:
        loaded: Any = LlamaForCausalLM.from_pretrained(
            name, dtype=torch.float32, output_loading_info=True
        )
        tokenizer = AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError, RuntimeError) as error:
        raise _unavailable(name, error) from error
    llm, report = loaded
    absent = sorted(report["missing_keys"])
    if absent:
        more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
        raise ConfigError(
            f"the weights lack {absent[0]}{more}",
            where=f"language {name}",
            fix="Fetch the model again.",
        )
    return llm, tokenizer


def _llama_config(name: str) -> LlamaConfig:
    try:
        config = AutoConfig.from_pretrained(name)
    except (OSError, ValueError, HFValidationError) as error:
        raise _unavailable(name, error) from error
    if not isinstance(config, LlamaConfig):
        raise ConfigError(
            f"this is a {config.model_type!r} model, not a Llama", where=f"language {name}"
        )
    return config


def _unavailable(name: str, error: Exception) -> ConfigError:
    return ConfigError(
        f"the language model cannot be loaded ({str(error).splitlines()[0]})",
        where=f"language {name}",
        fix="Name a local folder that holds it (--language), or accept its licence on the hub "
        "and log in; `without_weights` builds the same sizes at random.",
    )
