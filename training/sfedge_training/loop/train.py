"""The loop: a model, samples and a recipe to trained weights; stops and resumes exactly.

`accelerate` shares a step's batch among processes, and a large model's weights too (FSDP). The
losses are means over the whole batch, however it is shared out and in however many parts a
process works it off.
"""

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from accelerate import Accelerator, PartialState
from accelerate.utils import DistributedDataParallelKwargs, DistributedType
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from tqdm import tqdm

from sfedge_training.data.mixture import Opener, Share, batch_loader, plan_epoch
from sfedge_training.data.sample import Sample
from sfedge_training.loop.checkpoint import (
    check_same_recipe,
    load_learned,
    load_progress,
    save_best,
    save_progress,
)
from sfedge_training.loop.evaluate import usual_device
from sfedge_training.loop.log import RunLog
from sfedge_training.loop.memory import memory_advice
from sfedge_training.loop.recipe import Recipe

_VALIDATED = 1000  # samples of a dataset, of its validation split, at most
_LOGGED = ("loss", "label_loss", "gaze_loss")


class Countable(Protocol):
    """A batch; the loss is a mean over what it counts."""

    @property
    def count(self) -> int: ...

    def to(self, device: torch.device) -> Any:
        """The same batch on another device."""


_Model = TypeVar("_Model", bound=nn.Module)
_Batch = TypeVar("_Batch", bound=Countable)
_Model_contra = TypeVar("_Model_contra", bound=nn.Module, contravariant=True)
_Batch_contra = TypeVar("_Batch_contra", contravariant=True)


class Loss(Protocol[_Model_contra, _Batch_contra]):
    """Of model, batch and heatmap weight: the scalar to descend, and parts of it to log."""

    def __call__(
        self, model: _Model_contra, batch: _Batch_contra, weight: float, /
    ) -> tuple[Tensor, dict[str, Tensor]]: ...


class Trained(NamedTuple):
    """What a call of `train` comes to."""

    steps: int  # done in all
    is_done: bool  # nothing is left to do


def train(
    model: _Model,
    samples: Mapping[str, Sequence[Sample]],
    recipe: Recipe,
    run: Path,
    *,
    loss: Loss[_Model, _Batch],
    opener: Opener[_Batch],
    mixes_gaze: bool = False,
    validation: Mapping[str, Sequence[Sample]] | None = None,
    workers: int = 0,
    save_every: float = 300.0,
    stop_after: int | None = None,
) -> Trained:
    """Train the model's free parameters in place; goes on from the newest checkpoint in `run`.

    Data order, augmentation and dropout come from seed, step and process alone, so a resumed run
    repeats an unbroken one. With the recipe's `patience` the model ends with the weights of its
    best epoch, in the main process. Where FSDP shards the model, its weights are in `run` alone:
    `load_learned`.

    Args:
        model: what `requires_grad` in it is trained.
        samples: of each dataset, by its name.
        recipe: all settings.
        run: folder for checkpoints and logs.
        loss: a mean over what the batch counts.
        opener: opens planned batches as the model wants them.
        mixes_gaze: gaze is mixed into the batches; the paper keeps it apart.
        validation: of each dataset, for the loss after every epoch; needed for `patience`.
        workers: processes that prepare batches.
        save_every: seconds between two checkpoints.
        stop_after: stop when this many steps are done, with a checkpoint.

    Raises:
        ConfigError: `run` was begun by another recipe.
        DataError: a dataset is empty, or the checkpoint is another model's.
        MemoryExhaustedError: a step does not fit into memory.
    """
    plan = partial(plan_epoch, batch=recipe.batch, seed=recipe.seed, mixes_gaze=mixes_gaze)
    per_epoch = len(plan(samples, epoch=0))
    check_same_recipe(run, recipe)
    total = recipe.epochs * per_epoch
    with memory_advice(recipe):
        loop = _Loop(model, recipe, loss)
        progress = load_progress(run, model, loop.optimizer)
    batches = _batches(partial(plan, samples), recipe, opener, loop, progress.steps, workers)
    held_out = plan(validation, epoch=0, most=_VALIDATED) if validation else []
    last = total if stop_after is None else min(total, stop_after)
    saved = time.monotonic()
    with loop.log(run, progress.steps) as log, loop.bar(total, progress.steps) as bar:
        while progress.steps < last and not progress.is_over(recipe.patience):
            step = progress.steps
            weight = recipe.heatmap_weight(progress.balance)
            with memory_advice(recipe):
                parts = list(islice(batches, recipe.micro_batches))
                row = loop.step(step, total, parts, weight)
            row |= _applied_weight(row)
            progress = progress.stepped(row["gradient_norm"], row.get("gaze_weight"))
            if held_out and progress.steps % per_epoch == 0:
                with memory_advice(recipe):
                    row["validation_loss"] = loop.mean_loss(held_out, opener, workers)
                progress = progress.judged(row["validation_loss"])
                if recipe.patience and progress.is_best:
                    save_best(run, model, is_main=loop.is_main)
            if log is not None:
                log.write(step, row)
            bar.update()
            bar.set_postfix(loss=f"{row['loss']:.3f}", refresh=False)
            is_last = progress.steps == last or progress.is_over(recipe.patience)
            if is_last or loop.agrees(time.monotonic() - saved > save_every):
                save_progress(run, model, loop.optimizer, progress, is_main=loop.is_main)
                saved = time.monotonic()
    is_done = progress.steps == total or progress.is_over(recipe.patience)
    if is_done and recipe.patience and held_out and not loop.is_sharded and loop.is_main:
        load_learned(run, model, recipe)
    return Trained(progress.steps, is_done)


def planned_samples(
    samples: Mapping[str, Sequence[Sample]],
    validation: Mapping[str, Sequence[Sample]] | None,
    recipe: Recipe,
    *,
    mixes_gaze: bool = False,
) -> list[Sample]:
    """Every sample that `train` opens with these arguments, each once."""
    plan = partial(plan_epoch, batch=recipe.batch, seed=recipe.seed, mixes_gaze=mixes_gaze)
    plans = [plan(samples, epoch=epoch) for epoch in range(recipe.epochs)]
    if validation:
        plans.append(plan(validation, epoch=0, most=_VALIDATED))
    return list(dict.fromkeys(sample for epoch in plans for batch in epoch for sample in batch))


def is_sharded() -> bool:
    """Whether the processes of this run each hold a part of the model alone (FSDP)."""
    return Accelerator(cpu=_on_cpu()).distributed_type is DistributedType.FSDP


def this_process() -> PartialState:
    """Which of the run's processes this is."""
    return PartialState(cpu=_on_cpu())


def _on_cpu() -> bool:
    return usual_device().type == "cpu"


def learning_rate(step: int, total: int, recipe: Recipe) -> float:
    """Linear warm-up, then half a cosine to zero at `total` (paper, section 4.1)."""
    warmup = min(recipe.warmup, total // 2)  # short runs still get a decay
    if step < warmup:
        return recipe.learning_rate * (step + 1) / warmup
    progress = (step - warmup) / max(total - warmup, 1)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


def _applied_weight(row: Mapping[str, float]) -> dict[str, float]:
    """What a step of gaze alone weighed its loss by; a baseline has a formula of its own."""
    if "label_loss" in row or not row.get("gaze_loss"):
        return {}
    return {"gaze_weight": row["loss"] / row["gaze_loss"]}


class _Objective(nn.Module, Generic[_Model, _Batch]):
    """The loss as a module: what shares gradients or weights out hooks into its call."""

    def __init__(self, model: _Model, loss: Loss[_Model, _Batch], precision: str) -> None:
        super().__init__()
        self.model, self.loss, self.precision = model, loss, precision

    def forward(self, batch: _Batch, gaze_weight: float) -> tuple[Tensor, dict[str, Tensor]]:
        device = next(self.parameters()).device.type
        # Here and not in accelerate, whose precision is one for all runs of a process.
        with torch.autocast(device, torch.bfloat16, enabled=self.precision == "bf16"):
            return self.loss(self.model, batch, gaze_weight)


class _Loop(Generic[_Model, _Batch]):
    """A step on this process's share of a batch, in step with the others."""

    def __init__(self, model: _Model, recipe: Recipe, loss: Loss[_Model, _Batch]) -> None:
        # A batch of labels leaves the heatmap's head alone, and one of gaze the answers.
        unused = DistributedDataParallelKwargs(find_unused_parameters=True)
        self.accelerator = Accelerator(cpu=_on_cpu(), kwargs_handlers=[unused])
        self.recipe = recipe
        self.objective: Any
        self.optimizer: Any
        self.objective, self.optimizer = self.accelerator.prepare(
            _Objective(model, loss, recipe.precision),
            torch.optim.AdamW(
                [p for p in model.parameters() if p.requires_grad],
                lr=recipe.learning_rate,
                weight_decay=recipe.weight_decay,
            ),
        )

    @property
    def is_main(self) -> bool:
        return bool(self.accelerator.is_main_process)

    @property
    def is_sharded(self) -> bool:
        return self.accelerator.distributed_type is DistributedType.FSDP

    @property
    def share(self) -> Share:
        accelerator = self.accelerator
        return Share(
            accelerator.process_index, accelerator.num_processes, self.recipe.micro_batches
        )

    def log(self, run: Path, done: int) -> Any:
        return RunLog(run, done) if self.is_main else nullcontext()

    def bar(self, total: int, done: int) -> Any:
        return tqdm(total=total, initial=done, unit="step", disable=not self.is_main)

    def step(
        self, step: int, total: int, parts: Sequence[_Batch], gaze_weight: float
    ) -> dict[str, float]:
        """Descend once, on the parts of one planned batch; what to log, of the whole batch."""
        recipe, accelerator = self.recipe, self.accelerator
        rate = learning_rate(step, total, recipe)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.objective.train()
        torch.manual_seed(_step_seed(recipe.seed, step, accelerator.process_index))  # dropout
        count = self._sum(torch.tensor(float(sum(part.count for part in parts)))).item()
        means = _Means()
        for place, part in enumerate(parts):
            is_open = place + 1 < len(parts)
            with accelerator.no_sync(self.objective) if is_open else nullcontext():
                value, logged = self.objective(part.to(accelerator.device), gaze_weight)
                # Gradients become means over processes; the loss is one over the batch.
                accelerator.backward(value * (part.count / count * accelerator.num_processes))
            means.add({"loss": value, **logged}, part.count)
        free = [p for p in self.objective.parameters() if p.requires_grad]
        norm = accelerator.clip_grad_norm_(free, recipe.gradient_norm)
        norm = norm.full_tensor() if isinstance(norm, DTensor) else norm  # of all shards
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        averages = means.means(self._sum)
        return {"learning_rate": rate, **averages, "gradient_norm": float(norm)}

    @torch.no_grad()
    def mean_loss(
        self, plan: Sequence[Sequence[Sample]], opener: Opener[_Batch], workers: int
    ) -> float:
        """The loss of planned batches as the model stands; a balanced weight counts as 1."""
        self.objective.eval()
        means = _Means()
        for batch in batch_loader(opener(plan, augment=False, share=self.share), workers=workers):
            value, _ = self.objective(
                batch.to(self.accelerator.device), self.recipe.heatmap_weight()
            )
            means.add({"loss": value}, batch.count)
        return means.means(self._sum)["loss"]

    def agrees(self, wish: bool) -> bool:
        """What the main process wishes, to all."""
        wished = self._sum(torch.tensor(float(wish and self.is_main)))
        return bool(wished.item())

    def _sum(self, value: Tensor) -> Tensor:
        if self.accelerator.num_processes == 1:
            return value
        summed: Tensor = self.accelerator.reduce(value.to(self.accelerator.device), "sum")
        return summed


class _Means:
    """Means of losses over batches of different sizes, and over processes."""

    def __init__(self) -> None:
        self.sums = torch.zeros(len(_LOGGED), 2, dtype=torch.float64)

    def add(self, values: Mapping[str, Tensor], count: int) -> None:
        for name, value in values.items():
            row = self.sums[_LOGGED.index(name)]
            row += torch.tensor([float(value.detach()) * count, count])

    def means(self, over_processes: Any) -> dict[str, float]:
        sums = over_processes(self.sums).tolist()
        named = zip(_LOGGED, sums, strict=True)
        return {name: total / count for name, (total, count) in named if count}


def _batches(
    plan: Any,
    recipe: Recipe,
    opener: Opener[_Batch],
    loop: _Loop[Any, _Batch],
    done: int,
    workers: int,
) -> Iterator[_Batch]:
    """This process's parts of all batches from step `done` on, in order."""
    per_epoch = len(plan(epoch=0))
    for epoch in range(done // per_epoch, recipe.epochs):
        seed = (recipe.seed, epoch, 1)
        dataset = opener(plan(epoch=epoch), augment=recipe.augment, seed=seed, share=loop.share)
        first = max(done - epoch * per_epoch, 0) * recipe.micro_batches
        yield from batch_loader(dataset, first=first, workers=workers)


def _step_seed(seed: int, step: int, process: int) -> int:
    of_process = [process] if process else []
    return int(
        np.random.SeedSequence([seed, step, *of_process]).generate_state(1, np.uint64)[0] >> 1
    )
