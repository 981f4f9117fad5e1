"""The keys and values of each task's prompt, computed once."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from transformers import LlamaForCausalLM

from sfedge_export.exported_decoder import Rotation, causal_mask, decoder_blocks


@torch.inference_mode()
def prompt_prefix(llm: LlamaForCausalLM, ids: Sequence[int], end: int) -> Tensor:
    """What image tokens see of a prompt that ends just before position `end`.

    Rotary positions are relative, so that prompts of any length may end at one position.

    Args:
        llm: the language model in float32, LoRA merged.
        ids: the prompt's tokens, at most `end` of them.
        end: position of the first image token.

    Returns:
        [L, 2, KV, len(ids), HD], keys (rotated) and values of each block.
    """
    rotation = Rotation(llm, end - len(ids), len(ids))
    blocks = decoder_blocks(llm)
    mask = causal_mask(blocks[0].groups, len(ids))
    x = llm.model.embed_tokens(torch.tensor(ids)[None])  # [1, P, d_l]
    prefix = []
    for block in blocks:
        memory = block.memory(x, rotation)
        prefix.append(torch.cat(memory))  # [2, KV, P, HD]
        x = block(x, memory, [mask], rotation)
    return torch.stack(prefix)


def task_prefixes(
    llm: LlamaForCausalLM, prompts: Mapping[str, Sequence[int]], end: int
) -> dict[str, Tensor]:
    """Each task's prefix by name, as `prompt_prefix` makes it, not padded."""
    return {name: prompt_prefix(llm, ids, end) for name, ids in prompts.items()}
