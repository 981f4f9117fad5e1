"""The frozen vision towers, by name; each turns images into patch features."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from pickle import UnpicklingError  # what torch raises at a file that holds no tensors
from typing import Any

import torch
from huggingface_hub import HfApi, hf_hub_download
from safetensors import SafetensorError
from torch import Tensor, nn

from sfedge.core.errors import ConfigError, unknown_name
from sfedge.core.preprocess import InputSpec

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
        check_layer(layer, len(visual.transformer.resblocks))
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
        check_layer(layer, len(visual.blocks))
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
    from sfedge_training.model.towers import qwen2_vl_encoder

    return qwen2_vl_encoder(weights, layer, image_size=392)


def internvl3_2b(weights: str | None, layer: int) -> Encoder:
    """The tower of InternVL3 2B, an InternViT-300M (OpenGVLab/InternVL3-2B-hf)."""
    from sfedge_training.model.towers import internvl_encoder

    return internvl_encoder(weights, layer)


def molmoe_1b(weights: str | None, layer: int, *, allow_remote_code: bool = False) -> Encoder:
    """The tower of MolmoE 1B: CLIP ViT-L/14-336 after pre-training (allenai/MolmoE-1B-0924)."""
    from sfedge_training.model.towers import molmo_encoder

    return molmo_encoder(weights, layer, allow_remote_code=allow_remote_code)


def sailvit_huge(weights: str | None, layer: int, *, allow_remote_code: bool = False) -> Encoder:
    """SAILViT: SAIL-VL's encoder before (BytedanceDouyinContent/SAILViT-Huge-600M-448px)."""
    from sfedge_training.model.towers import sailvit_encoder

    return sailvit_encoder(weights, layer, allow_remote_code=allow_remote_code)


def sail_vl_2b(weights: str | None, layer: int, *, allow_remote_code: bool = False) -> Encoder:
    """The tower of SAIL-VL 1.5 2B, SAILViT after (BytedanceDouyinContent/SAIL-VL-1d5-2B)."""
    from sfedge_training.model.towers import sail_vl_encoder

    return sail_vl_encoder(weights, layer, allow_remote_code=allow_remote_code)


# Built by Python code that comes with their weights; it runs only where the caller allows it.
REMOTE_CODE: dict[str, Callable[..., Encoder]] = {
    "molmoe-1b": molmoe_1b,
    "sail-vl-2b": sail_vl_2b,
    "sailvit-huge": sailvit_huge,
}

ENCODERS: dict[str, Callable[[str | None, int], Encoder]] = {
    "clip-l14-336": clip_l14_336,
    "dfn-h14-378": dfn_h14_378,
    "dinov2-l14": dinov2_l14,
    "hybrid-tiny": hybrid_tiny,
    "internvl3-2b": internvl3_2b,
    "qwen2-vl-2b": qwen2_vl_2b,
    **REMOTE_CODE,
}


def build_encoder(
    name: str, weights: str | None = None, layer: int = -1, *, allow_remote_code: bool = False
) -> Encoder:
    """The encoder called `name`, frozen, on the CPU and in float32.

    Args:
        name: one of ENCODERS.
        weights: a tag of the encoder's library, a file, a folder with one safetensors file, or
            "owner/name" of the Hugging Face hub; None for random ones.
        layer: block whose tokens are used, from the end: -1 is the last.
        allow_remote_code: Python code that comes with the weights may run; some encoders need it.

    Raises:
        UnknownNameError: there is no such encoder.
        ConfigError: the weights cannot be loaded, there is no such block, or the encoder needs
            code that may not run.
    """
    if name not in ENCODERS:
        unknown_name("encoder", name, ENCODERS, where="encoder")
    build = ENCODERS[name]
    if allow_remote_code and name in REMOTE_CODE:
        build = partial(REMOTE_CODE[name], allow_remote_code=True)
    return build(weights, layer).requires_grad_(False).eval()


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


def open_clip_encoder(architecture: str, weights: str | None, layer: int) -> Encoder:
    """The vision tower of one of open_clip's models, its text tower dropped."""
    import open_clip

    if weights is None:
        return ClipEncoder(open_clip.create_model(architecture).visual, layer=layer)
    with _explained(weights):
        source = str(_weights_file(weights) or weights)
        clip = open_clip.create_model(architecture, pretrained=source)
    return ClipEncoder(clip.visual, layer=layer)


def timm_encoder(name: str, weights: str | None, layer: int, *, image_size: int) -> Encoder:
    """A vision transformer of timm, its position embeddings resampled to `image_size`."""
    import timm

    size: dict[str, Any] = {"img_size": image_size, "num_classes": 0}
    if weights is None:
        return TimmEncoder(timm.create_model(name, **size), layer=layer)
    with _explained(weights):
        file = _weights_file(weights)
        if file is None:
            visual = timm.create_model(f"{name}.{weights}", pretrained=True, **size)
        else:
            overlay = {"file": str(file)}
            visual = timm.create_model(
                name, pretrained=True, pretrained_cfg_overlay=overlay, **size
            )
    return TimmEncoder(visual, layer=layer)


def _weights_file(weights: str) -> Path | None:
    """Where the weights lie, fetched from the hub if need be; None for a library's tag."""
    path = Path(weights)
    if path.is_file():
        return path
    if path.is_dir():
        files = sorted(path.glob("*.safetensors"))
        if len(files) != 1:
            raise ValueError(f"the folder holds {len(files)} safetensors files, not one")
        return files[0]
    if "/" not in weights:
        return None
    # The file names of open_clip's and of timm's repositories.
    names = ("open_clip_model.safetensors", "model.safetensors")
    listed = HfApi().list_repo_files(weights)
    for name in names:
        if name in listed:
            return Path(hf_hub_download(weights, name))
    raise ValueError(f"the repository has neither {names[0]} nor {names[1]}")


@contextmanager
def _explained(weights: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, KeyError, RuntimeError, SafetensorError, UnpicklingError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(
            f"the encoder's weights cannot be loaded ({reason})",
            where=f"encoder_weights {weights}",
            fix="Name a tag, a file, a folder with one safetensors file or a hub repository that "
            "holds them; without a network, copy them here and name the file.",
        ) from error


def check_layer(layer: int, layers: int) -> None:
    """Refuse a block that is not there.

    Raises:
        ConfigError: `layer`, counted from the end, is none of `layers` blocks.
    """
    if not -layers <= layer <= -1:
        raise ConfigError(
            f"the encoder has no block {layer}", where="encoder_layer", fix=f"-1 to -{layers}."
        )
