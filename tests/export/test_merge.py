"""LoRA merged into the weights, and the proof of it."""

import copy
from collections.abc import Callable

import pytest
import torch

from sfedge.core.errors import BundleError
from sfedge_export.merge import merge_lora
from sfedge_training.model.social_fusion import SocialFusion


def test_the_merged_model_answers_as_the_adapter_did(small_model: SocialFusion) -> None:
    ids = torch.tensor([[5, 6, 7, 8, 9, 10, 11]])
    merged, merge = merge_lora(copy.deepcopy(small_model.llm))
    with torch.inference_mode():
        found, wanted = merged(ids).logits, small_model.llm(ids).logits
    assert (found - wanted).abs().max() <= 1e-5 * wanted.abs().max()
    assert not any("lora" in name for name, _ in merged.named_parameters())
    assert merge is not None
    assert merge.error <= 1e-5 * merge.scale < 1e-2 * merge.effect


def test_embeddings_stay_tied_to_the_head(small_model: SocialFusion) -> None:
    merged, _ = merge_lora(copy.deepcopy(small_model.llm))
    assert merged.lm_head.weight is merged.model.embed_tokens.weight


def test_a_bfloat16_adapter_is_merged_in_float32(build_small: Callable[..., SocialFusion]) -> None:
    model = build_small()
    model.llm.to(torch.bfloat16)
    merged, merge = merge_lora(model.llm)
    assert merged.dtype == torch.float32
    assert merge is not None
    assert merge.error <= 5e-5 * merge.scale  # 4e-3 if merged in bfloat16


def test_a_bare_language_model_passes_through(small_model: SocialFusion) -> None:
    bare, _ = merge_lora(copy.deepcopy(small_model.llm))
    again, merge = merge_lora(bare)
    assert merge is None
    assert again is bare


def test_an_adapter_without_effect_is_refused(build_small: Callable[..., SocialFusion]) -> None:
    model = build_small()
    with torch.no_grad():
        for name, parameter in model.llm.named_parameters():
            if "lora_B" in name:
                parameter.zero_()
    with pytest.raises(BundleError, match="LoRA has no effect"):
        merge_lora(model.llm)


def test_weights_that_are_not_numbers_are_refused(build_small: Callable[..., SocialFusion]) -> None:
    model = build_small()
    with torch.no_grad():
        next(p for n, p in model.llm.named_parameters() if "lora_A" in n)[0, 0] = float("nan")
    with pytest.raises(BundleError, match="not numbers"):
        merge_lora(model.llm)
