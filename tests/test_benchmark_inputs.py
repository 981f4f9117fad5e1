"""The comparison of inputs: what is hidden has no say, and the page has a row for each kind."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from click.testing import CliRunner
from test_benchmarks import tables

from benchmarks import inputs
from sfedge.core.landmarks import INPUT_WIDTH, LAYOUT, WIDTHS
from sfedge.core.tasks import TASKS
from sfedge_training.data.batch import Batch
from sfedge_training.loop.checkpoint import save_model
from sfedge_training.loop.recipe import Recipe
from sfedge_training.model.model_config import PRESETS
from sfedge_training.model.social_fusion import SocialFusion, build_model

CONFIG = replace(PRESETS["tiny"], landmarks=LAYOUT)


@pytest.fixture(autouse=True)
def _one_thread_and_the_same_tasks() -> Iterator[None]:
    torch.set_num_threads(1)
    before = dict(TASKS)
    yield
    TASKS.clear()
    TASKS.update(before)


@pytest.fixture(scope="module")
def model() -> SocialFusion:
    torch.manual_seed(0)
    return build_model(CONFIG, with_lora=False).eval()


def batch_of(model: SocialFusion, *, picture: int, landmarks: int) -> Batch:
    seeds = [torch.Generator().manual_seed(seed) for seed in (picture, landmarks)]
    known = torch.randn(2, INPUT_WIDTH, generator=seeds[1])
    known[:, [0, *accumulate([*WIDTHS.values()][:-1])]] = 1.0  # every part is there
    return Batch(
        images=torch.randn(2, 3, 96, 96, generator=seeds[0]),
        masks=torch.ones(2, model.token_grid**2),
        tasks=("gesture", "expression"),
        labels=torch.tensor([3, 1]),
        landmarks=known,
    )


@pytest.mark.parametrize(
    ("what", "heeds_picture", "heeds_landmarks"),
    [(inputs.BOTH, True, True), (inputs.PICTURE, True, False), (inputs.LANDMARKS, False, True)],
)
def test_what_is_hidden_changes_neither_loss_nor_answer(
    model: SocialFusion, what: str, *, heeds_picture: bool, heeds_landmarks: bool
) -> None:
    def result(picture: int, landmarks: int) -> tuple[float, list[float]]:
        batch = batch_of(model, picture=picture, landmarks=landmarks)
        own, _ = inputs.partial_loss(model, batch, 1.0, what=what)
        seen = inputs.PartlySighted(model, what)
        answers = seen.logits(batch.images, batch.masks, "gesture", batch.landmarks)
        return own.item(), answers.flatten().tolist()

    with torch.inference_mode():
        first = result(1, 1)
        assert (result(2, 1) != first) is heeds_picture
        assert (result(1, 2) != first) is heeds_landmarks


def test_the_command_compares_all_kinds_on_the_split_to_choose_by(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "folder"
    folder.mkdir(parents=True)
    rows = ["picture,task,label,x1,y1,x2,y2,split"]
    for number in range(6):
        pixels = np.full((40, 40, 3), 40 * number, np.uint8)
        PIL.Image.fromarray(pixels).save(folder / f"{number}.png")
        label, split = ("palm", "fist")[number % 2], ("train", "val", "test")[number // 2]
        rows.append(f"{number}.png,gesture,{label},0,0,1,1,{split}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    recipe = Recipe(datasets=("folder",), own_tasks=("gesture",), pretraining=True)
    save_model(tmp_path / "parts", build_model(CONFIG, with_lora=False), recipe, {})
    page = tmp_path / "inputs.md"

    words = [*map(str, (tmp_path / "data", tmp_path / "parts", tmp_path / "runs"))]
    words += ["--batch", "2", "--workers", "0", "--out", str(page)]
    done = CliRunner().invoke(inputs.main, words, catch_exceptions=False)

    assert done.exit_code == 0, done.output
    (found,) = tables(page.read_text(encoding="utf-8"))
    assert found[0] == ["shown", "gesture, right", "gesture, balanced"]
    assert [row[0] for row in found[1:]] == [inputs.BOTH, inputs.PICTURE, inputs.LANDMARKS]
    assert "2 of gesture" in page.read_text(encoding="utf-8")
