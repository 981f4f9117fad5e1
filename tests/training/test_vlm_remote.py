"""MolmoE and SAIL-VL: never without leave, and called as their makers' code is written.

Their code is on the hub alone, so stand-ins with the same interface answer here: the names,
arguments and shapes that the adapters use, around small real networks.
"""

from types import SimpleNamespace
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from tiny_vlms import WIDTH, stacked, tokenizer
from torch import Tensor, nn
from transformers import GenerationConfig, PreTrainedConfig, Qwen2Config, Qwen2ForCausalLM

from sfedge.core.errors import ConfigError
from sfedge_training.baselines.vlm import load
from sfedge_training.baselines.vlm.adapters import IGNORED, answered
from sfedge_training.baselines.vlm.load import build_baseline
from sfedge_training.baselines.vlm.prompts import question
from sfedge_training.baselines.vlm.remote import MolmoAdapter, SailAdapter
from sfedge_training.baselines.vlm.vlm_config import REMOTE, VlmConfig
from sfedge_training.baselines.vlm.vlm_model import VisionLanguageModel, answer_loss

PATCH = 14 * 14 * 3


class SailTemplate:
    """`conversation.py`: roles, messages, the prompt of them all."""

    roles = ("<|im_start|>user\n", "<|im_start|>assistant\n")
    sep = "<|im_end|>"

    def __init__(self) -> None:
        self.messages: list[tuple[str, str | None]] = []

    def append_message(self, role: str, message: str | None) -> None:
        self.messages.append((role, message))

    def get_prompt(self) -> str:
        printed = [role + (f"{text}{self.sep}\n" if text else "") for role, text in self.messages]
        return f"<|im_start|>system\nYou answer.{self.sep}\n" + "".join(printed)


class SailStandIn(nn.Module):
    """`modeling_sailvl.py`: tiles become tokens in the place of `<IMG_CONTEXT>`."""

    num_image_token = 2

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.config = PreTrainedConfig()
        self.config.vision_config = SimpleNamespace(image_size=28)
        self.conv_template = SailTemplate()
        self.img_context_token_id: int | None = None
        self.vision_model = nn.Linear(PATCH * 2, WIDTH)
        self.language_model = Qwen2ForCausalLM(
            Qwen2Config(
                vocab_size=vocabulary,
                hidden_size=WIDTH,
                intermediate_size=64,
                num_hidden_layers=1,
                num_attention_heads=2,
                num_key_value_heads=2,
                initializer_range=0.3,
                bos_token_id=None,
                eos_token_id=None,
            )
        )

    def _embed(self, pixel_values: Tensor, input_ids: Tensor, flags: Tensor | None) -> Tensor:
        halves = pixel_values.reshape(len(pixel_values), 2, PATCH * 2)
        seen = self.vision_model(halves)  # [tiles, 2, width]
        if flags is not None:
            seen = seen[flags.squeeze(-1) == 1]
        embedded = self.language_model.get_input_embeddings()(input_ids).clone()
        places = input_ids == self.img_context_token_id
        assert int(places.sum()) == seen.shape[0] * seen.shape[1]
        embedded[places] = seen.reshape(-1, WIDTH)
        return embedded

    def forward(
        self,
        pixel_values: Tensor,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        image_flags: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        return_dict: bool | None = None,
    ) -> Any:
        assert image_flags is not None  # the original fails without
        embedded = self._embed(pixel_values, input_ids, image_flags)
        return self.language_model(
            inputs_embeds=embedded, attention_mask=attention_mask, labels=labels
        )

    @torch.no_grad()
    def generate(
        self,
        pixel_values: Tensor,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        generation_config: GenerationConfig | None = None,
    ) -> Any:
        embedded = self._embed(pixel_values, input_ids, None)
        return self.language_model.generate(
            inputs_embeds=embedded,
            attention_mask=attention_mask,
            generation_config=generation_config,
        )


class MolmoProcessorStandIn:
    """`preprocessing_molmo.py`: one text and its picture to crops and their places, no batch."""

    def __init__(self) -> None:
        self.tokenizer = tokenizer({})

    def process(
        self, images: list[PIL.Image.Image], text: str, images_kwargs: dict[str, int]
    ) -> dict[str, Tensor]:
        whole = images[0].width > 28
        crops = 1 + (images_kwargs["max_crops"] if whole else 0)
        pixels = np.asarray(images[0].resize((28, 28 * crops)), np.float32) / 255
        asked = self.tokenizer.encode(f" User: {text} Assistant:", add_special_tokens=False)
        start = [self.tokenizer.eos_token_id]
        ids = [*start, *[self.tokenizer.pad_token_id] * crops, *asked]
        return {
            "input_ids": torch.tensor(ids),
            "images": torch.from_numpy(pixels).reshape(crops, 4, PATCH),
            "image_masks": torch.ones(crops, 4),
            "image_input_idx": torch.arange(1, 1 + crops, dtype=torch.int32)[:, None],
        }


class MolmoBlock(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.att_proj, self.attn_out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.ff_proj, self.ff_out = nn.Linear(WIDTH, 64), nn.Linear(64, WIDTH)

    def forward(self, x: Tensor) -> Tensor:
        query, key, value = self.att_proj(F.rms_norm(x, (WIDTH,))).chunk(3, dim=-1)
        x = x + self.attn_out(F.scaled_dot_product_attention(query, key, value, is_causal=True))
        out: Tensor = x + self.ff_out(F.silu(self.ff_proj(F.rms_norm(x, (WIDTH,)))))
        return out


class MolmoStandIn(nn.Module):
    """`modeling_molmo.py`: crops are added where `image_input_idx` says; -1 marks what is none."""

    def __init__(self, vocabulary: int) -> None:
        super().__init__()
        self.config = PreTrainedConfig()
        self.model = nn.Module()
        self.model.vision_backbone = nn.Linear(PATCH, WIDTH)
        self.model.transformer = nn.ModuleDict(
            {
                "wte": nn.Embedding(vocabulary, WIDTH),
                "blocks": nn.ModuleList([MolmoBlock(), MolmoBlock()]),
                "ff_out": nn.Linear(WIDTH, vocabulary, bias=False),
            }
        )

    def forward(
        self,
        input_ids: Tensor,
        images: Tensor,
        image_masks: Tensor,
        image_input_idx: Tensor,
        use_cache: bool | None = None,
        return_dict: bool | None = None,
    ) -> Any:
        parts: Any = self.model.transformer
        x = parts["wte"](input_ids * (input_ids != -1)).clone()
        seen = self.model.vision_backbone(images).mean(dim=2)  # type: ignore[operator]
        places = image_input_idx.flatten(1)
        rows, crops = (places >= 0).nonzero(as_tuple=True)
        x[rows, places[rows, crops].long()] += seen[rows, crops]
        for block in parts["blocks"]:
            x = block(x)
        return SimpleNamespace(logits=parts["ff_out"](F.rms_norm(x, (WIDTH,))))

    @torch.no_grad()
    def generate_from_batch(self, batch: dict[str, Tensor], generation_config: Any) -> Any:
        assert generation_config.use_cache
        assert "attention_mask" not in batch  # it follows from -1
        ids = batch["input_ids"]
        pictures = {name: value for name, value in batch.items() if name != "input_ids"}
        new: list[Tensor] = []
        first = []
        for row, own in enumerate(ids):
            printed = own[own != -1]
            start = len(printed)
            for step in range(generation_config.max_new_tokens):
                only = {name: value[row : row + 1] for name, value in pictures.items()}
                logits = self(printed[None], **only).logits[0, -1]
                if step == 0:
                    first.append(logits)
                printed = torch.cat([printed, logits.argmax()[None]])
            new.append(printed[start:])
        return SimpleNamespace(
            sequences=torch.cat([ids, torch.stack(new)], dim=1), logits=(torch.stack(first),)
        )


@pytest.fixture(params=REMOTE)
def model(request: pytest.FixtureRequest) -> VisionLanguageModel:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    config = VlmConfig(family=request.param, image_tokens=6)
    if request.param == "sail-vl":
        words = tokenizer({}, "<img>", "</img>", "<IMG_CONTEXT>")
        sail = SailStandIn(len(words))
        return VisionLanguageModel(config, sail, SailAdapter(sail, words, config.image_tokens))
    processor = MolmoProcessorStandIn()
    adapter = MolmoAdapter(processor, image_tokens=3 * 144)
    return VisionLanguageModel(config, MolmoStandIn(len(processor.tokenizer)), adapter)


ASKED = (("expression", "c"), ("looking_at_me", "Yes"), ("gaze", "(12,7)"))
TASKS_ASKED = tuple(task for task, _ in ASKED)


def questions(model: VisionLanguageModel, astronaut: NDArray[np.uint8]) -> list[Any]:
    whole = PIL.Image.fromarray(astronaut)
    shown = [whole.resize((28, 28)), whole, whole.crop((0, 0, 90, 40))]
    asked = zip(shown, ASKED, strict=True)
    return [model.adapter.ask(picture, question(task)) for picture, (task, _) in asked]


def taught(model: VisionLanguageModel, turns: list[Any]) -> list[Any]:
    answers = [model.adapter.answer(text) for _, text in ASKED]
    return [answered(turn, answer) for turn, answer in zip(turns, answers, strict=True)]


def test_the_stand_ins_are_taught_their_answers_whatever_the_padding(
    model: VisionLanguageModel, astronaut: NDArray[np.uint8]
) -> None:
    each = taught(model, questions(model, astronaut))
    batch = stacked(model, each, TASKS_ASKED)
    assert batch.labels is not None
    for labels, (_, text) in zip(batch.labels, ASKED, strict=True):
        learned = labels[labels != IGNORED].tolist()
        assert learned == model.adapter.answer(text)
        assert model.adapter.text(learned).strip() == text
    together = model(batch)
    alone = [
        model(stacked(model, [turn], (task,))) for turn, task in zip(each, TASKS_ASKED, strict=True)
    ]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-4, rtol=1e-4)


def test_a_step_on_the_stand_ins_moves_lora_alone_and_lowers_the_loss(
    model: VisionLanguageModel, astronaut: NDArray[np.uint8]
) -> None:
    batch = stacked(model, taught(model, questions(model, astronaut)), TASKS_ASKED)
    before = {name: tensor.clone() for name, tensor in model.network.state_dict().items()}
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2)
    losses = []
    for _ in range(4):
        loss, _ = answer_loss(model.train(), batch, 1.0)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    after = model.network.state_dict()
    moved = {name for name, tensor in before.items() if not torch.equal(tensor, after[name])}
    assert moved == set(model.trained_state())
    assert all(name.startswith(f"{model.adapter.blocks}.") for name in moved)


def test_the_stand_ins_answer_in_a_batch_as_alone(
    model: VisionLanguageModel, astronaut: NDArray[np.uint8]
) -> None:
    turns = questions(model, astronaut)
    together, first = model.answer(stacked(model, turns, TASKS_ASKED), 3)
    for row, turn in enumerate(turns):
        alone, own = model.answer(stacked(model, [turn], TASKS_ASKED[row : row + 1]), 3)
        assert alone[0] == together[row]
        torch.testing.assert_close(first[row], own[0], atol=1e-4, rtol=1e-4)


class Refusing:
    """Stands where the library would load, and must not be asked."""

    @staticmethod
    def from_pretrained(name: str, **_: object) -> None:
        raise AssertionError(f"{name} was loaded without leave")


@pytest.mark.parametrize("family", REMOTE)
def test_code_of_the_hub_is_not_touched_without_leave(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AutoModel", "AutoModelForCausalLM", "AutoProcessor", "AutoTokenizer"):
        monkeypatch.setattr(load, name, Refusing)
    with pytest.raises(ConfigError, match=r"Python code on the hub .* --allow-remote-code"):
        build_baseline(VlmConfig(family=family))


def test_with_leave_sail_vl_is_loaded_from_its_page_at_the_pinned_commit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = tokenizer({}, "<img>", "</img>", "<IMG_CONTEXT>")
    asked: list[tuple[str, dict[str, object]]] = []

    def hub(made: object) -> type:
        def from_pretrained(name: str, **settings: object) -> object:
            asked.append((name, settings))
            return made

        return type("Hub", (), {"from_pretrained": staticmethod(from_pretrained)})

    monkeypatch.setattr(load, "AutoModel", hub(SailStandIn(len(words))))
    monkeypatch.setattr(load, "AutoTokenizer", hub(words))
    config = VlmConfig(family="sail-vl", revision="0123abc")
    model = build_baseline(config, allow_remote_code=True)
    assert isinstance(model.adapter, SailAdapter)
    assert [name for name, _ in asked] == ["BytedanceDouyinContent/SAIL-VL-1d5-2B"] * 2
    for _, settings in asked:
        assert settings["trust_remote_code"] is True
        assert settings["revision"] == "0123abc"


def test_what_the_hubs_code_raises_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    class Breaking:
        @staticmethod
        def from_pretrained(name: str, **_: object) -> None:
            raise ImportError("this code needs einops\nand more")

    monkeypatch.setattr(load, "AutoModelForCausalLM", Breaking)
    with pytest.raises(ConfigError, match=r"cannot be loaded \(this code needs einops\)"):
        build_baseline(VlmConfig(family="molmoe"), allow_remote_code=True)
