"""Encoders that open_clip and timm build."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError  # what torch raises at a file that holds no tensors
from typing import Any

from huggingface_hub import HfApi, hf_hub_download
from safetensors import SafetensorError
from torch import Tensor

from sfedge.core.errors import ConfigError
from sfedge_training.model.encoder import (
    CLIP,
    IMAGENET,
    Encoder,
    Normalisation,
    check_layer,
    input_spec,
)


class ClipEncoder(Encoder):
    """open_clip's VisionTransformer: tokens of one block after `ln_post`, without CLS.

    Args:
        visual: the vision tower of a CLIP model; blocks beyond `layer` are dropped.
        layer: block whose tokens are used, from the end.
        normalisation: `mean` and `std` of the images that it was trained with.
    """

    def __init__(self, visual: Any, *, layer: int, normalisation: Normalisation = CLIP) -> None:
        size, (grid, _) = int(visual.image_size[0]), visual.grid_size
        spec = input_spec(size, normalisation)
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
    """A timm VisionTransformer: tokens of one block after the final norm, without CLS.

    Args:
        visual: the vision tower; blocks beyond `layer` are dropped.
        layer: block whose tokens are used, from the end.
        normalisation: `mean` and `std` of the images that it was trained with.
    """

    def __init__(self, visual: Any, *, layer: int, normalisation: Normalisation = IMAGENET) -> None:
        size, (grid, _) = int(visual.patch_embed.img_size[0]), visual.patch_embed.grid_size
        spec = input_spec(size, normalisation)
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


def open_clip_encoder(architecture: str, weights: str | None, layer: int) -> Encoder:
    """The vision tower of one of open_clip's models, its text tower dropped.

    Images are normalised as open_clip's registry says of the tag; of a file or of random weights,
    as it says of the architecture's first tag.
    """
    import open_clip

    tags = open_clip.list_pretrained_tags_by_model(architecture)
    tag = weights if weights in tags else next(iter(tags), "")
    normalisation = open_clip.get_pretrained_cfg(architecture, tag) or {}
    if weights is None:
        visual = open_clip.create_model(architecture).visual
    else:
        with _explained(weights):
            source = str(_weights_file(weights) or weights)
            visual = open_clip.create_model(architecture, pretrained=source).visual
    return ClipEncoder(visual, layer=layer, normalisation=visual.preprocess_cfg | normalisation)


def timm_encoder(name: str, weights: str | None, layer: int, *, image_size: int) -> Encoder:
    """A vision transformer of timm, its position embeddings resampled to `image_size`.

    Images are normalised as timm's configuration of the model says.
    """
    import timm

    visual: Any
    size: dict[str, Any] = {"img_size": image_size, "num_classes": 0}
    if weights is None:
        visual = timm.create_model(name, **size)
        return TimmEncoder(visual, layer=layer, normalisation=visual.pretrained_cfg)
    with _explained(weights):
        file = _weights_file(weights)
        if file is None:
            visual = timm.create_model(f"{name}.{weights}", pretrained=True, **size)
        else:
            overlay = {"file": str(file)}
            visual = timm.create_model(
                name, pretrained=True, pretrained_cfg_overlay=overlay, **size
            )
    return TimmEncoder(visual, layer=layer, normalisation=visual.pretrained_cfg)


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
