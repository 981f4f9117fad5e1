"""One training step of a network, as a plain loop takes it and as this project does, measured."""

import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from benchmarks.plain_loop import mixed_tasks, plain_loss, plain_work, random_batch
from sfedge_training.analysis.flops import step_flops, useful_work
from sfedge_training.data.batch import Batch
from sfedge_training.loop.losses import loss
from sfedge_training.model.encoders import build_encoder
from sfedge_training.model.language import build_language, llama_3_2_1b, tiny_llama
from sfedge_training.model.model_config import PRESETS, ModelConfig
from sfedge_training.model.social_fusion import SocialFusion, add_lora, build_model, cast_frozen

PLAIN, OURS = "plain loop", "this project"
CHECKPOINTING, STORED = "this project, gradient checkpointing", "this project, stored features"
VARIANTS = (PLAIN, OURS, CHECKPOINTING, STORED)
BLOCKS = {"paper": (16, 24), "tiny": (4, 3)}  # of language model and encoder
PAPER_BATCH = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One run; as many of the encoder's blocks run as of the language model's, in proportion."""

    preset: str
    layers: int
    batch: int
    steps: int
    precision: Literal["fp32", "bf16"]
    device: str

    @property
    def encoder_layers(self) -> int:
        """Blocks of the encoder that run."""
        full, encoder_blocks = BLOCKS[self.preset]
        return round(encoder_blocks * self.layers / full)


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes: with model, optimizer and data in place, and at the peak of a step."""

    loaded: int
    peak: int


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds of each step by variant, and what is needed to judge them."""

    seconds: dict[str, list[float]]
    differences: tuple[float, float]  # of loss and gradients, relative; without the plain loop none
    useful: dict[str, int]  # operations of a step, by count
    planned: dict[str, int]  # operations of a step as each goes about it
    tokens: tuple[int, int]  # rows through the language model, of the plain loop and here
    peak: float  # operations per second that the device was seen to reach
    load: float  # of the machine meanwhile, this run with it


def build(settings: Settings) -> SocialFusion:
    """The network at its preset's widths with random weights, on the device.

    LoRA, which starts as no change, gets random values, so that every gradient is something.
    """
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        model = build_model(_config(settings, Path(folder)))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.02)
    if settings.precision == "bf16":
        cast_frozen(model, torch.bfloat16)
    return model.to(settings.device).train()


def _config(settings: Settings, folder: Path) -> ModelConfig:
    """The preset with fewer blocks; `folder` holds the language model's sizes until it is built."""
    _, encoder_blocks = BLOCKS[settings.preset]
    llama = llama_3_2_1b() if settings.preset == "paper" else tiny_llama(640)
    llama.num_hidden_layers = settings.layers
    llama.save_pretrained(folder)
    return replace(
        PRESETS[settings.preset].without_weights(),
        encoder_layer=settings.encoder_layers - encoder_blocks - 1,
        language=str(folder),
    )


class _Bench:
    """A network, a batch and an optimizer, and a step of each variant on them."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.device = settings, torch.device(settings.device)
        self.model = build(settings)
        batch = random_batch(self.model, mixed_tasks(settings.batch)).to(self.device)
        with torch.no_grad(), self._precision():
            self.stored = replace(batch, images=self.model.encode(batch.images))
        self.batch = batch
        self.free = [p for p in self.model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self.free, lr=2e-4)

    def _precision(self) -> torch.autocast:
        is_half = self.settings.precision == "bf16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=is_half)

    def gradients(self, variant: str, *, samples: int | None = None) -> Tensor:
        """Leave a variant's gradients in the parameters; returns its loss."""
        self.optimizer.zero_grad(set_to_none=True)
        self.model.gradient_checkpointing = variant == CHECKPOINTING
        with self._precision():
            batch = _first(self.stored if variant == STORED else self.batch, samples)
            if variant == PLAIN:
                total = plain_loss(self.model, batch)
            else:
                total, _ = loss(self.model, batch, 1.0)
        torch.autograd.backward(total)
        return total.detach()

    def step(self, variant: str, *, samples: int | None = None) -> float:
        """Loss, gradients and the optimizer's step; returns the seconds they took."""
        begun = self._now()
        self.gradients(variant, samples=samples)
        clip_grad_norm_(self.free, 1.0)
        self.optimizer.step()
        return self._now() - begun

    def differences(self) -> tuple[float, float]:
        """Of loss and gradients from the plain loop's, in parts of its own largest values."""
        ours = float(self.gradients(OURS))
        own = [p.grad for p in self.free]
        plain = float(self.gradients(PLAIN))
        pairs = [
            (float((a - b.grad).abs().max()), float(b.grad.abs().max()))
            for a, b in zip(own, self.free, strict=True)
            if a is not None and b.grad is not None
        ]
        return abs(ours - plain) / plain, max(change / size for change, size in pairs)

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()


def _first(batch: Batch, samples: int | None) -> Batch:
    """The first samples of a batch, or all."""
    return Batch(
        images=batch.images[:samples],
        masks=batch.masks[:samples],
        tasks=batch.tasks[:samples],
        labels=batch.labels[:samples],
    )


def measure_memory(settings: Settings, variant: str) -> Memory | None:
    """A variant's memory in a process of its own; None where the device has too little."""
    bench = _Bench(settings)
    bench.step(OURS, samples=1)  # makes the optimizer's moments
    on_gpu = bench.device.type == "cuda"
    if on_gpu:
        loaded = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
    else:
        loaded = _own("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
    try:
        bench.step(variant)
    except torch.OutOfMemoryError:
        return None
    return Memory(loaded, torch.cuda.max_memory_allocated() if on_gpu else _own("VmHWM"))


def measure_time(settings: Settings, variants: Sequence[str]) -> Timing:
    """Steps of the variants in turn, after one to compare them and warm up."""
    bench = _Bench(settings)
    model, tasks = bench.model, bench.batch.tasks
    for variant in set(variants) - {PLAIN, OURS}:
        bench.gradients(variant)
    differences = bench.differences() if PLAIN in variants else (float("nan"),) * 2
    seconds: dict[str, list[float]] = {variant: [] for variant in variants}
    for _ in range(settings.steps):
        for variant in variants:
            seconds[variant].append(bench.step(variant))
    useful = {v: step_flops(model, tasks, stored=v == STORED) for v in variants}
    work = plain_work(model, tasks)
    return Timing(
        seconds=seconds,
        differences=differences,
        useful=useful,
        planned=useful | {PLAIN: step_flops(model, tasks, work=work)},
        tokens=(work.rows, useful_work(model, tasks).rows),
        load=os.getloadavg()[0],
        peak=_matmul_peak(bench.device, settings.precision),
    )


def count_full_size(preset: str) -> dict[str, int]:
    """Operations of a step of the paper's batch at full size."""
    layers, _ = BLOCKS[preset]
    whole = Settings(
        preset=preset, layers=layers, batch=PAPER_BATCH, steps=0, precision="fp32", device="cpu"
    )
    with tempfile.TemporaryDirectory() as folder:
        config = _config(whole, Path(folder))
        encoder = build_encoder(config.encoder, None, config.encoder_layer).to("meta")
        with torch.device("meta"):
            model = SocialFusion(config, encoder, *build_language(config))
            add_lora(model)
    tasks = mixed_tasks(PAPER_BATCH)
    return {
        PLAIN: step_flops(model, tasks, work=plain_work(model, tasks)),
        OURS: step_flops(model, tasks),
        STORED: step_flops(model, tasks, stored=True),
    }


def _matmul_peak(device: torch.device, precision: str) -> float:
    """The most multiplications and additions per second of a large square product."""
    side = 8192 if device.type == "cuda" else 2048
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    a, b = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    best = float("inf")
    for _ in range(10):
        begun = time.perf_counter()
        (a @ b)[0, 0].item()  # waits for the device
        best = min(best, time.perf_counter() - begun)
    return 2 * side**3 / best


def _own(field: str) -> int:
    """Bytes that Linux counts for this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise OSError(f"/proc/self/status has no {field}")
