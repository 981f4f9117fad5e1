"""Vision towers of VLMs that are classes of transformers."""

from pathlib import Path

import PIL.Image
import pytest
import torch
from safetensors.torch import load_file, save_file
from tower_inputs import prepared, scattered, views
from transformers import (
    InternVLConfig,
    InternVLForConditionalGeneration,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
)
from transformers.models.qwen2_vl.image_processing_qwen2_vl import (
    Qwen2VLImageProcessor,
    smart_resize,
)

from sfedge.core.errors import ConfigError
from sfedge_training.model.encoders import build_encoder
from sfedge_training.model.towers import InternVLEncoder, internvl_encoder, qwen2_vl_encoder

TEXT = {
    "vocab_size": 32,
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
}


@pytest.fixture(scope="module")
def qwen() -> Qwen2VLForConditionalGeneration:
    vision = {"depth": 3, "embed_dim": 32, "num_heads": 2, "hidden_size": 16}
    rope = {"rope_type": "default", "rope_theta": 1e4, "mrope_section": [1, 1, 2]}
    return scattered(
        Qwen2VLForConditionalGeneration(
            Qwen2VLConfig(vision_config=vision, text_config=TEXT | {"rope_parameters": rope})
        )
    )


@pytest.fixture(scope="module")
def qwen_folder(
    qwen: Qwen2VLForConditionalGeneration, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("qwen")
    qwen.save_pretrained(folder)
    return folder


def qwen_input(size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """What Qwen2-VL's own processor makes of the views."""
    pictures = [PIL.Image.fromarray(view) for view in views(size)]
    made = Qwen2VLImageProcessor()(images=pictures, return_tensors="pt")
    return made["pixel_values"], made["image_grid_thw"]


def place_in_blocks(row: int, column: int, grid: int) -> int:
    """Where the patch at (row, column) stands when 2 x 2 blocks follow each other."""
    block = (row // 2) * (grid // 2) + column // 2
    return 4 * block + 2 * (row % 2) + column % 2


def test_qwen_features_are_the_towers_own_row_by_row(
    qwen: Qwen2VLForConditionalGeneration, qwen_folder: Path
) -> None:
    encoder = qwen2_vl_encoder(str(qwen_folder), -1, image_size=84).eval()
    pixels, shapes = qwen_input(84)
    assert shapes.tolist() == [[1, 6, 6]] * 2
    with torch.no_grad():
        features = encoder(prepared(encoder.input))
        own = qwen.model.visual(pixels, grid_thw=shapes)
        normed = qwen.model.visual.merger.ln_q(own.last_hidden_state)

    assert features.shape == (2, 36, 32)
    assert (encoder.grid, encoder.width, encoder.input.size) == (6, 32, 84)
    for picture in range(2):
        for row in range(6):
            for column in range(6):
                torch.testing.assert_close(
                    features[picture, 6 * row + column],
                    normed[36 * picture + place_in_blocks(row, column, 6)],
                    atol=2e-5,
                    rtol=1e-4,
                )


def test_a_towers_images_are_normalised_as_the_processor_beside_its_weights_says(
    qwen: Qwen2VLForConditionalGeneration, tmp_path: Path
) -> None:
    qwen.save_pretrained(tmp_path)
    usual = qwen2_vl_encoder(str(tmp_path), -1, image_size=84).input
    assert usual.mean == pytest.approx(Qwen2VLImageProcessor().image_mean)

    Qwen2VLImageProcessor(image_mean=[0.5] * 3, image_std=[0.25] * 3).save_pretrained(tmp_path)
    own = qwen2_vl_encoder(str(tmp_path), -1, image_size=84).input
    assert (own.mean, own.std) == ((0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


def test_qwen_features_are_what_its_merger_merges(
    qwen: Qwen2VLForConditionalGeneration, qwen_folder: Path
) -> None:
    encoder = qwen2_vl_encoder(str(qwen_folder), -1, image_size=84).eval()
    pixels, shapes = qwen_input(84)
    with torch.no_grad():
        features = encoder(prepared(encoder.input)).unflatten(1, (6, 6))
        own = qwen.model.visual(pixels, grid_thw=shapes).pooler_output.unflatten(0, (2, 3, 3))
        for row in range(3):
            for column in range(3):
                block = features[:, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
                merged = qwen.model.visual.merger.mlp(block.reshape(2, -1))
                torch.testing.assert_close(merged, own[:, row, column], atol=2e-5, rtol=1e-4)


def test_an_earlier_qwen_block_gives_its_own_tokens(
    qwen: Qwen2VLForConditionalGeneration, qwen_folder: Path
) -> None:
    encoder = qwen2_vl_encoder(str(qwen_folder), -2, image_size=84).eval()
    assert len(encoder.tower.blocks) == 2
    pixels, shapes = qwen_input(84)
    with torch.no_grad():
        features = encoder(prepared(encoder.input))
        states = qwen.model.visual(pixels, grid_thw=shapes, output_hidden_states=True)
        normed = qwen.model.visual.merger.ln_q(states.hidden_states[2])
    torch.testing.assert_close(features[0, 7], normed[place_in_blocks(1, 1, 6)])
    torch.testing.assert_close(features[1, 34], normed[36 + place_in_blocks(5, 4, 6)])


def test_qwen_pictures_are_prepared_as_by_its_own_processor(qwen_folder: Path) -> None:
    encoder = qwen2_vl_encoder(str(qwen_folder), -1, image_size=84)
    pixels, _ = qwen_input(84)
    patches = pixels.view(2, 36, 3, 2, 14, 14)
    images = prepared(encoder.input)
    for row, column in [(0, 0), (0, 3), (4, 1), (5, 5)]:
        ours = images[:, :, 14 * row : 14 * row + 14, 14 * column : 14 * column + 14]
        theirs = patches[:, place_in_blocks(row, column, 6)]
        torch.testing.assert_close(theirs[:, :, 0], ours, atol=1e-5, rtol=1e-5)
        torch.testing.assert_close(theirs[:, :, 1], ours, atol=1e-5, rtol=1e-5)
    # The size is what Qwen2-VL would make of DFN's.
    assert smart_resize(378, 378) == (392, 392)


@pytest.fixture(scope="module")
def intern() -> InternVLForConditionalGeneration:
    vision = {
        "hidden_size": 32,
        "num_hidden_layers": 3,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "image_size": 56,
        "attention_bias": True,
    }
    config = InternVLConfig(vision_config=vision, text_config=TEXT | {"model_type": "qwen2"})
    return scattered(InternVLForConditionalGeneration(config))


@pytest.fixture(scope="module")
def intern_folder(
    intern: InternVLForConditionalGeneration, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("intern")
    intern.save_pretrained(folder)
    return folder


@pytest.mark.parametrize("layer", [-1, -3])
def test_intern_features_are_the_towers_own_without_cls(
    intern: InternVLForConditionalGeneration, intern_folder: Path, layer: int
) -> None:
    encoder = internvl_encoder(str(intern_folder), layer).eval()
    images = prepared(encoder.input)
    with torch.no_grad():
        features = encoder(images)
        own = intern.model.vision_tower(images, output_hidden_states=True).hidden_states[layer]
    assert features.shape == (2, 16, 32)
    assert (encoder.grid, encoder.width, encoder.input.size) == (4, 32, 56)
    torch.testing.assert_close(features, own[:, 1:], atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("prefix", ["", "model."])
@pytest.mark.parametrize("name", ["qwen", "intern"])
def test_weights_load_under_older_and_newer_names(
    name: str, prefix: str, qwen_folder: Path, intern_folder: Path, tmp_path: Path
) -> None:
    folder = {"qwen": qwen_folder, "intern": intern_folder}[name]
    saved = load_file(folder / "model.safetensors")
    renamed = {prefix + key.removeprefix("model."): tensor for key, tensor in saved.items()}
    save_file(renamed, tmp_path / "model.safetensors", metadata={"format": "pt"})
    (tmp_path / "config.json").write_bytes((folder / "config.json").read_bytes())

    def built(path: Path) -> dict[str, torch.Tensor]:
        if name == "qwen":
            return qwen2_vl_encoder(str(path), -1, image_size=84).state_dict()
        return internvl_encoder(str(path), -1).state_dict()

    there, here = built(folder), built(tmp_path)
    assert there.keys() == here.keys()
    assert all(torch.equal(there[key], here[key]) for key in there)


def test_only_the_tower_is_kept(qwen_folder: Path, intern_folder: Path) -> None:
    kept = qwen2_vl_encoder(str(qwen_folder), -1, image_size=84).state_dict()
    assert {name.split(".")[1] for name in kept} == {"patch_embed", "blocks", "merger"}
    assert sorted(name for name in kept if "merger" in name) == [
        "tower.merger.bias",
        "tower.merger.weight",
    ]
    assert all(tensor.dtype == torch.float32 for tensor in kept.values())
    kept = internvl_encoder(str(intern_folder), -1).state_dict()
    assert {name.split(".")[1] for name in kept} == {"embeddings", "encoder"}


def test_another_models_folder_is_refused(qwen_folder: Path, intern_folder: Path) -> None:
    with pytest.raises(ConfigError, match="'qwen2_vl' model's, not a 'internvl' model's"):
        internvl_encoder(str(qwen_folder), -1)
    with pytest.raises(ConfigError, match="'internvl' model's, not a 'qwen2_vl' model's"):
        qwen2_vl_encoder(str(intern_folder), -1, image_size=84)


def test_weights_that_lack_a_part_of_the_tower_are_refused(
    qwen_folder: Path, tmp_path: Path
) -> None:
    held = load_file(qwen_folder / "model.safetensors")
    torn = {key: tensor for key, tensor in held.items() if "blocks.1.attn.qkv" not in key}
    assert len(torn) == len(held) - 2
    save_file(torn, tmp_path / "model.safetensors", metadata={"format": "pt"})
    (tmp_path / "config.json").write_bytes((qwen_folder / "config.json").read_bytes())
    with pytest.raises(ConfigError, match=r"lack blocks\.1\.attn\.qkv\.bias and 1 more"):
        qwen2_vl_encoder(str(tmp_path), -1, image_size=84)


def test_loading_a_tower_tells_nothing_of_the_language_model(
    qwen_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    qwen2_vl_encoder(str(qwen_folder), -1, image_size=84)
    assert caplog.records == []


def test_a_folder_without_weights_is_refused(qwen_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes((qwen_folder / "config.json").read_bytes())
    with pytest.raises(ConfigError, match=r"cannot be loaded \(.+\)"):
        qwen2_vl_encoder(str(tmp_path), -1, image_size=84)
    with pytest.raises(ConfigError, match=r"cannot be loaded \(.+\)"):
        internvl_encoder(str(tmp_path / "nowhere"), -1)


def test_a_block_that_is_not_there_is_refused(qwen_folder: Path, intern_folder: Path) -> None:
    with pytest.raises(ConfigError, match="-1 to -3"):
        qwen2_vl_encoder(str(qwen_folder), -4, image_size=84)
    with pytest.raises(ConfigError, match="-1 to -3"):
        internvl_encoder(str(intern_folder), 0)


@pytest.mark.parametrize(
    ("name", "grid", "width", "blocks"),
    [("qwen2-vl-2b", 28, 1280, 32), ("internvl3-2b", 32, 1024, 24)],
)
def test_without_weights_a_tower_has_its_published_sizes(
    name: str, grid: int, width: int, blocks: int
) -> None:
    with torch.device("meta"):
        encoder = build_encoder(name)
    assert (encoder.grid, encoder.width) == (grid, width)
    assert encoder.input.size == 14 * grid
    layers = encoder.tower.encoder.layer if name == "internvl3-2b" else encoder.tower.blocks
    assert len(layers) == blocks
    assert not any(p.requires_grad for p in encoder.parameters())
    assert isinstance(encoder, InternVLEncoder) == (name == "internvl3-2b")
