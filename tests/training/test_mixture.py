"""The paper's sampling, and samples to batches."""

import math
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sfedge.core.boxes import FULL, Box, patch_mask
from sfedge.core.errors import DataError
from sfedge.core.preprocess import InputSpec, encoder_input
from sfedge_training.data.augment import augmented, flipped, in_view
from sfedge_training.data.mixture import BatchDataset, ViewSpec, batch_loader, plan_epoch
from sfedge_training.data.sample import Sample

SPEC = ViewSpec(InputSpec(32, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)), token_grid=4)


def samples_of(task: str, count: int, *, points: bool = False) -> list[Sample]:
    return [
        Sample(
            image=Path(f"{task}-{i}.png"),
            task=task,
            label=None if points else 0,
            points=((0.5, 0.5),) if points else (),
            boxes=(Box(0.1, 0.1, 0.3, 0.3),) if points else (),
        )
        for i in range(count)
    ]


def five(sizes: tuple[int, int, int, int, int, int]) -> dict[str, list[Sample]]:
    expression, gesture, looking, gaze, domain, relation = sizes
    return {
        "affectnet": samples_of("expression", expression),
        "hagrid": samples_of("gesture", gesture),
        "ego4d_lam": samples_of("looking_at_me", looking),
        "gazefollow": samples_of("gaze", gaze, points=True),
        "pisc": samples_of("domain", domain) + samples_of("relation", relation),
    }


@given(
    st.tuples(*[st.integers(1, 60)] * 6), st.integers(1, 40), st.integers(0, 99), st.integers(0, 9)
)
def test_each_dataset_is_undersampled_to_the_smallest(
    sizes: tuple[int, int, int, int, int, int], batch: int, seed: int, epoch: int
) -> None:
    data = five(sizes)
    batches = plan_epoch(data, batch=batch, seed=seed, epoch=epoch)
    quota = min(len(of) for of in data.values())
    counts = Counter(s.task for b in batches for s in b)
    for task in ("expression", "gesture", "looking_at_me", "gaze"):
        assert counts[task] == quota
    assert counts["domain"] + counts["relation"] == quota
    domain, relation = sizes[4:]
    if min(domain, relation) >= (quota + 1) // 2:
        assert abs(counts["domain"] - counts["relation"]) <= 1
    assert all(len(b) <= batch for b in batches)
    chosen = Counter(s.image for b in batches for s in b)
    assert max(chosen.values()) == 1


def test_gaze_stands_in_batches_of_its_own_and_label_tasks_are_mixed() -> None:
    batches = plan_epoch(five((64, 64, 64, 64, 32, 32)), batch=32, seed=1, epoch=0)
    kinds = ["gaze" if b[0].points else "label" for b in batches]
    assert all(
        bool(s.points) == (kind == "gaze")
        for b, kind in zip(batches, kinds, strict=True)
        for s in b
    )
    assert Counter(kinds) == {"label": 8, "gaze": 2}
    assert all(
        len({s.task for s in b}) >= 4
        for b, kind in zip(batches, kinds, strict=True)
        if kind == "label"
    )


def test_gaze_mixes_with_the_other_tasks_where_it_is_asked_to() -> None:
    data = five((64, 64, 64, 64, 64, 64))
    batches = plan_epoch(data, batch=32, seed=0, epoch=0, mixes_gaze=True)
    assert [len(b) for b in batches] == [32] * 10
    assert all(0 < sum(s.task == "gaze" for s in b) < 32 for b in batches)
    chosen = Counter(s.task for b in batches for s in b)
    assert chosen == Counter(expression=64, gesture=64, looking_at_me=64, gaze=64, domain=32,
                             relation=32)  # fmt: skip


def test_epochs_draw_anew_and_the_same_seed_draws_the_same() -> None:
    data = five((100, 20, 100, 100, 50, 50))
    first = plan_epoch(data, batch=8, seed=3, epoch=0)
    again = plan_epoch(data, batch=8, seed=3, epoch=0)
    second = plan_epoch(data, batch=8, seed=3, epoch=1)
    assert first == again
    drawn = [{s.image for b in of for s in b if s.task == "expression"} for of in (first, second)]
    assert drawn[0] != drawn[1]


def test_an_empty_dataset_is_named() -> None:
    with pytest.raises(DataError, match="hagrid"):
        plan_epoch(five((5, 0, 5, 5, 5, 5)), batch=2, seed=0, epoch=0)


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    pixels = np.random.default_rng(5).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    path = tmp_path / "noise.png"
    PIL.Image.fromarray(pixels).save(path)
    return path


def test_a_batch_holds_the_view_the_mask_and_the_target(picture: Path) -> None:
    view = Box(0.25, 0.0, 0.75, 1.0)
    label = Sample(image=picture, task="expression", view=view, label=3)
    gaze = Sample(
        image=picture, task="gaze", boxes=(Box(0.5, 0.5, 0.6, 0.7),), points=((0.2, 0.9),)
    )
    batches = list(batch_loader(BatchDataset([[label, label], [gaze]], SPEC, augment=False)))
    pixels = np.asarray(PIL.Image.open(picture))
    assert torch.equal(
        batches[0].images[1], torch.from_numpy(encoder_input(pixels[:, 20:60], SPEC.input))
    )
    assert batches[0].labels.tolist() == [3, 3]
    assert batches[0].heatmaps is None
    assert not batches[0].masks.any()
    expected = patch_mask([Box(0.5, 0.5, 0.6, 0.7)], 4)
    assert np.array_equal(batches[1].masks[0].numpy(), expected.astype(np.float32))
    assert batches[1].heatmaps is not None
    row, column = divmod(int(batches[1].heatmaps[0].argmax()), 64)
    assert (column, row) == (int(0.2 * 64), int(0.9 * 64))


def test_batches_from_the_middle_equal_those_of_an_unbroken_pass(picture: Path) -> None:
    plan = [[Sample(image=picture, task="expression", label=i)] * 3 for i in range(6)]
    dataset = BatchDataset(plan, SPEC, augment=True, seed=(7, 0))
    whole = [b.images for b in batch_loader(dataset)]
    rest = [b.images for b in batch_loader(dataset, first=4, workers=1)]
    assert len(rest) == 2
    assert all(torch.equal(a, b) for a, b in zip(whole[4:], rest, strict=True))
    assert not torch.equal(whole[0], whole[1]), "augmentation differs from batch to batch"


@given(st.integers(0, 2**32 - 1))
def test_augmentation_never_loses_a_marked_person_or_the_target(seed: int) -> None:
    sample = Sample(
        image=Path("x"), task="gaze", boxes=(Box(0.0, 0.02, 0.07, 0.1),), points=((0.99, 0.5),)
    )
    changed = augmented(sample, np.random.default_rng(seed))
    boxes, points = in_view(changed)
    assert len(boxes) == 1
    assert 0 <= points[0][0] <= 1
    assert 0 <= points[0][1] <= 1


def test_a_flip_moves_boxes_and_points_with_the_pixels() -> None:
    image = np.zeros((10, 10, 3), np.uint8)
    image[2, 1] = 255
    sample = Sample(
        image=Path("x"), task="gaze", boxes=(Box(0.1, 0.2, 0.2, 0.3),), points=((0.15, 0.25),)
    )
    mirrored, turned = flipped(sample, image)
    assert turned[2, 8].all()
    assert mirrored.boxes[0] == Box(1 - 0.2, 0.2, 1 - 0.1, 0.3)
    assert mirrored.points == ((0.85, 0.25),)
    assert mirrored.view == FULL


def test_an_unreadable_picture_is_named(tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(b"\xff\xd8\xff nothing")
    dataset = BatchDataset(
        [[Sample(image=broken, task="expression", label=0)]], SPEC, augment=False
    )
    with pytest.raises(DataError, match=r"broken\.jpg"):
        dataset[0]


def test_a_weight_says_how_often_an_epoch_draws_a_sample() -> None:
    weights = [0.25] * 40 + [1.0] * 10 + [2.5] * 20
    samples = [
        replace(sample, weight=weight)
        for sample, weight in zip(samples_of("gesture", 70), weights, strict=True)
    ]
    gaze = samples_of("gaze", 500, points=True)
    plans = [plan_epoch({"folder": samples + gaze}, batch=8, seed=0, epoch=e) for e in range(200)]
    drawn = [Counter(s.image for b in plan for s in b if not s.points) for plan in plans]
    assert {counts.total() for counts in drawn} == {70}  # 40 * 0.25 + 10 + 20 * 2.5
    assert {len(plan) for plan in plans} == {len(plans[0])}
    for sample in samples:
        counts = [of[sample.image] for of in drawn]
        assert {math.floor(sample.weight), math.ceil(sample.weight)} >= set(counts)
        assert np.mean(counts) == pytest.approx(sample.weight, abs=0.15)
