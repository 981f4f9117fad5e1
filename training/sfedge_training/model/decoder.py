"""Llama's blocks for training: a prompt is read once a batch, and nothing that no answer needs.

It calls the submodules of a Hugging Face Llama, with LoRA in them where there is any, and computes
what that one computes for each sample's whole sequence, gradients included. Four things are saved:

- A prompt's keys and values, with their gradient, serve all samples that share it.
- Sequences of any length are packed one after another into rows [N, d_l], without padding.
- The last block makes keys and values of the prompt, and nothing else of it.
- Where the last image token alone is asked, the last block's queries and MLP see that one alone.

Shapes: n samples, T image tokens after K others, P prompt tokens, N rows in all, HD of a head.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention.bias import causal_lower_right
from torch.utils.checkpoint import checkpoint
from transformers import LlamaModel
from transformers.models.llama.modeling_llama import (
    LlamaAttention,
    LlamaDecoderLayer,
    LlamaRMSNorm,
    rotate_half,
)


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """Samples that share a prompt, which comes before their own tokens."""

    prompt: Sequence[int]  # P token ids
    tokens: Tensor  # [n, K + T, d_l], of which the last T are image tokens
    last_only: bool  # the answer is read at the last image token, not at every one
    leading: int = 0  # K: tokens before the image tokens, whose states nobody reads

    @property
    def sizes(self) -> tuple[int, int]:
        """Rows of the prompt, and of the tokens after it."""
        return len(self.prompt), self.tokens.shape[0] * self.tokens.shape[1]

    @property
    def asked(self) -> int:
        """Image tokens of a sample whose states are wanted: the last ones of it."""
        return 1 if self.last_only else self.tokens.shape[1] - self.leading


def read(
    llama: LlamaModel, questions: Sequence[Question], *, checkpointing: bool = False
) -> list[Tensor]:
    """States of image tokens after the final norm, as if each sample stood in a sequence alone.

    Args:
        llama: the model, bare or with LoRA.
        questions: at least one; their order is free.
        checkpointing: keep only what goes from block to block, and compute the rest again for the
            gradient; less memory, more time, the same result.

    Returns:
        Of each question [n, T, d_l], or [n, 1, d_l] where only the last token is asked.
    """
    device, dtype = questions[0].tokens.device, llama.norm.weight.dtype
    parts = [
        part
        for question in questions
        for part in (
            llama.embed_tokens(torch.tensor(question.prompt, device=device)),
            question.tokens.flatten(0, 1),
        )
    ]
    x = torch.cat([part.to(dtype) for part in parts])  # [N, d_l]
    cos, sin = llama.rotary_emb(x, _positions(questions).to(device)[None])
    rotation = cos[0, :, None], sin[0, :, None]  # [N, 1, HD] each
    *blocks, last = (cast(LlamaDecoderLayer, layer) for layer in llama.layers)
    for block in blocks:
        x = _run(block, x, rotation, questions, None, checkpointing)
    asked = _asked_rows(questions).to(device)
    x = _normed(llama.norm, _run(last, x, rotation, questions, asked, checkpointing))
    counts = [len(question.tokens) * question.asked for question in questions]
    return [
        states.view(len(question.tokens), question.asked, -1)
        for question, states in zip(questions, torch.split(x, counts), strict=True)
    ]


def _positions(questions: Sequence[Question]) -> Tensor:
    """[N]: each row's position in its sample's sequence."""
    return torch.cat(
        [
            part
            for question in questions
            for part in (
                torch.arange(len(question.prompt)),
                (len(question.prompt) + torch.arange(question.tokens.shape[1])).repeat(
                    len(question.tokens)
                ),
            )
        ]
    )


def _asked_rows(questions: Sequence[Question]) -> Tensor:
    """The rows whose states are wanted."""
    rows, start = [], 0
    for question in questions:
        prompt, images = question.sizes
        own = torch.arange(start + prompt, start + prompt + images)
        rows.append(own.view(len(question.tokens), -1)[:, -question.asked :].flatten())
        start += prompt + images
    return torch.cat(rows)


def _run(
    layer: LlamaDecoderLayer,
    x: Tensor,
    rotation: tuple[Tensor, Tensor],
    questions: Sequence[Question],
    asked: Tensor | None,
    checkpointing: bool,
) -> Tensor:
    if checkpointing and torch.is_grad_enabled():
        states: Tensor = checkpoint(
            _block, layer, x, rotation, questions, asked, use_reentrant=False
        )
        return states
    return _block(layer, x, rotation, questions, asked)


def _block(
    layer: LlamaDecoderLayer,
    x: Tensor,
    rotation: tuple[Tensor, Tensor],
    questions: Sequence[Question],
    asked: Tensor | None,
) -> Tensor:
    """One block over all rows [N, d_l]; with `asked`, keys and values of all, the rest of those."""
    attention = layer.self_attn
    normed = _working(_normed(layer.input_layernorm, x))
    keys = _rotated(_heads(attention, attention.k_proj(normed)), rotation)
    values = _heads(attention, attention.v_proj(normed))
    if asked is not None:
        x, normed = x[asked], normed[asked]
        rotation = rotation[0][asked], rotation[1][asked]
    queries = _rotated(_heads(attention, attention.q_proj(normed)), rotation)
    mixed = _attended(attention, queries, keys, values, questions, is_last=asked is not None)
    x = x + attention.o_proj(mixed)
    moved: Tensor = layer.mlp(_working(_normed(layer.post_attention_layernorm, x)))
    return x + moved


def _attended(
    attention: LlamaAttention,
    queries: Tensor,
    keys: Tensor,
    values: Tensor,
    questions: Sequence[Question],
    *,
    is_last: bool,
) -> Tensor:
    """Rows [M, heads * HD] that see their own sample's image tokens up to themselves, and prompt.

    Args:
        attention: whose settings count.
        queries: [M, heads, HD], of all rows, or in the last block of those that are asked.
        keys: [N, KV, HD] of all rows.
        values: likewise.
        questions: how the rows are parted.
        is_last: no prompt asks, and of a sample's tokens only the last ones do.
    """
    sizes = [size for question in questions for size in question.sizes]
    asking = (
        [size for q in questions for size in (0, len(q.tokens) * q.asked)] if is_last else sizes
    )
    query, key, value = (
        torch.split(x, by) for x, by in ((queries, asking), (keys, sizes), (values, sizes))
    )
    mixed = []
    for place, question in enumerate(questions):
        prompt, images, count = 2 * place, 2 * place + 1, len(question.tokens)
        before_key, before_value = _sequences(key[prompt], 1), _sequences(value[prompt], 1)
        if asking[prompt]:
            before_query = _sequences(query[prompt], 1)
            mixed.append(_mixed(attention, before_query, before_key, before_value, None))
        image_query = _sequences(query[images], count)
        known_key, known_value = (
            torch.cat((before.expand(count, -1, -1, -1), _sequences(own, count)), dim=2)
            for before, own in ((before_key, key[images]), (before_value, value[images]))
        )  # [n, KV, P + T, HD]
        sight = _sight(image_query, known_key)
        mixed.append(_mixed(attention, image_query, known_key, known_value, sight))
    return torch.cat(mixed)


def _mixed(
    attention: LlamaAttention, query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None
) -> Tensor:
    """Attention of [n, heads, L, HD], causal unless a mask is given, as rows [n*L, heads * HD]."""
    dropout = attention.attention_dropout or 0.0
    of = F.scaled_dot_product_attention(
        query,
        key,
        value,
        attn_mask=mask,
        dropout_p=dropout if attention.training else 0.0,
        is_causal=mask is None,
        scale=attention.scaling,
        enable_gqa=True,
    )
    return of.transpose(1, 2).flatten(2).flatten(0, 1)


def _sight(query: Tensor, keys: Tensor) -> Tensor:
    """The attention mask of queries at the end of the keys: all up to its own place.

    On a GPU it takes a form that the fused kernels know, and is never materialised.
    """
    asked, known = query.shape[2], keys.shape[2]
    if query.is_cuda:
        sight: Tensor = causal_lower_right(asked, known)
        return sight
    return torch.ones(asked, known, dtype=torch.bool, device=query.device).tril(known - asked)


def _heads(attention: LlamaAttention, x: Tensor) -> Tensor:
    """[N, heads * HD] to [N, heads, HD]."""
    return x.view(len(x), -1, attention.head_dim)


def _sequences(rows: Tensor, count: int) -> Tensor:
    """[count * L, heads, HD] to [count, heads, L, HD]."""
    return rows.view(count, -1, *rows.shape[1:]).transpose(1, 2)


def _rotated(x: Tensor, rotation: tuple[Tensor, Tensor]) -> Tensor:
    """Turn [N, heads, HD] to its positions."""
    cos, sin = (part.to(x.dtype) for part in rotation)
    turned: Tensor = rotate_half(x)  # type: ignore[no-untyped-call]
    return x * cos + turned * sin


def _normed(norm: LlamaRMSNorm, x: Tensor) -> Tensor:
    """The norm by torch's own function, which is one kernel on a GPU."""
    return F.rms_norm(x, x.shape[-1:], norm.weight, norm.variance_epsilon)


def _working(x: Tensor) -> Tensor:
    """In the precision of products: cast once, not again by every layer that reads it."""
    kind = x.device.type
    return x.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else x
