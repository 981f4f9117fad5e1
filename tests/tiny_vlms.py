"""Qwen2-VL and InternVL3 of the library's own classes, tiny and with random weights.

Tokenizer and processors are made here, in the form that the published ones have.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from transformers import (
    GotOcr2ImageProcessor,
    InternVLConfig,
    InternVLForConditionalGeneration,
    InternVLProcessor,
    InternVLVideoProcessor,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen2VLImageProcessor,
    Qwen2VLProcessor,
    Qwen2VLVideoProcessor,
)

from sfedge_training.baselines.vlm.batches import ChatBatch
from sfedge_training.baselines.vlm.library import internvl3, qwen2_vl
from sfedge_training.baselines.vlm.vlm_config import VlmConfig
from sfedge_training.baselines.vlm.vlm_model import VisionLanguageModel
from sfedge_training.model.tokenizer import build_tiny_tokenizer

WIDTH = 32
_TEXT: dict[str, Any] = {
    "hidden_size": WIDTH,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
    "bos_token_id": None,
    "eos_token_id": None,
    "initializer_range": 0.3,  # random, but not all alike: a frozen head must distinguish words
}
_CHAT = (
    "<|im_start|>system\nYou answer.<|im_end|>\n"
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n"
    "{% for c in m['content'] %}{% if c['type'] == 'image' %}IMAGE{% else %}{{ c['text'] }}"
    "{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tokenizer(named: dict[str, str], *others: str) -> PreTrainedTokenizerFast:
    """Short prompts, each answer letter one token, and special tokens as in Qwen's family."""
    return PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=build_tiny_tokenizer().backend_tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        model_specific_special_tokens=named,
        extra_special_tokens=["<|im_start|>", *others],
    )


def qwen2_vl_parts() -> tuple[nn.Module, Qwen2VLProcessor]:
    """A picture of 28 x 28 pixels is one token."""
    words = tokenizer(
        {"image_token": "<|image_pad|>", "video_token": "<|video_pad|>"},
        "<|vision_start|>",
        "<|vision_end|>",
    )
    config = Qwen2VLConfig(
        text_config=_TEXT
        | {
            "vocab_size": len(words),
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "mrope_section": [1, 1, 2],
            },
        },
        vision_config={
            "depth": 1,
            "embed_dim": WIDTH,
            "hidden_size": WIDTH,
            "num_heads": 2,
            "mlp_ratio": 2,
            "initializer_range": 0.1,
        },
        image_token_id=words.image_token_id,
        video_token_id=words.video_token_id,
        vision_start_token_id=words.convert_tokens_to_ids("<|vision_start|>"),
        vision_end_token_id=words.convert_tokens_to_ids("<|vision_end|>"),
    )
    size = {"shortest_edge": 28 * 28, "longest_edge": 56 * 56}
    processor = Qwen2VLProcessor(
        image_processor=Qwen2VLImageProcessor(size=size),
        tokenizer=words,
        video_processor=Qwen2VLVideoProcessor(size=size),
        chat_template=_CHAT.replace("IMAGE", "<|vision_start|><|image_pad|><|vision_end|>"),
    )
    return Qwen2VLForConditionalGeneration(config), processor


def internvl3_parts() -> tuple[nn.Module, InternVLProcessor]:
    """A tile of 56 x 56 pixels is four tokens."""
    words = tokenizer(
        {
            "start_image_token": "<img>",
            "end_image_token": "</img>",
            "context_image_token": "<IMG_CONTEXT>",
            "video_token": "<video>",
        }
    )
    config = InternVLConfig(
        text_config=Qwen2Config(vocab_size=len(words), **_TEXT),
        vision_config={
            "hidden_size": WIDTH,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 64,
            "image_size": [56, 56],
            "patch_size": [14, 14],
            "initializer_range": 0.1,
        },
        image_token_id=words.context_image_token_id,
        image_seq_length=4,
        tie_word_embeddings=False,
    )
    size = {"height": 56, "width": 56}
    processor = InternVLProcessor(
        image_processor=GotOcr2ImageProcessor(size=size),
        tokenizer=words,
        video_processor=InternVLVideoProcessor(size=size),
        image_seq_length=4,
        chat_template=_CHAT.replace("IMAGE", "<IMG_CONTEXT>\n"),
    )
    return InternVLForConditionalGeneration(config), processor


def tiny_vlm(family: str, *, image_tokens: int = 4, **settings: Any) -> VisionLanguageModel:
    """A tiny baseline with LoRA, the same at each call."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = VlmConfig(family=family, image_tokens=image_tokens, **settings)
    if family == "qwen2-vl":
        network, qwen = qwen2_vl_parts()
        return VisionLanguageModel(config, network, qwen2_vl(qwen, image_tokens))
    network, intern = internvl3_parts()
    return VisionLanguageModel(config, network, internvl3(intern, image_tokens))


def stacked(model: VisionLanguageModel, turns: Sequence[Any], tasks: tuple[str, ...]) -> ChatBatch:
    """Turns, with their answers where they have some, as one batch."""
    inputs = model.adapter.stack(turns)
    labels = inputs.pop("labels", None)
    return ChatBatch(inputs, tasks, labels)
