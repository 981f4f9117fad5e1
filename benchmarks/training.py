"""A training step against a plain loop over the same weights and data: time, memory, MFU."""

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeVar

import click
import numpy as np
import torch

from benchmarks import measured_on as machine
from benchmarks.plain_loop import mixed_tasks
from benchmarks.training_step import (
    BLOCKS,
    OURS,
    PAPER_BATCH,
    PLAIN,
    VARIANTS,
    Memory,
    Settings,
    Timing,
    count_full_size,
    measure_memory,
    measure_time,
)

_Result = TypeVar("_Result")

_ON_GPU = (
    "python -m benchmarks.training --layers 16 --batch 32 --steps 10 --precision bf16 --device cuda"
)
# Dense bfloat16 products per second, as NVIDIA's data sheets give them.
_SHEETS = {"H200": 989e12, "H100 PCIe": 756e12, "H100 NVL": 835e12, "H100": 989e12, "A100": 312e12}


def page_parts(
    settings: Settings,
    memories: dict[str, Memory | None],
    timing: Timing,
    full: dict[str, int],
) -> list[str]:
    """The result in tables, and what was compared."""
    asked = _listed(mixed_tasks(settings.batch))
    plain_rows, rows = timing.tokens
    parts = [
        f"Preset `{settings.preset}`, its widths, {settings.layers} blocks of the language model "
        f"and {settings.encoder_layers} of the encoder, random weights; {settings.precision} on "
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
        f"MFU is useful operations, as `sfedge_training.analysis.flops` counts them, in parts of "
        f"{timing.peak / 1e12:.3g} TFLOP/s, what a large product in {settings.precision} reached"
        + (f", then of {s / 1e12:.0f}, the data sheet's." if (s := _sheet(settings)) else "."),
        "The fewer blocks, the more the logits weigh, which the plain loop makes of every token. "
        f"By count, at full depth with a batch of {PAPER_BATCH}:",
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
        "step adds to model, optimizer and data. By count of products it has "
        f"{timing.planned[PLAIN] / timing.planned[OURS]:.2f} times less to compute. Before any "
        "step the losses are "
        f"{off:.1e} apart, and gradients at most {gradient_off:.1e}, in parts of each parameter's "
        "largest."
    ]


def _packages() -> str:
    return ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "peft"))


def _listed(tasks: Sequence[str]) -> str:
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
@click.option("--preset", type=click.Choice([*BLOCKS]), default="paper", show_default=True)
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
    words = " ".join(f"--{name} {value}" for name, value in asdict(settings).items())
    memories = {variant: _apart(measure_memory, settings, variant) for variant in VARIANTS}
    fitting = [variant for variant, memory in memories.items() if memory is not None]
    timing = _apart(measure_time, settings, fitting)
    parts = page_parts(settings, memories, timing, count_full_size(settings.preset))
    machine.write_page(
        out, "A training step", f"python -m benchmarks.training {words}", facts, parts
    )
    print(out.read_text(encoding="utf-8"))


def _apart(measure: Callable[..., _Result], *arguments: Any) -> _Result:
    """A measurement in a process of its own; what they all import is imported once."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["benchmarks.training_step"])
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(measure, *arguments).result()


if __name__ == "__main__":
    main()
