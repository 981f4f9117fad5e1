"""LoRA merged into the language model's weights, and the proof that nothing changed by it."""

from dataclasses import asdict, dataclass

import peft
import torch
from transformers import LlamaForCausalLM

from sfedge.core.errors import BundleError

_LENGTH = 64  # tokens of the random text the two are compared on
_LARGEST_ERROR = 1e-4  # of the largest logit
_SMALLEST_EFFECT = 100.0  # times the error, or the adapter could be absent unnoticed


@dataclass(frozen=True, slots=True)
class Merge:
    """How logits differ on a random text, largest absolute values."""

    error: float  # merged from adapter
    effect: float  # adapter from bare language model
    scale: float  # of the logits

    def to_json(self) -> dict[str, float]:
        """Rounded to three digits."""
        return {name: float(f"{value:.3g}") for name, value in asdict(self).items()}


def merge_lora(
    llm: peft.PeftModel | LlamaForCausalLM,
) -> tuple[LlamaForCausalLM, Merge | None]:
    """The language model in float32, its adapter merged into its own weights; no copy is made.

    Merging in a smaller type than float32 loses what the adapter learned (4e-3 in bfloat16).

    Returns:
        The language model, and how it compares to what it was; None where the model has no adapter.

    Raises:
        BundleError: weights are not numbers, the adapter changes nothing, or merging it changed
            the answers.
    """
    whole = llm.float().eval().requires_grad_(False)
    if not isinstance(whole, peft.PeftModel):
        return whole, None
    seed = torch.Generator().manual_seed(0)
    ids = torch.randint(whole.config.vocab_size, (1, _LENGTH), generator=seed)
    with torch.inference_mode():
        adapted = whole(ids).logits
        if not adapted.isfinite().all():
            raise BundleError(
                "its weights hold values that are not numbers",
                where="language model",
                fix="Export an earlier checkpoint.",
            )
        with whole.disable_adapter():
            bare = whole(ids).logits
        merged = whole.merge_and_unload(safe_merge=True)
        plain = merged(ids).logits
    merge = Merge(
        error=float((plain - adapted).abs().max()),
        effect=float((adapted - bare).abs().max()),
        scale=float(adapted.abs().max()),
    )
    if not merge.error <= _LARGEST_ERROR * merge.scale:
        raise BundleError(
            f"merging LoRA moved a logit by {merge.error:.2g} (the largest is {merge.scale:.3g})",
            where="language model",
        )
    if not merge.effect > _SMALLEST_EFFECT * merge.error:
        raise BundleError(
            f"LoRA has no effect (it moves logits by {merge.effect:.2g})",
            where="language model",
            fix="Export a checkpoint whose adapter was trained and loaded.",
        )
    return merged, merge
