"""Gradient conflict: closed form on a linear model, and independence of batches and order."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import PIL.Image
import pytest
import skimage.data
import torch
from torch import Tensor, nn

from sfedge.core.boxes import Box
from sfedge.core.errors import DataError
from sfedge_training.analysis.conflict import conflict_degree, full_gradient, measure_conflict
from sfedge_training.data.batch import Batch
from sfedge_training.data.mixture import BatchDataset, Opener, ViewSpec, pictures_opener
from sfedge_training.data.sample import Sample
from sfedge_training.loop.losses import loss
from sfedge_training.model.model_config import PRESETS
from sfedge_training.model.social_fusion import SocialFusion, build_model

CPU = torch.device("cpu")


class Linear(nn.Module):
    """A weight for each value of a picture, and one that no loss uses."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.linspace(-1, 1, size, dtype=torch.float64))
        self.frozen = nn.Parameter(torch.ones(2), requires_grad=False)
        self.unused = nn.Parameter(torch.ones(3))


def squared_error(model: Linear, batch: Batch, _: float) -> tuple[Tensor, dict[str, Tensor]]:
    errors = batch.images.flatten(1) @ model.weight - batch.labels
    return errors.square().mean(), {}


def numbers(count: int, seed: int) -> Batch:
    random = np.random.default_rng(seed)
    return Batch(
        images=torch.from_numpy(random.normal(size=(count, 3, 2, 2))),
        masks=torch.zeros(count, 1),
        tasks=("expression",) * count,
        labels=torch.from_numpy(random.integers(0, 5, count)),
    )


def parted(batch: Batch, sizes: Sequence[int], order: Sequence[int] | None = None) -> list[Batch]:
    rows = torch.arange(len(batch.tasks)) if order is None else torch.tensor(order)
    return [
        Batch(
            images=batch.images[own],
            masks=batch.masks[own],
            tasks=tuple(batch.tasks[i] for i in own),
            labels=batch.labels[own],
            heatmaps=None if batch.heatmaps is None else batch.heatmaps[own],
        )
        for own in rows.split(list(sizes))
    ]


def closed_form(batch: Batch, weight: np.ndarray) -> np.ndarray:
    x, y = batch.images.flatten(1).numpy(), batch.labels.numpy()
    return np.append(2 * x.T @ (x @ weight - y) / len(y), [0.0, 0.0, 0.0])


def test_a_linear_models_full_gradient_is_its_closed_form() -> None:
    model, held = Linear(12), numbers(11, seed=0)
    weight = model.weight.detach().numpy()
    for batches in ([held], parted(held, [4, 4, 3]), parted(held, [1] * 11, range(10, -1, -1))):
        taken = full_gradient(model, batches, loss=squared_error, device=CPU)
        assert taken.dtype == torch.float64
        np.testing.assert_allclose(taken.numpy(), closed_form(held, weight), rtol=1e-12)


def test_the_degree_of_two_linear_tasks_is_that_of_the_hand() -> None:
    model, one, other = Linear(12), numbers(7, seed=1), numbers(5, seed=2)
    weight = model.weight.detach().numpy()
    a, b = closed_form(one, weight), closed_form(other, weight)
    by_hand = 1 - a @ b / math.sqrt((a @ a) * (b @ b))
    taken = [
        full_gradient(
            model, parted(held, [2, 3, len(held.tasks) - 5]), loss=squared_error, device=CPU
        )
        for held in (one, other)
    ]
    assert conflict_degree(*taken) == pytest.approx(by_hand, abs=1e-12)


@pytest.mark.parametrize(
    ("other", "degree"),
    [([2.0, 4.0], 0.0), ([-3.0, -6.0], 2.0), ([-2.0, 1.0], 1.0), ([1.0, 0.0], 1 - 5**-0.5)],
)
def test_a_degree_tells_the_angle_whatever_the_lengths(other: list[float], degree: float) -> None:
    one = torch.tensor([1.0, 2.0], dtype=torch.float64)
    two = torch.tensor(other, dtype=torch.float64)
    assert conflict_degree(one, two) == pytest.approx(degree, abs=1e-12)
    assert conflict_degree(1e-6 * two, 1e6 * one) == pytest.approx(degree, abs=1e-12)


def test_nothing_has_no_gradient() -> None:
    with pytest.raises(DataError, match="no samples"):
        full_gradient(Linear(12), [], loss=squared_error, device=CPU)


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    """Five questions of each of three tasks, on parts of a photograph."""
    folder = tmp_path_factory.mktemp("parts")
    astronaut, made = skimage.data.astronaut(), []
    for i in range(5):
        file = folder / f"{i}.png"
        PIL.Image.fromarray(astronaut[40 * i : 200 + 40 * i, 60 * i : 200 + 60 * i]).save(file)
        head, company = Box(0.1 * i, 0.1, 0.1 * i + 0.3, 0.5), Box(0.5, 0.2, 0.9, 0.9)
        made += [
            Sample(image=file, task="relation", boxes=(head, company), label=i),
            Sample(image=file, task="gaze", boxes=(head,), points=((0.2 * i, 0.7),)),
            Sample(image=file, task="expression", label=i),
        ]
    return made


def fresh_model() -> SocialFusion:
    torch.manual_seed(0)
    return build_model(replace(PRESETS["tiny"], hidden=32, lora_rank=2, lora_dropout=0.5))


def opener_of(model: SocialFusion) -> Opener[Batch]:
    return pictures_opener(view_of(model))


def view_of(model: SocialFusion) -> ViewSpec:
    return ViewSpec(model.encoder.input, model.token_grid)


def as_one_batch(model: SocialFusion, samples: list[Sample], task: str) -> Batch:
    own = [sample for sample in samples if sample.task == task]
    return BatchDataset([own], view_of(model), augment=False)[0]


@pytest.mark.parametrize("task", ["relation", "gaze"])
def test_social_fusions_gradient_is_that_of_the_whole_task_as_one_batch(
    samples: list[Sample], task: str
) -> None:
    model = fresh_model()
    held = as_one_batch(model, samples, task)
    model.eval()
    loss(model, held, 1.0)[0].backward()
    learned = [p for p in model.parameters() if p.requires_grad]
    expected = torch.cat(
        [(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in learned]
    ).double()
    model.zero_grad()

    for sizes, order in (([5], None), ([2, 2, 1], [4, 2, 0, 1, 3]), ([1] * 5, [3, 1, 4, 0, 2])):
        model.train()  # dropout would show, were it left on
        taken = full_gradient(model, parted(held, sizes, order), loss=loss, device=CPU)
        assert (taken - expected).norm() < 1e-5 * expected.norm()


def test_what_a_task_leaves_alone_counts_as_no_gradient(samples: list[Sample]) -> None:
    model = fresh_model()
    taken = full_gradient(
        model, [as_one_batch(model, samples, "expression")], loss=loss, device=CPU
    )
    learned = {name: p for name, p in model.named_parameters() if p.requires_grad}
    assert taken.numel() == sum(p.numel() for p in learned.values())
    parts = dict(zip(learned, taken.split([p.numel() for p in learned.values()]), strict=True))
    still = {name for name, part in parts.items() if not part.any()}
    # No box is marked, no heatmap asked for; LoRA's second factor starts at zero, so that its
    # first has no gradient yet.
    assert {name for name in still if "lora_A" not in name} == {
        "box_embedding",
        *(name for name in learned if name.startswith("gaze_head.")),
    }
    assert all(name in still for name in learned if "lora_A" in name)
    assert all(p.grad is None for p in model.parameters())


def test_conflict_is_measured_between_all_tasks(samples: list[Sample]) -> None:
    model = fresh_model()
    found = measure_conflict(
        model, samples, loss=loss, opener=opener_of(model), device=CPU, batch=2
    )
    assert found.tasks == ("expression", "gaze", "relation")
    assert found.samples == (5, 5, 5)
    gradients = np.stack(
        [
            full_gradient(model, [as_one_batch(model, samples, task)], loss=loss, device=CPU)
            for task in found.tasks
        ]
    )
    lengths = np.linalg.norm(gradients, axis=1)
    by_hand = 1 - gradients @ gradients.T / np.outer(lengths, lengths)
    np.testing.assert_allclose(found.degrees, by_hand, atol=1e-6)
    np.testing.assert_allclose(found.norms, lengths, rtol=1e-5)
    assert found.pairs["expression", "relation"] == found.degrees[0, 2]
    assert len(found.pairs) == 3
    assert found.mean == pytest.approx(
        (by_hand[0, 1] + by_hand[0, 2] + by_hand[1, 2]) / 3, abs=1e-6
    )


def test_the_order_of_samples_changes_nothing(samples: list[Sample]) -> None:
    labelled = [sample for sample in samples if sample.task != "gaze"]
    model = fresh_model()
    opener = opener_of(model)
    there = measure_conflict(model, labelled, loss=loss, opener=opener, device=CPU, batch=5)
    back = measure_conflict(model, labelled[::-1], loss=loss, opener=opener, device=CPU, batch=3)
    np.testing.assert_allclose(there.degrees, back.degrees, atol=1e-6)


def test_one_task_has_no_conflict(samples: list[Sample]) -> None:
    model = fresh_model()
    with pytest.raises(DataError, match="samples have 1"):
        measure_conflict(
            model,
            [sample for sample in samples if sample.task == "gaze"],
            loss=loss,
            opener=opener_of(model),
            device=CPU,
        )


def test_a_task_without_a_gradient_is_named(samples: list[Sample]) -> None:
    model = fresh_model()
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name == "box_embedding")
    asked = [sample for sample in samples if sample.task != "gaze"]
    with pytest.raises(DataError, match="from expression"):
        measure_conflict(model, asked, loss=loss, opener=opener_of(model), device=CPU)
