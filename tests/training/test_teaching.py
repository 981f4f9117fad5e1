"""What teaches an encoder: each head's input and loss by hand, and that a stopped run repeats."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import torch
import torch.nn.functional as F

from sfedge.core.boxes import Box
from sfedge_training.data.batch import Batch
from sfedge_training.data.gaze_target import gaze_target
from sfedge_training.data.mixture import ViewSpec, pictures_opener
from sfedge_training.data.sample import Sample
from sfedge_training.loop.recipe import Recipe
from sfedge_training.loop.teaching import EncoderTeacher, teaching_loss
from sfedge_training.loop.train import train
from sfedge_training.model.encoders import build_encoder


def teacher(*tasks: str) -> EncoderTeacher:
    torch.manual_seed(0)
    made = EncoderTeacher(build_encoder("hybrid-tiny"), tasks)
    made.encoder.requires_grad_(True)
    return made.eval()  # else batch normalisation makes one sample depend on the others


def test_labels_are_taught_from_all_tokens_the_mean_and_the_marked_ones() -> None:
    made = teacher("expression", "relation")
    images, masks = torch.randn(2, 3, 96, 96), torch.zeros(2, 36)
    masks[1, [3, 4, 10]] = 1
    asked = Batch(images, masks, ("expression", "relation"), torch.tensor([5, 2]))

    loss, printed = teaching_loss(made, asked, 10.0)

    features = made.encoder(images)
    mean = features.mean(1)
    unmarked = torch.cat([mean[0], torch.zeros(128)])
    marked = torch.cat([mean[1], features[1, [3, 4, 10]].mean(0)])
    by_means = [
        F.cross_entropy(made.mean_heads["expression"](unmarked), torch.tensor(5)),
        F.cross_entropy(made.mean_heads["relation"](marked), torch.tensor(2)),
    ]
    flat = features[0].reshape(-1) / (36 * 128) ** 0.5
    by_flat = F.cross_entropy(made.flat_heads["expression"](flat), torch.tensor(5))
    torch.testing.assert_close(printed["label_loss"], torch.stack(by_means).mean().detach())
    torch.testing.assert_close(loss, (sum(by_means) + by_flat) / 2)
    assert "relation" not in made.flat_heads  # whom it is about, flattened features do not tell


def test_gaze_is_taught_as_a_choice_among_tokens() -> None:
    made = teacher("gaze")
    images, masks = torch.randn(1, 3, 96, 96), torch.zeros(1, 36)
    masks[0, 7] = 1
    heatmap = gaze_target((0.76, 0.26))  # within the cell of row 1, column 4
    asked = Batch(images, masks, ("gaze",), torch.tensor([-1]), heatmap[None])

    loss, printed = teaching_loss(made, asked, 10.0)

    features = made.encoder(images)[0]
    answers = (made.looked_at(features) @ made.looker(features[7])) / 128**0.5
    choices = (answers, made.target(features)[:, 0])
    shares = F.adaptive_avg_pool2d(heatmap[None, None], 6).flatten()
    assert int(shares.argmax()) == 1 * 6 + 4
    by_hand = [-(c.log_softmax(0) * shares / shares.sum()).sum() for c in choices]
    # From the cell of row 1, column 1 to the centre of the heatmap.
    assert 0 < shares.reshape(6, 6)[:, :4].sum() < 0.2 * shares.sum()
    column = float((shares.reshape(6, 6).sum(0) / shares.sum()) @ torch.arange(6.0))
    row = float((shares.reshape(6, 6).sum(1) / shares.sum()) @ torch.arange(6.0))
    towards = torch.tensor([column - 1, row - 1]) / math.hypot(column - 1, row - 1)
    by_hand.append(2 * (made.direction(features[7]) - towards).square().sum())
    torch.testing.assert_close(loss, torch.stack(by_hand).sum())
    torch.testing.assert_close(printed["gaze_loss"], by_hand[0].detach())


def test_a_target_out_of_the_frame_teaches_nothing() -> None:
    made = teacher("gaze")
    asked = Batch(
        torch.randn(1, 3, 96, 96), torch.ones(1, 36), ("gaze",), torch.tensor([-1]),
        torch.zeros(1, 64, 64),
    )  # fmt: skip
    assert teaching_loss(made, asked, 10.0)[0] == 0


def test_a_stopped_run_goes_on_with_the_running_means_of_its_normalisation(tmp_path: Path) -> None:
    random, samples = np.random.default_rng(0), []
    for index in range(6):
        path = tmp_path / f"{index}.png"
        PIL.Image.fromarray(random.integers(0, 255, (40, 50, 3), np.uint8)).save(path)
        box = (Box(0.2, 0.2, 0.4, 0.5),)
        samples.append(Sample(image=path, task="relation", boxes=box, label=index))
    recipe = Recipe(datasets=("pisc",), epochs=2, batch=2, warmup=1, pretraining=True)

    def run(folder: str, stop_after: int | None = None) -> EncoderTeacher:
        made = teacher("relation")
        train(
            made, {"pisc": samples}, replace(recipe), tmp_path / folder, loss=teaching_loss,
            opener=pictures_opener(ViewSpec(made.encoder.input, 6)), stop_after=stop_after,
        )  # fmt: skip
        return made

    unbroken = run("unbroken").state_dict()
    run("stopped", stop_after=3)
    resumed = run("stopped").state_dict()
    moved = [name for name in unbroken if name.endswith("running_mean")]
    assert any(unbroken[name].abs().max() > 0 for name in moved)
    assert all(torch.equal(unbroken[name], resumed[name]) for name in unbroken)
