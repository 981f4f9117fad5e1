"""When memory runs out: what to change, in one sentence instead of a traceback."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from sfedge.core.errors import SfedgeError
from sfedge_training.loop.recipe import Recipe


class MemoryExhaustedError(SfedgeError):
    """The device's memory does not hold a step."""


@contextmanager
def memory_advice(recipe: Recipe) -> Iterator[None]:
    """Turns what PyTorch raises when memory runs out into advice for this recipe.

    Raises:
        MemoryExhaustedError: the block ran out of memory.
    """
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not _is_exhausted(error):
            raise
        raise MemoryExhaustedError(
            f"memory ran out in a step of {recipe.batch} samples "
            f"in {recipe.micro_batches} micro-batch{'es' * (recipe.micro_batches > 1)}",
            where=str(error).splitlines()[0] if str(error) else "",
            fix=f"{_advice(recipe)} What is done is kept.",
        ) from error


def _is_exhausted(error: Exception) -> bool:
    if isinstance(error, RuntimeError) and not isinstance(error, torch.OutOfMemoryError):
        return "can't allocate memory" in str(error)  # PyTorch's own words on a CPU
    return True


def _advice(recipe: Recipe) -> str:
    tips = []
    if recipe.micro_batches < recipe.batch and not recipe.pretraining:
        more = min(2 * recipe.micro_batches, recipe.batch)
        tips.append(f"--micro-batches {more}: the same step, divided further")
    if not recipe.gradient_checkpointing:
        tips.append("--gradient-checkpointing: activations recomputed in the backward pass, slower")
    if recipe.precision == "fp32":
        tips.append("--precision bf16: half of what activations and frozen parts take")
    if recipe.batch > 1:
        tips.append(f"--batch {recipe.batch // 2}: another recipe, in another --out")
    if not tips:
        return "Take a smaller model."
    return f"Try, in this order: {'; '.join(tips)} (`reproduce`: --set recipe.NAME=VALUE)."
