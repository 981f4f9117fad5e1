"""The GEMMs of a graph, against PyTorch's own counter and against the layers' shapes."""

import json
from math import prod
from pathlib import Path

import onnx
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode
from transformers import LlamaConfig, LlamaForCausalLM

from sfedge.bundle.graph_io import GraphIO
from sfedge.bundle.manifest import GRAPHS, MANIFEST_NAME
from sfedge_export.exported_decoder import Rotation, causal_mask, decoder_blocks
from sfedge_export.exported_graphs import Trunk
from sfedge_export.graph_gemms import count_gemms, gemms_by_prompt
from sfedge_export.onnx_graphs import write_graph
from sfedge_training.analysis.flops import encoder_flops
from sfedge_training.model.social_fusion import SocialFusion


def operations(rows: list[list[int]]) -> int:
    return 2 * sum(prod(row) for row in rows)


class Mixed(nn.Module):
    """Every kind of operator that is counted."""

    def __init__(self) -> None:
        super().__init__()
        self.plain = nn.Conv2d(4, 6, 3, stride=2, padding=1)
        self.grouped = nn.Conv2d(6, 6, 3, padding=1, groups=3)
        self.up = nn.ConvTranspose2d(6, 5, 2, stride=2)
        self.linear = nn.Linear(5, 7)

    def forward(self, x: Tensor) -> Tensor:
        x = self.up(self.grouped(self.plain(x))).flatten(2).transpose(1, 2)
        scores = x @ x.transpose(1, 2)
        return F.silu(self.linear(scores @ x).mean(1))


def test_each_kind_of_operator_counts_as_torch_counts_it(tmp_path: Path) -> None:
    module = Mixed().eval()
    path = write_graph(module, GraphIO("mixed", {"x": (4, 8, 8)}, {"y": (7,)}), tmp_path)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(torch.zeros(1, 4, 8, 8))
    rows = count_gemms(path)
    assert operations(rows) == counter.get_total_flops()
    assert [1, 16, 36, 6] in rows  # 4 x 4 places, 4 channels of 3 x 3 to 6
    assert [3, 16, 18, 2] in rows
    assert [1, 64, 5, 64] in rows
    assert rows == sorted(rows, key=lambda row: -prod(row))


@pytest.mark.parametrize("graph", GRAPHS)
def test_the_card_lists_the_gemms_of_each_graph(
    small_bundle: Path, small_model: SocialFusion, graph: str
) -> None:
    listed = json.loads((small_bundle / MANIFEST_NAME).read_text())["card"]["products"][graph]
    path = small_bundle / "fp32" / f"{graph}.onnx"
    tokens = 16
    if graph == "encoder":
        assert operations(listed) == encoder_flops(small_model.encoder)
        return
    if graph == "connector":
        weights = [p for p in small_model.connector.parameters() if p.ndim == 2]
        assert operations(listed) == 2 * tokens * sum(prod(p.shape) for p in weights)
        return
    lengths = {len(prompt) for prompt in small_model.prompts.values()}
    assert {int(length) for length in listed} == lengths
    block = 2 * (48 * 64) + 2 * (48 * 32) + 3 * (48 * 64)  # q and o, k and v, the MLP
    memory = 2 * (48 * 32)
    for length in lengths:
        rows = listed[str(length)]
        assert rows == count_gemms(path, length)
        attention = 2 * 4 * 16 * (length + tokens)  # two GEMMs, four heads of 16
        if graph == "trunk":
            assert operations(rows) == 2 * 2 * tokens * (block + attention)
        elif graph == "answer":
            answers = 48 * len(small_model.answer_ids)
            last = tokens * memory + block - memory + attention + answers
            assert operations(rows) == 2 * last
        else:
            assert operations(rows) > 2 * tokens * (block + attention)


@pytest.fixture(scope="module")
def tiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two blocks of width 48 over 24 image tokens, which attend in three tiles."""
    config = LlamaConfig(
        vocab_size=9,
        hidden_size=48,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
    )
    llm = LlamaForCausalLM(config)
    trunk = Trunk(decoder_blocks(llm), Rotation(llm, 9, 24), causal_mask(2, 8), None)
    io = GraphIO(
        "trunk",
        {"tokens": (24, 48), "past": (2, 2, 2, 9, 16), "padding": (9,)},
        {"hidden": (24, 48)},
    )
    return write_graph(trunk, io, tmp_path_factory.mktemp("tiled"))


@pytest.mark.parametrize("prompt", [5, 9])
def test_what_tiles_leave_out_is_not_counted(tiled: Path, prompt: int) -> None:
    linear = 24 * (2 * (48 * 64) + 2 * (48 * 32) + 3 * (48 * 64))
    pairs = sum(8 * (prompt + end) for end in (8, 16, 24))  # rows of a tile, what they see
    rows = count_gemms(tiled, prompt)
    assert operations(rows) == 2 * 2 * (linear + 2 * 4 * 16 * pairs)


def test_gemms_are_listed_by_the_prompt_where_that_is_free(tiled: Path) -> None:
    listed = gemms_by_prompt(tiled, [9, 5, 9])
    assert listed == {"5": count_gemms(tiled, 5), "9": count_gemms(tiled, 9)}


def test_a_graph_of_one_prompt_length_is_listed_once(tiled: Path) -> None:
    graph = onnx.load(tiled, load_external_data=False)
    for port in graph.graph.input:
        for size in port.type.tensor_type.shape.dim:
            if size.dim_param == "prompt":
                size.dim_value = 9
    fixed = tiled.with_name("fixed.onnx")
    onnx.save(graph, fixed)
    assert gemms_by_prompt(fixed, [5, 9]) == count_gemms(tiled, 9)
