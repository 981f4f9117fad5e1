"""SocialFusion, top to bottom: encoder, connector, boxes, language model, heads (paper, 3.4).

Shapes: B batch, G patches per side, T image tokens, P prompt tokens, d_v and d_l the widths of
encoder and language model, S pixels per side.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from peft import PeftModel
from torch import Tensor, nn
from transformers import LlamaForCausalLM, PreTrainedTokenizerBase

from sfedge.errors import ConfigError
from sfedge.tasks import TASKS
from training import language
from training.config import ModelConfig
from training.connector import Connector, unpool_mask
from training.encoders import Encoder, build_encoder
from training.gaze_head import GazeHead
from training.tokenizer import answer_ids, prompt_ids

# The mark starts at the scale of what it is added to: connector outputs at their random start,
# or encoder features after their norm.
_MARK_SCALE = {"after": 0.1, "before": 1.0}


class SocialFusion(nn.Module):
    """A view and a task in, the next token or a heatmap out.

    The language model reads [prompt, image tokens]; the answer is the token after the last image
    token. Encoder and language model are frozen; connector, box embedding, gaze head and LoRA
    learn.

    Attributes:
        config: all settings.
        tokenizer: of the language model.
        prompts: each task's prompt as token ids.
        answer_ids: each answer's token.
        encoder: [B, 3, S, S] to [B, G*G, d_v].
        connector: [B, G*G, d_v] to [B, T, d_l].
        box_embedding: [d_l], or [d_v] before the connector.
        llm: Llama, bare or with LoRA.
        gaze_head: [B, T, d_l] to [B, 64, 64].
    """

    def __init__(
        self,
        config: ModelConfig,
        encoder: Encoder,
        llm: LlamaForCausalLM,
        tokenizer: PreTrainedTokenizerBase,
    ) -> None:
        super().__init__()
        if encoder.grid % config.pool:
            raise ConfigError(
                f"{encoder.grid} patches per side cannot be pooled by {config.pool}", where="pool"
            )
        width = llm.config.hidden_size
        self.config, self.tokenizer = config, tokenizer
        self.prompts = {name: prompt_ids(tokenizer, task) for name, task in TASKS.items()}
        self.answer_ids = answer_ids(tokenizer, TASKS.values())
        self.encoder = encoder.requires_grad_(False).eval()
        self.connector = Connector(encoder.width, config.hidden, width, pool=config.pool)
        marked = width if config.box_embedding == "after" else encoder.width
        self.box_embedding = nn.Parameter(torch.randn(marked) * _MARK_SCALE[config.box_embedding])
        self.llm: LlamaForCausalLM | PeftModel = llm.requires_grad_(False)
        self.gaze_head = GazeHead(width, self.token_grid, pool=config.pool)

    @property
    def token_grid(self) -> int:
        """Image tokens per side; box masks are made on this grid."""
        return self.encoder.grid // self.config.pool

    @property
    def lm(self) -> LlamaForCausalLM:
        """The Llama itself, with LoRA in its layers where there is any."""
        return language.causal_lm(self.llm)

    def train(self, mode: bool = True) -> "SocialFusion":
        """Training mode for all but the encoder, which always evaluates."""
        super().train(mode)
        self.encoder.eval()
        return self

    def unfreeze_all(self) -> None:
        """Let every part learn, to train a preset that has no published parts from nothing."""
        self.requires_grad_(True)

    def encode(self, images: Tensor) -> Tensor:
        """[B, 3, S, S] to features [B, G*G, d_v]; without gradient while the encoder is frozen."""
        learns = any(p.requires_grad for p in self.encoder.parameters())
        with torch.set_grad_enabled(learns and torch.is_grad_enabled()):
            features: Tensor = self.encoder(images)
        return features

    def image_tokens(self, features: Tensor, masks: Tensor) -> Tensor:
        """Features [B, G*G, d_v] and box masks [B, T] to the language model's [B, T, d_l]."""
        if self.config.box_embedding == "before":
            patches = unpool_mask(masks, self.config.pool)  # [B, G*G]
            marked: Tensor = self.connector(features + patches[..., None] * self.box_embedding)
            return marked
        tokens: Tensor = self.connector(features)
        return tokens + masks[..., None] * self.box_embedding

    def read(self, tokens: Tensor, tasks: Sequence[str]) -> Tensor:
        """The language model's output at the image tokens, after its final norm.

        Samples of one task share one pass over its prompt, whose keys and values, gradients
        included, serve them all.

        Args:
            tokens: [B, T, d_l] image tokens.
            tasks: B task names, in any order.

        Returns:
            [B, T, d_l].
        """
        rows: dict[str, list[int]] = {}
        for row, task in enumerate(tasks):
            rows.setdefault(task, []).append(row)
        if len(rows) == 1:
            return self._read_after(tasks[0], tokens)
        states = [self._read_after(task, tokens[own]) for task, own in rows.items()]
        order = torch.tensor([row for own in rows.values() for row in own], device=tokens.device)
        return torch.cat(states)[order.argsort()]

    def _read_after(self, task: str, tokens: Tensor) -> Tensor:
        llama = self.lm.model
        prompt = torch.tensor([self.prompts[task]], device=tokens.device)  # [1, P]
        cache = llama(input_ids=prompt, use_cache=True).cache
        cache.batch_repeat_interleave(len(tokens))
        states: Tensor = llama(inputs_embeds=tokens, cache=cache, use_cache=True).last_hidden_state
        return states

    def forward(self, images: Tensor, masks: Tensor, tasks: Sequence[str]) -> Tensor:
        """Images [B, 3, S, S] and box masks [B, T] to output states [B, T, d_l]."""
        return self.read(self.image_tokens(self.encode(images), masks), tasks)

    def answer_logits(self, images: Tensor, masks: Tensor, tasks: Sequence[str]) -> Tensor:
        """Logits of the token that answers, over the vocabulary: [B, vocabulary]."""
        states: Tensor = self(images, masks, tasks)
        logits: Tensor = self.lm.lm_head(states[:, -1])
        return logits

    def label_logits(self, images: Tensor, masks: Tensor, task: str) -> Tensor:
        """Logits over the labels of one classification task, in their order: [B, labels]."""
        states: Tensor = self(images, masks, [task] * len(images))
        label_rows = [self.answer_ids[answer] for answer in TASKS[task].answers]
        return F.linear(states[:, -1], self.lm.lm_head.weight[label_rows])

    def gaze_logits(self, images: Tensor, masks: Tensor) -> Tensor:
        """Heatmap logits of where the marked person looks: [B, 64, 64]."""
        states: Tensor = self(images, masks, ["gaze"] * len(images))
        heatmaps: Tensor = self.gaze_head(states)
        return heatmaps


def build_model(config: ModelConfig, *, with_lora: bool = True) -> SocialFusion:
    """The network on the CPU in float32; what has no published weights starts at random.

    Args:
        config: all settings.
        with_lora: False leaves the language model bare, for `unfreeze_all`.

    Raises:
        ConfigError: a part cannot be loaded, or the parts do not fit each other.
        UnknownNameError: there is no such encoder.
    """
    encoder = build_encoder(config.encoder, config.encoder_weights, config.encoder_layer)
    llm, tokenizer = language.build_language(config)
    model = SocialFusion(config, encoder, llm, tokenizer)
    if with_lora:
        add_lora(model)
    return model


def add_lora(model: SocialFusion) -> None:
    """Put LoRA on the bare language model of `model`, which freezes the rest of it."""
    model.llm = language.add_lora(model.lm, model.config)
