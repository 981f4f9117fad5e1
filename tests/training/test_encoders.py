"""Every encoder's features against the library that it comes from."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import open_clip
import pytest
import skimage.data
import timm
import torch
from open_clip.transformer import QuickGELU
from safetensors.torch import save_file

from sfedge.core.errors import ConfigError, UnknownNameError
from sfedge.core.preprocess import InputSpec, encoder_input
from sfedge_training.model.encoder import Encoder
from sfedge_training.model.encoders import ENCODERS, build_encoder
from sfedge_training.model.image_encoders import open_clip_encoder, timm_encoder

SMALL_CLIP = "small-test-clip"
SMALL_DINO = "vit_small_patch14_dinov2"


@pytest.fixture(scope="module", autouse=True)
def _small_clip(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An architecture of open_clip's own, small enough to build in every test."""
    settings = {
        "embed_dim": 16,
        "quick_gelu": True,
        "vision_cfg": {
            "image_size": 56,
            "layers": 3,
            "width": 64,
            "head_width": 16,
            "patch_size": 14,
        },
        "text_cfg": {"context_length": 8, "vocab_size": 32, "width": 16, "heads": 2, "layers": 1},
    }
    file = tmp_path_factory.mktemp("clip") / f"{SMALL_CLIP}.json"
    file.write_text(json.dumps(settings))
    open_clip.add_model_config(file)
    yield
    open_clip.factory._MODEL_CONFIGS.pop(SMALL_CLIP)


def photograph(spec: InputSpec) -> torch.Tensor:
    astronaut = np.ascontiguousarray(skimage.data.astronaut())
    views = [astronaut, astronaut[:256, 100:400]]
    return torch.stack([torch.from_numpy(encoder_input(view, spec)) for view in views])


def clip_tokens(visual: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
    visual.eval().output_tokens = True
    with torch.no_grad():
        return visual(images)[1]


def test_tiny_features_are_timms_own_tokens_over_a_convolutional_stem() -> None:
    torch.manual_seed(0)
    encoder = build_encoder("hybrid-tiny")
    images = photograph(encoder.input)

    features = encoder(images)

    assert features.shape == (2, 36, 128)
    assert (encoder.grid, encoder.width, encoder.input.size) == (6, 128, 96)
    with torch.no_grad():
        expected = encoder.visual.forward_features(images)
    torch.testing.assert_close(features, expected, atol=1e-6, rtol=1e-6)


def test_a_named_clip_with_weights_of_a_file_gives_open_clips_tokens(tmp_path: Path) -> None:
    clip = open_clip.create_model(SMALL_CLIP)
    save_file(clip.state_dict(), tmp_path / "open_clip_model.safetensors")

    for weights in (tmp_path / "open_clip_model.safetensors", tmp_path):
        encoder = open_clip_encoder(SMALL_CLIP, str(weights), -1)
        images = photograph(encoder.input)
        features = encoder.eval()(images)
        assert features.shape == (2, 16, 64)
        torch.testing.assert_close(features, clip_tokens(clip.visual, images), atol=1e-6, rtol=1e-6)
    assert any(isinstance(module, QuickGELU) for module in encoder.modules())


def test_an_earlier_block_gives_its_own_tokens_after_the_final_norm(tmp_path: Path) -> None:
    clip = open_clip.create_model(SMALL_CLIP).eval()
    save_file(clip.state_dict(), tmp_path / "weights.safetensors")
    encoder = open_clip_encoder(SMALL_CLIP, str(tmp_path), -2).eval()
    images, seen = photograph(encoder.input), []
    clip.visual.transformer.resblocks[1].register_forward_hook(
        lambda _module, _input, output: seen.append(output)
    )

    with torch.no_grad():
        clip.visual(images)
        features = encoder(images)

    expected = clip.visual.ln_post(seen[0])[:, 1:]
    torch.testing.assert_close(features, expected, atol=1e-6, rtol=1e-6)
    assert len(encoder.visual.transformer.resblocks) == 2


def test_dinov2_features_are_timms_patch_tokens_at_another_size(tmp_path: Path) -> None:
    torch.manual_seed(0)
    published = timm.create_model(SMALL_DINO, img_size=70, num_classes=0)
    save_file(published.state_dict(), tmp_path / "model.safetensors")

    encoder = timm_encoder(SMALL_DINO, str(tmp_path), -1, image_size=56).eval()
    images = photograph(encoder.input)
    with torch.no_grad():
        features = encoder(images)
        published.set_input_size(img_size=56)
        expected = published.eval().forward_features(images)[:, 1:]

    assert features.shape == (2, 16, 384)
    assert (encoder.grid, encoder.width, encoder.input.size) == (4, 384, 56)
    torch.testing.assert_close(features, expected, atol=1e-5, rtol=1e-5)


def test_an_encoder_is_frozen_and_evaluates() -> None:
    encoder = build_encoder("hybrid-tiny")

    assert not any(p.requires_grad for p in encoder.parameters())
    assert not any(module.training for module in encoder.modules())


@pytest.mark.parametrize(
    ("architecture", "tag"),
    [("ViT-L-14-336-quickgelu", "openai"), ("ViT-H-14-378-quickgelu", "dfn5b")],
)
def test_clip_images_are_normalised_as_their_weights_expect(architecture: str, tag: str) -> None:
    published = open_clip.get_pretrained_cfg(architecture, tag)
    spec = open_clip_encoder(SMALL_CLIP, None, -1).input

    assert published["mean"] == pytest.approx(spec.mean)
    assert published["std"] == pytest.approx(spec.std)
    assert open_clip.get_model_config(architecture)["quick_gelu"] is True


def test_dinov2_images_are_normalised_as_their_weights_expect() -> None:
    published = timm.get_pretrained_cfg("vit_large_patch14_dinov2.lvd142m")
    spec = timm_encoder(SMALL_DINO, None, -1, image_size=28).input

    assert published.mean == pytest.approx(spec.mean)
    assert published.std == pytest.approx(spec.std)


def test_an_unknown_name_gets_the_nearest_one() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'clip-l14-336'"):
        build_encoder("clip-l14")


@pytest.mark.parametrize("layer", [-7, 0, 3])
def test_a_block_that_is_not_there_is_refused(layer: int) -> None:
    with pytest.raises(ConfigError, match="-1 to -3"):
        build_encoder("hybrid-tiny", layer=layer)


def test_tiny_has_no_published_weights() -> None:
    with pytest.raises(ConfigError, match="no published weights"):
        build_encoder("hybrid-tiny", "openai")


@pytest.mark.parametrize(
    "content", ["no-such-tag", "empty folder", "wrong shapes", "no tensors", "no pickle"]
)
def test_weights_that_cannot_be_loaded_are_reported_by_name(content: str, tmp_path: Path) -> None:
    file = tmp_path / "weights.safetensors"
    if content == "wrong shapes":
        save_file({"visual.conv1.weight": torch.zeros(3, 3)}, file)
    elif content == "no tensors":
        file.write_bytes(b"not tensors at all")
    elif content == "no pickle":
        file = tmp_path / "weights.pt"
        file.write_bytes(b"not tensors at all")
    weights = {"no-such-tag": content, "no pickle": str(file)}.get(content, str(tmp_path))

    for build in (
        lambda: open_clip_encoder(SMALL_CLIP, weights, -1),
        lambda: timm_encoder(SMALL_DINO, weights, -1, image_size=56),
    ):
        with pytest.raises(ConfigError, match=r"weights cannot be loaded \(.+\)"):
            build()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "grid", "width"),
    [("clip-l14-336", 24, 1024), ("dfn-h14-378", 27, 1280), ("dinov2-l14", 24, 1024)],
)
def test_a_full_sized_encoder_gives_its_grid(name: str, grid: int, width: int) -> None:
    encoder: Encoder = build_encoder(name)
    size = encoder.input.size

    with torch.inference_mode():
        features = encoder(torch.zeros(1, 3, size, size))

    assert features.shape == (1, grid * grid, width)
    assert (encoder.grid, encoder.width) == (grid, width)
    if name != "dinov2-l14":
        acts = {type(block.mlp.gelu) for block in encoder.visual.transformer.resblocks}
        assert acts == {QuickGELU}


def test_the_registry_holds_the_papers_encoders() -> None:
    assert {"clip-l14-336", "dfn-h14-378", "dinov2-l14", "hybrid-tiny"} <= set(ENCODERS)


def test_images_are_normalised_as_timm_says_of_the_model() -> None:
    siglip = timm_encoder("vit_base_patch16_siglip_224", None, -1, image_size=32)
    assert siglip.input == InputSpec(32, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    assert siglip(photograph(siglip.input)).shape == (2, 4, 768)
    dino = timm_encoder(SMALL_DINO, None, -1, image_size=28)
    assert dino.input.mean == pytest.approx((0.485, 0.456, 0.406))


def test_images_are_normalised_as_open_clips_registry_says_of_the_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "clip.safetensors"
    save_file(open_clip.create_model(SMALL_CLIP).state_dict(), file)
    assert open_clip_encoder(SMALL_CLIP, str(file), -1).input.mean == pytest.approx(
        open_clip.OPENAI_DATASET_MEAN
    )

    entry = {"half": {"url": "", "mean": (0.5, 0.4, 0.3), "std": (0.2, 0.2, 0.1)}}
    monkeypatch.setitem(open_clip.pretrained._PRETRAINED, SMALL_CLIP, entry)
    spec = open_clip_encoder(SMALL_CLIP, str(file), -1).input
    assert (spec.mean, spec.std) == ((0.5, 0.4, 0.3), (0.2, 0.2, 0.1))
