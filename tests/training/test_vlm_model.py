"""The library's own VLM classes under our loss, masks, padding and LoRA."""

import math

import numpy as np
import PIL.Image
import pytest
import torch
from numpy.typing import NDArray
from tiny_vlms import stacked, tiny_vlm
from torch import Tensor, nn

from sfedge.core.boxes import Box
from sfedge.core.errors import ConfigError, UnknownNameError
from sfedge_training.baselines.vlm.adapters import IGNORED, Turn, answered
from sfedge_training.baselines.vlm.prompts import question
from sfedge_training.baselines.vlm.vlm_config import VlmConfig
from sfedge_training.baselines.vlm.vlm_model import VisionLanguageModel, answer_loss

FAMILIES = ("qwen2-vl", "internvl3")
BOX = Box(0.1, 0.2, 0.3, 0.4)
ASKED = (("expression", (), "c"), ("gaze", (BOX,), "(12,1000)"), ("domain", (BOX, BOX), "b"))
TASKS_ASKED = tuple(task for task, _, _ in ASKED)


@pytest.fixture(params=FAMILIES)
def model(request: pytest.FixtureRequest) -> VisionLanguageModel:
    return with_trained_lora(tiny_vlm(request.param))


def with_trained_lora(model: VisionLanguageModel) -> VisionLanguageModel:
    """LoRA starts without effect; here it has one."""
    torch.manual_seed(1)
    with torch.no_grad():
        for tensor in model.trained_state().values():
            tensor.copy_(torch.randn_like(tensor) * 0.1)
    return model


def pictures(astronaut: NDArray[np.uint8]) -> list[PIL.Image.Image]:
    """Three views of unlike shapes."""
    whole = PIL.Image.fromarray(astronaut)
    return [whole.resize((56, 56)), whole.crop((150, 0, 300, 250)).resize((30, 50)), whole]


def turns(model: VisionLanguageModel, astronaut: NDArray[np.uint8]) -> list[Turn]:
    return [
        model.adapter.ask(picture, question(task, boxes))
        for picture, (task, boxes, _) in zip(pictures(astronaut), ASKED, strict=True)
    ]


def taught(model: VisionLanguageModel, asked: list[Turn]) -> list[Turn]:
    answers = [model.adapter.answer(text) for _, _, text in ASKED]
    return [answered(turn, answer) for turn, answer in zip(asked, answers, strict=True)]


def test_the_loss_is_the_librarys_own(
    model: VisionLanguageModel, astronaut: NDArray[np.uint8]
) -> None:
    batch = stacked(model, taught(model, turns(model, astronaut)), TASKS_ASKED)
    loss, _ = answer_loss(model, batch, 1.0)
    theirs = model.network(**batch.inputs, labels=batch.labels).loss
    assert loss.item() == pytest.approx(theirs.item(), rel=1e-5)
    gaze, other = model.adapter.answer("(12,1000)"), model.adapter.answer("c")
    assert batch.count == len(gaze) + 2 * len(other)  # what it is a mean over


def test_only_the_answers_and_their_ends_are_learned(
    model: VisionLanguageModel, astronaut: NDArray[np.uint8]
) -> None:
    batch = stacked(model, taught(model, turns(model, astronaut)), TASKS_ASKED)
    assert batch.labels is not None
    for ids, labels, (_, _, text) in zip(
        batch.inputs["input_ids"], batch.labels, ASKED, strict=True
    ):
        learned = labels[labels != IGNORED]
        assert learned.tolist() == model.adapter.answer(text)
        assert ids[labels != IGNORED].tolist() == learned.tolist()
        assert model.adapter.text(learned.tolist()) == text


def test_padding_and_company_change_no_loss(
    model: VisionLanguageModel, astronaut: NDArray[np.uint8]
) -> None:
    each = taught(model, turns(model, astronaut))
    lengths = {len(turn.tokens["input_ids"]) for turn in each}
    assert len(lengths) == 3
    together = model(stacked(model, each, TASKS_ASKED))
    alone = [
        model(stacked(model, [turn], (task,))) for turn, task in zip(each, TASKS_ASKED, strict=True)
    ]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-4, rtol=1e-4)


def test_only_lora_in_the_language_models_blocks_learns(
    model: VisionLanguageModel, astronaut: NDArray[np.uint8]
) -> None:
    blocks = model.network.get_submodule(model.adapter.blocks)
    before = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    loss, _ = answer_loss(
        model.train(), stacked(model, taught(model, turns(model, astronaut)), TASKS_ASKED), 1.0
    )
    loss.backward()
    optimizer.step()

    after = model.network.state_dict()
    moved = {name for name, tensor in before.items() if not torch.equal(tensor, after[name])}
    assert moved == set(model.trained_state())
    assert all(name.startswith(f"{model.adapter.blocks}.") for name in moved)
    linear = [n for n, m in blocks.named_modules() if isinstance(m, nn.Linear) and "lora" not in n]
    assert len(linear) == 2 * 7  # two blocks: q, k, v, o, gate, up, down
    assert len(moved) == 2 * len(linear)
    assert model.network.training is False
    assert blocks.training is True


def test_answers_in_a_batch_are_those_given_alone(
    model: VisionLanguageModel, astronaut: NDArray[np.uint8]
) -> None:
    asked = turns(model, astronaut)
    together, first = model.answer(stacked(model, asked, TASKS_ASKED), 4)
    assert first.shape == (3, len(model.adapter.tokenizer))  # type: ignore[attr-defined]
    for row, turn in enumerate(asked):
        alone, own = model.answer(stacked(model, [turn], TASKS_ASKED[row : row + 1]), 4)
        assert alone[0] == together[row]
        torch.testing.assert_close(first[row], own[0], atol=1e-3, rtol=1e-3)


def gradients(model: VisionLanguageModel, astronaut: NDArray[np.uint8]) -> dict[str, Tensor]:
    batch = stacked(model, taught(model, turns(model, astronaut)), TASKS_ASKED)
    loss, _ = answer_loss(with_trained_lora(model).train(), batch, 1.0)
    loss.backward()
    return {n: p.grad for n, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("family", FAMILIES)
def test_recomputed_activations_give_the_same_gradients(
    family: str, astronaut: NDArray[np.uint8]
) -> None:
    plain = gradients(tiny_vlm(family), astronaut)
    model = tiny_vlm(family)
    model.enable_gradient_checkpointing()
    passes: list[object] = []
    query = model.network.get_submodule(f"{model.adapter.blocks}.0.self_attn.q_proj")
    query.register_forward_hook(lambda *seen: passes.append(seen[0]))
    again = gradients(model, astronaut)
    assert len(passes) == 2
    assert plain.keys() == again.keys()
    for name, gradient in plain.items():
        torch.testing.assert_close(again[name], gradient, msg=name)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_picture_becomes_no_more_tokens_than_allowed(
    family: str, astronaut: NDArray[np.uint8]
) -> None:
    whole = PIL.Image.fromarray(astronaut)
    counted = []
    for allowed in (4, 20, 40):
        adapter = tiny_vlm(family, image_tokens=allowed).adapter
        ids = adapter.ask(whole, "?").tokens["input_ids"]
        token = adapter.processor.image_token_id  # type: ignore[attr-defined]
        counted.append(int((ids == token).sum()))
        assert counted[-1] <= allowed
    assert counted[0] < counted[1] < counted[2]


def test_settings_read_back_and_tell_all_faults() -> None:
    config = VlmConfig(family="molmoe", revision="abc", image_tokens=300, lora_dropout=0.1)
    assert VlmConfig.from_json(config.to_json()) == config
    assert config.source == "allenai/MolmoE-1B-0924"
    assert VlmConfig(family="internvl3", weights="/some/folder").source == "/some/folder"
    with pytest.raises(ConfigError, match="image tokens 0 is below 4; LoRA dropout nan"):
        VlmConfig(family="qwen2-vl", image_tokens=0, lora_dropout=math.nan)
    with pytest.raises(UnknownNameError, match="Did you mean 'qwen2-vl'"):
        VlmConfig(family="qwen2vl")
    with pytest.raises(ConfigError, match="unknown settings rank"):
        VlmConfig.from_json({"family": "qwen2-vl", "rank": 2})
    with pytest.raises(ConfigError, match="no family"):
        VlmConfig.from_json({})
