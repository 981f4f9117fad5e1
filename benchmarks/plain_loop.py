"""Training as one writes it first, on the network of this project, and the batch both are given.

Whole sequences of prompt, image tokens and answer, padded to the longest, go through Llama's own
`labels`, so with logits of every token.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from sfedge.core.boxes import Box, patch_mask
from sfedge.core.tasks import TASKS
from sfedge_training.analysis.flops import Work
from sfedge_training.data.batch import Batch
from sfedge_training.loop.losses import answer_targets
from sfedge_training.loop.recipe import dataset_tasks
from sfedge_training.model.social_fusion import SocialFusion


def mixed_tasks(batch: int) -> tuple[str, ...]:
    """The tasks of a classification batch: its four datasets in equal parts."""
    datasets = [tasks for tasks in dataset_tasks().values() if tasks != ("gaze",)]
    rows = [divmod(row, len(datasets)) for row in range(batch)]
    return tuple(datasets[place][turn % len(datasets[place])] for turn, place in rows)


def random_batch(model: SocialFusion, tasks: Sequence[str]) -> Batch:
    """Noise as pictures, a box in each, and labels by chance, from a seed."""
    size, random = model.encoder.input.size, torch.Generator().manual_seed(0)
    mask = torch.from_numpy(patch_mask([Box(0.3, 0.2, 0.6, 0.7)], model.token_grid)).float()
    labels = [int(torch.randint(len(TASKS[t].labels), (), generator=random)) for t in tasks]
    return Batch(
        images=torch.randn(len(tasks), 3, size, size, generator=random),
        masks=mask.expand(len(tasks), -1),
        tasks=tuple(tasks),
        labels=torch.tensor(labels),
    )


def plain_loss(model: SocialFusion, batch: Batch) -> Tensor:
    """The loss of classification samples, by Llama itself from whole, padded sequences."""
    tokens = model.image_tokens(model.encode(batch.images), batch.masks)
    embed, device = model.lm.get_input_embeddings(), tokens.device
    answers = answer_targets(model, batch)
    sequences = [
        torch.cat(
            [
                embed(torch.tensor(model.prompts[task], device=device)).to(tokens.dtype),
                tokens[row],
                embed(answers[row : row + 1]).to(tokens.dtype),
            ]
        )
        for row, task in enumerate(batch.tasks)
    ]
    lengths = torch.tensor([len(sequence) for sequence in sequences], device=device)
    inputs = pad_sequence(sequences, batch_first=True)  # [B, L, d_l]
    labels = torch.full(inputs.shape[:2], -100, device=device)
    labels[torch.arange(len(lengths)), lengths - 1] = answers
    is_real = torch.arange(inputs.shape[1], device=device) < lengths[:, None]
    out: Any = model.llm(
        inputs_embeds=inputs, attention_mask=is_real.long(), labels=labels, use_cache=False
    )
    total: Tensor = out.loss
    return total


def plain_work(model: SocialFusion, tasks: Sequence[str]) -> Work:
    """What the plain loop sends through the language model."""
    length = max(len(model.prompts[task]) for task in tasks) + model.token_grid**2 + 1
    rows, pairs = len(tasks) * length, len(tasks) * length * (length + 1) // 2
    return Work(rows=rows, last_rows=rows, pairs=pairs, last_pairs=pairs, logits=rows)
