"""Encoder features to the language model's tokens: the three-layer MLP, and token pooling."""

from torch import Tensor, nn


class Connector(nn.Module):
    """Linear, ReLU, Linear, ReLU, Linear on every token (paper, section 3.4).

    With `pool` 2 the features of each 2x2 block of patches are put side by side before the first
    layer, which so sees all of them: an average would blur what distinguishes neighbouring
    patches (fingers, eyes), and only the first layer grows, while the language model, where the
    time goes, reads a quarter of the tokens.

    Args:
        feature_width: d_v, of the encoder.
        hidden: d_h, of both inner layers.
        width: d_l, of the language model.
        pool: side of the block of patches that makes one token.
    """

    def __init__(self, feature_width: int, hidden: int, width: int, *, pool: int = 1) -> None:
        super().__init__()
        self.pool = pool
        self.layers = nn.Sequential(
            nn.Linear(feature_width * pool * pool, hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.ReLU(),
            nn.Linear(hidden, width),
        )

    def forward(self, features: Tensor) -> Tensor:
        """[B, G*G, d_v] to [B, T, d_l] with T = (G / pool)**2, both row-major."""
        tokens: Tensor = self.layers(pool_tokens(features, self.pool))
        return tokens


def pool_tokens(features: Tensor, pool: int) -> Tensor:
    """Concatenate each pool x pool block of a square of tokens, row by row within the block.

    Args:
        features: [B, G*G, d], row-major; G is a multiple of `pool`.
        pool: side of a block.

    Returns:
        [B, (G / pool)**2, pool * pool * d], row-major.
    """
    if pool == 1:
        return features
    batch, count, width = features.shape
    side = round(count**0.5) // pool
    blocks = features.reshape(batch, side, pool, side, pool, width).transpose(2, 3)
    return blocks.reshape(batch, side * side, pool * pool * width)


def unpool_mask(masks: Tensor, pool: int) -> Tensor:
    """[B, T] over image tokens to [B, T * pool * pool] over patches, row-major."""
    if pool == 1:
        return masks
    batch, count = masks.shape
    side = round(count**0.5)
    square = masks.reshape(batch, side, side)
    return square.repeat_interleave(pool, 1).repeat_interleave(pool, 2).reshape(batch, -1)
