"""How fast training's input comes: pictures in full, at reduced scale, by workers, and stored."""

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from itertools import cycle, islice
from pathlib import Path

import click
import numpy as np
import torch
from PIL import Image as Pillow
from PIL import ImageOps, features

from benchmarks import measured_on as machine
from benchmarks.people_pictures import empty_picture, large_people, portraits
from sfedge.core.boxes import FULL, Box
from sfedge.core.preprocess import InputSpec, crop, encoder_input, resize
from sfedge.core.structures import Image
from sfedge_training.analysis.flops import step_flops
from sfedge_training.data.batch import Batch
from sfedge_training.data.features import filled_store
from sfedge_training.data.mixture import BatchDataset, ViewSpec, batch_loader
from sfedge_training.data.sample import Sample
from sfedge_training.data.sample_picture import LEAST_LEFT, read_picture, read_view
from sfedge_training.model.model_config import PRESETS
from sfedge_training.model.social_fusion import SocialFusion, build_model

BATCH = 32
H100 = 989e12  # operations a second in bfloat16, not sparse: NVIDIA's data sheet of the H100 SXM
SHARE = 0.4  # of them that training is assumed to reach

STORED = "stored features"

Reader = Callable[[Sample, int], Image]
Rows = Iterator[tuple[str, ...]]


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


def differences(folder: Path) -> Rows:
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


def opening(kinds: Mapping[Kind, Sequence[Sample]], spec: InputSpec, seconds: float) -> Rows:
    """Encoder inputs that one core makes in a second of its time, in full and at reduced scale."""
    for kind, samples in kinds.items():
        rates = []
        for read in (in_full, read_view):
            turns = cycle(samples)
            rates.append(_rate(partial(_make_one, turns, read, spec), seconds, time.process_time))
        width, height = kind.size
        yield kind.task, f"{width} × {height}", kind.shown, *(f"{rate:.0f}" for rate in rates)


def batching(datasets: Mapping[str, BatchDataset], seconds: float) -> dict[str, list[float]]:
    """Samples a second: in a second of one core's time; by the clock from one worker and two."""
    found: dict[str, list[float]] = {}
    for way, dataset in datasets.items():
        alone = map(dataset.__getitem__, range(len(dataset)))
        found[way] = [_rate(partial(_next, alone), seconds, time.process_time)]
        for workers in (1, 2):
            batches = iter(batch_loader(dataset, workers=workers))
            found[way].append(_rate(partial(_next, batches), seconds, time.perf_counter))
    return found


def needing(model: SocialFusion, tasks: Sequence[str], rates: Mapping[str, list[float]]) -> Rows:
    """What an H100 is assumed to train, and how many cores have to work for that."""
    for way, (of_one_core, *_) in rates.items():
        operations = step_flops(model, tasks, stored=way == STORED) / len(tasks)
        trained = SHARE * H100 / operations
        cores = f"{trained / of_one_core:#.2g}".rstrip(".")
        yield way, f"{operations / 1e12:#.3g}", f"{trained:.0f}", cores


def _make_one(turns: Iterator[Sample], read: Reader, spec: InputSpec) -> int:
    encoder_input(read(next(turns), spec.size), spec)
    return 1


def _next(batches: Iterator[Batch]) -> int:
    return len(next(batches).tasks)


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
    facts = f"{machine.describe()}\n- {_software()}"
    config = PRESETS[preset]
    model = build_model(config.without_weights())
    spec = ViewSpec(model.encoder.input, model.token_grid)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kinds = write_samples(folder)
        apart = list(differences(folder))
        opened = list(opening(kinds, spec.input, seconds))
        samples = [sample for of in zip(*kinds.values(), strict=True) for sample in of]
        begun = time.perf_counter()
        store = filled_store(
            folder / "store",
            model.encoder,
            samples,
            encoder_name=config.encoder,
            layer=config.encoder_layer,
            precision="fp32",
            device=torch.device("cpu"),
        )
        pause, size = (time.perf_counter() - begun) / len(store), store.get(samples[0]).nbytes
        batch = list(islice(cycle(samples), BATCH))
        plan, stored = [batch] * 10**6, replace(spec, features=store)
        rates = batching(
            {
                "pictures in full": BatchDataset(plan, spec, augment=False),
                "pictures at reduced scale, augmented": BatchDataset(plan, spec, augment=True),
                STORED: BatchDataset(plan, stored, augment=False),
            },
            seconds,
        )
    parts = [
        "JPEGs of quality 90 with halved colours, made from photographs that packages carry, about "
        f"as large as the datasets' pictures. Input of {spec.input.size} pixels, of preset "
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
            ("task", "pixels", "shown", "pictures in full", "pictures at reduced scale"), opened
        ),
        f"Batches of {BATCH} of these five in equal parts: samples a second. By the clock, workers "
        "share the cores with all else that runs, see the load above, and with the "
        "process that takes their batches. A view's stored features are "
        f"{size / 1e6:#.3g} MB in float32, as here, and half of that in bfloat16; they are read "
        "again and again, so from the system's cache.",
        machine.table(
            ("source", "one core's second", "1 worker, by the clock", "2 workers, by the clock"),
            [(way, *(f"{rate:.0f}" for rate in of)) for way, of in rates.items()],
        ),
        f"To fill the store, the encoder, with random weights, took {pause:.2g} s a view on this "
        "CPU in float32.",
        "**An estimate, not measured:** what a GPU needs to stay busy. "
        "`sfedge_training.analysis.flops` counts "
        "the operations of a sample. NVIDIA's data sheet gives an H100 SXM "
        f"{H100 / 1e12:.0f} TFLOP a second in bfloat16; training is assumed to reach {SHARE:.0%} "
        "of it. Cores are this machine's, at the rates of one core's second.",
        machine.table(
            ("source", "TFLOP a sample", "samples a second", "cores"),
            needing(model, [sample.task for sample in batch], rates),
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
