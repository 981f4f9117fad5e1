"""Gaze-LLE on any frozen encoder, to compare encoders by gaze alone (paper, section 3.2, table 2).

Ryan et al. 2025, "Gaze-LLE: Gaze target estimation via large-scale learned encoders". Shapes: B
batch, G patches per side, d_v the encoder's width, S pixels per side.
"""

import math

import torch
import torch.nn.functional as F
from timm.models.vision_transformer import Block
from torch import Tensor, nn

from sfedge.core.tasks import HEATMAP_SIZE
from sfedge_training.data.batch import Batch
from sfedge_training.loop.recipe import Recipe
from sfedge_training.model.encoder import Encoder, features_of

WIDTH = 256  # of the tokens that learn

# How Gaze-LLE's authors train on GazeFollow: Adam, which AdamW is without weight decay, half a
# cosine without warm-up, and gradients as they are. They step the cosine once an epoch.
GAZELLE_RECIPE = Recipe(
    datasets=("gazefollow",),
    epochs=15,
    batch=60,
    learning_rate=1e-3,
    warmup=0,
    weight_decay=0.0,
    gradient_norm=1e6,
    gaze_weight=1.0,
)


class GazeLLE(nn.Module):
    """Tokens of a frozen encoder and a person's head in, a heatmap of where they look out.

    Head masks come on a grid of twice the encoder's: a token is marked when the head touches each
    of its four quarters, which is the same as rounding the box to the nearest borders of patches,
    as the authors do. So a head smaller than a patch may mark no token; theirs does not either.

    Attributes:
        encoder: [B, 3, S, S] to [B, G*G, d_v]; never learns.
    """

    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.encoder = encoder.requires_grad_(False).eval()
        self.project = nn.Linear(encoder.width, WIDTH)
        self.head_prompt = nn.Parameter(torch.randn(WIDTH))
        self.blocks = nn.Sequential(
            *(Block(WIDTH, num_heads=8, mlp_ratio=4, drop_path=0.1) for _ in range(3))
        )
        self.upsample = nn.ConvTranspose2d(WIDTH, WIDTH, kernel_size=2, stride=2)
        self.answer = nn.Conv2d(WIDTH, 1, kernel_size=1, bias=False)
        self.positions: Tensor
        self.register_buffer("positions", position_table(encoder.grid), persistent=False)

    @property
    def token_grid(self) -> int:
        """Side of the grid that head masks come on."""
        return 2 * self.encoder.grid

    def train(self, mode: bool = True) -> "GazeLLE":
        """Training mode for all but the encoder, which always evaluates."""
        super().train(mode)
        self.encoder.eval()
        return self

    def gaze_logits(self, images: Tensor, masks: Tensor) -> Tensor:
        """Heatmap logits of where the marked person looks.

        Where 2 * G is not 64 the logits are interpolated, bilinearly; the authors' encoders have
        G = 32.

        Args:
            images: [B, 3, S, S].
            masks: [B, (2*G)**2], 1 where the head's box touches a quarter of a patch.

        Returns:
            [B, 64, 64].
        """
        grid = self.encoder.grid
        features = features_of(self.encoder, images)
        marks = head_tokens(masks, grid)[..., None]
        tokens = self.blocks(self.project(features) + self.positions + marks * self.head_prompt)
        cells = tokens.transpose(1, 2).unflatten(2, (grid, grid))  # [B, 256, G, G]
        heatmaps: Tensor = self.answer(self.upsample(cells))  # [B, 1, 2*G, 2*G]
        if heatmaps.shape[-1] != HEATMAP_SIZE:
            size = (HEATMAP_SIZE, HEATMAP_SIZE)
            heatmaps = F.interpolate(heatmaps, size=size, mode="bilinear", align_corners=False)
        return heatmaps.squeeze(1)

    def logits(self, images: Tensor, masks: Tensor, _: str, __: Tensor | None = None) -> Tensor:
        """`gaze_logits`: it knows no other task, and no landmarks."""
        return self.gaze_logits(images, masks)


def position_table(grid: int) -> Tensor:
    """Fixed sines and cosines of every token's place.

    The first half of the channels encodes the column, the second the row; in each, sine and cosine
    take turns, from wavelength 2 pi towards 2 pi * 10000.

    Args:
        grid: tokens per side.

    Returns:
        [grid * grid, 256], row-major.
    """
    half = WIDTH // 2
    frequencies = torch.exp(torch.arange(0, half, 2) * (-math.log(10000.0) / half))
    angles = torch.arange(grid)[:, None] * frequencies  # [G, 64]
    line = torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(1)  # [G, 128]
    columns = line[None, :].expand(grid, grid, half)
    rows = line[:, None].expand(grid, grid, half)
    return torch.cat([columns, rows], dim=-1).flatten(0, 1)


def head_tokens(masks: Tensor, grid: int) -> Tensor:
    """Masks on quarters of tokens [B, (2*G)**2] to masks on tokens [B, G*G]; 1 where all four are.

    For a box on [x1, x2) this marks columns round(x1 * G) to round(x2 * G), the last excluded,
    and rows alike: the first half-column that it touches is floor(2 * G * x1), whose token is
    wholly touched only if that number is even, and so at the other edge.
    """
    quarters = masks.view(-1, 1, 2 * grid, 2 * grid)
    return -F.max_pool2d(-quarters, kernel_size=2).flatten(1)


def gazelle_loss(model: GazeLLE, batch: Batch, _: float) -> tuple[Tensor, dict[str, Tensor]]:
    """Mean binary cross-entropy over the heatmaps' cells, of a batch of gaze alone.

    Returns:
        The scalar to descend, and itself without gradient as `gaze_loss`.
    """
    assert batch.heatmaps is not None
    logits = model.gaze_logits(batch.images, batch.masks)
    loss = F.binary_cross_entropy_with_logits(logits.float(), batch.heatmaps)
    return loss, {"gaze_loss": loss.detach()}
