"""The loop for baselines: that of `training.train`, on questions and answers.

That loop opens samples as square encoder inputs, box masks and heatmaps, from which boxes and
points cannot be had as text; only what opens a batch differs here.
"""

import csv
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from torch.nn.utils import clip_grad_norm_
from tqdm import tqdm

from training.checkpoint import load_progress, save_progress
from training.data.mixture import plan_epoch
from training.data.sample import Sample
from training.recipe import Recipe
from training.train import learning_rate
from training.vlm.batches import ChatBatch, ChatDataset, chat_loader
from training.vlm.model import VisionLanguageModel, answer_loss

_LOG_FIELDS = ("step", "learning_rate", "loss", "label_loss", "gaze_loss", "gradient_norm")


def train_baseline(
    model: VisionLanguageModel,
    samples: Mapping[str, Sequence[Sample]],
    recipe: Recipe,
    run: Path,
    *,
    device: torch.device,
    workers: int = 0,
    save_every: float = 300.0,
    stop_after: int | None = None,
) -> int:
    """Train the model's LoRA in place; goes on from the newest checkpoint in `run`.

    Data order, augmentation and dropout come from seed and step alone, so a resumed run repeats
    an unbroken one. Gaze, being text, is mixed within the batches as every other task.

    Args:
        model: the baseline.
        samples: of each dataset, by its name; one for training on a single one.
        recipe: all settings.
        run: folder for checkpoints and `log.csv`.
        device: where to compute.
        workers: processes that prepare batches.
        save_every: seconds between two checkpoints.
        stop_after: stop when this many steps are done, with a checkpoint.

    Returns:
        Steps done in all.
    """
    model.to(device)
    free = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(free, lr=recipe.learning_rate, weight_decay=recipe.weight_decay)
    per_epoch = len(_plan(samples, recipe, 0))
    total = recipe.epochs * per_epoch
    done = load_progress(run, model, optimizer)
    last = total if stop_after is None else min(total, stop_after)
    run.mkdir(parents=True, exist_ok=True)
    log = run / "log.csv"
    _cut_log(log, done)
    saved = time.monotonic()
    batches = _batches(model, samples, recipe, per_epoch, done, workers)
    with tqdm(total=total, initial=done, unit="step") as bar:
        for step in range(done, last):
            model.train()
            rate = learning_rate(step, total, recipe)
            for group in optimizer.param_groups:
                group["lr"] = rate
            batch = next(batches).to(device)  # a new epoch's loader draws from torch's generator
            torch.manual_seed(_step_seed(recipe.seed, step))  # dropout
            with torch.autocast(device.type, torch.bfloat16, enabled=recipe.precision == "bf16"):
                loss, parts = answer_loss(model, batch, recipe.heatmap_weight)
            torch.autograd.backward(loss)
            norm = clip_grad_norm_(free, recipe.gradient_norm)
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
            row = {
                "learning_rate": rate,
                "loss": float(loss.detach()),
                "gradient_norm": float(norm),
            }
            _append_log(log, step, row | {name: float(value) for name, value in parts.items()})
            bar.update()
            bar.set_postfix(loss=f"{row['loss']:.3f}", refresh=False)
            if time.monotonic() - saved > save_every or step + 1 == last:
                save_progress(run, model, optimizer, step + 1)
                saved = time.monotonic()
    return last


def _plan(
    samples: Mapping[str, Sequence[Sample]], recipe: Recipe, epoch: int
) -> list[list[Sample]]:
    return plan_epoch(samples, batch=recipe.batch, seed=recipe.seed, epoch=epoch, mixes_gaze=True)


def _batches(
    model: VisionLanguageModel,
    samples: Mapping[str, Sequence[Sample]],
    recipe: Recipe,
    per_epoch: int,
    done: int,
    workers: int,
) -> Iterator[ChatBatch]:
    for epoch in range(done // per_epoch, recipe.epochs):
        dataset = ChatDataset(
            _plan(samples, recipe, epoch),
            model.adapter,
            answers=True,
            augment=recipe.augment,
            seed=(recipe.seed, epoch, 1),
        )
        yield from chat_loader(dataset, first=max(done - epoch * per_epoch, 0), workers=workers)


def _step_seed(seed: int, step: int) -> int:
    return int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0] >> 1)


def _cut_log(log: Path, done: int) -> None:
    """Drop the rows after the step that a resumed run goes on from."""
    kept = []
    if log.exists():
        with log.open(newline="", encoding="utf-8") as old:
            kept = [row for row in csv.DictReader(old) if int(row["step"]) < done]
    with log.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, _LOG_FIELDS)
        writer.writeheader()
        writer.writerows(kept)


def _append_log(log: Path, step: int, values: Mapping[str, float]) -> None:
    row: dict[str, object] = {name: f"{value:.6g}" for name, value in values.items()}
    with log.open("a", newline="", encoding="utf-8") as file:
        csv.DictWriter(file, _LOG_FIELDS, restval="").writerow({"step": step} | row)
