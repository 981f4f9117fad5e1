"""Llama's decoder in plain operations, its keys and values in the open.

It holds the modules of a Hugging Face Llama and computes what that one computes, in the form that
exports to a graph all engines run: no cache object, no fused attention, every mask explicit.
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaDecoderLayer, LlamaRMSNorm

from sfedge.core.errors import BundleError

HIDDEN = -1e4  # added to a score that must not count; finite in half precision, too
_TILE = 64  # fewest rows of a tile: with fewer, the parts cost more than what they spare


class Rotation(nn.Module):
    """Cosines and sines of the rotary embedding at a run of positions, as constants [T, HD]."""

    cos: Tensor
    sin: Tensor

    def __init__(self, llm: LlamaForCausalLM, first: int, count: int) -> None:
        super().__init__()
        positions = torch.arange(first, first + count)[None]
        cos, sin = llm.model.rotary_emb(llm.model.embed_tokens.weight, positions)
        self.register_buffer("cos", cos[0])
        self.register_buffer("sin", sin[0])

    def forward(self, x: Tensor) -> Tensor:
        """Turn [B, heads, T, HD]; fewer than all positions are taken to be the last ones."""
        count = x.shape[2]
        first, second = x.chunk(2, dim=-1)
        turned = torch.cat((-second, first), dim=-1)
        return x * self.cos[-count:] + turned * self.sin[-count:]


class RMSNorm(nn.Module):
    """Root mean square norm in plain operations, as TensorRT and ONNX Runtime fuse them."""

    def __init__(self, norm: LlamaRMSNorm) -> None:
        super().__init__()
        self.weight, self.epsilon = norm.weight, norm.variance_epsilon

    def forward(self, x: Tensor) -> Tensor:
        mean_square = x.pow(2).mean(-1, keepdim=True)
        return self.weight * (x / torch.sqrt(mean_square + self.epsilon))


class Block(nn.Module):
    """One decoder block; what is attended to (memory) and who asks (x) come in apart."""

    def __init__(self, layer: LlamaDecoderLayer) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(layer.input_layernorm)
        self.mlp_norm = RMSNorm(layer.post_attention_layernorm)
        attention = layer.self_attn
        self.query, self.key, self.value = attention.q_proj, attention.k_proj, attention.v_proj
        self.output = attention.o_proj
        self.gate, self.up, self.down = layer.mlp.gate_proj, layer.mlp.up_proj, layer.mlp.down_proj
        self.head_width = attention.head_dim
        self.heads = self.query.out_features // self.head_width
        self.kv_heads = self.key.out_features // self.head_width
        self.groups = self.heads // self.kv_heads  # query heads that share keys and values

    def _split(self, x: Tensor, heads: int) -> Tensor:
        """[B, T, heads * HD] to [B, heads, T, HD]."""
        return x.reshape(-1, x.shape[1], heads, self.head_width).transpose(1, 2)

    def memory(
        self, x: Tensor, rotation: Rotation, past: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Keys and values [B, KV, P + T, HD] of x [B, T, d_l], after `past` [B, 2, KV, P, HD]."""
        x = self.attention_norm(x)
        keys = rotation(self._split(self.key(x), self.kv_heads))
        values = self._split(self.value(x), self.kv_heads)
        if past is not None:
            keys = torch.cat((past[:, 0], keys), dim=2)
            values = torch.cat((past[:, 1], values), dim=2)
        return keys, values

    def forward(
        self, x: Tensor, memory: tuple[Tensor, Tensor], sight: Sequence[Tensor], rotation: Rotation
    ) -> Tensor:
        """What the block makes of x [B, T, d_l].

        Args:
            x: what asks, and what the answer is added to.
            memory: keys and values of M tokens, as `memory` gives them.
            sight: a mask for each of the equal tiles that x is cut into, see `causal_sight`.
            rotation: of the positions of x.
        """
        keys, values = memory
        count, width = x.shape[1], self.head_width
        rows = count // len(sight)  # of a tile
        # The scale goes into the queries first, which is the form TensorRT fuses.
        query = rotation(self._split(self.query(self.attention_norm(x)), self.heads))
        query = query * width**-0.5
        tiles = []
        for number, mask in enumerate(sight):
            unseen = count - (number + 1) * rows  # tokens behind the tile
            seen_keys, seen_values = (
                part[:, :, :-unseen] if unseen else part for part in (keys, values)
            )
            tile = query[:, :, number * rows : (number + 1) * rows]
            # The heads that share keys stand one after another, as rows of one product.
            tile = tile.reshape(-1, self.kv_heads, self.groups * rows, width)
            scores = tile @ seen_keys.transpose(2, 3) + mask  # [B, KV, groups * rows, M - unseen]
            tiles.append((scores.softmax(-1) @ seen_values).reshape(-1, self.heads, rows, width))
        mixed = torch.cat(tiles, dim=2) if len(tiles) > 1 else tiles[0]
        x = x + self.output(mixed.transpose(1, 2).reshape(-1, count, self.heads * width))
        y = self.mlp_norm(x)
        return x + cast(Tensor, self.down(F.silu(self.gate(y)) * self.up(y)))


def decoder_blocks(llm: LlamaForCausalLM) -> list[Block]:
    """The blocks of a Llama whose LoRA is merged.

    Raises:
        BundleError: the language model is not of a kind that this decoder writes out.
    """
    config = llm.config
    problems = [
        text
        for is_wrong, text in (
            (config.model_type != "llama", f"it is a {config.model_type!r}, not a 'llama'"),
            (config.hidden_act != "silu", f"its activation is {config.hidden_act!r}, not 'silu'"),
            (len(llm.model.layers) < 2, "it has fewer than two blocks"),
        )
        if is_wrong
    ]
    if problems:
        raise BundleError(
            f"the language model cannot be exported: {'; '.join(problems)}",
            fix="Export a checkpoint whose language model is a Llama of two blocks or more.",
        )
    return [Block(layer) for layer in llm.model.layers]


def causal_mask(groups: int, count: int) -> Tensor:
    """Additive mask [1, 1, groups * count, count]: each token sees those up to itself."""
    ahead = torch.full((count, count), HIDDEN).triu(1)
    return ahead.repeat(groups, 1)[None, None]


def tile_count(count: int) -> int:
    """How many tiles `count` tokens attend in; they are equal, and have _TILE rows or more."""
    return max(n for n in range(1, max(count // _TILE, 1) + 1) if count % n == 0)


def causal_sight(padding: Tensor, mask: Tensor, count: int) -> list[Tensor]:
    """Masks of the tiles of `count` tokens that follow a prompt.

    A tile's scores end with its own last token, so that most of what a causal mask hides is never
    computed; what is left is the same for all of them.

    Args:
        padding: [B, P], added to the scores of each of the prompt's tokens.
        mask: `causal_mask` of a tile.
        count: tokens of all tiles.

    Returns:
        [B, 1, groups * rows, P + (tile + 1) * rows] each.
    """
    rows = mask.shape[3]
    own = mask.expand(padding.shape[0], -1, -1, -1)
    # Whatever stands before the tile is seen by all of it, as its own first token is.
    before = [F.pad(padding, (0, start))[:, None, None] for start in range(0, count, rows)]
    return [torch.cat((left + mask[..., :1], own), dim=3) for left in before]
