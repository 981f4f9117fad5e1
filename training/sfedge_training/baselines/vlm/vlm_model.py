"""A baseline: a pre-trained vision-language model with LoRA in its language model's blocks.

Shapes: B questions, L tokens of the longest, n answer tokens, V vocabulary.
"""

from typing import Any

import torch
import torch.nn.functional as F
from peft import LoraConfig, inject_adapter_in_model
from torch import Tensor, nn

from sfedge.core.errors import ConfigError
from sfedge_training.baselines.vlm.adapters import IGNORED, Adapter
from sfedge_training.baselines.vlm.batches import ChatBatch
from sfedge_training.baselines.vlm.vlm_config import VlmConfig


class VisionLanguageModel(nn.Module):
    """A picture and a question in, an answer in text out (paper, section 3.2).

    LoRA on every linear layer of the language model's blocks learns; all else is frozen.

    Attributes:
        config: all settings.
        adapter: how this family is asked.
        network: of the library or the hub, with LoRA in place.
    """

    def __init__(self, config: VlmConfig, network: nn.Module, adapter: Adapter) -> None:
        super().__init__()
        self.config, self.adapter = config, adapter
        self.network: Any = _with_lora(network.requires_grad_(False), adapter.blocks, config)
        self.eval()

    def train(self, mode: bool = True) -> "VisionLanguageModel":
        """Training mode for the language model's blocks; all else always evaluates."""
        super().train(mode)
        self.network.eval()
        self.network.get_submodule(self.adapter.blocks).train(mode)
        return self

    def enable_gradient_checkpointing(self) -> None:
        """Compute activations again in the backward pass: less memory, more time.

        Raises:
            ConfigError: the family's code cannot.
        """
        _checkpointed(self.network, self.config.family)

    def forward(self, batch: ChatBatch) -> Tensor:
        """Cross-entropy of every answer token [n], row by row; of no other token."""
        assert batch.labels is not None
        taught = batch.labels != IGNORED
        before = F.pad(taught[:, 1:], (0, 1))  # a token is predicted by the position before it
        logits = self.adapter.logits(self.network, batch.inputs, before)  # [n, V]
        return F.cross_entropy(logits.float(), batch.labels[taught], reduction="none")

    @torch.inference_mode()
    def answer(self, batch: ChatBatch, limit: int) -> tuple[list[str], Tensor]:
        """Greedy answers of at most `limit` tokens.

        Returns:
            B texts, and the logits [B, V] of the first token.
        """
        tokens, first = self.adapter.generate(self.network, batch.inputs, limit)
        return [self.adapter.text(row) for row in tokens.tolist()], first

    def trained_state(self) -> dict[str, Tensor]:
        """LoRA by its names in the network, sharing memory with it."""
        return {n: p.detach() for n, p in self.network.named_parameters() if p.requires_grad}


def answer_loss(
    model: VisionLanguageModel, batch: ChatBatch, _: float
) -> tuple[Tensor, dict[str, Tensor]]:
    """Mean cross-entropy of the batch's answer tokens, as `transformers` computes it.

    Gaze is text like everything else, so that there is no second loss to weigh.

    Returns:
        The scalar to descend, and nothing else to log.
    """
    losses: Tensor = model(batch)
    return losses.mean(), {}


def _with_lora(network: nn.Module, blocks: str, config: VlmConfig) -> nn.Module:
    targets = [
        f"{blocks}.{name}"
        for name, module in network.get_submodule(blocks).named_modules()
        if isinstance(module, nn.Linear)
    ]
    settings = LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        target_modules=targets,
        bias="none",
    )
    adapted: nn.Module = inject_adapter_in_model(settings, network)
    return adapted


def _checkpointed(network: Any, family: str) -> None:
    try:
        network.activation_checkpointing_enable()
    except (AttributeError, ValueError) as error:
        raise ConfigError(
            "the model's code cannot compute activations again in the backward pass",
            where=family,
            fix="Leave --gradient-checkpointing out and take a smaller --batch or --image-tokens.",
        ) from error
