"""The products of a graph, against PyTorch's own counter and against what the layers say."""

import json
from math import prod
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from export.onnx_graphs import write_graph
from export.products import matrix_products
from sfedge.graphs import GraphIO
from sfedge.manifest import GRAPHS, MANIFEST_NAME
from training.flops import encoder_flops
from training.model import SocialFusion


def operations(rows: list[list[int]]) -> int:
    return 2 * sum(prod(row) for row in rows)


class Mixed(nn.Module):
    """Every kind of product that is counted."""

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


def test_each_kind_of_product_counts_as_torch_counts_it(tmp_path: Path) -> None:
    module = Mixed().eval()
    path = write_graph(module, GraphIO("mixed", {"x": (4, 8, 8)}, {"y": (7,)}), tmp_path)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        module(torch.zeros(1, 4, 8, 8))
    rows = matrix_products(path)
    assert operations(rows) == counter.get_total_flops()
    assert [1, 16, 36, 6] in rows  # 4 x 4 places, 4 channels of 3 x 3 to 6
    assert [3, 16, 18, 2] in rows
    assert [1, 64, 5, 64] in rows
    assert rows == sorted(rows, key=lambda row: -prod(row))


@pytest.mark.parametrize("graph", GRAPHS)
def test_the_card_tells_the_products_of_each_graph(
    small_bundle: Path, small_model: SocialFusion, graph: str
) -> None:
    manifest = json.loads((small_bundle / MANIFEST_NAME).read_text())
    rows = manifest["card"]["products"][graph]
    assert rows == matrix_products(small_bundle / "fp32" / f"{graph}.onnx")
    tokens, past = 16, manifest["shape"]["prefix"]
    block = 2 * (48 * 64) + 2 * (48 * 32) + 3 * (48 * 64)  # q and o, k and v, the MLP
    memory = 2 * (48 * 32)
    attention = 2 * 4 * 16 * (past + tokens)  # two products, four heads of 16
    expected = {
        "connector": tokens
        * sum(prod(p.shape) for p in small_model.connector.parameters() if p.ndim == 2),
        "trunk": 2 * tokens * (block + attention),
        "answer": (tokens * memory + block - memory + attention) + 48 * len(manifest["answers"]),
    }
    if graph == "encoder":
        assert operations(rows) == encoder_flops(small_model.encoder)
    elif graph in expected:
        assert operations(rows) == 2 * expected[graph]
    else:
        assert operations(rows) > 2 * tokens * (block + attention)
