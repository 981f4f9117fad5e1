"""Operations by count against those that torch counts while they run."""

from collections import Counter
from dataclasses import replace

import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from sfedge.bundle.manifest import BoxEmbedding
from sfedge.core.landmarks import INPUT_WIDTH, LAYOUT
from sfedge.core.tasks import TASKS
from sfedge_training.analysis.flops import encoder_flops, step_flops, useful_work
from sfedge_training.data.batch import Batch
from sfedge_training.data.gaze_target import gaze_target
from sfedge_training.loop.losses import loss
from sfedge_training.model.model_config import PRESETS, Pool
from sfedge_training.model.social_fusion import SocialFusion, build_model

MIXED = ("gesture", "domain", "gesture", "expression", "domain", "looking_at_me")
GAZE = ("gaze",) * 3


def tiny(
    pool: Pool = 1, box_embedding: BoxEmbedding = "after", landmarks: str | None = None
) -> SocialFusion:
    changes = {"pool": pool, "box_embedding": box_embedding, "landmarks": landmarks}
    return build_model(replace(PRESETS["tiny"], **changes)).train()  # type: ignore[arg-type]


def batch_of(model: SocialFusion, tasks: tuple[str, ...]) -> Batch:
    return Batch(
        images=torch.randn(len(tasks), 3, 96, 96),
        masks=torch.zeros(len(tasks), model.token_grid**2),
        tasks=tasks,
        labels=torch.zeros(len(tasks), dtype=torch.int64),
        heatmaps=torch.stack([gaze_target((0.3, 0.6))] * len(tasks)) if tasks == GAZE else None,
        landmarks=torch.randn(len(tasks), INPUT_WIDTH),
    )


def hidden_pairs(model: SocialFusion, tasks: tuple[str, ...]) -> int:
    """Pairs that masks hide, in all four blocks, which torch counts with the others."""
    image, pairs = model.token_grid**2, 0
    count = image + model.landmark_tokens
    for task, samples in Counter(tasks).items():
        prompt, later = len(model.prompts[task]), samples * count * (count - 1) // 2
        pairs += 3 * (prompt * (prompt - 1) // 2 + later)
        pairs += samples * image * (image - 1) // 2 if TASKS[task].output == "heatmap" else 0
    return pairs


@pytest.mark.parametrize("tasks", [MIXED, GAZE])
@pytest.mark.parametrize("pool", [1, 2])
@pytest.mark.parametrize(
    ("box_embedding", "landmarks"), [("after", None), ("before", None), ("after", LAYOUT)]
)
def test_a_step_is_what_torch_counts_but_for_what_masks_hide(
    box_embedding: BoxEmbedding, landmarks: str | None, pool: Pool, tasks: tuple[str, ...]
) -> None:
    model = tiny(pool, box_embedding, landmarks)

    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        total, _ = loss(model, batch_of(model, tasks), 1.0)
        torch.autograd.backward(total)

    of_a_pair = 3 * 2 * 2 * 4 * 32  # three passes of two products of 4 heads of 32
    expected = step_flops(model, tasks) + of_a_pair * hidden_pairs(model, tasks)
    assert counter.get_total_flops() == expected


def test_stored_features_save_the_encoder() -> None:
    model = tiny()

    saved = step_flops(model, MIXED) - step_flops(model, MIXED, stored=True)

    assert saved == len(MIXED) * encoder_flops(model.encoder) > 0


def test_a_second_sample_of_a_task_adds_its_image_tokens_alone() -> None:
    model = tiny()

    one, two = useful_work(model, ("gesture",)), useful_work(model, ("gesture",) * 2)

    assert one.rows == len(model.prompts["gesture"]) + 36
    assert two.rows - one.rows == 36
    assert (two.last_rows, two.logits) == (2, 2)
