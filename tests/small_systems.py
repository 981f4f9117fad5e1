"""The paper's systems small: the libraries' own classes with random weights, saved as one has them.

Where a class is code on the hub, the stand-ins of the tests of towers and baselines answer.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import open_clip
import pytest
import torch
from safetensors.torch import load_file, save_file
from test_remote_towers import MOLMO_CODE, SAIL_CODE, repository
from test_vlm_remote import MolmoProcessorStandIn, MolmoStandIn, SailStandIn
from timm.models.vision_transformer import VisionTransformer
from tiny_vlms import internvl3_parts, qwen2_vl_parts, tokenizer
from transformers import LlamaForCausalLM

from sfedge_training.baselines.vlm import load
from sfedge_training.model.encoder import Encoder
from sfedge_training.model.encoders import ENCODERS
from sfedge_training.model.image_encoders import TimmEncoder, open_clip_encoder
from sfedge_training.model.language import tiny_llama
from sfedge_training.model.tokenizer import build_word_tokenizer
from sfedge_training.model.towers import qwen2_vl_encoder

_CLIP = "small-clip"
_CLIP_SIZES: dict[str, Any] = {
    "embed_dim": 16,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 56, "layers": 2, "width": 32, "head_width": 16, "patch_size": 14},
    "text_cfg": {"context_length": 8, "vocab_size": 32, "width": 16, "heads": 2, "layers": 1},
}


@contextmanager
def small_systems(folder: Path) -> Iterator[dict[str, Path]]:
    """Every encoder, the language model and the baselines at small sizes, while this lasts.

    Args:
        folder: for their weights.

    Yields:
        Where the weights of each lie, by the names that `--weights` takes; those of MolmoE's and
        SAIL-VL's baselines are stand-ins in memory.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(folder / "modules"))
        patch.syspath_prepend(str(folder / "modules"))
        torch.manual_seed(0)
        yield {
            **_encoders(folder, patch),
            **_baselines(folder, patch),
            "language": _llama(folder / "llama"),
        }
        open_clip.factory._MODEL_CONFIGS.pop(_CLIP)


def _encoders(folder: Path, patch: pytest.MonkeyPatch) -> dict[str, Path]:
    description = folder / f"{_CLIP}.json"
    description.write_text(json.dumps(_CLIP_SIZES))
    open_clip.add_model_config(description)
    places = {}
    for name in ("clip-l14-336", "dfn-h14-378"):
        places[name] = folder / f"{name}.safetensors"
        save_file(open_clip.create_model(_CLIP).state_dict(), places[name])
        patch.setitem(
            ENCODERS, name, lambda weights, layer: open_clip_encoder(_CLIP, weights, layer)
        )
    places["dinov2-l14"] = folder / "dinov2.safetensors"
    save_file(_dinov2().state_dict(), places["dinov2-l14"])
    patch.setitem(ENCODERS, "dinov2-l14", _dinov2_encoder)
    patch.setitem(
        ENCODERS,
        "qwen2-vl-2b",
        lambda weights, layer: qwen2_vl_encoder(weights, layer, image_size=56),
    )
    places["qwen2-vl-2b"] = folder / "qwen2-vl"  # the whole model lies there
    for name, code, auto, model in (
        ("molmoe-1b", MOLMO_CODE, "AutoModelForCausalLM", "StandInMolmo"),
        ("sailvit-huge", SAIL_CODE, "AutoModel", "AIMv2Model"),
        ("sail-vl-2b", SAIL_CODE, "AutoModel", "SailVLModel"),
    ):
        places[name] = folder / name.replace("-", "_")
        repository(places[name], code, auto, model)
    return places


def _dinov2() -> VisionTransformer:
    return VisionTransformer(
        img_size=56, patch_size=14, embed_dim=32, depth=2, num_heads=2, num_classes=0, init_values=1
    )


def _dinov2_encoder(weights: str | None, layer: int) -> Encoder:
    assert weights is not None
    visual = _dinov2()
    visual.load_state_dict(load_file(weights))
    return TimmEncoder(visual, layer=layer)


def _baselines(folder: Path, patch: pytest.MonkeyPatch) -> dict[str, Path]:
    places = {}
    for family, parts in (("qwen2-vl", qwen2_vl_parts), ("internvl3", internvl3_parts)):
        places[family] = folder / family
        for part in parts():
            part.save_pretrained(places[family])
    words = tokenizer({}, "<img>", "</img>", "<IMG_CONTEXT>")
    processor = MolmoProcessorStandIn()
    for name, make in (
        ("AutoModel", lambda: SailStandIn(len(words))),
        ("AutoTokenizer", lambda: words),
        ("AutoModelForCausalLM", lambda: MolmoStandIn(len(processor.tokenizer))),
        ("AutoProcessor", lambda: processor),
    ):
        patch.setattr(load, name, _hub(make))
    return places


def _hub(make: Any) -> type:
    """Gives the same at each call, as published weights do."""

    def from_pretrained(_: str, **__: object) -> Any:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return make()

    return type("Hub", (), {"from_pretrained": staticmethod(from_pretrained)})


def _llama(folder: Path) -> Path:
    words = build_word_tokenizer()
    config = tiny_llama(len(words))
    config.hidden_size, config.intermediate_size, config.num_hidden_layers = 32, 64, 1
    config.head_dim, config.num_attention_heads, config.num_key_value_heads = 16, 2, 1
    LlamaForCausalLM(config).save_pretrained(folder)
    words.save_pretrained(folder)
    return folder
