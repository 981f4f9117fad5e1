"""Tokenizers, prompts, answers and the Llama that is built or loaded."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from peft.tuners.lora import LoraLayer
from tokenizers import Tokenizer, models, pre_tokenizers
from torch import nn
from transformers import GPT2Config, LlamaForCausalLM, PreTrainedTokenizerFast

from sfedge.core.errors import ConfigError
from sfedge.core.tasks import TASKS
from sfedge_training.model.language import (
    add_lora,
    build_language,
    causal_lm,
    llama_3_2_1b,
    tiny_llama,
)
from sfedge_training.model.model_config import PRESETS
from sfedge_training.model.tokenizer import (
    answer_ids,
    build_tiny_tokenizer,
    build_word_tokenizer,
    prompt_ids,
)

TINY = PRESETS["tiny"]
BUILDERS = [build_tiny_tokenizer, build_word_tokenizer]

# A tokenizer that came out otherwise would give trained weights other prompts than they learned.
PROMPTS_SHA256 = "7e7fce219890e2ca3f6729d54505e3f6501fa9bf5ce665eb7ad41cd6f1350c2b"

_PRINT_PROMPTS = """
import hashlib, json
from sfedge.core.tasks import TASKS
from sfedge_training.model.tokenizer import build_tiny_tokenizer, prompt_ids
tokenizer = build_tiny_tokenizer()
prompts = {name: prompt_ids(tokenizer, task) for name, task in TASKS.items()}
print(hashlib.sha256(json.dumps(prompts).encode()).hexdigest())
"""


@pytest.mark.parametrize("build", BUILDERS)
def test_every_answer_is_one_token_that_reads_back(
    build: Callable[[], PreTrainedTokenizerFast],
) -> None:
    tokenizer = build()

    ids = answer_ids(tokenizer, TASKS.values())

    assert {"a", "z", "aa", "ag", "Yes", "No"} < ids.keys()
    assert len(ids) == 35
    assert len(set(ids.values())) == 35
    assert all(tokenizer.decode([token]) == answer for answer, token in ids.items())


@pytest.mark.parametrize("build", BUILDERS)
def test_a_prompt_reads_back_after_its_first_token(
    build: Callable[[], PreTrainedTokenizerFast],
) -> None:
    tokenizer = build()

    for task in TASKS.values():
        first, *rest = prompt_ids(tokenizer, task)
        assert first == tokenizer.bos_token_id
        assert tokenizer.decode(rest) == task.prompt


def test_tiny_prompts_are_short() -> None:
    tokenizer = build_tiny_tokenizer()
    lengths = {name: len(prompt_ids(tokenizer, task)) for name, task in TASKS.items()}

    assert lengths["gesture"] <= 110
    assert all(length <= 40 for name, length in lengths.items() if name != "gesture")


def test_word_prompts_are_about_as_long_as_llamas() -> None:
    tokenizer = build_word_tokenizer()
    lengths = {name: len(prompt_ids(tokenizer, task)) for name, task in TASKS.items()}

    assert 600 <= lengths["gesture"] <= 680
    assert all(90 <= length <= 200 for name, length in lengths.items() if name != "gesture")


def test_the_tiny_tokenizer_is_the_same_in_every_process() -> None:
    tokenizer = build_tiny_tokenizer()
    prompts = {name: prompt_ids(tokenizer, task) for name, task in TASKS.items()}
    here = hashlib.sha256(json.dumps(prompts).encode()).hexdigest()

    elsewhere = subprocess.run(
        [sys.executable, "-c", _PRINT_PROMPTS],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()

    assert here == elsewhere == PROMPTS_SHA256


def test_an_answer_of_two_tokens_is_refused_with_its_label() -> None:
    letters = Tokenizer(models.BPE())
    letters.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    letters.add_tokens(list("abcdefghijklmnopqrstuvwxyz"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=letters)

    with pytest.raises(ConfigError, match=r"'aa' \(label 'thumb_index2' .* 2 tokens"):
        answer_ids(tokenizer, [TASKS["gesture"]])


def test_an_answer_that_the_tokenizer_does_not_know_is_refused() -> None:
    words = Tokenizer(models.WordLevel({"a": 0, "b": 1, "?": 2}, unk_token="?"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, unk_token="?")

    with pytest.raises(ConfigError, match=r"'c' .* is unknown to the tokenizer"):
        answer_ids(tokenizer, [TASKS["domain"]])


def test_a_tokenizer_without_a_first_token_starts_with_the_prompt() -> None:
    inner = build_tiny_tokenizer().backend_tokenizer
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner)

    ids = prompt_ids(tokenizer, TASKS["domain"])

    assert ids == prompt_ids(build_tiny_tokenizer(), TASKS["domain"])[1:]


def test_the_papers_language_model_has_the_published_sizes() -> None:
    with torch.device("meta"):
        llm = LlamaForCausalLM(llama_3_2_1b())

    assert sum(p.numel() for p in llm.parameters()) == 1_235_814_400
    assert llm.lm_head.weight is llm.model.embed_tokens.weight


def test_the_papers_rotary_frequencies_are_scaled_as_llama_3_does() -> None:
    config = llama_3_2_1b()
    config.num_hidden_layers, config.vocab_size = 1, 8
    with torch.device("meta"):
        blank = LlamaForCausalLM(config)
    rotary = type(blank.model.rotary_emb)(config=config)

    plain = 500_000.0 ** (-torch.arange(0, 64, 2) / 64)
    wavelength = 2 * torch.pi / plain
    share = ((8192 / wavelength - 1) / 3).clamp(0, 1)  # 0 below, 1 above the two bounds
    expected = share * plain + (1 - share) * plain / 32
    torch.testing.assert_close(rotary.inv_freq, expected, rtol=1e-5, atol=0)


def test_lora_sits_on_every_linear_layer_of_every_block_and_nowhere_else() -> None:
    llm, _ = build_language(TINY)
    linear = {
        name
        for name, module in llm.named_modules()
        if isinstance(module, nn.Linear) and name != "lm_head"
    }

    adapted = causal_lm(add_lora(llm, TINY))

    layers = {n: m for n, m in adapted.named_modules() if isinstance(m, LoraLayer)}
    assert layers.keys() == linear
    assert len(linear) == 4 * 7
    for layer in layers.values():
        assert layer.r["default"] == 32
        assert layer.scaling["default"] == 2.0
    free = {name for name, p in adapted.named_parameters() if p.requires_grad}
    assert free == {n for n, _ in adapted.named_parameters() if "lora_" in n}


def test_a_local_folder_gives_its_weights_and_its_tokenizer(tmp_path: Path) -> None:
    torch.manual_seed(0)
    tokenizer = build_word_tokenizer()
    saved = LlamaForCausalLM(tiny_llama(len(tokenizer)))
    saved.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)

    llm, loaded = build_language(replace(TINY, language=str(tmp_path), language_weights=True))

    ids = prompt_ids(tokenizer, TASKS["domain"])
    assert prompt_ids(loaded, TASKS["domain"]) == ids
    assert answer_ids(loaded, TASKS.values()) == answer_ids(tokenizer, TASKS.values())
    with torch.no_grad():
        expected = saved.eval()(input_ids=torch.tensor([ids])).logits
        torch.testing.assert_close(llm.eval()(input_ids=torch.tensor([ids])).logits, expected)


def test_another_kind_of_model_is_refused(tmp_path: Path) -> None:
    GPT2Config(n_layer=1, n_head=1, n_embd=8).save_pretrained(tmp_path)

    with pytest.raises(ConfigError, match="'gpt2' model, not a Llama"):
        build_language(replace(TINY, language=str(tmp_path), language_weights=True))


@pytest.mark.parametrize("with_weights", [True, False])
def test_a_folder_that_is_not_there_is_refused(with_weights: bool, tmp_path: Path) -> None:
    config = replace(TINY, language=str(tmp_path / "nothing"), language_weights=with_weights)

    with pytest.raises(ConfigError, match="cannot be loaded") as caught:
        build_language(config)

    assert str(tmp_path / "nothing") in str(caught.value)


def test_weights_that_lack_a_tensor_are_refused(tmp_path: Path) -> None:
    tokenizer = build_word_tokenizer()
    config = tiny_llama(len(tokenizer))
    state = LlamaForCausalLM(config).state_dict()
    del state["model.norm.weight"]
    LlamaForCausalLM(config).save_pretrained(tmp_path, state_dict=state)
    tokenizer.save_pretrained(tmp_path)

    with pytest.raises(ConfigError, match=r"lack model\.norm\.weight\."):
        build_language(replace(TINY, language=str(tmp_path), language_weights=True))
