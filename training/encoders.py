"""The frozen vision towers, by name; each turns images into patch features."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from sfedge.errors import ConfigError, unknown_name
from sfedge.preprocess import InputSpec

_CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)  # open_clip's OPENAI_DATASET_MEAN and _STD
_CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)


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


class ClipEncoder(Encoder):
    """open_clip's VisionTransformer: tokens of one block after `ln_post`, without CLS."""

    def __init__(self, visual: Any, *, layer: int) -> None:
        size, (grid, _) = int(visual.image_size[0]), visual.grid_size
        spec = InputSpec(size, _CLIP_MEAN, _CLIP_STD)
        super().__init__(grid=int(grid), width=visual.ln_post.normalized_shape[0], input=spec)
        _check_layer(layer, len(visual.transformer.resblocks))
        visual.prune_intermediate_layers([layer])  # nothing runs or is stored for nothing
        self.visual = visual

    def forward(self, images: Tensor) -> Tensor:
        taken = self.visual.forward_intermediates(
            images,
            indices=[len(self.visual.transformer.resblocks) - 1],
            normalize_intermediates=True,
            intermediates_only=True,
            output_fmt="NLC",
        )
        features: Tensor = taken["image_intermediates"][0]
        return features


class TimmEncoder(Encoder):
    """A timm VisionTransformer: tokens of one block after the final norm, without CLS."""

    def __init__(self, visual: Any, *, layer: int) -> None:
        size, (grid, _) = int(visual.patch_embed.img_size[0]), visual.patch_embed.grid_size
        spec = InputSpec(size, _IMAGENET_MEAN, _IMAGENET_STD)
        super().__init__(grid=int(grid), width=int(visual.embed_dim), input=spec)
        _check_layer(layer, len(visual.blocks))
        visual.prune_intermediate_layers([layer], prune_norm=False, prune_head=True)
        self.visual = visual

    def forward(self, images: Tensor) -> Tensor:
        taken: list[Tensor] = self.visual.forward_intermediates(
            images,
            indices=[len(self.visual.blocks) - 1],
            norm=True,
            intermediates_only=True,
            output_fmt="NLC",
        )
        return taken[0]


def clip_l14_336(weights: str | None, layer: int) -> Encoder:
    """OpenAI's CLIP ViT-L/14 at 336 pixels: the paper's encoder, also MolmoE's.

    The plain name `ViT-L-14-336` computes another activation than these weights were trained with.
    """
    return _open_clip("ViT-L-14-336-quickgelu", weights, layer)


def dfn_h14_378(weights: str | None, layer: int) -> Encoder:
    """DFN5B CLIP ViT-H/14 at 378 pixels: Qwen2-VL's encoder before its pre-training."""
    return _open_clip("ViT-H-14-378-quickgelu", weights, layer)


def dinov2_l14(weights: str | None, layer: int) -> Encoder:
    """DINOv2 ViT-L/14 (paper, appendix A).

    The paper does not give its resolution; 336 pixels keep the 24 x 24 tokens of CLIP, so that the
    encoder is all that differs.
    """
    import timm

    name, settings = "vit_large_patch14_dinov2", {"img_size": 336, "num_classes": 0}
    if weights is None:
        return TimmEncoder(timm.create_model(name, **settings), layer=layer)
    tags = timm.models.get_pretrained_tags(name) if hasattr(timm.models, "x") else []
    raise NotImplementedError(tags)


def clip_tiny(weights: str | None, layer: int) -> Encoder:
    """open_clip's VisionTransformer at a size that a CPU trains: 96 pixels, 12 x 12 patches."""
    from open_clip.transformer import VisionTransformer

    if weights is not None:
        raise ConfigError(
            "clip-tiny has no published weights",
            where=f"encoder_weights {weights}",
            fix="Leave them out; `python -m training pretrain` makes some.",
        )
    visual = VisionTransformer(
        image_size=96, patch_size=8, width=128, layers=6, heads=4, mlp_ratio=4.0, output_dim=128
    )
    return ClipEncoder(visual, layer=layer)


ENCODERS: dict[str, Callable[[str | None, int], Encoder]] = {
    "clip-l14-336": clip_l14_336,
    "dfn-h14-378": dfn_h14_378,
    "dinov2-l14": dinov2_l14,
    "clip-tiny": clip_tiny,
}


def build_encoder(name: str, weights: str | None = None, layer: int = -1) -> Encoder:
    """The encoder called `name`, frozen, on the CPU and in float32.

    Args:
        name: one of ENCODERS.
        weights: a tag of the encoder's library, a file, a folder or "owner/name" of the Hugging
            Face hub; None for random ones.
        layer: block whose tokens are used, from the end: -1 is the last.

    Raises:
        UnknownNameError: there is no such encoder.
        ConfigError: the weights cannot be loaded, or there is no such block.
    """
    if name not in ENCODERS:
        unknown_name("encoder", name, ENCODERS, where="encoder")
    encoder = ENCODERS[name](weights, layer)
    return encoder.requires_grad_(False).eval()


def _open_clip(architecture: str, weights: str | None, layer: int) -> Encoder:
    import open_clip

    clip = open_clip.create_model(architecture, pretrained=weights)
    return ClipEncoder(clip.visual, layer=layer)


def _check_layer(layer: int, layers: int) -> None:
    if not -layers <= layer <= -1:
        raise ConfigError(
            f"the encoder has no block {layer}", where="encoder_layer", fix=f"-1 to -{layers}."
        )
