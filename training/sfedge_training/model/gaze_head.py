"""Image tokens as the language model leaves them, to a heatmap of where a person looks."""

import torch.nn.functional as F
from torch import Tensor, nn

from sfedge.core.tasks import HEATMAP_SIZE


class GazeHead(nn.Module):
    """Linear, one transposed convolution, bilinear to 64 x 64 (paper, section 3.4).

    A linear layer gives each token's patch one value, the 24 x 24 of the paper; a transposed
    convolution doubles that. Where the connector pools tokens, the linear layer gives each token
    one value for every patch it was pooled from, so that the rest sees the full grid again.

    The transposed convolution starts as plain doubling: the few weights of a random start may
    all but cancel the map, and the gradient with it.

    Args:
        width: d_l, of the language model.
        token_grid: image tokens per side.
        pool: side of the block of patches that made one token.
    """

    def __init__(self, width: int, token_grid: int, *, pool: int = 1) -> None:
        super().__init__()
        self.token_grid, self.pool = token_grid, pool
        self.project = nn.Linear(width, pool * pool)
        self.upsample = nn.ConvTranspose2d(1, 1, kernel_size=2, stride=2)
        nn.init.ones_(self.upsample.weight)
        if self.upsample.bias is not None:
            nn.init.zeros_(self.upsample.bias)

    def forward(self, states: Tensor) -> Tensor:
        """[B, T, d_l] to logits [B, 64, 64]."""
        side = self.token_grid
        cells = self.project(states).transpose(1, 2)  # [B, pool**2, T]
        cells = cells.reshape(-1, self.pool**2, side, side)
        grid = F.pixel_shuffle(cells, self.pool)  # [B, 1, G, G]
        return F.interpolate(
            self.upsample(grid),
            size=(HEATMAP_SIZE, HEATMAP_SIZE),
            mode="bilinear",
            align_corners=False,
        ).squeeze(1)
