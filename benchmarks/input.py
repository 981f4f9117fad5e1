"""How fast training's input comes: pictures in full, at reduced scale, by workers, and stored."""

import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from itertools import cycle, islice
from pathlib import Path

import click
import numpy as np
import torch
from PIL import Image as Pillow
from PIL import ImageOps, features

from benchmarks import machine
from benchmarks.pictures import empty_picture, large_people, portraits
from sfedge.boxes import FULL, Box
from sfedge.preprocess import InputSpec, crop, encoder_input, resize
from sfedge.structures import Image
from training.config import PRESETS
from training.data.mixture import BatchDataset, ViewSpec, batch_loader
from training.data.pictures import LEAST_LEFT, read_picture, read_view
from training.data.sample import Sample
from training.features import filled_store
from training.flops import step_flops
from training.model import SocialFusion, build_model

BATCH = 32
H100 = 989e12  # operations a second in bfloat16, not sparse: NVIDIA's data sheet of the H100 SXM
SHARE = 0.4  # of them that training is assumed to reach

Reader = Callable[[Sample, int], Image]


@dataclass(frozen=True, slots=True)
class Kind:
    """Pictures about as large as a dataset's, and what training shows of them."""

    task: str
    size: tuple[int, int]  # width, height in pixels
    view: Box
    shown: str


KINDS = (
    Kind("expression", (425, 425), FULL, "the whole"),
    Kind("gesture", (1920, 1080), FULL, "the whole"),
    Kind("looking_at_me", (1920, 1080), Box(0.42, 0.2, 0.55, 0.43), "a face"),
    Kind("gaze", (640, 480), FULL, "the whole"),
    Kind("relation", (1024, 768), Box(0.2, 0.05, 0.7, 1.0), "two people"),
)
PART = Box(0.103, 0.051, 0.707, 0.808)


def photographs() -> list[Image]:
    """What packages carry: two portraits, a motorcycle, and both portraits before gravel."""
    frame, _ = large_people(2)
    return [*(person.image for person in portraits()), empty_picture("motorcycle"), frame]


def write_samples(folder: Path) -> dict[Kind, list[Sample]]:
    """The photographs in the size of each kind."""
    written: dict[Kind, list[Sample]] = {}
    for number, kind in enumerate(KINDS):
        is_gaze = kind.task == "gaze"
        for index, picture in enumerate(photographs()):
            path = folder / f"{number}-{index}.jpg"
            _save(ImageOps.fit(Pillow.fromarray(picture), kind.size), path)
            sample = Sample(
                image=path,
                task=kind.task,
                view=kind.view,
                label=None if is_gaze else 0,
                points=((0.5, 0.5),) if is_gaze else (),
            )
            written.setdefault(kind, []).append(sample)
    return written


def in_full(sample: Sample, size: int) -> Image:
    """A view as evaluation and the runtime make it."""
    return resize(crop(read_picture(sample), sample.view), size)


def differences(folder: Path) -> Iterator[tuple[str, ...]]:
    """How far views at reduced scale are from those in full, where the fewest pixels remain."""
    samples = []
    for index, picture in enumerate(photographs()):
        path = folder / f"photograph-{index}.jpg"
        _save(Pillow.fromarray(picture), path)
        samples += [Sample(image=path, task="gaze", view=view) for view in (FULL, PART)]
    for scale, left in sorted(LEAST_LEFT.items()):
        found = []
        for sample in samples:
            height, width = crop(read_picture(sample), sample.view).shape[:2]
            size = int(min(height, width) / (left * scale))
            found.append(np.abs(read_view(sample, size).astype(float) - in_full(sample, size)))
        means = [float(change.mean()) for change in found]
        largest = max(float(change.max()) for change in found)
        mean, worst = f"{np.mean(means):.2f}", f"{max(means):.2f}"
        yield f"1/{scale}", f"{left:g}", str(len(found)), mean, worst, f"{largest:.0f}"


def opened(samples: Sequence[Sample], read: Reader, spec: InputSpec, seconds: float) -> float:
    """Encoder inputs that one core makes in a second of its own time."""
    turns = cycle(samples)

    def work() -> int:
        encoder_input(read(next(turns), spec.size), spec)
        return 1

    return _rate(work, seconds, time.process_time)


def loaded(dataset: BatchDataset, workers: int, seconds: float) -> float:
    """Samples a second that come out of a loader."""
    batches = iter(batch_loader(dataset, workers=workers))
    return _rate(lambda: len(next(batches).tasks), seconds, time.perf_counter)


def needed(model: SocialFusion, tasks: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Samples a second that a GPU asks for when it trains this model."""
    for source, stored in (("pictures", False), ("stored features", True)):
        operations = step_flops(model, tasks, stored=stored) / len(tasks)
        rates = (f"{share * H100 / operations:.0f}" for share in (SHARE, 1.0))
        yield source, f"{operations / 1e12:#.3g}", *rates


def _rate(work: Callable[[], int], seconds: float, clock: Callable[[], float]) -> float:
    """Units that `work` does a second; what it does first is left out."""
    work()
    done, begun, spent = 0, clock(), 0.0
    while spent < seconds:
        done += work()
        spent = clock() - begun
    return done / spent


def _save(picture: Pillow.Image, path: Path) -> None:
    picture.save(path, quality=90, subsampling="4:2:0")


@click.command()
@click.option("--preset", type=click.Choice(list(PRESETS)), default="paper", show_default=True)
@click.option("--seconds", default=10.0, show_default=True, help="Of each measurement.")
@click.option("--out", type=click.Path(path_type=Path), default=machine.RESULTS / "input.md")
def main(preset: str, seconds: float, out: Path) -> None:
    """Time training's input for the encoder of a preset."""
    facts = machine.describe() + f"\n- {_software()}"
    model = build_model(PRESETS[preset].without_weights())
    encoder, grid = model.encoder, model.token_grid
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kinds = write_samples(folder)
        samples = [sample for of in zip(*kinds.values(), strict=True) for sample in of]
        batch = list(islice(cycle(samples), BATCH))
        needs = list(needed(model, [sample.task for sample in batch]))
        apart = list(differences(folder))
        alone = []
        for kind, of in kinds.items():
            rates = [opened(of, read, encoder.input, seconds) for read in (in_full, read_view)]
            width, height = kind.size
            shown = (kind.task, f"{width} × {height}", kind.shown)
            alone.append((*shown, *(f"{rate:.0f}" for rate in rates)))
        begun = time.perf_counter()
        store = filled_store(
            folder / "store",
            encoder,
            samples,
            encoder_name=PRESETS[preset].encoder,
            layer=PRESETS[preset].encoder_layer,
            precision="bf16",
            device=torch.device("cpu"),
        )
        computed = len(store) / (time.perf_counter() - begun)
        ways = {
            "pictures in full": (ViewSpec(encoder.input, grid), False),
            "pictures at reduced scale, augmented": (ViewSpec(encoder.input, grid), True),
            "stored features": (ViewSpec(encoder.input, grid, store), False),
        }
        together = []
        for way, (view, augment) in ways.items():
            dataset = BatchDataset([batch] * 10**6, view, augment=augment)
            rates = [loaded(dataset, workers, seconds) for workers in (1, 2)]
            together.append((way, *(f"{rate:.0f}" for rate in rates)))
        feature = store.get(samples[0]).nbytes
    parts = [
        "JPEGs of quality 90 with halved colours, made from photographs that packages carry, about "
        f"as large as the datasets' pictures. Input of {encoder.input.size} pixels, of preset "
        f"`{preset}`.",
        "How far a view at reduced scale is from the same decoded in full, of 255, where no more "
        "is left of it than has to be: a multiple of what is wanted each way. Half of the views "
        "are crops whose corners are no multiples of the scale.",
        machine.table(
            ("scale", "least left", "views", "mean", "worst view's mean", "largest"), apart
        ),
        "Reading, cropping, resizing and normalising: pictures in a second of one core's time. "
        "Most faces are no larger than the input: their pictures have to be decoded in full.",
        machine.table(
            ("task", "pixels", "shown", "pictures in full", "pictures at reduced scale"), alone
        ),
        f"Batches of {BATCH} of these five in equal parts: samples a second by the clock. A view's "
        f"stored features are {feature / 1e6:.2f} MB; they come from the system's cache, as they "
        "are read again and again. A disk has to keep up with that.",
        machine.table(("source", "1 worker", "2 workers"), together),
        "To fill the store, the encoder, here with random weights, computed "
        f"{computed:.2f} views a second on this CPU.",
        "**An estimate, not measured:** what a GPU needs to stay busy. `training/flops.py` counts "
        "the operations of a sample. NVIDIA's data sheet gives an H100 SXM "
        f"{H100 / 1e12:.0f} TFLOP a second in bfloat16; training is assumed to reach {SHARE:.0%} "
        "of it.",
        machine.table(
            ("source", "TFLOP a sample", f"samples a second at {SHARE:.0%}", "at most"), needs
        ),
    ]
    command = f"python -m benchmarks.input --preset {preset} --seconds {seconds:g}"
    machine.write_page(out, "Training's input", command, facts, parts)
    print(out.read_text(encoding="utf-8"))


def _software() -> str:
    jpeg = features.version("libjpeg_turbo")
    return f"Decoding: Pillow {version('Pillow')}, libjpeg-turbo {jpeg}, torch {version('torch')}"


if __name__ == "__main__":
    main()
