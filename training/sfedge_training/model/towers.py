"""Vision towers pulled out of vision-language models, as encoders (paper, tables 2 to 5).

A tower is what a VLM's pre-training made of its vision encoder. Its tokens are those of one block,
after the tower's final norm where it has one, before the VLM joins or projects them.

Qwen2-VL's and InternVL's towers are transformers' own classes. MolmoE's and SAIL-VL's classes lie
on the hub beside their weights; what is here follows that code's interface and is tested on
stand-ins of it, but has not run on the published code and weights.
"""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from math import isqrt
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    InternVLVisionConfig,
    InternVLVisionModel,
    PreTrainedConfig,
)
from transformers.image_processing_base import ImageProcessingMixin
from transformers.models.qwen2_vl.configuration_qwen2_vl import Qwen2VLVisionConfig
from transformers.models.qwen2_vl.modeling_qwen2_vl import Qwen2VisionTransformerPretrainedModel

from sfedge.core.errors import ConfigError
from sfedge_training.model.encoder import (
    CLIP,
    IMAGENET,
    Encoder,
    Normalisation,
    check_layer,
    input_spec,
)


class Qwen2VLEncoder(Encoder):
    """Qwen2-VL's tower: tokens after the norm that its merger begins with.

    The merger would now join 2 x 2 tokens to one; here each patch keeps its own. The tower takes
    and gives patches block by block of what will be joined; that order is made and undone here.

    Args:
        tower: transformers' Qwen2VisionTransformerPretrainedModel; loses its merger.
        image_size: in pixels, a multiple of two patches. Qwen2-VL itself takes any.
        layer: block whose tokens are used, from the end.
        normalisation: of its images.
    """

    def __init__(
        self, tower: Any, *, image_size: int, layer: int, normalisation: Normalisation = CLIP
    ) -> None:
        config = tower.config
        patch, side = int(config.patch_size), int(config.spatial_merge_size)
        grid = image_size // patch
        spec = input_spec(image_size, normalisation)
        super().__init__(grid=grid, width=int(config.embed_dim), input=spec)
        self.patch, self.frames = patch, int(config.temporal_patch_size)
        tower.blocks = _up_to(tower.blocks, layer)
        tower.merger = tower.merger.ln_q
        self.tower = tower
        places = torch.arange(grid * grid).view(grid // side, side, grid // side, side)
        self.order: Tensor
        self.register_buffer("order", places.transpose(1, 2).flatten(), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        patches = _patches(images, self.patch)[:, self.order]  # [B, G*G, 3, P*P]
        # The tower reads films, two frames at a time; a picture is two equal ones.
        films = patches[:, :, :, None].expand(-1, -1, -1, self.frames, -1)
        sizes = torch.tensor([[1, self.grid, self.grid]] * len(images), device=images.device)
        taken = self.tower(films.reshape(-1, films[0, 0].numel()), grid_thw=sizes)
        blockwise: Tensor = taken.pooler_output.unflatten(0, (len(images), -1))
        return blockwise[:, self.order.argsort()]


class InternVLEncoder(Encoder):
    """InternVL's tower, an InternViT: tokens without CLS; it has no final norm.

    Args:
        tower: transformers' InternVLVisionModel.
        layer: block whose tokens are used, from the end.
        normalisation: of its images.
    """

    def __init__(self, tower: Any, *, layer: int, normalisation: Normalisation = IMAGENET) -> None:
        size, patch = int(tower.config.image_size[0]), int(tower.config.patch_size[0])
        super().__init__(
            grid=size // patch,
            width=int(tower.config.hidden_size),
            input=input_spec(size, normalisation),
        )
        tower.encoder.layer = _up_to(tower.encoder.layer, layer)
        self.tower = tower

    def forward(self, images: Tensor) -> Tensor:
        tokens: Tensor = self.tower(pixel_values=images).last_hidden_state
        return tokens[:, 1:]


class MolmoEncoder(Encoder):
    """Molmo's tower, a CLIP ViT without its last block and final norm: tokens without CLS.

    Args:
        tower: `VisionTransformer` of Molmo's remote code: from flattened patches, channels last,
            to a list of every block's tokens.
        layer: block whose tokens are used, from the end.
        normalisation: of its images.
    """

    def __init__(self, tower: Any, *, layer: int, normalisation: Normalisation = CLIP) -> None:
        embedding, grid = tower.patch_embedding, isqrt(tower.positional_embedding.shape[0] - 1)
        patch = isqrt(embedding.in_features // 3)
        super().__init__(
            grid=grid,
            width=int(embedding.out_features),
            input=input_spec(grid * patch, normalisation),
        )
        self.patch = patch
        tower.transformer.resblocks = _up_to(tower.transformer.resblocks, layer)
        self.tower = tower

    def forward(self, images: Tensor) -> Tensor:
        pixels = _patches(images, self.patch).transpose(2, 3)  # [B, G*G, P*P, 3]
        tokens: Tensor = self.tower(pixels.flatten(2))[-1]
        return tokens[:, 1:]


class SailEncoder(Encoder):
    """SAILViT, alone or as SAIL-VL's tower: an AIMv2, which has no CLS; after its final norm.

    Args:
        tower: `AIMv2Model` of SAIL-VL's remote code, or SAILViT's.
        layer: block whose tokens are used, from the end.
        normalisation: of its images.
    """

    def __init__(self, tower: Any, *, layer: int, normalisation: Normalisation = IMAGENET) -> None:
        size, patch = int(tower.config.image_size), int(tower.config.patch_size)
        super().__init__(
            grid=size // patch,
            width=int(tower.config.hidden_size),
            input=input_spec(size, normalisation),
        )
        tower.trunk.blocks = _up_to(tower.trunk.blocks, layer)
        self.tower = tower

    def forward(self, images: Tensor) -> Tensor:
        tokens: Tensor = self.tower(pixel_values=images, return_dict=True).last_hidden_state
        return tokens


def qwen2_vl_encoder(weights: str | None, layer: int, *, image_size: int) -> Encoder:
    """The tower of a Qwen2-VL, from the weights of the whole; None: the 2B's sizes at random."""
    if weights is None:
        sizes = Qwen2VLVisionConfig(depth=32, embed_dim=1280, num_heads=16, hidden_size=1536)
        tower = Qwen2VisionTransformerPretrainedModel(sizes)
    else:
        tower = _tower(Qwen2VisionTransformerPretrainedModel, weights, "qwen2_vl", "visual")
    return Qwen2VLEncoder(
        tower,
        image_size=image_size,
        layer=layer,
        normalisation=_normalisation(weights, CLIP),
    )


def internvl_encoder(weights: str | None, layer: int) -> Encoder:
    """The tower of an InternVL, from the weights of the whole; None: InternVL3 2B's at random."""
    if weights is None:
        tower = InternVLVisionModel(InternVLVisionConfig(attention_bias=True))
    else:
        tower = _tower(InternVLVisionModel, weights, "internvl", "vision_tower")
    return InternVLEncoder(tower, layer=layer, normalisation=_normalisation(weights, IMAGENET))


def molmo_encoder(weights: str | None, layer: int, *, allow_remote_code: bool) -> Encoder:
    """The tower of a Molmo, whose code lies on the hub beside its weights."""
    name = "model.vision_backbone.image_vit"
    tower = _remote_tower(AutoModelForCausalLM, weights, name, allow_remote_code=allow_remote_code)
    return MolmoEncoder(tower, layer=layer, normalisation=_normalisation(weights, CLIP))


def sailvit_encoder(weights: str | None, layer: int, *, allow_remote_code: bool) -> Encoder:
    """SAILViT by itself, whose code lies on the hub beside its weights."""
    tower = _remote_tower(AutoModel, weights, "", allow_remote_code=allow_remote_code)
    return SailEncoder(tower, layer=layer, normalisation=_normalisation(weights, IMAGENET))


def sail_vl_encoder(weights: str | None, layer: int, *, allow_remote_code: bool) -> Encoder:
    """The tower of a SAIL-VL, whose code lies on the hub beside its weights."""
    tower = _remote_tower(AutoModel, weights, "vision_model", allow_remote_code=allow_remote_code)
    return SailEncoder(tower, layer=layer, normalisation=_normalisation(weights, IMAGENET))


def _normalisation(weights: str | None, usual: Normalisation) -> Normalisation:
    """Mean and standard deviation of the image processor that is saved beside the weights."""
    if weights is None:
        return usual
    try:
        saved, _ = ImageProcessingMixin.get_image_processor_dict(weights)
    except OSError:  # none is saved; a missing network shows when the weights are loaded
        return usual
    return {
        "mean": saved.get("image_mean", usual["mean"]),
        "std": saved.get("image_std", usual["std"]),
    }


def _patches(images: Tensor, patch: int) -> Tensor:
    """[B, 3, S, S] to the pixels of each patch, [B, G*G, 3, P*P], all row-major."""
    columns = F.unfold(images, patch, stride=patch)  # [B, 3*P*P, G*G]
    return columns.transpose(1, 2).reshape(len(images), -1, 3, patch * patch)


def _up_to(blocks: nn.ModuleList, layer: int) -> nn.ModuleList:
    """The blocks up to `layer`: nothing runs or is stored for nothing."""
    check_layer(layer, len(blocks))
    return blocks[: len(blocks) + layer + 1]


def _tower(kind: Any, weights: str, model: str, name: str) -> Any:
    """The submodule `name` of a VLM that transformers saved, without building the rest of it."""
    with _explained(weights), _without_report():
        found = PreTrainedConfig.get_config_dict(weights)[0].get("model_type")
        if found != model:
            raise ValueError(f"they are a {found!r} model's, not a {model!r} model's")
        tower, report = kind.from_pretrained(
            weights,
            dtype=torch.float32,
            # Some checkpoints have the first name, others the second.
            key_mapping={rf"^model\.{name}\.": "", rf"^{name}\.": ""},
            output_loading_info=True,
        )
        _check_complete(report["missing_keys"])
    return tower


@contextmanager
def _without_report() -> Iterator[None]:
    """Silence on the language model's weights, which a tower is right to leave alone."""
    logger = logging.getLogger("transformers")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _remote_tower(kind: Any, weights: str | None, name: str, *, allow_remote_code: bool) -> Any:
    """The submodule `name` of a VLM whose class is code of its repository; "" is all of it."""
    if not allow_remote_code:
        raise ConfigError(
            "this encoder is built by Python code that comes with its weights",
            where=f"encoder_weights {weights}",
            fix="Read that code, then allow it to run with --allow-remote-code.",
        )
    if weights is None:
        raise ConfigError(
            "without weights there is no code to build this encoder",
            where="encoder_weights",
            fix="Name a folder or a hub repository that holds both.",
        )
    with _explained(weights):
        vlm, report = kind.from_pretrained(
            weights, dtype="auto", trust_remote_code=True, output_loading_info=True
        )
        tower = vlm.get_submodule(name)
        _check_complete(key for key in report["missing_keys"] if key.startswith(name))
    return tower.float()


def _check_complete(missing: Iterable[str]) -> None:
    absent = sorted(missing)
    if absent:
        more = f" and {len(absent) - 1} more" if len(absent) > 1 else ""
        raise ValueError(f"they lack {absent[0]}{more}")


@contextmanager
def _explained(weights: str) -> Iterator[None]:
    failures = (OSError, ValueError, KeyError, RuntimeError, AttributeError, ImportError)
    try:
        yield
    except (*failures, SafetensorError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ConfigError(
            f"the vision tower cannot be loaded ({reason})",
            where=f"encoder_weights {weights}",
            fix="Name a folder or a hub repository that holds the whole vision-language model, as "
            "transformers saves it; without a network, copy it here and name the folder.",
        ) from error
