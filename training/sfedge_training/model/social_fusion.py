"""SocialFusion, top to bottom: encoder, connector, boxes, language model, heads (paper, 3.4).

Shapes: B batch, G patches per side, T image tokens, K landmark tokens, P prompt tokens, d_v and d_l
the widths of encoder and language model, S pixels per side.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from peft import PeftModel
from torch import Tensor, nn
from transformers import LlamaForCausalLM, PreTrainedTokenizerBase

from sfedge.core.errors import ConfigError
from sfedge.core.landmarks import INPUT_WIDTH, PARTS
from sfedge.core.tasks import TASKS
from sfedge_training.model import decoder, language
from sfedge_training.model.connector import Connector, unpool_mask
from sfedge_training.model.encoder import Encoder, features_of
from sfedge_training.model.encoders import build_encoder
from sfedge_training.model.gaze_head import GazeHead
from sfedge_training.model.landmark_embedding import LandmarkEmbedding
from sfedge_training.model.model_config import ModelConfig
from sfedge_training.model.tokenizer import answer_ids, prompt_ids

# The mark starts at the scale of what it is added to: connector outputs at their random start,
# or encoder features after their norm.
_MARK_SCALE = {"after": 0.1, "before": 1.0}


class SocialFusion(nn.Module):
    """A view and a task in, the next token or a heatmap out.

    The language model reads [prompt, image tokens]; the answer is the token after the last image
    token. A model that reads landmarks has their tokens before the image's. Encoder and language
    model are frozen; connector, box embedding, landmark embedding, gaze head and LoRA learn.

    Attributes:
        config: all settings.
        tokenizer: of the language model.
        prompts: each task's prompt as token ids.
        answer_ids: each answer's token.
        encoder: [B, 3, S, S] to [B, G*G, d_v].
        connector: [B, G*G, d_v] to [B, T, d_l].
        box_embedding: [d_l], or [d_v] before the connector.
        landmark_embedding: [B, INPUT_WIDTH] to [B, K, d_l]; None where no landmarks are read.
        llm: Llama, bare or with LoRA.
        gaze_head: [B, T, d_l] to [B, 64, 64].
        checkpointing: compute the language model's activations again for the gradient, block by
            block, and hold little of them: less memory, more time.
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
        self.landmark_embedding = (
            None if config.landmarks is None else LandmarkEmbedding(config.hidden, width)
        )
        self.gradient_checkpointing = False

    @property
    def token_grid(self) -> int:
        """Image tokens per side; box masks are made on this grid."""
        return self.encoder.grid // self.config.pool

    @property
    def landmark_tokens(self) -> int:
        """Tokens before the image tokens, K; 0 where no landmarks are read."""
        return 0 if self.landmark_embedding is None else len(PARTS)

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
        """[B, 3, S, S], or features that were stored, to features [B, G*G, d_v].

        Without gradient while the encoder is frozen.
        """
        return features_of(self.encoder, images)

    def image_tokens(self, features: Tensor, masks: Tensor) -> Tensor:
        """Features [B, G*G, d_v] and box masks [B, T] to the language model's [B, T, d_l]."""
        if self.config.box_embedding == "before":
            patches = unpool_mask(masks, self.config.pool)  # [B, G*G]
            marked: Tensor = self.connector(features + patches[..., None] * self.box_embedding)
            return marked
        tokens: Tensor = self.connector(features)
        return tokens + masks[..., None] * self.box_embedding

    def tokens(self, features: Tensor, masks: Tensor, landmarks: Tensor | None = None) -> Tensor:
        """What the language model reads after the prompt.

        Args:
            features: [B, G*G, d_v].
            masks: of boxes, [B, T].
            landmarks: [B, INPUT_WIDTH]; None where nothing is known. A model that reads none
                leaves them alone.

        Returns:
            [B, K + T, d_l], the image tokens last.
        """
        image = self.image_tokens(features, masks)
        if self.landmark_embedding is None:
            return image
        if landmarks is None:
            landmarks = image.new_zeros(len(image), INPUT_WIDTH)
        return torch.cat([self.landmark_embedding(landmarks), image], dim=1)

    def read(self, tokens: Tensor, tasks: Sequence[str], *, last_only: bool = False) -> Tensor:
        """The language model's output at the image tokens, after its final norm.

        Args:
            tokens: [B, K + T, d_l], as `tokens` gives them.
            tasks: B task names, in any order.
            last_only: at the last image token alone, which saves most of the last block.

        Returns:
            [B, T, d_l], or [B, 1, d_l].
        """
        rows: dict[str, list[int]] = {}
        for row, task in enumerate(tasks):
            rows.setdefault(task, []).append(row)
        order = torch.tensor([row for own in rows.values() for row in own], device=tokens.device)
        parts = torch.split(tokens[order], [len(own) for own in rows.values()])
        questions = [
            decoder.Question(self.prompts[task], part, last_only, self.landmark_tokens)
            for task, part in zip(rows, parts, strict=True)
        ]
        states = decoder.read(self.lm.model, questions, checkpointing=self.gradient_checkpointing)
        return torch.cat(states)[order.argsort()]

    def forward(
        self,
        images: Tensor,
        masks: Tensor,
        tasks: Sequence[str],
        landmarks: Tensor | None = None,
        *,
        last_only: bool = False,
    ) -> Tensor:
        """What is seen and asked to states as `read` gives them.

        Args:
            images: [B, 3, S, S], or features.
            masks: of boxes, [B, T].
            tasks: B task names.
            landmarks: [B, INPUT_WIDTH]; None where nothing is known.
            last_only: as `read` takes it.
        """
        tokens = self.tokens(self.encode(images), masks, landmarks)
        return self.read(tokens, tasks, last_only=last_only)

    def answer_logits(
        self, images: Tensor, masks: Tensor, tasks: Sequence[str], landmarks: Tensor | None = None
    ) -> Tensor:
        """Logits of the token that answers, over the vocabulary: [B, vocabulary]."""
        states: Tensor = self(images, masks, tasks, landmarks, last_only=True)
        logits: Tensor = self.lm.lm_head(states[:, 0])
        return logits

    def label_logits(
        self, images: Tensor, masks: Tensor, task: str, landmarks: Tensor | None = None
    ) -> Tensor:
        """Logits over the labels of one classification task, in their order: [B, labels]."""
        states: Tensor = self(images, masks, [task] * len(images), landmarks, last_only=True)
        label_rows = [self.answer_ids[answer] for answer in TASKS[task].answers]
        return F.linear(states[:, 0], self.lm.lm_head.weight[label_rows])

    def gaze_logits(
        self, images: Tensor, masks: Tensor, tasks: Sequence[str], landmarks: Tensor | None = None
    ) -> Tensor:
        """Heatmap logits of where the marked person looks, of B heatmap tasks: [B, 64, 64]."""
        states: Tensor = self(images, masks, tasks, landmarks)
        heatmaps: Tensor = self.gaze_head(states)
        return heatmaps

    def logits(
        self, images: Tensor, masks: Tensor, task: str, landmarks: Tensor | None = None
    ) -> Tensor:
        """Answers to one task: `gaze_logits` of a heatmap task, else `label_logits`."""
        if TASKS[task].output == "heatmap":
            return self.gaze_logits(images, masks, [task] * len(images), landmarks)
        return self.label_logits(images, masks, task, landmarks)


def build_model(
    config: ModelConfig,
    *,
    with_lora: bool = True,
    allow_remote_code: bool = False,
    tokenizer: PreTrainedTokenizerBase | None = None,
) -> SocialFusion:
    """The network on the CPU in float32; what has no published weights starts at random.

    Args:
        config: all settings.
        with_lora: False leaves the language model bare, for `unfreeze_all`.
        allow_remote_code: Python code that comes with the encoder's weights may run.
        tokenizer: the one that the language model's weights were trained with; None for the
            language model's own, or a new one where it has none.

    Raises:
        ConfigError: a part cannot be loaded, or the parts do not fit each other.
        UnknownNameError: there is no such encoder.
    """
    encoder = build_encoder(
        config.encoder,
        config.encoder_weights,
        config.encoder_layer,
        image_size=config.image_size,
        allow_remote_code=allow_remote_code,
    )
    llm, tokenizer = language.build_language(config, tokenizer)
    model = SocialFusion(config, encoder, llm, tokenizer)
    if with_lora:
        add_lora(model)
    return model


def add_lora(model: SocialFusion) -> None:
    """Put LoRA on the bare language model of `model`, which freezes the rest of it."""
    model.llm = language.add_lora(model.lm, model.config)


def cast_frozen(model: nn.Module, dtype: torch.dtype) -> None:
    """Hold what is frozen, but norms and biases, in `dtype`; what learns stays as it is.

    The model then runs under `torch.autocast` with the same dtype alone: training and answering
    alike. Half the memory for encoder and language model, at that precision's rounding.
    """
    for parameter in model.parameters():
        if not parameter.requires_grad and parameter.ndim > 1:
            parameter.data = parameter.data.to(dtype)
