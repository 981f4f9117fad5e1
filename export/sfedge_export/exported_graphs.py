"""The five networks of a bundle, as exported.

The decoder is cut in three, so that only what a task needs of the last block is run: its last
position for an answer, all image positions for gaze (both exact; `docs/bundle.md`).

Shapes: T image tokens, behind K of landmarks where the model reads any; else K is 0.
"""

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import LlamaForCausalLM

from sfedge_export.attention import with_plain_attention
from sfedge_export.exported_decoder import (
    Block,
    RMSNorm,
    Rotation,
    causal_mask,
    causal_sight,
    decoder_blocks,
    tile_count,
)
from sfedge_training.model.connector import Connector as PooledConnector
from sfedge_training.model.landmark_embedding import LandmarkEmbedding
from sfedge_training.model.social_fusion import SocialFusion


def build_graphs(
    model: SocialFusion, llm: LlamaForCausalLM, rows: Sequence[int], prefix: int
) -> dict[str, nn.Module]:
    """The networks by name, in the order they run; they share the weights of `model` and `llm`.

    Args:
        model: the trained model, on the CPU in float32.
        llm: its language model in float32, LoRA merged.
        rows: token of each answer, a row of the language head each.
        prefix: length of the longest prompt, where landmark and image tokens start.

    Raises:
        BundleError: the language model is not of a kind that can be written out.
    """
    blocks = decoder_blocks(llm)
    images, leading, groups = model.token_grid**2, model.landmark_tokens, blocks[0].groups
    count = leading + images
    rotation = Rotation(llm, prefix, count)
    norm = RMSNorm(llm.model.norm)
    box_embedding = model.box_embedding.detach().float()
    is_before = model.config.box_embedding == "before"
    return {
        "encoder": Encoder(with_plain_attention(model.encoder)),
        "connector": Connector(
            model.connector, model.landmark_embedding, box_embedding if is_before else None
        ),
        "trunk": Trunk(
            blocks[:-1], rotation, _mask(groups, count), None if is_before else box_embedding
        ),
        "answer": Answer(blocks[-1], rotation, norm, llm.lm_head.weight[torch.tensor(rows)]),
        "gaze": Gaze(blocks[-1], rotation, _mask(groups, images), norm, model.gaze_head, leading),
    }


def _mask(groups: int, count: int) -> Tensor:
    """The causal mask of one of the tiles that `count` tokens attend in."""
    return causal_mask(groups, count // tile_count(count))


class Encoder(nn.Module):
    """Images [B, 3, S, S] to patch features [B, G*G, d_v]."""

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, images: Tensor) -> Tensor:
        return cast(Tensor, self.encoder(images))


class Connector(nn.Module):
    """Features [B, G*G, d_v], and landmarks where any are read, to tokens [B, K + T, d_l].

    Where the box embedding comes before the connector, boxes are marked here, by a mask over
    patches; a pooled block is marked as a whole when one of its patches is, as in training.
    """

    box_embedding: Tensor

    def __init__(
        self,
        connector: PooledConnector,
        landmark_embedding: LandmarkEmbedding | None,
        box_embedding: Tensor | None,
    ) -> None:
        super().__init__()
        self.connector, self.landmark_embedding = connector, landmark_embedding
        self.register_buffer("box_embedding", box_embedding)

    def forward(
        self, features: Tensor, landmarks: Tensor | None = None, box_mask: Tensor | None = None
    ) -> Tensor:
        """`landmarks` is [B, INPUT_WIDTH], `box_mask` [B, G*G]."""
        if box_mask is not None:
            side, pool = math.isqrt(box_mask.shape[1]), self.connector.pool
            blocks = F.max_pool2d(box_mask.reshape(-1, 1, side, side), pool)  # [B, 1, G/pool, ..]
            marked = F.interpolate(blocks, size=(side, side), mode="nearest").flatten(1)
            features = features + marked[..., None] * self.box_embedding
        image = cast(Tensor, self.connector(features))
        if landmarks is None or self.landmark_embedding is None:
            return image
        return torch.cat((self.landmark_embedding(landmarks), image), dim=1)


class Trunk(nn.Module):
    """All blocks but the last: tokens [B, K + T, d_l] to hidden states of the same shape."""

    mask: Tensor
    box_embedding: Tensor

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
            # Boxes are of the image: the tokens before it are not marked.
            others = x.shape[1] - box_mask.shape[1]
            marked = F.pad(box_mask, (others, 0)) if others else box_mask
            x = x + marked[..., None] * self.box_embedding
        sight = causal_sight(padding, self.mask, x.shape[1])
        for number, block in enumerate(self.blocks):
            memory = cast(Block, block).memory(x, self.rotation, past[:, number])
            x = block(x, memory, sight, self.rotation)
        return x


class Answer(nn.Module):
    """The last block at the last position, and the answers' rows of the language head.

    It takes hidden states [B, K + T, d_l], the trunk's output.
    """

    def __init__(self, block: Block, rotation: Rotation, norm: RMSNorm, rows: Tensor) -> None:
        super().__init__()
        self.block, self.rotation, self.norm = block, rotation, norm
        self.head = nn.Linear(rows.shape[1], rows.shape[0], bias=False)
        self.head.weight = nn.Parameter(rows)

    def forward(self, hidden: Tensor, past_last: Tensor, padding: Tensor) -> Tensor:
        """`past_last` is [B, 2, KV, P, HD], `padding` [B, P]; to logits [B, R]."""
        memory = self.block.memory(hidden, self.rotation, past_last)
        # The last position sees every token, so that only the padding is masked.
        mask = F.pad(padding, (0, hidden.shape[1]))[:, None, None]  # [B, 1, 1, P + K + T]
        x = self.block(hidden[:, -1:], memory, [mask], self.rotation)  # [B, 1, d_l]
        return cast(Tensor, self.head(self.norm(x)[:, 0]))


class Gaze(nn.Module):
    """The last block at every image position, and the gaze head.

    It takes hidden states [B, K + T, d_l], the trunk's output.
    """

    mask: Tensor

    def __init__(
        self,
        block: Block,
        rotation: Rotation,
        mask: Tensor,
        norm: RMSNorm,
        head: nn.Module,
        leading: int = 0,
    ) -> None:
        """`leading` is K, the number of tokens before the image's."""
        super().__init__()
        self.block, self.rotation, self.norm, self.head = block, rotation, norm, head
        self.leading = leading
        self.register_buffer("mask", mask)

    def forward(self, hidden: Tensor, past_last: Tensor, padding: Tensor) -> Tensor:
        """`past_last` is [B, 2, KV, P, HD], `padding` [B, P]; to logits [B, 64, 64]."""
        memory = self.block.memory(hidden, self.rotation, past_last)
        # Every image token sees the tokens before the image, as it sees the prompt.
        before = F.pad(padding, (0, self.leading)) if self.leading else padding
        images = hidden[:, self.leading :] if self.leading else hidden  # [B, T, d_l]
        sight = causal_sight(before, self.mask, images.shape[1])
        x = self.block(images, memory, sight, self.rotation)
        return cast(Tensor, self.head(self.norm(x)))
