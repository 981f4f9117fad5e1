"""A network that has learned nothing: as large and as fast as a trained one, for measuring."""

import torch

from sfedge_training.model.model_config import PRESETS
from sfedge_training.model.social_fusion import SocialFusion, build_model

NOTICE = "Random weights: its answers mean nothing, only its speed does."


def untrained(preset: str) -> SocialFusion:
    """The network of a preset with random weights, the same at each call; nothing is downloaded.

    Its adapter does something, so that a bundle of it is checked as that of a trained model is.

    Args:
        preset: a name in `sfedge_training.model.model_config.PRESETS`.
    """
    torch.manual_seed(0)
    model = build_model(PRESETS[preset].without_weights()).eval()
    with torch.no_grad():
        for name, weight in model.llm.named_parameters():
            if "lora_B" in name:
                weight.normal_(0, 0.02)
    return model
