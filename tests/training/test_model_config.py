"""The settings of a network: presets, JSON, and what is refused."""

import json
from dataclasses import replace

import pytest

from sfedge.core.errors import ConfigError
from sfedge_training.model.model_config import PRESETS, ModelConfig


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_a_preset_survives_json(name: str) -> None:
    text = json.dumps(PRESETS[name].to_json())

    assert ModelConfig.from_json(json.loads(text)) == PRESETS[name]


def test_the_paper_preset_holds_the_papers_numbers() -> None:
    paper = PRESETS["paper"]

    assert (paper.hidden, paper.lora_rank, paper.pool) == (4096, 32, 1)
    assert (paper.encoder, paper.encoder_weights) == ("clip-l14-336", "openai")
    assert paper.language == "meta-llama/Llama-3.2-1B"
    assert paper.box_embedding == "after"


def test_all_faults_come_in_one_message() -> None:
    wrong = {"hidden": 0, "pool": 3, "box_embedding": "beside", "lora_dropout": 1.0}

    with pytest.raises(ConfigError) as caught:
        ModelConfig.from_json({**wrong, "hiden": 1}, where="model.json")

    message = str(caught.value)
    assert message.startswith("model.json: ")
    for part in (*wrong, "unknown settings hiden", "'beside'", "1 or 2"):
        assert part in message


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("encoder", " "),
        ("encoder_weights", 3),
        ("encoder_layer", 0),
        ("image_size", 0),
        ("landmarks", "hands-0"),
        ("hidden", True),
        ("language", ""),
        ("language_weights", 1),
        ("lora_rank", 2.5),
        ("lora_alpha", 0),
        ("lora_dropout", float("nan")),
    ],
)
def test_a_setting_out_of_range_is_refused_by_name(setting: str, value: object) -> None:
    with pytest.raises(ConfigError, match=setting):
        ModelConfig.from_json({setting: value})


@pytest.mark.parametrize("name", ["tiny", "small"])
def test_our_own_language_models_cannot_ask_for_published_weights(name: str) -> None:
    with pytest.raises(ConfigError, match="language_weights"):
        ModelConfig(language=name)


def test_a_preset_tells_which_frozen_parts_have_no_published_weights() -> None:
    both = ("encoder", "language")

    printed = {name: config.unpublished for name, config in PRESETS.items()}

    assert printed == {"paper": (), "dinov2": (), "edge": (), "tiny": both, "small": both}
    assert all(config.without_weights().unpublished == both for config in PRESETS.values())
    assert replace(PRESETS["tiny"], language="folder", language_weights=True).unpublished == (
        "encoder",
    )
