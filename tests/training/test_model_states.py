"""Weights by stable names: what belongs to which part, and what is refused."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from sfedge.core.errors import DataError
from sfedge_training.model.model_config import PRESETS
from sfedge_training.model.social_fusion import SocialFusion, build_model
from sfedge_training.model.states import frozen_state, load_state, trained_state


def tiny(seed: int, *, with_lora: bool = True) -> SocialFusion:
    torch.manual_seed(seed)
    model = build_model(PRESETS["tiny"], with_lora=with_lora).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.05)
    return model


def answers(model: SocialFusion) -> torch.Tensor:
    images = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return model.answer_logits(images, torch.ones(2, 36), ("domain", "gesture"))


def test_each_tensor_belongs_to_one_part() -> None:
    model = tiny(0)
    trained, frozen = trained_state(model), frozen_state(model)

    assert not trained.keys() & frozen.keys()
    pointers = {t.data_ptr() for t in (*trained.values(), *frozen.values())}
    assert pointers == {t.data_ptr() for t in (*model.parameters(), *model.encoder.buffers())}
    free = {p.data_ptr() for p in model.parameters() if p.requires_grad}
    assert {t.data_ptr() for t in trained.values()} == free


def test_a_network_comes_back_from_files(tmp_path: Path) -> None:
    model, other = tiny(0), tiny(1)
    save_file(trained_state(model), tmp_path / "trained.safetensors")
    save_file(frozen_state(model), tmp_path / "frozen.safetensors")
    assert not torch.allclose(answers(model), answers(other), atol=1e-3)

    load_state(other, load_file(tmp_path / "trained.safetensors"))
    load_state(other, load_file(tmp_path / "frozen.safetensors"))

    assert torch.equal(answers(model), answers(other))


def test_the_names_do_not_tell_whether_lora_is_in_place() -> None:
    bare, adapted = tiny(0, with_lora=False), tiny(1)

    assert frozen_state(bare).keys() == frozen_state(adapted).keys()
    assert "llm.model.layers.0.self_attn.q_proj.weight" in frozen_state(adapted)
    assert "llm.model.layers.0.self_attn.q_proj.lora_A.weight" in trained_state(adapted)
    load_state(adapted, frozen_state(bare))
    own = frozen_state(adapted)
    assert all(torch.equal(tensor, own[name]) for name, tensor in frozen_state(bare).items())


def test_loading_one_part_leaves_the_other_alone() -> None:
    model, other = tiny(0), tiny(1)
    before = {name: tensor.clone() for name, tensor in frozen_state(other).items()}

    load_state(other, trained_state(model))

    assert all(torch.equal(tensor, before[n]) for n, tensor in frozen_state(other).items())


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda state: state.pop("box_embedding"), "box_embedding is missing"),
        (lambda state: state.clear(), "no tensor is the model's"),
        (lambda state: state.update(extra=torch.zeros(1)), "extra is unknown"),
        (
            lambda state: state.update(box_embedding=torch.zeros(3)),
            r"box_embedding is \[3\], not \[128\]",
        ),
    ],
    ids=["missing", "empty", "unknown", "shape"],
)
def test_weights_that_do_not_fit_are_refused_and_change_nothing(
    damage: Callable[[dict[str, torch.Tensor]], None], message: str
) -> None:
    model, state = tiny(0), dict(trained_state(tiny(1)))
    before = {name: tensor.clone() for name, tensor in trained_state(model).items()}
    damage(state)

    with pytest.raises(DataError, match=message):
        load_state(model, state)

    assert all(torch.equal(tensor, before[n]) for n, tensor in trained_state(model).items())


def test_weights_of_a_bare_model_do_not_pass_for_those_with_lora() -> None:
    with pytest.raises(DataError, match=r"lora_A.weight is missing.* more"):
        load_state(tiny(0), trained_state(tiny(1, with_lora=False)))
