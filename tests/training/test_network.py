"""The whole network against the libraries it is made of."""

import resource
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from open_clip.transformer import VisionTransformer
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from transformers import LlamaConfig

from sfedge.bundle.manifest import BoxEmbedding
from sfedge.core.boxes import Box, patch_mask
from sfedge.core.errors import ConfigError
from sfedge.core.tasks import TASKS
from sfedge_training.data.batch import Batch
from sfedge_training.data.gaze_target import gaze_target
from sfedge_training.loop.losses import loss
from sfedge_training.model.image_encoders import ClipEncoder
from sfedge_training.model.model_config import PRESETS, ModelConfig, Pool
from sfedge_training.model.social_fusion import SocialFusion, add_lora, build_model, cast_frozen
from sfedge_training.model.states import frozen_state, trained_state

MIXED = ("gesture", "domain", "gesture", "expression", "domain", "looking_at_me")
TINY = PRESETS["tiny"]


def built(config: ModelConfig = TINY, *, with_lora: bool = True) -> SocialFusion:
    torch.manual_seed(0)
    return with_active_lora(build_model(config, with_lora=with_lora))


def with_active_lora(model: SocialFusion) -> SocialFusion:
    """LoRA starts as no change at all; random values let every part of it have an effect."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.05)
    return model


def batch_of(model: SocialFusion, tasks: tuple[str, ...]) -> Batch:
    size, random = model.encoder.input.size, torch.Generator().manual_seed(1)
    labels = [-1 if task == "gaze" else len(TASKS[task].labels) - 1 for task in tasks]
    is_gaze = tasks[0] == "gaze"
    return Batch(
        images=torch.randn(len(tasks), 3, size, size, generator=random),
        masks=(torch.rand(len(tasks), model.token_grid**2, generator=random) < 0.2).float(),
        tasks=tasks,
        labels=torch.tensor(labels),
        heatmaps=torch.stack([gaze_target((0.3, 0.6))] * len(tasks)) if is_gaze else None,
    )


def whole_sequences(model: SocialFusion, batch: Batch) -> list[Tensor]:
    """Each sample's [1, P + T, d_l] input, put together by hand."""
    tokens = model.image_tokens(model.encode(batch.images), batch.masks)
    embed = model.lm.get_input_embeddings()
    return [
        torch.cat([embed(torch.tensor(model.prompts[task])), tokens[row]])[None]
        for row, task in enumerate(batch.tasks)
    ]


def gradients(model: SocialFusion, scalar: Tensor, *, keep: bool = False) -> dict[str, Tensor]:
    model.zero_grad()
    scalar.backward(retain_graph=keep)
    return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}


def assert_alike(own: dict[str, Tensor], reference: dict[str, Tensor]) -> None:
    """Gradients agree, each to 1e-4 of its own largest value."""
    assert own.keys() == reference.keys()
    for name, gradient in own.items():
        scale = float(reference[name].abs().max())
        torch.testing.assert_close(
            gradient, reference[name], atol=1e-4 * scale + 1e-7, rtol=1e-4, msg=name
        )


@pytest.mark.parametrize("pool", [1, 2])
@pytest.mark.parametrize("box_embedding", ["after", "before"])
@pytest.mark.parametrize("with_lora", [True, False])
def test_answers_and_gradients_equal_llama_called_by_hand(
    with_lora: bool, box_embedding: BoxEmbedding, pool: Pool
) -> None:
    config = replace(TINY, box_embedding=box_embedding, pool=pool)
    model = built(config, with_lora=with_lora)
    if not with_lora:
        model.unfreeze_all()
    batch = batch_of(model, MIXED)
    weights = torch.randn(len(MIXED), len(model.tokenizer))

    ours = model.answer_logits(batch.images, batch.masks, batch.tasks)
    by_hand = torch.cat(
        [model.llm(inputs_embeds=whole).logits[:, -1] for whole in whole_sequences(model, batch)]
    )

    torch.testing.assert_close(ours, by_hand, atol=1e-5, rtol=1e-5)
    own, reference = (gradients(model, (x * weights).sum()) for x in (ours, by_hand))
    assert_alike(own, reference)


@pytest.mark.parametrize("pool", [1, 2])
@pytest.mark.parametrize("with_lora", [True, False])
def test_gaze_and_its_gradients_equal_llama_called_by_hand(with_lora: bool, pool: Pool) -> None:
    model = built(replace(TINY, pool=pool), with_lora=with_lora)
    if not with_lora:
        model.unfreeze_all()
    batch = batch_of(model, ("gaze",) * 3)

    ours = model.gaze_logits(batch.images, batch.masks, batch.tasks)
    after_prompt = slice(len(model.prompts["gaze"]), None)
    states = [
        model.lm.model(inputs_embeds=whole).last_hidden_state[:, after_prompt]
        for whole in whole_sequences(model, batch)
    ]
    by_hand = model.gaze_head(torch.cat(states))

    assert ours.shape == (3, 64, 64)
    torch.testing.assert_close(ours, by_hand, atol=1e-5, rtol=1e-5)
    own, reference = (gradients(model, x.square().mean()) for x in (ours, by_hand))
    assert_alike(own, reference)


@pytest.mark.parametrize("tasks", [MIXED, ("gaze",) * 3])
def test_the_last_token_asked_alone_has_the_state_and_gradients_it_has_among_all(
    tasks: tuple[str, ...],
) -> None:
    model = built()
    batch = batch_of(model, tasks)
    tokens = model.image_tokens(model.encode(batch.images), batch.masks)

    alone = model.read(tokens, tasks, last_only=True)
    among_all = model.read(tokens, tasks)[:, -1:]

    torch.testing.assert_close(alone, among_all, atol=1e-5, rtol=1e-5)
    own, reference = (
        gradients(model, states.pow(3).sum(), keep=states is alone) for states in (alone, among_all)
    )
    assert_alike(own, reference)


@pytest.mark.parametrize("tasks", [MIXED, ("gaze",) * 3])
def test_recomputing_holds_less_and_gives_the_same_gradients_with_dropout(
    tasks: tuple[str, ...],
) -> None:
    model = built(replace(TINY, lora_dropout=0.3)).train()
    batch = batch_of(model, tasks)
    found, held = [], []
    for checkpointing in (False, True):
        model.gradient_checkpointing = checkpointing
        torch.manual_seed(3)
        kept: dict[int, int] = {}
        with saved_tensors_hooks(partial(noted, kept), lambda tensor: tensor):
            total, _ = loss(model, batch, 1.0)
        held.append(sum(kept.values()))
        found.append(gradients(model, total) | {"loss": total.detach()})

    assert held[1] < held[0] / 2
    assert found[0].keys() == found[1].keys()
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])
    torch.manual_seed(4)
    other, _ = loss(model, batch, 1.0)
    assert not torch.equal(other.detach(), found[0]["loss"])  # dropout was there


def noted(kept: dict[int, int], tensor: Tensor) -> Tensor:
    """Note the bytes of what is kept for the gradient, each piece of memory once."""
    storage = tensor.untyped_storage()
    kept[storage.data_ptr()] = storage.nbytes()
    return tensor


def test_exactly_connector_box_embedding_gaze_head_and_lora_receive_gradients() -> None:
    model = built().train()

    for tasks in (MIXED, ("gaze",) * 2):
        total, _ = loss(model, batch_of(model, tasks), 0.2)
        total.backward()

    learning = {name for name, p in model.named_parameters() if p.grad is not None}
    expected = {
        name
        for name, _ in model.named_parameters()
        if name.startswith(("connector.", "gaze_head.", "box_embedding")) or "lora_" in name
    }
    assert learning == expected
    assert learning == {name for name, p in model.named_parameters() if p.requires_grad}
    assert all(p.grad.abs().max() > 0 for p in model.parameters() if p.grad is not None)


def test_the_encoder_evaluates_while_the_rest_trains() -> None:
    model = built().train()

    assert not any(module.training for module in model.encoder.modules())
    assert model.connector.training
    assert model.llm.training


def test_features_carry_gradients_only_once_all_is_unfrozen() -> None:
    model = built(with_lora=False)
    images = batch_of(model, ("domain",)).images

    assert not model.encode(images).requires_grad
    model.unfreeze_all()
    assert model.encode(images).requires_grad
    with torch.no_grad():
        assert not model.encode(images).requires_grad


@pytest.mark.parametrize("pool", [1, 2])
def test_a_mark_after_the_connector_changes_marked_tokens_by_the_box_embedding(pool: int) -> None:
    model = built(replace(TINY, pool=pool))
    features = model.encode(batch_of(model, ("gaze",)).images)
    boxes = [Box(0.1, 0.2, 0.4, 0.5), Box(0.8, 0.8, 0.81, 0.81)]
    mask = torch.from_numpy(patch_mask(boxes, model.token_grid)).float()[None]

    change = model.image_tokens(features, mask) - model.image_tokens(features, mask * 0)

    is_marked = mask[0].bool()
    assert 0 < is_marked.sum() < len(is_marked)
    assert change[0, ~is_marked].abs().max() == 0
    expected = model.box_embedding.expand(int(is_marked.sum()), -1)
    torch.testing.assert_close(change[0, is_marked], expected)


@pytest.mark.parametrize("pool", [1, 2])
def test_a_mark_before_the_connector_changes_marked_tokens_alone(pool: int) -> None:
    model = built(replace(TINY, pool=pool, box_embedding="before"))
    features = model.encode(batch_of(model, ("gaze",)).images)
    mask = torch.from_numpy(patch_mask([Box(0.1, 0.2, 0.4, 0.5)], model.token_grid)).float()[None]

    change = model.image_tokens(features, mask) - model.image_tokens(features, mask * 0)

    is_marked = mask[0].bool()
    # Matrix products may round differently beside changed rows.
    assert change[0, ~is_marked].abs().max() < 1e-6
    assert change[0, is_marked].abs().amax(dim=-1).min() > 1e-2
    assert model.box_embedding.shape == (model.encoder.width,)


def test_a_sample_is_answered_alike_whatever_stands_beside_it() -> None:
    model = built().eval()
    batch = batch_of(model, MIXED)
    order = torch.tensor([4, 2, 0, 5, 1, 3])

    with torch.no_grad():
        straight = model.answer_logits(batch.images, batch.masks, batch.tasks)
        shuffled = model.answer_logits(
            batch.images[order], batch.masks[order], [MIXED[i] for i in order]
        )

    torch.testing.assert_close(shuffled, straight[order], atol=1e-5, rtol=1e-5)


def test_label_logits_are_the_tasks_rows_of_the_vocabulary() -> None:
    model = built().eval()
    batch = batch_of(model, ("looking_at_me",) * 2)

    with torch.no_grad():
        labels = model.label_logits(batch.images, batch.masks, "looking_at_me")
        whole = model.answer_logits(batch.images, batch.masks, batch.tasks)

    yes_no = [model.tokenizer.convert_tokens_to_ids(answer) for answer in ("Yes", "No")]
    torch.testing.assert_close(labels, whole[:, yes_no])


def test_the_task_decides_the_answer() -> None:
    model = built().eval()
    batch = batch_of(model, ("domain",))

    with torch.no_grad():
        domain = model.answer_logits(batch.images, batch.masks, ("domain",))
        relation = model.answer_logits(batch.images, batch.masks, ("relation",))

    assert (domain - relation).abs().max() > 1e-4


def test_the_edge_network_reads_a_quarter_of_the_tokens() -> None:
    model = built(replace(TINY, pool=2))
    batch = batch_of(model, ("gaze",) * 2)

    assert model.token_grid == 3
    assert model.image_tokens(model.encode(batch.images), batch.masks).shape == (2, 9, 128)
    assert model.gaze_logits(batch.images, batch.masks, batch.tasks).shape == (2, 64, 64)


def test_a_seed_builds_the_same_network_again() -> None:
    first, second = built(), built()

    for (name, a), (_, b) in zip(
        first.state_dict().items(), second.state_dict().items(), strict=True
    ):
        assert torch.equal(a, b), name


def test_lora_changes_nothing_when_it_is_put_on() -> None:
    torch.manual_seed(0)
    model = build_model(TINY, with_lora=False).eval()
    batch = batch_of(model, MIXED)

    with torch.no_grad():
        bare = model.answer_logits(batch.images, batch.masks, batch.tasks)
        add_lora(model)
        adapted = model.answer_logits(batch.images, batch.masks, batch.tasks)

    torch.testing.assert_close(adapted, bare, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("tasks", [MIXED, ("gaze",) * 3])
@pytest.mark.parametrize("casts", [False, True])
def test_half_precision_gives_nearly_the_same_loss_and_gradients(
    casts: bool, tasks: tuple[str, ...]
) -> None:
    model = built()
    batch = batch_of(model, tasks)

    exact, _ = loss(model, batch, 1.0)
    reference = gradients(model, exact)
    if casts:
        cast_frozen(model, torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        rough, _ = loss(model, batch, 1.0)
    own = gradients(model, rough)

    assert rough.dtype == torch.float32
    assert rough.item() == pytest.approx(exact.item(), rel=0.02)
    assert own.keys() == reference.keys()
    ours, theirs = (torch.cat([g[n].flatten() for n in reference]) for g in (own, reference))
    assert ours.dtype == torch.float32
    assert F.cosine_similarity(ours, theirs, dim=0) > 0.98


def test_casting_what_is_frozen_leaves_what_learns_as_it_is() -> None:
    model = built()
    learned = {name: tensor.clone() for name, tensor in trained_state(model).items()}
    size = sum(tensor.nbytes for tensor in frozen_state(model).values())

    cast_frozen(model, torch.bfloat16)

    assert model.lm.lm_head.weight is model.lm.model.embed_tokens.weight
    after = trained_state(model)
    assert after.keys() == learned.keys()
    assert all(torch.equal(after[name], learned[name]) for name in learned)
    assert sum(tensor.nbytes for tensor in frozen_state(model).values()) < 0.51 * size
    assert {p.dtype for p in model.parameters() if p.requires_grad} == {torch.float32}


def test_logits_are_labels_or_a_heatmap_by_task() -> None:
    model = built().eval()
    batch = batch_of(model, ("gaze",) * 2)

    with torch.no_grad():
        heatmaps = model.logits(batch.images, batch.masks, "gaze")
        labels = model.logits(batch.images, batch.masks, "gesture")

        assert torch.equal(heatmaps, model.gaze_logits(batch.images, batch.masks, batch.tasks))
        assert torch.equal(labels, model.label_logits(batch.images, batch.masks, "gesture"))


def test_stored_features_give_what_their_pictures_give() -> None:
    model = built().eval()
    batch = batch_of(model, MIXED)

    with torch.no_grad():
        stored = model.encode(batch.images)
        seen = model.answer_logits(batch.images, batch.masks, batch.tasks)

        assert torch.equal(model.encode(stored), stored)
        assert torch.equal(model.answer_logits(stored, batch.masks, batch.tasks), seen)


def test_llama_of_another_size_takes_the_place_of_tiny(tmp_path: Path) -> None:
    LlamaConfig(
        vocab_size=1000,
        hidden_size=64,
        intermediate_size=96,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=1,
        tie_word_embeddings=False,
    ).save_pretrained(tmp_path)
    model = built(replace(TINY, language=str(tmp_path)))
    batch = batch_of(model, MIXED)

    logits = model.answer_logits(batch.images, batch.masks, batch.tasks)

    assert logits.shape == (len(MIXED), 1000)
    assert len(model.prompts["gesture"]) > 600


def test_a_grid_that_pooling_does_not_divide_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def odd(*_: object, **__: object) -> ClipEncoder:
        visual = VisionTransformer(
            image_size=40, patch_size=8, width=32, layers=1, heads=2, mlp_ratio=2.0
        )
        return ClipEncoder(visual, layer=-1)

    monkeypatch.setattr("sfedge_training.model.social_fusion.build_encoder", odd)
    with pytest.raises(ConfigError, match="5 patches per side cannot be pooled by 2"):
        build_model(replace(TINY, pool=2))


@pytest.mark.slow
def test_the_papers_network_answers_and_learns_at_full_size() -> None:
    torch.manual_seed(0)
    model = build_model(PRESETS["paper"].without_weights())
    batch = batch_of(model, ("gesture",))

    with torch.inference_mode():
        heatmap = model.eval().gaze_logits(batch.images, batch.masks, ["gaze"])
        labels = model.label_logits(batch.images, batch.masks, "gesture")
    total, _ = loss(model.train(), batch, 1.0)
    own = gradients(model, total)

    assert heatmap.shape == (1, 64, 64)
    assert labels.shape == (1, 33)
    assert all(bool(tensor.isfinite().all()) for tensor in (heatmap, labels, *own.values()))
    assert len(own) == 6 + 1 + 16 * 7 * 2  # connector, box embedding, LoRA
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 < 20e9
    assert (model.encoder.grid, model.encoder.width) == (24, 1024)
    assert sum(p.numel() for n, p in model.llm.named_parameters() if "lora_" not in n) == (
        1_235_814_400
    )
