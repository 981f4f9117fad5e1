"""Landmarks of a view to tokens of the language model: one for each part."""

import torch
from torch import Tensor, nn

from sfedge.core.landmarks import INPUT_WIDTH, PARTS, PRESENT, SLICES, WIDTHS, Part

_NETWORKS: dict[Part, str] = {  # both hands share one
    "hand": "hand",
    "other_hand": "hand",
    "body": "body",
    "face": "face",
    "eyes": "eyes",
}
_HANDS: tuple[Part, Part] = ("hand", "other_hand")
_FEWEST = 16  # samples of a part that its statistics need
_LEAST = 0.02  # standard deviation that every number counts as having, at least
_FAR = 8.0  # standard deviations that values are clamped to


class LandmarkEmbedding(nn.Module):
    """Linear, ReLU, Linear on what is known of a part; a learned token where it is not known.

    Both hands go through the same layers, and a learned vector tells them apart. Numbers are
    standardised first: what a face expresses moves its points by a few hundredths of its size,
    which the layers would hardly learn beside the places of the points themselves.

    Attributes:
        mean: [INPUT_WIDTH], 0 until `fit` is called.
        scale: [INPUT_WIDTH], 1 until then; else 1 / standard deviation.

    Args:
        hidden: width of the inner layers.
        width: d_l, of the language model.
    """

    def __init__(self, hidden: int, width: int) -> None:
        super().__init__()
        self.networks = nn.ModuleDict(
            {
                _NETWORKS[part]: nn.Sequential(
                    nn.Linear(size, hidden), nn.ReLU(), nn.Linear(hidden, width)
                )
                for part, size in WIDTHS.items()
                if part != "other_hand"
            }
        )
        self.mean: Tensor
        self.scale: Tensor
        self.register_buffer("mean", torch.zeros(INPUT_WIDTH))
        self.register_buffer("scale", torch.ones(INPUT_WIDTH))
        # At the scale of the layers' outputs at their random start, as the box mark is.
        self.hands = nn.Parameter(0.1 * torch.randn(len(_HANDS), width))
        self.absent = nn.Parameter(0.1 * torch.randn(len(PARTS), width))

    @property
    def is_fitted(self) -> bool:
        """Whether `fit` has found anything."""
        return bool((self.scale != 1).any())

    @torch.no_grad()
    def fit(self, vectors: Tensor) -> None:
        """Take mean and spread of each number from vectors [N, INPUT_WIDTH], where it is known.

        Both hands have those of all hands. A part that few vectors know stays as it is.
        """
        of_hands = torch.cat([vectors[:, SLICES[part]] for part in _HANDS])
        for part, rows in SLICES.items():
            own = of_hands if part in _HANDS else vectors[:, rows]
            known = own[own[:, PRESENT] != 0]
            if len(known) >= _FEWEST:
                self.mean[rows] = known.mean(0)
                self.scale[rows] = 1 / known.std(0).clamp(min=_LEAST)

    def network(self, part: Part) -> nn.Module:
        """The layers that a part goes through."""
        return self.networks[_NETWORKS[part]]

    def forward(self, vectors: Tensor) -> Tensor:
        """[B, INPUT_WIDTH] of `sfedge.core.landmarks` to tokens [B, K, d_l], a part each."""
        numbers = ((vectors - self.mean) * self.scale).clamp(-_FAR, _FAR)
        tokens = []
        for number, name in enumerate(PARTS):
            rows = SLICES[name]
            known = vectors[:, rows.start + PRESENT, None]  # [B, 1], 1 or 0
            token = self.network(name)(numbers[:, rows])
            if name in _HANDS:
                token = token + self.hands[_HANDS.index(name)]
            tokens.append(known * token + (1 - known) * self.absent[number])
        return torch.stack(tokens, dim=1)
