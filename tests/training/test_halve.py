"""A model at half its size is the same model, rounded."""

from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from sfedge.core.errors import DataError
from sfedge_training.loop import halve
from sfedge_training.loop.checkpoint import load_model, save_model
from sfedge_training.loop.recipe import Recipe
from sfedge_training.model.model_config import PRESETS
from sfedge_training.model.social_fusion import build_model
from sfedge_training.model.states import frozen_state, trained_state


def size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def test_a_halved_model_loads_with_weights_rounded_to_half_precision(tmp_path: Path) -> None:
    torch.manual_seed(1)
    model = build_model(PRESETS["tiny"])
    save_model(tmp_path / "model", model, Recipe(), {"steps": 7})
    words = [str(tmp_path / "model"), str(tmp_path / "half"), "--licence", "CC0"]
    assert CliRunner().invoke(halve.main, words, catch_exceptions=False).exit_code == 0

    found, recipe, card = load_model(tmp_path / "half")
    assert (recipe, card) == (Recipe(), {"steps": 7, "licence": "CC0"})
    assert size(tmp_path / "half") < 0.55 * size(tmp_path / "model")
    for state in (frozen_state, trained_state):
        before, after = state(model), state(found)
        assert before.keys() == after.keys()
        for name, tensor in before.items():
            assert after[name].dtype == tensor.dtype
            torch.testing.assert_close(after[name], tensor, rtol=5e-4, atol=1e-7)


def test_a_weight_that_half_precision_cannot_hold_is_refused(tmp_path: Path) -> None:
    model = build_model(PRESETS["tiny"])
    with torch.no_grad():
        model.box_embedding[0] = 1e6
    save_model(tmp_path / "model", model, Recipe(), {})
    with pytest.raises(DataError, match="box_embedding holds a weight that fp16 cannot"):
        halve.halve(tmp_path / "model", tmp_path / "half")
    assert not (tmp_path / "half").exists()
