"""Gaze-LLE: published sizes, each part by hand, what learns, and that it learns."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import skimage.data
import torch
import torch.nn.functional as F
from hypothesis import assume, given
from hypothesis import strategies as st

from sfedge.core.boxes import Box, patch_mask
from sfedge.core.preprocess import InputSpec, encoder_input
from sfedge_training.baselines.gazelle import (
    GAZELLE_RECIPE,
    GazeLLE,
    gazelle_loss,
    head_tokens,
    position_table,
)
from sfedge_training.data.batch import Batch
from sfedge_training.data.gaze_target import gaze_target
from sfedge_training.data.mixture import ViewSpec, pictures_opener
from sfedge_training.data.sample import Sample
from sfedge_training.loop.evaluate import predict
from sfedge_training.loop.train import train
from sfedge_training.model.encoder import Encoder
from sfedge_training.model.encoders import build_encoder

CPU = torch.device("cpu")
GRID = 6  # of hybrid-tiny


class MeanColours(Encoder):
    """The mean colour of each patch; nothing to learn, at any size."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return F.adaptive_avg_pool2d(images, self.grid).flatten(2).transpose(1, 2)


def bare(grid: int, width: int) -> Encoder:
    spec = InputSpec(14 * grid, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    return MeanColours(grid=grid, width=width, input=spec)


def model() -> GazeLLE:
    torch.manual_seed(0)
    return GazeLLE(build_encoder("hybrid-tiny"))


def photograph(size: int) -> torch.Tensor:
    astronaut = np.ascontiguousarray(skimage.data.astronaut())
    spec = InputSpec(size, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    return torch.from_numpy(encoder_input(astronaut, spec))[None]


def mask(*boxes: Box, grid: int = GRID) -> torch.Tensor:
    return torch.from_numpy(patch_mask(boxes, 2 * grid).astype(np.float32))[None]


@pytest.mark.parametrize(("width", "published"), [(1024, 2_892_288), (768, 2_826_752)])
def test_as_many_parameters_learn_as_published(width: int, published: int) -> None:
    made = GazeLLE(bare(32, width))
    assert sum(p.numel() for p in made.parameters() if p.requires_grad) == published


@pytest.mark.parametrize("grid", [24, 32])
def test_heatmaps_have_64_cells_a_side(grid: int) -> None:
    made = GazeLLE(bare(grid, 3)).eval()
    with torch.no_grad():
        heatmaps = made.gaze_logits(
            photograph(14 * grid).expand(2, -1, -1, -1), torch.zeros(2, (2 * grid) ** 2)
        )
    assert heatmaps.shape == (2, 64, 64)
    assert made.token_grid == 2 * grid


def test_the_position_table_is_sines_and_cosines_of_column_and_row() -> None:
    table = position_table(5)
    assert table.shape == (25, 256)
    for row, column, channel in [(0, 0, 0), (3, 1, 0), (3, 1, 1), (2, 4, 77), (4, 2, 126)]:
        pair, turn = divmod(channel, 2)
        wave = (math.sin, math.cos)[turn]
        scale = 10000 ** (2 * pair / 128)
        by_column, by_row = wave(column / scale), wave(row / scale)
        assert table[row * 5 + column, channel].item() == pytest.approx(by_column, abs=1e-5)
        assert table[row * 5 + column, 128 + channel].item() == pytest.approx(by_row, abs=1e-5)


edges = st.floats(0, 1, allow_nan=False)


@given(x1=edges, y1=edges, x2=edges, y2=edges, grid=st.sampled_from([6, 24, 27, 32]))
def test_a_head_marks_the_tokens_between_its_rounded_edges(
    x1: float, y1: float, x2: float, y2: float, grid: int
) -> None:
    assume(x1 < x2 and y1 < y2)
    # Exactly between two borders Python rounds to the even one; a mask cannot tell.
    assume(all((v * grid) % 1 != 0.5 for v in (x1, y1, x2, y2)))
    wanted = torch.zeros(grid, grid)
    wanted[round(y1 * grid) : round(y2 * grid), round(x1 * grid) : round(x2 * grid)] = 1
    marked = head_tokens(mask(Box(x1, y1, x2, y2), grid=grid), grid)
    assert torch.equal(marked[0], wanted.flatten())


def test_each_part_is_as_described() -> None:
    made, images = model().eval(), photograph(96)
    head = Box(0.3, 0.05, 0.7, 0.6)
    with torch.no_grad():
        x = made.encoder(images) @ made.project.weight.T + made.project.bias + position_table(GRID)
        for row in range(round(head.y1 * GRID), round(head.y2 * GRID)):
            for column in range(round(head.x1 * GRID), round(head.x2 * GRID)):
                x[:, row * GRID + column] += made.head_prompt
        for block in made.blocks:
            normed = F.layer_norm(x, (256,), block.norm1.weight, block.norm1.bias, block.norm1.eps)
            q, k, v = (normed @ block.attn.qkv.weight.T).unflatten(-1, (3, 8, 32)).unbind(2)
            scores = torch.einsum("bqhd,bkhd->bhqk", q, k) / math.sqrt(32)
            mixed = torch.einsum("bhqk,bkhd->bqhd", scores.softmax(-1), v).flatten(2)
            x = x + mixed @ block.attn.proj.weight.T + block.attn.proj.bias
            normed = F.layer_norm(x, (256,), block.norm2.weight, block.norm2.bias, block.norm2.eps)
            hidden = F.gelu(normed @ block.mlp.fc1.weight.T + block.mlp.fc1.bias)
            x = x + hidden @ block.mlp.fc2.weight.T + block.mlp.fc2.bias
        doubled = torch.zeros(1, 2 * GRID, 2 * GRID)
        for row in range(2 * GRID):
            for column in range(2 * GRID):
                cell = x[:, (row // 2) * GRID + column // 2]
                spread = cell @ made.upsample.weight[:, :, row % 2, column % 2]
                doubled[:, row, column] = (
                    spread + made.upsample.bias
                ) @ made.answer.weight.flatten()
        expected = F.interpolate(doubled[:, None], size=(64, 64), mode="bilinear")[:, 0]
        answered = made.gaze_logits(images, mask(head))

    assert len(made.blocks) == 3
    torch.testing.assert_close(answered, expected, atol=2e-5, rtol=1e-4)


def test_another_head_gets_another_answer_and_no_head_none_of_both() -> None:
    made, images = model().eval(), photograph(96)
    heads = [mask(Box(0.0, 0.0, 0.4, 0.4)), mask(Box(0.6, 0.6, 1.0, 1.0)), mask()]
    with torch.no_grad():
        left, right, nobody = (made.gaze_logits(images, head) for head in heads)
        together = made.gaze_logits(images.expand(3, -1, -1, -1), torch.cat(heads))
    assert (left - right).abs().max() > 1e-3
    assert (left - nobody).abs().max() > 1e-3
    torch.testing.assert_close(together, torch.cat([left, right, nobody]), atol=1e-5, rtol=1e-4)


def test_all_but_the_encoder_learn() -> None:
    made = model().train()
    batch = Batch(
        images=photograph(96).expand(6, -1, -1, -1),  # stochastic depth spares one of them
        masks=mask(Box(0.2, 0.2, 0.8, 0.8)).expand(6, -1),
        tasks=("gaze",) * 6,
        labels=torch.full((6,), -1),
        heatmaps=gaze_target((0.3, 0.6)).expand(6, -1, -1),
    )
    gazelle_loss(made, batch, 1.0)[0].backward()
    for name, parameter in made.named_parameters():
        moves = parameter.grad is not None and bool(parameter.grad.abs().sum() > 0)
        assert moves == (not name.startswith("encoder.")), name
    assert not any(module.training for module in made.encoder.modules())
    assert all(block.training for block in made.blocks)


def test_the_loss_is_the_mean_over_cells() -> None:
    made = model().eval()
    heatmaps = torch.stack([gaze_target((0.3, 0.6)), gaze_target((-1.0, -1.0))])
    batch = Batch(
        images=photograph(96).expand(2, -1, -1, -1),
        masks=torch.cat([mask(Box(0.2, 0.2, 0.8, 0.8)), mask()]),
        tasks=("gaze", "gaze"),
        labels=torch.tensor([-1, -1]),
        heatmaps=heatmaps,
    )
    with torch.no_grad():
        loss, printed = gazelle_loss(made, batch, 0.2)
        chance = made.gaze_logits(batch.images, batch.masks).double().sigmoid().numpy()
    wanted = heatmaps.double().numpy()
    by_hand = -(wanted * np.log(chance) + (1 - wanted) * np.log(1 - chance)).mean()
    assert float(loss) == pytest.approx(by_hand, rel=1e-5)
    assert float(printed["gaze_loss"]) == float(loss)


def test_it_learns_where_two_people_in_one_picture_look(tmp_path: Path) -> None:
    file = tmp_path / "astronaut.png"
    PIL.Image.fromarray(skimage.data.astronaut()).resize((96, 96)).save(file)
    left = Sample(image=file, task="gaze", boxes=(Box(0, 0, 0.4, 0.4),), points=((0.8, 0.25),))
    right = Sample(image=file, task="gaze", boxes=(Box(0.6, 0.6, 1, 1),), points=((0.2, 0.75),))
    made = model()
    frozen = {name: tensor.clone() for name, tensor in made.encoder.state_dict().items()}
    recipe = replace(GAZELLE_RECIPE, epochs=60, batch=2, augment=False)

    steps = train(
        made,
        {"gazefollow": [left, right]},
        recipe,
        tmp_path / "run",
        loss=gazelle_loss,
        opener=pictures_opener(ViewSpec(made.encoder.input, made.token_grid)),
    )

    assert steps == (60, True)
    for name, tensor in made.encoder.state_dict().items():
        assert torch.equal(tensor, frozen[name]), name
    answers = predict(made.eval(), [left, right], device=CPU)
    for answer, sample in zip(answers, (left, right), strict=True):
        row, column = np.unravel_index(np.argmax(answer), (64, 64))
        x, y = sample.points[0]
        assert math.hypot(column / 64 - x, row / 64 - y) < 0.1
