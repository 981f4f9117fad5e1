"""Vision towers whose code lies on the hub, by stand-ins of the same names and interface."""

import importlib.util
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from tower_inputs import prepared, scattered

from sfedge.core.errors import ConfigError
from sfedge_training.model.encoders import ENCODERS, REMOTE_CODE, build_encoder
from sfedge_training.model.towers import molmo_encoder, sail_vl_encoder, sailvit_encoder

# Code as it would lie beside the weights: the same names and interface as Molmo's and SAIL-VL's,
# with what computes kept small. Importing it leaves a file behind.
MOLMO_CODE = """
from pathlib import Path

import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel

(Path(__file__).parent / "ran").touch()


class StandInConfig(PreTrainedConfig):
    model_type = "stand_in_molmo"


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.attention_norm, self.mix = nn.LayerNorm(width), nn.Linear(width, width)

    def forward(self, x):
        normed = self.attention_norm(x)
        return x + self.mix(normed) + normed.mean(1, keepdim=True)


class Blocks(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.resblocks = nn.ModuleList([Block(width) for _ in range(3)])

    def forward(self, x):
        states = []
        for block in self.resblocks:
            x = block(x)
            states.append(x)
        return states


class VisionTransformer(nn.Module):
    def __init__(self, width=8, patch=4, grid=5):
        super().__init__()
        self.class_embedding = nn.Parameter(torch.zeros(width))
        self.positional_embedding = nn.Parameter(torch.zeros(grid * grid + 1, width))
        self.patch_embedding = nn.Linear(patch * patch * 3, width, bias=False)
        self.pre_ln = nn.LayerNorm(width)
        self.transformer = Blocks(width)

    def forward(self, x, patch_num=None):
        x = self.patch_embedding(x)
        cls = self.class_embedding.expand(len(x), 1, -1)
        return self.transformer(self.pre_ln(torch.cat([cls, x], 1) + self.positional_embedding))


class StandInMolmo(PreTrainedModel):
    config_class = StandInConfig
    base_model_prefix = ""

    def __init__(self, config):
        super().__init__(config)
        self.model = nn.Module()
        self.model.wte = nn.Embedding(4, 8)
        self.model.vision_backbone = nn.Module()
        self.model.vision_backbone.image_vit = VisionTransformer()
        self.post_init()

    def _init_weights(self, module):
        pass
"""

SAIL_CODE = """
from pathlib import Path

import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

(Path(__file__).parent / "ran").touch()


class StandInConfig(PreTrainedConfig):
    model_type = "stand_in_sail"
    image_size: int = 20
    patch_size: int = 4
    hidden_size: int = 8


class Trunk(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.blocks = nn.ModuleList([nn.Linear(width, width) for _ in range(3)])
        self.post_trunk_norm = nn.RMSNorm(width)

    def forward(self, x):
        for block in self.blocks:
            x = x + block(x) + x.mean(1, keepdim=True)
        return self.post_trunk_norm(x)


class AIMv2Model(PreTrainedModel):
    config_class = StandInConfig
    base_model_prefix = ""

    def __init__(self, config):
        super().__init__(config)
        self.preprocessor = nn.Module()
        self.preprocessor.proj = nn.Conv2d(3, 8, 4, stride=4)
        self.preprocessor.pos_embed = nn.Parameter(torch.zeros(1, 25, 8))
        self.trunk = Trunk(8)
        self.post_init()

    def _init_weights(self, module):
        pass

    def forward(self, pixel_values, return_dict=None):
        x = self.preprocessor.proj(pixel_values).flatten(2).transpose(1, 2)
        x = self.trunk(x + self.preprocessor.pos_embed)
        return BaseModelOutput(last_hidden_state=x) if return_dict else (x,)


class SailVLModel(PreTrainedModel):
    config_class = StandInConfig
    base_model_prefix = ""

    def __init__(self, config):
        super().__init__(config)
        self.vision_model = AIMv2Model(config)
        self.mlp1 = nn.Linear(8, 8)
        self.post_init()

    def _init_weights(self, module):
        pass
"""


@pytest.fixture(scope="module", autouse=True)
def _modules_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Remote code is copied there before it runs."""
    with pytest.MonkeyPatch.context() as patch:
        cache = tmp_path_factory.mktemp("modules")
        patch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(cache))
        patch.setattr(sys, "path", [*sys.path])
        yield


def imported(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"stand_in_of_{file.parent.name}", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # transformers looks a class's module up
    spec.loader.exec_module(module)
    return module


def repository(folder: Path, code: str, auto: str, name: str) -> nn.Module:
    """A folder as the hub would hold it; gives the model whose weights it holds."""
    folder.mkdir()
    file = folder / "modeling.py"
    file.write_text(code)
    module = imported(file)
    model = scattered(getattr(module, name)(module.StandInConfig()))
    save_file(model.state_dict(), folder / "model.safetensors", metadata={"format": "pt"})
    config = {
        "model_type": module.StandInConfig.model_type,
        "architectures": [name],
        "auto_map": {"AutoConfig": "modeling.StandInConfig", auto: f"modeling.{name}"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "ran").unlink()
    return model


@pytest.mark.parametrize("layer", [-1, -2])
def test_molmo_features_are_the_towers_own_without_cls(tmp_path: Path, layer: int) -> None:
    folder = tmp_path / f"molmo{-layer}"
    model = repository(folder, MOLMO_CODE, "AutoModelForCausalLM", "StandInMolmo")
    encoder = molmo_encoder(str(folder), layer, allow_remote_code=True).eval()
    images = prepared(encoder.input)
    # Molmo's preprocessing: rows of patches, each patch's pixels row by row, channels last.
    pixels = [
        image[:, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4].permute(1, 2, 0).flatten()
        for image in images
        for row in range(5)
        for column in range(5)
    ]
    with torch.no_grad():
        features = encoder(images)
        own = model.model.vision_backbone.image_vit(torch.stack(pixels).view(2, 25, 48))
    assert features.shape == (2, 25, 8)
    assert (encoder.grid, encoder.width, encoder.input.size) == (5, 8, 20)
    torch.testing.assert_close(features, own[layer][:, 1:], atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("whole", [True, False])
def test_sail_features_are_the_towers_own(tmp_path: Path, whole: bool) -> None:
    folder = tmp_path / ("sail" if whole else "sailvit")
    name, build = ("SailVLModel", sail_vl_encoder) if whole else ("AIMv2Model", sailvit_encoder)
    model = repository(folder, SAIL_CODE, "AutoModel", name)
    encoder = build(str(folder), -1, allow_remote_code=True).eval()
    images = prepared(encoder.input)
    tower = model.vision_model if whole else model
    with torch.no_grad():
        features = encoder(images)
        own = tower(images, return_dict=True).last_hidden_state
    assert features.shape == (2, 25, 8)
    assert (encoder.grid, encoder.width, encoder.input.size) == (5, 8, 20)
    torch.testing.assert_close(features, own, atol=1e-6, rtol=1e-6)
    assert len(build(str(folder), -3, allow_remote_code=True).tower.trunk.blocks) == 1


def test_code_of_the_hub_runs_only_where_it_is_allowed(tmp_path: Path) -> None:
    folder = tmp_path / "refused"
    repository(folder, SAIL_CODE, "AutoModel", "SailVLModel")
    for name in sorted(REMOTE_CODE):
        with pytest.raises(ConfigError, match="--allow-remote-code"):
            build_encoder(name, str(folder))
        with pytest.raises(ConfigError, match="--allow-remote-code"):
            ENCODERS[name](str(folder), -1)
    assert not (folder / "ran").exists()
    built = build_encoder("sail-vl-2b", str(folder), allow_remote_code=True)
    assert built.width == 8
    assert not any(p.requires_grad for p in built.parameters())


def test_without_weights_there_is_no_code_to_run() -> None:
    for name in sorted(REMOTE_CODE):
        with pytest.raises(ConfigError, match="holds both"):
            build_encoder(name, allow_remote_code=True)


def test_remote_weights_that_lack_a_part_of_the_tower_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "torn"
    repository(folder, SAIL_CODE, "AutoModel", "SailVLModel")
    held = load_file(folder / "model.safetensors")
    del held["vision_model.trunk.blocks.1.weight"]
    save_file(held, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ConfigError, match=r"lack vision_model\.trunk\.blocks\.1\.weight"):
        sail_vl_encoder(str(folder), -1, allow_remote_code=True)


def test_a_remote_model_of_another_build_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "bare"
    repository(folder, SAIL_CODE, "AutoModel", "AIMv2Model")
    with pytest.raises(ConfigError, match=r"cannot be loaded \(.*vision_model"):
        sail_vl_encoder(str(folder), -1, allow_remote_code=True)
