"""Inputs for tests of vision towers: a photograph, and weights that distinguish places."""

import numpy as np
import skimage.data
import torch
from torch import nn

from sfedge.core.preprocess import InputSpec, encoder_input, resize


def views(size: int) -> list[np.ndarray]:
    astronaut = np.ascontiguousarray(skimage.data.astronaut())
    return [resize(astronaut, size), resize(astronaut[:256, 100:400], size)]


def prepared(spec: InputSpec) -> torch.Tensor:
    return torch.stack([torch.from_numpy(encoder_input(v, spec)) for v in views(spec.size)])


def scattered(module: nn.Module) -> nn.Module:
    """Random values for all parameters, those that start at zeros or ones too."""
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return module.eval()
