"""The networks as exported: a plain decoder in three cuts, and the connector with its box mask.

The decoder holds the modules of a Hugging Face Llama and computes what that one computes, written
out in plain operations: keys and values of the prompt come in as a tensor, image tokens always
start at the same position, and only what a task needs of the last block is run.
"""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaDecoderLayer, LlamaRMSNorm

from sfedge.errors import BundleError

HIDDEN = -1e4  # added to a score that must not count; finite in half precision, too


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
        return self.weight * (x * torch.rsqrt(mean_square + self.epsilon))


class Block(nn.Module):
    """One decoder block; what is attended to (memory) and who asks (x) come in apart."""

    def __init__(self, layer: LlamaDecoderLayer, config: LlamaConfig) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(layer.input_layernorm)
        self.mlp_norm = RMSNorm(layer.post_attention_layernorm)
        attention = layer.self_attn
        self.query, self.key, self.value = attention.q_proj, attention.k_proj, attention.v_proj
        self.output = attention.o_proj
        self.gate, self.up, self.down = layer.mlp.gate_proj, layer.mlp.up_proj, layer.mlp.down_proj
        self.heads, self.kv_heads = config.num_attention_heads, config.num_key_value_heads
        self.head_width = attention.head_dim

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
        self, x: Tensor, memory: tuple[Tensor, Tensor], mask: Tensor, rotation: Rotation
    ) -> Tensor:
        """What the block makes of x [B, T, d_l], with a mask that `causal_mask` built or padding's."""
        keys, values = memory
        count, width = x.shape[1], self.head_width
        rows = count * self.heads // self.kv_heads
        # The heads that share keys stand one after another, as rows of one product; the scale
        # goes into the queries first, which is the form TensorRT fuses.
        query = rotation(self._split(self.query(self.attention_norm(x)), self.heads))
        query = (query * width**-0.5).reshape(-1, self.kv_heads, rows, width)
        scores = query @ keys.transpose(2, 3) + mask  # [B, KV, heads/KV * T, P + T]
        mixed = (scores.softmax(-1) @ values).reshape(-1, self.heads, count, width)
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
    return [Block(layer, config) for layer in llm.model.layers]


def causal_mask(config: LlamaConfig, count: int, past: int = 0) -> Tensor:
    """Additive mask [1, 1, heads/KV * count, past + count]: all the past, then none ahead."""
    ahead = torch.full((count, past + count), HIDDEN).triu(past + 1)
    return ahead.repeat(config.num_attention_heads // config.num_key_value_heads, 1)[None, None]


def _padding_mask(padding: Tensor, count: int) -> Tensor:
    """[B, P] to [B, 1, 1, P + count]; no image token is padding."""
    return F.pad(padding, (0, count))[:, None, None]


class Connector(nn.Module):
    """Features [B, G*G, d_v] to tokens [B, T, d_l]; marks boxes first where they come before."""

    def __init__(self, connector: nn.Module, box_embedding: Tensor | None) -> None:
        super().__init__()
        self.connector = connector
        self.register_buffer("box_embedding", box_embedding)

    def forward(self, features: Tensor, box_mask: Tensor | None = None) -> Tensor:
        if box_mask is not None:
            features = features + box_mask[..., None] * self.box_embedding
        return cast(Tensor, self.connector(features))


class Trunk(nn.Module):
    """All blocks but the last: tokens [B, T, d_l] to hidden states of the same shape."""

    mask: Tensor

    def __init__(
        self,
        blocks: Sequence[Block],
        rotation: Rotation,
        mask: Tensor,
        box_embedding: Tensor | None,
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.rotation = rotation
        self.register_buffer("mask", mask)
        self.register_buffer("box_embedding", box_embedding)

    def forward(
        self, tokens: Tensor, past: Tensor, padding: Tensor, box_mask: Tensor | None = None
    ) -> Tensor:
        """`past` is [B, L - 1, 2, KV, P, HD], `padding` [B, P], `box_mask` [B, T]."""
        x = tokens
        if box_mask is not None:
            x = x + box_mask[..., None] * self.box_embedding
        mask = self.mask + _padding_mask(padding, x.shape[1])  # [B, 1, heads/KV * T, P + T]
        for number, block in enumerate(self.blocks):
            memory = cast(Block, block).memory(x, self.rotation, past[:, number])
            x = block(x, memory, mask, self.rotation)
        return x


class Answer(nn.Module):
    """The last block at the last position, and the answers' rows of the language head."""

    def __init__(self, block: Block, rotation: Rotation, norm: RMSNorm, rows: Tensor) -> None:
        super().__init__()
        self.block, self.rotation, self.norm = block, rotation, norm
        self.head = nn.Linear(rows.shape[1], rows.shape[0], bias=False)
        self.head.weight = nn.Parameter(rows)

    def forward(self, hidden: Tensor, past_last: Tensor, padding: Tensor) -> Tensor:
        """hidden [B, T, d_l], past_last [B, 2, KV, P, HD] and padding [B, P] to logits [B, R]."""
        memory = self.block.memory(hidden, self.rotation, past_last)
        # The last position sees every image token, so that only the padding is masked.
        mask = _padding_mask(padding, hidden.shape[1])
        x = self.block(hidden[:, -1:], memory, mask, self.rotation)  # [B, 1, d_l]
        return cast(Tensor, self.head(self.norm(x)[:, 0]))


class Gaze(nn.Module):
    """The last block at every image position, and the gaze head."""

    mask: Tensor

    def __init__(
        self, block: Block, rotation: Rotation, mask: Tensor, norm: RMSNorm, head: nn.Module
    ) -> None:
        super().__init__()
        self.block, self.rotation, self.norm, self.head = block, rotation, norm, head
        self.register_buffer("mask", mask)

    def forward(self, hidden: Tensor, past_last: Tensor, padding: Tensor) -> Tensor:
        """hidden [B, T, d_l], past_last [B, 2, KV, P, HD] and padding to logits [B, 64, 64]."""
        memory = self.block.memory(hidden, self.rotation, past_last)
        mask = self.mask + _padding_mask(padding, hidden.shape[1])
        x = self.block(hidden, memory, mask, self.rotation)  # [B, T, d_l]
        return cast(Tensor, self.head(self.norm(x)))
