"""torch's MultiheadAttention in plain operations, for encoders that are built with it.

The original reshapes by the size of the batch, which exports as arithmetic on shapes at run time.
Written out, a CLIP of six blocks has 209 nodes in place of 317, in the form TensorRT fuses.
"""

import copy
from typing import cast

from torch import Tensor, nn

from sfedge.core.errors import BundleError


class PlainAttention(nn.Module):
    """Self-attention over [B, T, d] with the weights and the signature of the original."""

    def __init__(self, attention: nn.MultiheadAttention) -> None:
        super().__init__()
        self.heads, self.head_width = attention.num_heads, attention.head_dim
        width = attention.embed_dim
        self.query, self.key, self.value = (nn.Linear(width, width) for _ in range(3))
        weights, biases = attention.in_proj_weight.chunk(3), attention.in_proj_bias.chunk(3)
        projections = (self.query, self.key, self.value)
        for projection, weight, bias in zip(projections, weights, biases, strict=True):
            projection.weight = nn.Parameter(weight, requires_grad=False)
            projection.bias = nn.Parameter(bias, requires_grad=False)
        self.output = attention.out_proj

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        need_weights: bool = False,
        attn_mask: Tensor | None = None,
    ) -> tuple[Tensor, None]:
        """[B, T, d] to the same, and no weights.

        Raises:
            BundleError: it is asked for attention to something else, or for a mask or weights.
        """
        if key is not query or value is not query or need_weights or attn_mask is not None:
            raise BundleError(
                "its attention is no plain self-attention, so it is not exported", where="encoder"
            )
        scaled = self._split(self.query(query)) * self.head_width**-0.5  # [B, heads, T, HD]
        scores = scaled @ self._split(self.key(query)).transpose(2, 3)
        mixed = scores.softmax(-1) @ self._split(self.value(query))
        mixed = mixed.transpose(1, 2).reshape(-1, *query.shape[1:])
        return cast(Tensor, self.output(mixed)), None

    def _split(self, x: Tensor) -> Tensor:
        return x.reshape(-1, x.shape[1], self.heads, self.head_width).transpose(1, 2)


def with_plain_attention(encoder: nn.Module) -> nn.Module:
    """The encoder with its self-attention written out; other kinds stay as they are.

    Its modules are new, its weights are those of `encoder`.
    """
    weights = (*encoder.parameters(), *encoder.buffers())
    plain = copy.deepcopy(encoder, {id(weight): weight for weight in weights}).eval()
    for name, part in list(plain.named_modules()):
        if isinstance(part, nn.MultiheadAttention) and _is_packed(part):
            plain.set_submodule(name, PlainAttention(part))
    return plain


def _is_packed(attention: nn.MultiheadAttention) -> bool:
    """Whether queries, keys and values come from one matrix, batch first, and nothing is added."""
    return (
        attention.batch_first
        and attention.in_proj_weight is not None
        and attention.in_proj_bias is not None
        and attention.bias_k is None
        and not attention.add_zero_attn
    )
