"""The loop: a model, samples and a recipe to trained weights; stops and resumes exactly."""

import csv
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from tqdm import tqdm

from training.batch import Batch
from training.checkpoint import load_progress, save_progress
from training.data.mixture import BatchDataset, ViewSpec, batch_loader, plan_epoch
from training.data.sample import Sample
from training.recipe import Recipe

_LOG_FIELDS = ("step", "learning_rate", "loss", "label_loss", "gaze_loss", "gradient_norm")


_Model = TypeVar("_Model", bound=nn.Module)
Loss = Callable[[_Model, Batch, float], tuple[Tensor, dict[str, Tensor]]]


def train(
    model: _Model,
    samples: Mapping[str, Sequence[Sample]],
    recipe: Recipe,
    run: Path,
    *,
    loss: Loss[_Model],
    view: ViewSpec,
    device: torch.device,
    mixes_gaze: bool = False,
    workers: int = 0,
    save_every: float = 300.0,
    stop_after: int | None = None,
) -> int:
    """Train the model's free parameters in place; goes on from the newest checkpoint in `run`.

    Data order, augmentation and dropout come from seed and step alone, so a resumed run repeats
    an unbroken one.

    Args:
        model: what `requires_grad` in it is trained.
        samples: of each dataset, by its name.
        recipe: all settings.
        run: folder for checkpoints and `log.csv`.
        loss: of model, batch and heatmap weight: the scalar to descend, and parts to log.
        view: what the model wants to see.
        device: where to compute.
        mixes_gaze: gaze stands within the batches; the paper keeps it apart.
        workers: processes that prepare batches.
        save_every: seconds between two checkpoints.
        stop_after: stop when this many steps are done, with a checkpoint.

    Returns:
        Steps done in all.
    """
    model.to(device)
    free = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(free, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    plan = partial(plan_epoch, samples, batch=recipe.batch, seed=recipe.seed, mixes_gaze=mixes_gaze)
    per_epoch = len(plan(epoch=0))
    total = recipe.epochs * per_epoch
    done = load_progress(run, model, optimizer)
    last = total if stop_after is None else min(total, stop_after)
    run.mkdir(parents=True, exist_ok=True)
    saved = time.monotonic()
    batches = _batches(plan, recipe, view, per_epoch, done, workers)
    with _Log(run / "log.csv", done) as log, tqdm(total=total, initial=done, unit="step") as bar:
        for step in range(done, last):
            model.train()
            rate = learning_rate(step, total, recipe)
            for group in optimizer.param_groups:
                group["lr"] = rate
            batch = next(batches)  # a new epoch's loader draws from torch's generator
            torch.manual_seed(_step_seed(recipe.seed, step))  # dropout
            row = _step(model, batch, loss, recipe, optimizer, free, device)
            log.write({"step": step, "learning_rate": rate} | row)
            bar.update()
            bar.set_postfix(loss=f"{row['loss']:.3f}", refresh=False)
            if time.monotonic() - saved > save_every or step + 1 == last:
                save_progress(run, model, optimizer, step + 1)
                saved = time.monotonic()
    return last


def _step(
    model: _Model,
    batch: Batch,
    loss: Loss[_Model],
    recipe: Recipe,
    optimizer: torch.optim.Optimizer,
    free: list[torch.nn.Parameter],
    device: torch.device,
) -> dict[str, float]:
    with torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bf16"):
        total, parts = loss(model, batch.to(device), recipe.heatmap_weight)
    torch.autograd.backward(total)
    norm = clip_grad_norm_(free, recipe.gradient_norm)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    values = {name: float(value) for name, value in parts.items()}
    return {"loss": float(total.detach()), "gradient_norm": float(norm), **values}


def learning_rate(step: int, total: int, recipe: Recipe) -> float:
    """Linear warm-up, then half a cosine to zero at `total` (paper, section 4.1)."""
    warmup = min(recipe.warmup, total // 2)  # short runs still get a decay
    if step < warmup:
        return recipe.learning_rate * (step + 1) / warmup
    progress = (step - warmup) / max(total - warmup, 1)
    return recipe.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


def _batches(
    plan: Callable[..., list[list[Sample]]],
    recipe: Recipe,
    view: ViewSpec,
    per_epoch: int,
    done: int,
    workers: int,
) -> Iterator[Batch]:
    for epoch in range(done // per_epoch, recipe.epochs):
        dataset = BatchDataset(
            plan(epoch=epoch), view, augment=recipe.augment, seed=(recipe.seed, epoch, 1)
        )
        first = done - epoch * per_epoch if done > epoch * per_epoch else 0
        yield from batch_loader(dataset, first=first, workers=workers)


def _step_seed(seed: int, step: int) -> int:
    return int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0] >> 1)


class _Log:
    """`log.csv`, a row a step; rows after the step that a resumed run goes on from are dropped."""

    def __init__(self, path: Path, done: int) -> None:
        kept = []
        if path.exists():
            with path.open(newline="", encoding="utf-8") as old:
                kept = [row for row in csv.DictReader(old) if int(row["step"]) < done]
        self._file = path.open("w", newline="", encoding="utf-8", buffering=1)
        self._writer = csv.DictWriter(self._file, _LOG_FIELDS, restval="")
        self._writer.writeheader()
        self._writer.writerows(kept)

    def write(self, row: Mapping[str, float]) -> None:
        self._writer.writerow(
            {name: f"{value:.6g}" if name != "step" else int(value) for name, value in row.items()}
        )

    def __enter__(self) -> "_Log":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
