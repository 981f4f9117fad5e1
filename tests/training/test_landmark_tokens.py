"""Landmarks on their way into the network: from a sample to tokens, and what becomes of them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from torch import Tensor

from sfedge.core.boxes import Box
from sfedge.core.face_points import FACE_POINTS
from sfedge.core.landmarks import (
    INPUT_WIDTH,
    LAYOUT,
    PARTS,
    SLICES,
    WIDTHS,
    HandLandmarks,
    Landmarks,
    landmark_vector,
    mirrored,
    present,
)
from sfedge.core.preprocess import InputSpec
from sfedge.core.tasks import TASKS as TASKS_NOW
from sfedge_training.data.batch import Batch
from sfedge_training.data.gaze_target import gaze_target
from sfedge_training.data.mixture import BatchDataset, ViewSpec
from sfedge_training.data.sample import Sample
from sfedge_training.loop.losses import loss
from sfedge_training.loop.recipe import Recipe
from sfedge_training.loop.training_run import learn, social_fusion
from sfedge_training.model.model_config import PRESETS
from sfedge_training.model.social_fusion import SocialFusion, build_model
from sfedge_training.model.states import load_state, trained_state

SPEC = ViewSpec(InputSpec(32, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25)), token_grid=4)
TASKS = ("gesture", "expression", "gesture")


def built(*, with_lora: bool = True) -> SocialFusion:
    torch.manual_seed(0)
    model = build_model(replace(PRESETS["tiny"], landmarks=LAYOUT), with_lora=with_lora).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.05)
    return model


def vectors(count: int) -> Tensor:
    """All parts known."""
    found = torch.randn(count, INPUT_WIDTH, generator=torch.Generator().manual_seed(2))
    found[:, starts()] = 1.0
    return found


def starts() -> list[int]:
    return [sum([*WIDTHS.values()][:part]) for part in range(len(PARTS))]


def batch_of(model: SocialFusion, tasks: tuple[str, ...]) -> Batch:
    is_gaze = tasks[0] == "gaze"
    return Batch(
        images=torch.randn(len(tasks), 3, 96, 96, generator=torch.Generator().manual_seed(1)),
        masks=torch.ones(len(tasks), model.token_grid**2),
        tasks=tasks,
        labels=torch.tensor([-1 if is_gaze else 0] * len(tasks)),
        heatmaps=torch.stack([gaze_target((0.3, 0.6))] * len(tasks)) if is_gaze else None,
        landmarks=vectors(len(tasks)),
    )


def by_hand(model: SocialFusion, vector: Tensor) -> list[Tensor]:
    """The tokens of one vector, part by part."""
    embedding, tokens = model.landmark_embedding, []
    assert embedding is not None
    for place, (part, start) in enumerate(zip(PARTS, starts(), strict=True)):
        own = vector[start : start + WIDTHS[part]]
        if own[0] == 0:
            tokens.append(embedding.absent[place])
            continue
        first, _, second = embedding.networks["hand" if "hand" in part else part]
        token = second.weight @ (first.weight @ own + first.bias).clamp(min=0) + second.bias
        tokens.append(token + embedding.hands[place] if "hand" in part else token)
    return tokens


def test_each_part_is_a_token_and_one_that_is_not_known_the_learned_one() -> None:
    model, vector = built(), vectors(1)[0]
    vector[starts()[1] : starts()[2]] = 0  # the other hand
    embedding = model.landmark_embedding
    assert embedding is not None

    found = embedding(vector[None])[0]

    torch.testing.assert_close(found, torch.stack(by_hand(model, vector)), atol=1e-5, rtol=1e-5)
    assert torch.equal(found[1], embedding.absent[1])
    assert (found[0] - found[1]).abs().max() > 1e-2


def test_hands_that_change_places_are_distinguished() -> None:
    embedding = built().landmark_embedding
    assert embedding is not None
    vector = vectors(1)
    vector[:, 68:136] = vector[:, :68]

    one, other = embedding(vector)[0, :2]

    torch.testing.assert_close(one - other, embedding.hands[0] - embedding.hands[1])


@pytest.mark.parametrize("tasks", [TASKS, ("gaze",) * 2])
def test_answers_equal_llama_called_by_hand(tasks: tuple[str, ...]) -> None:
    model = built()
    batch = batch_of(model, tasks)
    assert batch.landmarks is not None
    batch.landmarks[1, starts()[3] :] = 0  # no face
    image = model.image_tokens(model.encode(batch.images), batch.masks)

    for row, task in enumerate(tasks):
        prompt = model.lm.model.embed_tokens(torch.tensor(model.prompts[task]))
        known = torch.stack(by_hand(model, batch.landmarks[row]))
        whole = torch.cat([prompt, known, image[row]])[None]
        states = model.lm.model(inputs_embeds=whole).last_hidden_state
        one = slice(row, row + 1)
        seen = batch.images[one], batch.masks[one]
        if task == "gaze":
            wanted = model.gaze_head(states[:, -36:])
            found = model.gaze_logits(*seen, (task,), batch.landmarks[one])
        else:
            wanted = model.lm.lm_head(states[:, -1])
            found = model.answer_logits(*seen, (task,), batch.landmarks[one])
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


def test_no_landmarks_at_all_are_as_a_vector_of_zeros() -> None:
    model = built()
    batch = batch_of(model, TASKS)

    with torch.no_grad():
        zeros = torch.zeros(3, INPUT_WIDTH)
        nothing = model.answer_logits(batch.images, batch.masks, TASKS, zeros)

        assert torch.equal(model.answer_logits(batch.images, batch.masks, TASKS), nothing)
        known = model.answer_logits(batch.images, batch.masks, TASKS, batch.landmarks)
        assert (known - nothing).abs().max() > 1e-3


def test_a_model_that_reads_none_is_built_and_answers_as_ever() -> None:
    torch.manual_seed(0)
    model = build_model(PRESETS["tiny"]).eval()
    torch.manual_seed(0)
    reader = build_model(replace(PRESETS["tiny"], landmarks=LAYOUT)).eval()
    batch = batch_of(model, TASKS)

    own = trained_state(model)
    assert not any(name.startswith("landmark") for name in own)
    read = trained_state(reader)
    of_base = {n: t for n, t in own.items() if ".lora_" not in n}
    assert all(torch.equal(tensor, read[name]) for name, tensor in of_base.items())
    with torch.no_grad():
        without = model.answer_logits(batch.images, batch.masks, TASKS)
        assert torch.equal(
            model.answer_logits(batch.images, batch.masks, TASKS, batch.landmarks), without
        )


def test_the_embedding_learns_and_is_saved_with_what_is_trained() -> None:
    model, other = built().train(), built()
    batch = batch_of(model, TASKS)
    assert batch.landmarks is not None
    batch.landmarks[0] = 0
    total, _ = loss(model, batch, 1.0)
    total.backward()

    learning = {n: p for n, p in model.named_parameters() if n.startswith("landmark_embedding.")}
    assert len(learning) == 4 * 4 + 2
    assert all(p.grad is not None and p.grad.abs().max() > 0 for p in learning.values())
    assert learning.keys() <= trained_state(model).keys()
    assert {"landmark_embedding.mean", "landmark_embedding.scale"} <= trained_state(model).keys()
    with torch.no_grad():
        for parameter in learning.values():
            parameter.add_(0.5)
    load_state(other, trained_state(model))
    assert torch.equal(
        trained_state(other)["landmark_embedding.absent"], model.landmark_embedding.absent
    )


def test_numbers_are_standardised_as_the_training_samples_vary() -> None:
    model = built()
    embedding = model.landmark_embedding
    assert embedding is not None
    random = torch.Generator().manual_seed(3)
    seen = 3 + 0.5 * torch.randn(400, INPUT_WIDTH, generator=random)
    seen[:, starts()] = 1.0
    seen[::2, :68] = 0  # every other one without the first hand, whose layers both hands share
    seen[10:, starts()[2] : starts()[3]] = 0  # few know a body
    assert not embedding.is_fitted

    embedding.fit(seen)

    assert embedding.is_fitted
    hands = torch.cat([seen[1::2, :68], seen[:, 68:136]])
    assert torch.allclose(embedding.mean[:68], hands.mean(0), atol=1e-5)
    assert torch.equal(embedding.mean[:68], embedding.mean[68:136])
    assert torch.allclose(embedding.scale[69:136], 1 / hands.std(0)[1:], atol=1e-4)
    body = slice(starts()[2], starts()[3])
    assert not embedding.mean[body].any()
    assert (embedding.scale[body] == 1).all()
    vector, moved = seen[1].clone(), seen[1].clone()
    moved[:68] = (moved[:68] - embedding.mean[:68]) * embedding.scale[:68]
    moved[0] = 1.0
    first, _, second = embedding.networks["hand"]
    inner = (first.weight[:, 1:] @ moved[1:68] + first.bias).clamp(min=0)
    wanted = second.weight @ inner + second.bias + embedding.hands[0]
    torch.testing.assert_close(embedding(vector[None])[0, 0], wanted, atol=1e-5, rtol=1e-5)
    other = built()
    load_state(other, trained_state(model))
    assert torch.equal(other.landmark_embedding.scale, embedding.scale)


def test_a_run_takes_them_from_its_training_samples_and_goes_on_with_them(
    sample: Sample, tmp_path: Path
) -> None:
    samples = {"hagrid": [replace(sample, key=str(i), label=i % 3) for i in range(20)]}
    recipe = Recipe(datasets=("hagrid",), epochs=1, batch=10, warmup=1)
    system = social_fusion(replace(PRESETS["tiny"], landmarks=LAYOUT, hidden=32), built)

    half, _ = learn(system, recipe, samples, tmp_path, stop_after=1)
    whole, _ = learn(system, recipe, samples, tmp_path)

    vector = torch.from_numpy(landmark_vector(KNOWN, VIEW, 2.0))
    known = vector != 0
    for model in (half, whole):
        embedding = model.landmark_embedding
        assert embedding is not None
        torch.testing.assert_close(embedding.mean[known], vector[known], atol=1e-5, rtol=1e-5)
        assert embedding.scale.max() == 50.0


HAND = np.random.default_rng(3).random((21, 3)).astype(np.float32) * 0.2 + 0.4
KNOWN = Landmarks(
    hands=(HandLandmarks(HAND, "left"),),
    body=np.random.default_rng(4).random((33, 3)).astype(np.float32),
    face=np.random.default_rng(5).random((FACE_POINTS, 3)).astype(np.float32),
)
VIEW = Box(0.25, 0.0, 1.0, 0.75)


@pytest.fixture
def sample(tmp_path: Path) -> Sample:
    """In a picture of 80 x 40 pixels."""
    pixels = np.random.default_rng(0).integers(0, 255, (40, 80, 3), np.uint8)
    PIL.Image.fromarray(pixels).save(tmp_path / "picture.png")
    return Sample(
        image=tmp_path / "picture.png", task="gesture", view=VIEW, label=1, landmarks=KNOWN
    )


def test_a_batch_holds_what_is_known_of_each_sample(sample: Sample) -> None:
    bare = replace(sample, landmarks=None)
    batch, nothing = BatchDataset([[sample, bare], [bare]], SPEC, augment=False)

    assert nothing.landmarks is None
    assert batch.landmarks is not None
    assert torch.equal(batch.landmarks[0], torch.from_numpy(landmark_vector(KNOWN, VIEW, 2.0)))
    assert not batch.landmarks[1].any()
    moved = batch.to(torch.device("cpu"))
    assert torch.equal(moved.landmarks, batch.landmarks)


def test_a_view_of_hands_or_a_face_is_taught_with_their_landmarks_alone(
    sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(TASKS_NOW, "gesture", replace(TASKS_NOW["gesture"], view="hand"))
    hand, face = BatchDataset([[sample], [replace(sample, task="expression")]], SPEC, augment=False)
    assert hand.landmarks is not None
    assert face.landmarks is not None
    assert present(hand.landmarks[0].numpy()) == ("hand",)
    assert present(face.landmarks[0].numpy()) == ("face", "eyes")


def test_augmented_landmarks_are_those_of_the_view_flipped_and_shifted(sample: Sample) -> None:
    plain, flips, shifts, hidden = landmark_vector(KNOWN, VIEW, 2.0), 0, 0, 0
    for seed in range(60):
        (batch,) = BatchDataset([[sample]], SPEC, augment=True, seed=(seed,))
        found = batch.landmarks[0].numpy()
        if len(present(found)) < 4:
            hidden += 1
            continue
        is_flipped = found[4] == 1.0  # a left hand is a right one in a mirror
        flips += is_flipped
        turned = mirrored(found) if is_flipped else found
        shifts += not np.allclose(turned, plain, atol=1e-6)
        # Whatever the view is, a shape stays; its place and size in the view change a little.
        shape = [
            start + place for start in (0, 136, 240, SLICES["eyes"].start) for place in (1, 2, 3)
        ]
        np.testing.assert_allclose(np.delete(turned, shape), np.delete(plain, shape), atol=1e-5)
        np.testing.assert_allclose(turned[shape], plain[shape], atol=0.5)
    assert 15 < flips < 45
    assert 15 < shifts < 45
    assert 5 < hidden < 30


def test_samples_without_landmarks_are_augmented_as_ever(sample: Sample) -> None:
    bare = replace(sample, landmarks=None)
    (known,) = BatchDataset([[sample] * 8], SPEC, augment=True, seed=(5,))
    (unknown,) = BatchDataset([[bare] * 8], SPEC, augment=True, seed=(5,))

    assert torch.equal(known.images, unknown.images)
