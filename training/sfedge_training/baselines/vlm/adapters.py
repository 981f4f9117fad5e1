"""The interface of a family of models: prompts and batches, logits, and generated answers.

Shapes: B turns, L tokens of the longest, n tokens to predict, V vocabulary.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import PIL.Image
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import GenerationConfig, PreTrainedTokenizerBase

from sfedge.core.errors import ConfigError

IGNORED = -100  # the label of tokens that are not to be predicted, as `transformers` has it


@dataclass(frozen=True, slots=True, eq=False)
class Turn:
    """One prompt with its picture and, in training, the answer to learn."""

    tokens: dict[str, Tensor]  # [L] each: `input_ids`, and masks or types of the same length
    picture: dict[str, Tensor]  # first dimension: patches, tiles or crops


class Adapter(Protocol):
    """What one family of models defines.

    It holds no weights: processes that prepare batches have copies of it.

    Attributes:
        blocks: the module whose linear layers get LoRA, the language model's blocks.
    """

    blocks: str

    def ask(self, picture: PIL.Image.Image, text: str) -> Turn:
        """A prompt, up to where the answer begins."""

    def answer(self, text: str) -> list[int]:
        """An answer's tokens, the one that ends it included."""

    def text(self, tokens: Sequence[int]) -> str:
        """Generated tokens as text, up to the one that ends the answer."""

    def stack(self, turns: Sequence[Turn]) -> dict[str, Tensor]:
        """Turns of any lengths as one input, [B, L] and pictures; `labels` if they have any."""

    def logits(self, network: nn.Module, inputs: Mapping[str, Tensor], where: Tensor) -> Tensor:
        """Logits [n, V] of the tokens that follow the places marked in `where` [B, L]."""

    def generate(
        self, network: nn.Module, inputs: Mapping[str, Tensor], limit: int
    ) -> tuple[Tensor, Tensor]:
        """Greedy decoding of at most `limit` tokens.

        Returns:
            New tokens [B, at most limit] and the logits [B, V] of the first of them.
        """


def answered(turn: Turn, answer: Sequence[int]) -> Turn:
    """The turn with an answer's tokens behind it, and `labels` for these alone."""
    asked = turn.tokens["input_ids"]
    target = torch.tensor(answer)
    behind = {"input_ids": target, "attention_mask": torch.ones_like(target)}
    tokens = {
        name: torch.cat([values, behind.get(name, torch.zeros_like(target)).to(values.dtype)])
        for name, values in turn.tokens.items()
    }
    labels = torch.cat([torch.full_like(asked, IGNORED), target])
    return Turn(tokens | {"labels": labels}, turn.picture)


def padded(turns: Sequence[Turn], filler: int, *, left: bool) -> dict[str, Tensor]:
    """The turns' tokens as [B, L], padded on one side.

    The padding is `filler` for ids, `IGNORED` for labels and 0 for all others.
    """
    fillers = {"input_ids": filler, "labels": IGNORED}
    longest = max(len(turn.tokens["input_ids"]) for turn in turns)
    return {
        name: torch.stack(
            [_filled(turn.tokens[name], longest, fillers.get(name, 0), left) for turn in turns]
        )
        for name in turns[0].tokens
    }


def _filled(row: Tensor, length: int, filler: int, left: bool) -> Tensor:
    missing = length - len(row)
    return F.pad(row, (missing, 0) if left else (0, missing), value=filler)


def joined(turns: Sequence[Turn]) -> dict[str, Tensor]:
    """The turns' pictures, concatenated along the first dimension."""
    return {name: torch.cat([turn.picture[name] for turn in turns]) for name in turns[0].picture}


def token_id(tokenizer: PreTrainedTokenizerBase, token: str) -> int:
    """The id of a special token.

    Raises:
        ConfigError: the tokenizer does not have it.
    """
    found = tokenizer.get_vocab().get(token)
    if found is None:
        raise ConfigError(
            f"the tokenizer has no {token}", where="weights", fix="Name weights of this family."
        )
    return int(found)


def text_until(tokenizer: PreTrainedTokenizerBase, tokens: Sequence[int], end: int) -> str:
    """Tokens as text up to the first `end`; special tokens before it are kept."""
    kept = list(tokens)
    kept = kept[: kept.index(end)] if end in kept else kept
    return str(tokenizer.decode(kept, skip_special_tokens=False))


def greedy(limit: int, *, end: int, filler: int) -> GenerationConfig:
    """Settings of `generate` that override the defaults of the weights."""
    settings: dict[str, Any] = {
        "max_new_tokens": limit,
        "do_sample": False,
        "num_beams": 1,
        "repetition_penalty": 1.0,
        "eos_token_id": end,
        "pad_token_id": filler,
        "use_cache": True,
        "output_logits": True,
        "return_dict_in_generate": True,
    }
    return GenerationConfig(**settings)  # type: ignore[no-untyped-call]
