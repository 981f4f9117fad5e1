"""Linear probes: flattened features by hand, which parts learn, which tasks they answer."""

import pytest
import torch
import torch.nn.functional as F

from sfedge.core.errors import ConfigError
from sfedge_training.baselines.probes import LinearProbes, probe_loss
from sfedge_training.data.batch import Batch
from sfedge_training.model.encoders import build_encoder


def probes(*tasks: str) -> LinearProbes:
    torch.manual_seed(0)
    return LinearProbes(build_encoder("hybrid-tiny"), tasks)


def batch() -> Batch:
    torch.manual_seed(1)
    return Batch(
        images=torch.randn(3, 3, 96, 96),
        masks=torch.zeros(3, 36),
        tasks=("gesture", "expression", "gesture"),
        labels=torch.tensor([30, 2, 7]),
    )


def test_a_probe_is_linear_on_flattened_features() -> None:
    made, images, masks = probes("expression"), batch().images, batch().masks
    flat = made.encoder(images).reshape(3, -1) / (36 * 128) ** 0.5
    by_hand = flat @ made.heads["expression"].weight.T + made.heads["expression"].bias
    torch.testing.assert_close(made.logits(images, masks, "expression"), by_hand)


def test_each_sample_counts_once_by_its_own_tasks_probe() -> None:
    made, asked = probes("expression", "gesture"), batch()
    masks = asked.masks[:1]
    loss, printed = probe_loss(made, asked, 0.2)
    by_hand = [
        F.cross_entropy(made.logits(image[None], masks, task), label[None])
        for image, task, label in zip(asked.images, asked.tasks, asked.labels, strict=True)
    ]
    torch.testing.assert_close(loss, torch.stack(by_hand).mean())
    assert printed["label_loss"] == loss


def test_a_frozen_encoder_stays_and_a_free_one_learns() -> None:
    made = probes("expression", "gesture")
    probe_loss(made, batch(), 0.2)[0].backward()
    assert all(p.grad is None for p in made.encoder.parameters())
    assert all(p.grad is not None for p in made.heads.parameters())
    made.encoder.requires_grad_(True)
    probe_loss(made, batch(), 0.2)[0].backward()
    assert all(p.grad is not None for p in made.encoder.parameters())


def test_a_probe_answers_no_heatmap() -> None:
    with pytest.raises(ConfigError, match="gaze"):
        probes("expression", "gaze")
