"""A training step against a plain loop over the same weights and data: time, memory, MFU."""

import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, TypeVar

import click
import numpy as np
import torch
from torch import Tensor
from torch.nn.utils import clip_grad_norm_

from benchmarks import machine
from benchmarks.plain_loop import mixed_tasks, plain_loss, plain_work, random_batch
from training.batch import Batch
from training.config import PRESETS, ModelConfig
from training.encoders import build_encoder
from training.flops import step_flops, useful_work
from training.language import build_language, llama_3_2_1b, tiny_llama
from training.losses import loss
from training.model import SocialFusion, add_lora, build_model, cast_frozen

PLAIN, OURS = "plain loop", "this project"
RECOMPUTE, STORED = "this project, recompute", "this project, stored features"
VARIANTS = (PLAIN, OURS, RECOMPUTE, STORED)

_Result = TypeVar("_Result")

_BLOCKS = {"paper": (16, 24), "tiny": (4, 3)}  # of language model and encoder
_PAPER_BATCH = 32
_ON_GPU = (
    "python -m benchmarks.training --layers 16 --batch 32 --steps 10 --precision bf16 --device cuda"
)
# Dense bfloat16 products per second, as NVIDIA's data sheets give them.
_SHEETS = {"H200": 989e12, "H100 PCIe": 756e12, "H100 NVL": 835e12, "H100": 989e12, "A100": 312e12}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One run; as many of the encoder's blocks run as of the language model's, in proportion."""

    preset: str
    layers: int
    batch: int
    steps: int
    precision: Literal["fp32", "bf16"]
    device: str


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
    _, encoder_blocks = _BLOCKS[settings.preset]
    llama = llama_3_2_1b() if settings.preset == "paper" else tiny_llama(640)
    llama.num_hidden_layers = settings.layers
    llama.save_pretrained(folder)
    return replace(
        PRESETS[settings.preset].without_weights(),
        encoder_layer=_encoder_blocks(settings) - encoder_blocks - 1,
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
        self.model.recompute = variant == RECOMPUTE
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
    layers, _ = _BLOCKS[preset]
    whole = Settings(
        preset=preset, layers=layers, batch=_PAPER_BATCH, steps=0, precision="fp32", device="cpu"
    )
    with tempfile.TemporaryDirectory() as folder:
        config = _config(whole, Path(folder))
        encoder = build_encoder(config.encoder, None, config.encoder_layer).to("meta")
        with torch.device("meta"):
            model = SocialFusion(config, encoder, *build_language(config))
            add_lora(model)
    tasks = mixed_tasks(_PAPER_BATCH)
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
    raise OSError(f"/proc/self/status tells no {field}")


def tell(
    settings: Settings,
    memories: dict[str, Memory | None],
    timing: Timing,
    full: dict[str, int],
) -> list[str]:
    """The result in tables, and what was compared."""
    encoder, asked = _encoder_blocks(settings), _told(mixed_tasks(settings.batch))
    plain_rows, rows = timing.tokens
    parts = [
        f"Preset `{settings.preset}`, its widths, {settings.layers} blocks of the language model "
        f"and {encoder} of the encoder, random weights; {settings.precision} on "
        f"{settings.device}, threads: {torch.get_num_threads()}; {_packages()}. "
        f"{settings.batch} samples: {asked}. The plain loop reads {plain_rows} tokens a step, this "
        f"project {rows}. A step is loss, gradients, clipping and AdamW; times are medians of "
        f"{settings.steps}, the variants in turn, under a load of {timing.load:.1f} with their "
        "own; memory is that of a process of its own for each.",
        machine.table(
            ("step", "s", "samples/s", "times as fast", "peak MiB", "of it for the step"),
            [_row(settings, variant, memories, timing) for variant in memories],
        ),
        *_against_plain(memories, timing),
        machine.table(
            ("step", "TFLOP by count", "useful TFLOP", "useful TFLOP/s", "MFU"),
            [_counted(variant, timing, settings) for variant in timing.seconds],
        ),
        f"MFU is useful operations, as `training/flops.py` counts them, in parts of "
        f"{timing.peak / 1e12:.3g} TFLOP/s, what a large product in {settings.precision} reached"
        + (f", then of {s / 1e12:.0f}, the data sheet's." if (s := _sheet(settings)) else "."),
        "The fewer blocks, the more the logits weigh, which the plain loop makes of every token. "
        f"By count, at full depth with a batch of {_PAPER_BATCH}:",
        machine.table(
            ("step at full size", "TFLOP by count", "times less"),
            [(n, f"{of / 1e12:.3g}", f"{full[PLAIN] / of:.2f}") for n, of in full.items()],
        ),
    ]
    if settings.device == "cpu":
        parts.append(f"Not run yet, for want of a GPU:\n\n```\n{_ON_GPU}\n```")
    return parts


def _against_plain(memories: dict[str, Memory | None], timing: Timing) -> list[str]:
    plain, ours = memories[PLAIN], memories[OURS]
    if plain is None or ours is None:
        return []
    off, gradient_off = timing.differences
    middle = {name: float(np.median(of)) for name, of in timing.seconds.items()}
    added = (ours.peak - ours.loaded) / (plain.peak - plain.loaded)
    return [
        f"This project makes {middle[PLAIN] / middle[OURS]:.2f} times the samples per second of "
        f"the plain loop in {ours.peak / plain.peak:.0%} of its peak memory, {added:.0%} of what a "
        "step adds to model, optimizer and data. Before any step the losses are "
        f"{off:.1e} apart, and gradients at most {gradient_off:.1e}, in parts of each parameter's "
        "largest."
    ]


def _encoder_blocks(settings: Settings) -> int:
    full, encoder_blocks = _BLOCKS[settings.preset]
    return round(encoder_blocks * settings.layers / full)


def _packages() -> str:
    return ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "peft"))


def _told(tasks: Sequence[str]) -> str:
    return ", ".join(f"{tasks.count(task)} {task}" for task in dict.fromkeys(tasks))


def _row(
    settings: Settings, variant: str, memories: dict[str, Memory | None], timing: Timing
) -> tuple[str, ...]:
    memory = memories[variant]
    if memory is None:
        return (variant, "out of memory", "", "", "", "")
    middle = {name: float(np.median(of)) for name, of in timing.seconds.items()}
    faster = f"{middle[PLAIN] / middle[variant]:.2f}" if PLAIN in middle else ""
    return (
        variant,
        f"{middle[variant]:.2f}",
        f"{settings.batch / middle[variant]:.3g}",
        faster,
        f"{memory.peak / 2**20:.0f}",
        f"{(memory.peak - memory.loaded) / 2**20:.0f}",
    )


def _counted(variant: str, timing: Timing, settings: Settings) -> tuple[str, ...]:
    rate = timing.useful[variant] / float(np.median(timing.seconds[variant]))
    shares = [rate / peak for peak in (timing.peak, _sheet(settings)) if peak]
    return (
        variant,
        f"{timing.planned[variant] / 1e12:.3g}",
        f"{timing.useful[variant] / 1e12:.3g}",
        f"{rate / 1e12:.3g}",
        ", ".join(f"{share:.0%}" for share in shares),
    )


def _sheet(settings: Settings) -> float | None:
    """Products per second that the GPU's data sheet gives, where it is known."""
    if settings.precision != "bf16" or not settings.device.startswith("cuda"):
        return None
    name = torch.cuda.get_device_name(settings.device)
    return next((peak for known, peak in _SHEETS.items() if known in name), None)


@click.command()
@click.option("--preset", type=click.Choice([*_BLOCKS]), default="paper", show_default=True)
@click.option("--layers", default=2, show_default=True, help="Of the language model; 16 are all.")
@click.option("--batch", default=4, show_default=True, help="Samples in a step.")
@click.option("--steps", default=3, show_default=True, help="Timed, of each variant.")
@click.option("--precision", type=click.Choice(["fp32", "bf16"]), default="fp32", show_default=True)
@click.option("--device", default="cpu", show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=machine.RESULTS / "training.md")
def main(out: Path, **options: Any) -> None:
    """Time a training step and take its memory, against a plain loop.

    At full size on a GPU: --layers 16 --batch 32 --steps 10 --precision bf16 --device cuda
    """
    facts = machine.describe()
    settings = Settings(**options)
    told = " ".join(f"--{name} {value}" for name, value in asdict(settings).items())
    memories = {variant: _apart(measure_memory, settings, variant) for variant in VARIANTS}
    fitting = [variant for variant, memory in memories.items() if memory is not None]
    timing = _apart(measure_time, settings, fitting)
    parts = tell(settings, memories, timing, count_full_size(settings.preset))
    machine.write_page(
        out, "A training step", f"python -m benchmarks.training {told}", facts, parts
    )
    print(out.read_text(encoding="utf-8"))


def _apart(measure: Callable[..., _Result], *arguments: Any) -> _Result:
    """A measurement in a process of its own."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(measure, *arguments).result()


if __name__ == "__main__":
    main()
