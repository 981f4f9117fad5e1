"""What every encoder is: a frozen vision tower that turns images into patch features."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from transformers.utils.constants import (
    IMAGENET_DEFAULT_MEAN,
    IMAGENET_DEFAULT_STD,
    OPENAI_CLIP_MEAN,
    OPENAI_CLIP_STD,
)

from sfedge.core.errors import ConfigError
from sfedge.core.preprocess import InputSpec

Normalisation = Mapping[str, Any]  # holds "mean" and "std", three values each, of RGB in [0, 1]
CLIP: Normalisation = {"mean": OPENAI_CLIP_MEAN, "std": OPENAI_CLIP_STD}
IMAGENET: Normalisation = {"mean": IMAGENET_DEFAULT_MEAN, "std": IMAGENET_DEFAULT_STD}


class Encoder(nn.Module):
    """A vision tower that gives one feature per patch.

    Attributes:
        grid: patches per side, G.
        width: of a feature, d_v.
        input: what an image must be prepared to.
    """

    def __init__(self, *, grid: int, width: int, input: InputSpec) -> None:  # noqa: A002
        super().__init__()
        self.grid, self.width, self.input = grid, width, input

    def forward(self, images: Tensor) -> Tensor:
        """[B, 3, S, S] to [B, G*G, d_v], row-major."""
        raise NotImplementedError

    def early_layers(self) -> Sequence[nn.Module]:
        """Layers that see edges and colours: what they learned elsewhere serves as it is.

        Half the time of a training step goes into their gradients. Empty where nothing is known.
        """
        return ()


def input_spec(size: int, normalisation: Normalisation) -> InputSpec:
    """Images of `size` pixels, normalised by the `mean` and `std` of a library's configuration."""
    (r, g, b), (sr, sg, sb) = normalisation["mean"], normalisation["std"]
    return InputSpec(size, (float(r), float(g), float(b)), (float(sr), float(sg), float(sb)))


def features_of(encoder: Encoder, images: Tensor) -> Tensor:
    """What the rest of a network reads, without gradient while the encoder is frozen.

    Args:
        encoder: of the network.
        images: [B, 3, S, S] pictures, or [B, G*G, d_v] features that were stored before.

    Returns:
        [B, G*G, d_v].
    """
    if images.ndim == 3:
        return images
    learns = any(parameter.requires_grad for parameter in encoder.parameters())
    with torch.set_grad_enabled(learns and torch.is_grad_enabled()):
        features: Tensor = encoder(images)
    return features


def check_layer(layer: int, layers: int) -> None:
    """Refuse a block that is not there.

    Raises:
        ConfigError: `layer`, counted from the end, is none of `layers` blocks.
    """
    if not -layers <= layer <= -1:
        raise ConfigError(
            f"the encoder has no block {layer}", where="encoder_layer", fix=f"-1 to -{layers}."
        )
