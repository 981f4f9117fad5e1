"""The network's graphs in PyTorch on a device: a frame of three people, 17 queries, part by part.

It is what the exact savings come to where no engine and no bundle is at hand: one pass of the
encoder a view, prompts as keys and values, answers at the last position. Weights are random.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import measured_on as machine
from benchmarks.full_size_run import built, three_people
from sfedge.core.boxes import patch_mask
from sfedge.core.structures import Query
from sfedge_export.exported_decoder import HIDDEN
from sfedge_export.exported_graphs import build_graphs
from sfedge_training.analysis.flops import encoder_flops
from sfedge_training.model.model_config import PRESETS
from sfedge_training.model.social_fusion import SocialFusion

PARTS = ("encoder", "connector", "trunk", "answer and gaze")
_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16, "fp32": torch.float32}
_WARM_UP = 3  # frames
_SIDES = {"cuda": 8192, "cpu": 1024}  # of the square product that is the peak
_LONG_ENOUGH = 2.0  # seconds; a CPU without instructions for bf16 takes seconds for one product

Mark = Callable[[], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One run."""

    preset: str
    device: str
    precision: str
    batch: int
    frames: int


class Stopwatch:
    """Seconds between marks: on a GPU by its own events, else by the clock."""

    def __init__(self, device: torch.device) -> None:
        self._is_cuda = device.type == "cuda"
        self._events: list[torch.cuda.Event] = []
        self._times: list[float] = []

    def mark(self) -> None:
        """Note the time at which all that was asked for so far is done."""
        if self._is_cuda:
            event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            event.record()
            self._events.append(event)
        else:
            self._times.append(time.perf_counter())

    def seconds(self) -> list[float]:
        """From each mark to the next; waits for the device."""
        if not self._is_cuda:
            return [b - a for a, b in pairwise(self._times)]
        torch.cuda.synchronize()
        return [a.elapsed_time(b) / 1000 for a, b in pairwise(self._events)]


class Reference:
    """A network's graphs on a device, with all that a frame's queries need.

    Args:
        model: on the CPU, in float32; it is used up.
        queries: of one frame, answers first, then heatmaps.
        settings: device, precision, and most samples in one pass.
    """

    def __init__(self, model: SocialFusion, queries: Sequence[Query], settings: Settings) -> None:
        self.device, self.batch = torch.device(settings.device), settings.batch
        place = self.device, _TYPES[settings.precision]
        shape, count = model.lm.config, model.token_grid**2
        views = list(dict.fromkeys(query.view for query in queries))
        tasks = list(dict.fromkeys(query.task.name for query in queries))
        longest = max(len(prompt) for prompt in model.prompts.values())
        graphs = build_graphs(model, model.lm, [*model.answer_ids.values()], longest)
        graphs["encoder"] = model.encoder  # with PyTorch's own attention, not in plain operations
        self._run = {name: graph.eval().to(*place) for name, graph in graphs.items()}
        random = torch.Generator().manual_seed(0)
        side = model.encoder.input.size
        self._images = torch.randn(len(views), 3, side, side, generator=random).to(*place)
        kv_heads = shape.num_key_value_heads or shape.num_attention_heads
        head_width = shape.head_dim or shape.hidden_size // shape.num_attention_heads
        kept = (shape.num_hidden_layers, 2, kv_heads, longest, head_width)
        self._past = torch.randn(len(tasks), *kept, generator=random).to(*place)
        self._padding = torch.zeros(len(tasks), longest)
        for row, task in enumerate(tasks):
            self._padding[row, : longest - len(model.prompts[task])] = HIDDEN
        self._padding = self._padding.to(*place)
        masks = [patch_mask(query.boxes, model.token_grid) for query in queries]
        self._masks = torch.stack([torch.from_numpy(mask) for mask in masks]).to(*place)
        whose = [(views.index(q.view), tasks.index(q.task.name)) for q in queries]
        self._view, self._task = torch.tensor(whose, device=self.device).T
        self._answers = sum(query.task.output == "label" for query in queries)
        self.views, self.queries, self.tokens = len(views), len(queries), count

    @torch.inference_mode()
    def frame(self, mark: Mark) -> tuple[Tensor, Tensor]:
        """One frame's logits [answers, R] and heatmaps [gazes, 64, 64]; a mark after each part."""
        mark()
        views = [*self._batches(0, self.views)]
        features = [self._run["encoder"](self._images[part]) for part in views]
        mark()
        tokens = torch.cat([self._run["connector"](features=part) for part in features])
        mark()
        # Answers and heatmaps go in runs of their own, as in the runtime.
        parts = [*self._batches(0, self._answers), *self._batches(self._answers, self.queries)]
        hidden = [
            self._run["trunk"](
                tokens=tokens[self._view[part]],
                past=self._past[self._task[part], :-1],
                padding=self._padding[self._task[part]],
                box_mask=self._masks[part],
            )
            for part in parts
        ]
        mark()
        logits: list[Tensor] = []
        heatmaps: list[Tensor] = []
        for part, states in zip(parts, hidden, strict=True):
            name, found = ("answer", logits) if part.start < self._answers else ("gaze", heatmaps)
            last, padding = self._past[self._task[part], -1], self._padding[self._task[part]]
            found.append(self._run[name](hidden=states, past_last=last, padding=padding))
        whole = torch.cat(logits), torch.cat(heatmaps)
        mark()
        return whole

    def _batches(self, start: int, end: int) -> Iterator[slice]:
        for first in range(start, end, self.batch):
            yield slice(first, min(first + self.batch, end))


def operations(reference: Reference, encoder: int) -> list[int]:
    """Of each part of a frame, as PyTorch counts them while it runs.

    Args:
        reference: what runs.
        encoder: operations of a view in the encoder, whose own attention the counter may not know.
    """
    counts: list[int] = []
    with FlopCounterMode(display=False) as counter:
        reference.frame(lambda: counts.append(counter.get_total_flops()))
    return [reference.views * encoder, *(b - a for a, b in pairwise(counts[1:]))]


def peak(device: torch.device, dtype: torch.dtype) -> float:
    """The most operations per second of a large square product."""
    side = _SIDES[device.type]
    a, b = (torch.randn(side, side).to(device, dtype) for _ in range(2))
    times = []
    for _ in range(10):
        watch = Stopwatch(device)
        watch.mark()
        a @ b
        watch.mark()
        times += watch.seconds()
        if sum(times) > _LONG_ENOUGH:
            break
    return 2 * side**3 / min(times)


@click.command()
@click.option("--preset", type=click.Choice([*PRESETS]), default="paper", show_default=True)
@click.option("--device", type=click.Choice(["cuda", "cpu"]), default="cuda", show_default=True)
@click.option("--precision", type=click.Choice([*_TYPES]), default="bf16", show_default=True)
@click.option(
    "--batch", default=17, show_default=True, type=click.IntRange(1), help="Most in one pass."
)
@click.option("--frames", default=20, show_default=True, type=click.IntRange(1), help="Timed.")
@click.option("--out", type=click.Path(path_type=Path), default=machine.RESULTS / "reference.md")
def main(out: Path, **options: Any) -> None:
    """Time a frame of 17 queries in PyTorch, random weights, on a GPU or a processor."""
    facts, settings = machine.describe(), Settings(**options)
    device = torch.device(settings.device)
    queries = sorted(three_people(), key=lambda query: query.task.output == "heatmap")
    model = built(settings.preset)
    encoder = encoder_flops(model.encoder)
    reference = Reference(model, queries, settings)
    counted = operations(reference, encoder)
    for _ in range(_WARM_UP):
        reference.frame(lambda: None)
    frames = []
    for _ in range(settings.frames):
        watch = Stopwatch(device)
        reference.frame(watch.mark)
        frames.append(watch.seconds())
    parts = page_parts(
        settings, reference, frames, counted, peak(device, _TYPES[settings.precision])
    )
    words = " ".join(f"--{name} {value}" for name, value in asdict(settings).items())
    machine.write_page(
        out, "A frame in PyTorch", f"python -m benchmarks.reference {words}", facts, parts
    )
    print(out.read_text(encoding="utf-8"))


def page_parts(
    settings: Settings,
    reference: Reference,
    frames: Sequence[Sequence[float]],
    counted: Sequence[int],
    best: float,
) -> list[str]:
    """The table, and what was run.

    Args:
        settings: of the run.
        reference: what ran.
        frames: seconds of each part, of each frame.
        counted: operations of each part.
        best: operations per second of a large product.
    """
    whole = machine.median(sum(frame) for frame in frames)
    seconds = [machine.median(frame[number] for frame in frames) for number in range(len(PARTS))]
    rows = [
        (name, machine.milliseconds(took), f"{work / 1e12:.3g}", f"{work / took / 1e12:.3g}",
         f"{work / took / best:.0%}")
        for name, took, work in zip(
            (*PARTS, "whole frame"), (*seconds, whole), (*counted, sum(counted)), strict=True
        )
    ]  # fmt: skip
    where = f"torch {version('torch')}"
    if settings.device == "cuda":
        used = torch.cuda.max_memory_allocated() / 1e9
        where += f" on {torch.cuda.get_device_name()}, {used:.1f} GB of its memory at most"
    return [
        f"Preset `{settings.preset}`, random weights, {settings.precision}, {where}. A frame of "
        f"three people: {reference.views} views, {reference.queries} queries of "
        f"{reference.tokens} image tokens each, prompts padded to the longest, at most "
        f"{settings.batch} samples in one pass. Medians of {len(frames)} frames; pictures are on "
        "the device, detection and drawing are no part of it.",
        machine.table(("part", "ms", "TFLOP", "TFLOP/s", "of a large product's speed"), rows),
        f"A product of {_SIDES[settings.device]} x {_SIDES[settings.device]} matrices reached "
        f"{best / 1e12:.3g} TFLOP/s in the same run. {reference.queries / whole:.3g} queries a "
        "second.",
    ]


if __name__ == "__main__":
    main()
