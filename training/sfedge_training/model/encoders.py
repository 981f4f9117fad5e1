"""The frozen encoders, by name."""

from collections.abc import Callable
from functools import partial

from sfedge.core.errors import ConfigError, unknown_name
from sfedge_training.model import towers
from sfedge_training.model.encoder import Encoder
from sfedge_training.model.image_encoders import (
    TimmEncoder,
    lite0_encoder,
    open_clip_encoder,
    timm_encoder,
)


def clip_l14_336(weights: str | None, layer: int) -> Encoder:
    """OpenAI's CLIP ViT-L/14 at 336 pixels: the paper's encoder, also MolmoE's.

    The plain name `ViT-L-14-336` computes another activation than these weights were trained with.
    """
    return open_clip_encoder("ViT-L-14-336-quickgelu", weights, layer)


def dfn_h14_378(weights: str | None, layer: int) -> Encoder:
    """DFN5B CLIP ViT-H/14 at 378 pixels: Qwen2-VL's encoder before its pre-training."""
    return open_clip_encoder("ViT-H-14-378-quickgelu", weights, layer)


def dinov2_l14(weights: str | None, layer: int) -> Encoder:
    """DINOv2 ViT-L/14 (paper, appendix A).

    The paper does not give its resolution; 336 pixels keep the 24 x 24 tokens of CLIP, so that the
    encoder is all that differs.
    """
    return timm_encoder("vit_large_patch14_dinov2", weights, layer, image_size=336)


def efficientnet_lite0(weights: str | None, layer: int, *, image_size: int = 128) -> Encoder:
    """EfficientNet-Lite0, 3.4 million weights without its head: a network for small devices.

    The last of its feature maps has cells of 32 pixels, the one before (layer -2) of 16.
    """
    return lite0_encoder(weights, layer, image_size=image_size)


def hybrid_tiny(weights: str | None, layer: int) -> Encoder:
    """A small ResNet under a small transformer, as timm's `vit_small_resnet26d_224`, for a CPU.

    96 pixels, 6 x 6 patches. Convolutions before a transformer let it learn in fewer steps than
    CLIP's plain patches (Xiao et al. 2021, "Early convolutions help transformers see better").
    """
    import timm
    from timm.layers.hybrid_embed import HybridEmbed
    from timm.models.vision_transformer import VisionTransformer

    if weights is not None:
        raise ConfigError(
            "hybrid-tiny has no published weights",
            where=f"encoder_weights {weights}",
            fix="Leave them out; `sfedge-train pretrain` makes some.",
        )
    stem = timm.create_model(
        "resnet10t",
        features_only=True,
        out_indices=(3,),  # one patch is 16 pixels
        channels=(24, 64, 128, 128),
        stem_width=16,
        stem_type="deep",
    )
    visual = VisionTransformer(
        img_size=96,
        patch_size=1,
        embed_dim=128,
        depth=3,
        num_heads=4,
        num_classes=0,
        class_token=False,
        global_pool="",
        embed_layer=partial(HybridEmbed, backbone=stem),
    )
    return TimmEncoder(visual, layer=layer)


def qwen2_vl_2b(weights: str | None, layer: int) -> Encoder:
    """The tower of Qwen2-VL 2B: DFN ViT-H after pre-training (Qwen/Qwen2-VL-2B-Instruct).

    392 pixels, 28 x 28 tokens: what Qwen2-VL's own processor makes of the 378 pixels of DFN.
    """
    return towers.qwen2_vl_encoder(weights, layer, image_size=392)


def internvl3_2b(weights: str | None, layer: int) -> Encoder:
    """The tower of InternVL3 2B, an InternViT-300M (OpenGVLab/InternVL3-2B-hf)."""
    return towers.internvl_encoder(weights, layer)


def molmoe_1b(weights: str | None, layer: int, *, allow_remote_code: bool = False) -> Encoder:
    """The tower of MolmoE 1B: CLIP ViT-L/14-336 after pre-training (allenai/MolmoE-1B-0924)."""
    return towers.molmo_encoder(weights, layer, allow_remote_code=allow_remote_code)


def sailvit_huge(weights: str | None, layer: int, *, allow_remote_code: bool = False) -> Encoder:
    """SAILViT: SAIL-VL's encoder before (BytedanceDouyinContent/SAILViT-Huge-600M-448px)."""
    return towers.sailvit_encoder(weights, layer, allow_remote_code=allow_remote_code)


def sail_vl_2b(weights: str | None, layer: int, *, allow_remote_code: bool = False) -> Encoder:
    """The tower of SAIL-VL 1.5 2B, SAILViT after (BytedanceDouyinContent/SAIL-VL-1d5-2B)."""
    return towers.sail_vl_encoder(weights, layer, allow_remote_code=allow_remote_code)


# Built by Python code that comes with their weights; it runs only where the caller allows it.
REMOTE_CODE: dict[str, Callable[..., Encoder]] = {
    "molmoe-1b": molmoe_1b,
    "sail-vl-2b": sail_vl_2b,
    "sailvit-huge": sailvit_huge,
}

# Take images of any size that their cells divide.
SIZED: dict[str, Callable[..., Encoder]] = {"efficientnet-lite0": efficientnet_lite0}

ENCODERS: dict[str, Callable[[str | None, int], Encoder]] = {
    "clip-l14-336": clip_l14_336,
    "dfn-h14-378": dfn_h14_378,
    "dinov2-l14": dinov2_l14,
    "hybrid-tiny": hybrid_tiny,
    "internvl3-2b": internvl3_2b,
    "qwen2-vl-2b": qwen2_vl_2b,
    **SIZED,
    **REMOTE_CODE,
}


def build_encoder(
    name: str,
    weights: str | None = None,
    layer: int = -1,
    *,
    image_size: int | None = None,
    allow_remote_code: bool = False,
) -> Encoder:
    """The encoder called `name`, frozen, on the CPU and in float32.

    Args:
        name: one of ENCODERS.
        weights: a tag of the encoder's library, a file, a folder with one safetensors file, or
            "owner/name" of the Hugging Face hub; None for random ones.
        layer: block whose tokens are used, from the end: -1 is the last.
        image_size: pixels per side, for an encoder in SIZED; None for the encoder's own.
        allow_remote_code: Python code that comes with the weights may run; some encoders need it.

    Raises:
        UnknownNameError: there is no such encoder.
        ConfigError: the weights cannot be loaded, there is no such block, the encoder takes no
            such image, or it needs code that may not run.
    """
    if name not in ENCODERS:
        unknown_name("encoder", name, ENCODERS, where="encoder")
    build = ENCODERS[name]
    if image_size is not None:
        if name not in SIZED:
            raise ConfigError(
                f"{name} takes images of one size alone",
                where="image_size",
                fix=f"Leave it out, or choose one of: {', '.join(SIZED)}.",
            )
        build = partial(SIZED[name], image_size=image_size)
    if allow_remote_code and name in REMOTE_CODE:
        build = partial(REMOTE_CODE[name], allow_remote_code=True)
    return build(weights, layer).requires_grad_(False).eval()
