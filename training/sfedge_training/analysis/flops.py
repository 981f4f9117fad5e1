"""Useful floating-point operations of a training step, by count: what MFU is measured on.

Counted is what the loss and its gradient need of matrix products: a product forward, one more for
the gradient of its input and, where its weights learn, one for theirs. Attention counts pairs of
a token and one that it sees, so nothing of what a mask hides; nothing that is computed twice, by
choice or inside a kernel, counts twice. A multiplication and an addition are two operations.

Shapes: B samples, T image tokens after K of landmarks, P prompt tokens.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import cast

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from transformers.models.llama.modeling_llama import LlamaDecoderLayer

from sfedge.core.landmarks import PARTS
from sfedge.core.tasks import TASKS
from sfedge_training.model.encoder import Encoder
from sfedge_training.model.social_fusion import SocialFusion


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What one step sends through the language model.

    Attributes:
        rows: tokens, through every block but the last, and into the last one's keys and values.
        last_rows: tokens through the rest of the last block.
        pairs: of a token and one that it sees, in every block but the last.
        last_pairs: and in the last.
        logits: tokens through `lm_head`.
    """

    rows: int
    last_rows: int
    pairs: int
    last_pairs: int
    logits: int


def useful_work(model: SocialFusion, tasks: Sequence[str]) -> Work:
    """The least that answers a batch of these tasks: what SocialFusion computes."""
    image = model.token_grid**2
    count = model.landmark_tokens + image  # tokens of a sample
    work = {"rows": 0, "last_rows": 0, "pairs": 0, "last_pairs": 0, "logits": 0}
    for task, samples in Counter(tasks).items():
        prompt, is_gaze = len(model.prompts[task]), TASKS[task].output == "heatmap"
        seen = samples * (count * prompt + _triangle(count))
        work["rows"] += prompt + samples * count
        work["last_rows"] += samples * (image if is_gaze else 1)
        work["pairs"] += _triangle(prompt) + seen
        whole = seen - samples * (model.landmark_tokens * prompt + _triangle(model.landmark_tokens))
        work["last_pairs"] += whole if is_gaze else samples * (prompt + count)
        work["logits"] += 0 if is_gaze else samples
    return Work(**work)


def step_flops(
    model: SocialFusion, tasks: Sequence[str], *, work: Work | None = None, stored: bool = False
) -> int:
    """Operations of the loss of one batch and its gradient.

    Args:
        model: as it learns: frozen weights take no gradient.
        tasks: B task names.
        work: of the language model; `useful_work` unless another count is wanted.
        stored: the encoder's features are at hand.
    """
    work = useful_work(model, tasks) if work is None else work
    encoder = 0 if stored else len(tasks) * encoder_flops(model.encoder)
    tokens = len(tasks) * model.token_grid**2
    heatmaps = sum(TASKS[task].output == "heatmap" for task in tasks)
    gaze, count = model.gaze_head, model.token_grid**2
    once = gaze.project.weight.numel() * count
    once += gaze.upsample.weight.numel() * count * gaze.pool**2
    head = heatmaps * 3 * 2 * once
    vocabulary = _products([model.lm.lm_head], work.logits)
    landmarks = _landmark_embedding(model, len(tasks))
    connector = _connector(model, tokens)
    return encoder + connector + landmarks + _blocks(model, work) + vocabulary + head


def encoder_flops(encoder: Encoder) -> int:
    """Operations of one picture's forward pass, as torch counts them."""
    parameters, side = [*encoder.parameters()], encoder.input.size
    picture = torch.zeros(1, 3, side, side, device=parameters[0].device)
    is_half = any(parameter.dtype == torch.bfloat16 for parameter in parameters)
    was_fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # it hides its products from the counter
    try:
        with (
            torch.no_grad(),
            torch.autocast(picture.device.type, torch.bfloat16) if is_half else nullcontext(),
            sdpa_kernel(SDPBackend.MATH),  # the counter does not know every fused kernel
            FlopCounterMode(display=False) as counter,
        ):
            encoder(picture)
    finally:
        torch.backends.mha.set_fastpath_enabled(was_fast)
    counted: int = counter.get_total_flops()
    return counted


def _connector(model: SocialFusion, tokens: int) -> int:
    first, *others = (m for m in model.connector.layers if isinstance(m, nn.Linear))
    takes_gradient = model.config.box_embedding == "before"  # the features themselves take none
    unneeded = 0 if takes_gradient else 2 * tokens * first.weight.numel()
    return _products([first, *others], tokens) - unneeded


def _landmark_embedding(model: SocialFusion, samples: int) -> int:
    if model.landmark_embedding is None:
        return 0
    networks = [model.landmark_embedding.network(part) for part in PARTS]
    firsts = sum(linears[0].weight.numel() for linears in map(_linears, networks))
    whole = sum(_products(_linears(network), samples) for network in networks)
    return whole - 2 * samples * firsts  # landmarks take no gradient


def _blocks(model: SocialFusion, work: Work) -> int:
    *blocks, last = (cast(LlamaDecoderLayer, layer) for layer in model.lm.model.layers)
    attention = last.self_attn
    memory = [*_linears(attention.k_proj), *_linears(attention.v_proj)]
    rest = [*_linears(attention.q_proj), *_linears(attention.o_proj), *_linears(last.mlp)]
    pairs = len(blocks) * work.pairs + work.last_pairs
    heads = attention.config.num_attention_heads
    # Two products a pair, and for each two more in the gradient.
    attended = pairs * 3 * 2 * 2 * heads * attention.head_dim
    whole = sum(_products(_linears(block), work.rows) for block in blocks)
    return whole + _products(memory, work.rows) + _products(rest, work.last_rows) + attended


def _linears(module: nn.Module) -> list[nn.Linear]:
    """All linear layers in a module, those of LoRA among them."""
    return [layer for layer in module.modules() if type(layer) is nn.Linear]


def _products(layers: Iterable[nn.Linear], rows: int) -> int:
    return sum(
        2 * rows * layer.weight.numel() * (3 if layer.weight.requires_grad else 2)
        for layer in layers
    )


def _triangle(count: int) -> int:
    return count * (count + 1) // 2
