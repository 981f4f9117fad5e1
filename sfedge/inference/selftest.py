"""A bundle's self-test: answers that are known, compared before an engine's are believed.

Each bundle carries what its fp32 graphs answer, by PyTorch's measure, to one picture that is made
by arithmetic. At its first start on a machine, an engine answers the same queries, through the
very code that will answer from then on; it is used only if its answers are near enough. A pass is
remembered until the engine, the bundle or the machine changes.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from sfedge.bundle.bundle import Bundle
from sfedge.bundle.manifest import SELFTEST_NAME
from sfedge.core.boxes import FULL, Box
from sfedge.core.errors import BundleError, EngineError, OutputError
from sfedge.core.landmarks import INPUT_WIDTH, PRESENT, SLICES, Vector, without
from sfedge.core.structures import Frame, Image, Prediction, Query
from sfedge.core.tasks import HEATMAP_SIZE, Task
from sfedge.core.version import __version__
from sfedge.engines import Choice
from sfedge.engines.compiled import RECORD_NAME
from sfedge.system import cache
from sfedge.system.gpus import driver_version
from sfedge.system.machine import cpu_name

BOXES = (Box(0.1, 0.15, 0.45, 0.6), Box(0.55, 0.3, 0.9, 0.85))  # of the people in the picture

# How far answers may be from the stored ones, relative; a wrong answer is about 1 away or more.
_LIMITS = {"fp32": 1e-3, "fp16": 0.05, "bf16": 0.2}
_LIMIT_8_BITS = 0.5
_FLAT = 0.01  # standard deviation of a heatmap that counts at least; one that is flat has none

Array = NDArray[np.float64]
Ask = Callable[[Frame, Sequence[Query]], Iterable[Prediction]]
Progress = Callable[[int, int], None]  # tasks that are tested so far, and in all


def picture(size: int) -> Image:
    """Two discs before a gradient, (size, size, 3); in whole numbers, so the same everywhere.

    Bundles hold the answers to it: another picture would make every bundle fail.
    """
    rows, columns = np.indices((size, size))
    slope = 255 * columns // size, 255 * rows // size, 127 * (rows + columns) // size
    image = np.stack(slope, axis=-1).astype(np.uint8)
    for number, box in enumerate(BOXES):
        left, top, right, bottom = (
            round(edge * 1000) * size for edge in (box.x1, box.y1, box.x2, box.y2)
        )  # in thousandths of a pixel, as distances below
        across, down = 2000 * columns - left - right, 2000 * rows - top - bottom
        width, height = (right - left) // 100, (bottom - top) // 100
        is_inside = (across // width) ** 2 + (down // height) ** 2 < 100**2
        image[is_inside] = (220, 180, 150) if number == 0 else (120, 80, 60)
    return image


def landmarks() -> Vector:
    """Landmarks beside the picture, the other hand not known; as much made for this alone."""
    steps = np.arange(INPUT_WIDTH) * 37 % 101 - 50
    vector = (steps / 50).astype(np.float32)
    vector[[rows.start + PRESENT for rows in SLICES.values()]] = 1.0
    return without(vector, "other_hand")


def questions(tasks: Sequence[Task]) -> list[Query]:
    """One of each task, all about the whole picture, so that it is encoded once."""
    known = landmarks()
    return [
        Query(task, tuple(range(task.people)), FULL, BOXES[: task.boxes], landmarks=known)
        for task in tasks
    ]


def check_once(
    bundle: Bundle,
    tasks: Sequence[Task],
    choice: Choice,
    device: str,
    folder: Path,
    ask: Ask,
    progress: Progress | None = None,
) -> float:
    """Compare answers with those that the bundle carries, unless that was done here before.

    Args:
        bundle: that is run.
        tasks: to be answered, some or all of the bundle's.
        choice: engine and precision.
        device: where that runs, and by which version of what.
        folder: where the engine keeps what it has compiled.
        ask: gives the answers that are to be compared, in any order.
        progress: called before the first answer and after each; not where nothing is asked.

    Returns:
        The seconds that it took; 0 where it had passed before.

    Raises:
        BundleError: it carries no self-test, or a damaged one.
        EngineError: an answer differs by more than its precision explains.
    """
    record = folder / RECORD_NAME
    facts = {
        "bundle": bundle.sha256,
        "engine": choice.name,
        "precision": choice.precision,
        "device": device,
        "built": cache.file_sha256(record) if record.exists() else "",
        "processor": cpu_name(),
        "driver": driver_version(),
        "sfedge": __version__,
    }
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
    path = _folder() / f"{key}.json"
    passed = _read(path)
    new = [task for task in tasks if task.name not in passed]
    if not new:
        return 0.0
    begun = time.perf_counter()
    wanted = _stored(bundle)
    frame = Frame(picture(bundle.manifest.input.size), 0, 0.0)
    answers: list[Prediction] = []
    if progress:
        progress(0, len(new))
    for answer in ask(frame, questions(new)):
        answers.append(answer)
        if progress:
            progress(len(answers), len(new))
    distances = compare(answers, wanted, {task.name: task.temperature for task in new})
    limit = _LIMITS.get(choice.precision, _LIMIT_8_BITS)
    if wrong := {name: d for name, d in distances.items() if not d <= limit}:
        differences = ", ".join(f"{name} by {distance:.2g}" for name, distance in wrong.items())
        raise EngineError(
            f"its answers to the self-test of {bundle.manifest.name!r} are wrong, so it is not "
            f"used: relative differences are {differences}; {choice.precision} may differ by "
            f"{limit:g}",
            where=device,
            fix="Update the driver and the engine's library (`sfedge doctor` names them), or "
            "choose another engine.",
        )
    passed_text = json.dumps(
        facts | {"model": bundle.manifest.name, "distances": passed | distances}, indent=1
    )
    with suppress(OutputError):  # it is tested again at the next start
        cache.write(path, [passed_text.encode()])
    return time.perf_counter() - begun


def tested_models() -> dict[str, str]:
    """Names of the models that have passed here, by the sha256 of their bundle."""
    names = {}
    for path in sorted(_folder().glob("*.json")):
        with suppress(OSError, ValueError, KeyError, TypeError):
            record = json.loads(path.read_bytes())
            names[str(record["bundle"])] = str(record["model"])
    return names


def compare(
    answers: Sequence[Prediction],
    wanted: Mapping[str, Array],
    temperatures: Mapping[str, float] | None = None,
) -> dict[str, float]:
    """By task, how far an answer is from the one that is wanted, relative to its size.

    Args:
        answers: to the queries of the self-test.
        wanted: logits by task, of all tasks of the bundle.
        temperatures: by task, what its logits were divided by before they became probabilities;
            None for 1.
    """
    sizes = [_spread(values) for values in wanted.values() if values.ndim == 1]
    typical = float(np.median(sizes)) if sizes else 0.0
    distances = {}
    for answer in answers:
        values = wanted[answer.task]
        found: Array
        if answer.heatmap is not None:
            found = np.asarray(answer.heatmap, np.float64)
            values, least = 0.5 * (1 + np.tanh(0.5 * values)), _FLAT
        else:
            assert answer.raw is not None
            # A softmax forgets what all logits have in common, and so does `_centred`.
            shares = np.maximum([*answer.raw.values()], 1e-300)
            temperature = (temperatures or {}).get(answer.task, 1.0)
            found, least = temperature * np.log(shares), typical
        difference = _centred(found) - _centred(values)
        scale = max(_spread(values), least, 1e-30)
        distances[answer.task] = float(np.sqrt((difference**2).mean()) / scale)
    return distances


def _folder() -> Path:
    return cache.cache_folder() / "selftests"


def _stored(bundle: Bundle) -> dict[str, Array]:
    """Logits by task: [labels] or [64, 64]."""
    where = f"{bundle.source.name}: {SELFTEST_NAME}"
    again = "Export it again; `sfedge-export` takes a bundle, too."
    if SELFTEST_NAME not in {entry.path for entry in bundle.manifest.files}:
        raise BundleError(
            "it carries no self-test, without which no engine is used", where=where, fix=again
        )
    try:
        arrays = safetensors.numpy.load_file(bundle.file_path(SELFTEST_NAME))
    except (safetensors.SafetensorError, ValueError, TypeError, KeyError) as error:
        raise BundleError(f"it cannot be read ({error})", where=where, fix=again) from error
    stored = {}
    for task in bundle.manifest.tasks:
        is_map = task.output == "heatmap"
        shape = (HEATMAP_SIZE, HEATMAP_SIZE) if is_map else (len(task.labels),)
        array = arrays.get(task.name)
        if array is None or array.shape != shape or array.dtype != np.float32:
            raise BundleError(
                f"it has no answer of task {task.name!r}, float32 {shape}", where=where, fix=again
            )
        if not np.isfinite(array).all():
            raise BundleError(
                f"the answer of task {task.name!r} is not all numbers", where=where, fix=again
            )
        stored[task.name] = array.astype(np.float64)
    return stored


def _read(path: Path) -> dict[str, float]:
    """Distance by task of what has passed before; none where nothing is known."""
    try:
        return {str(k): float(v) for k, v in json.loads(path.read_bytes())["distances"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}


def _centred(values: Array) -> Array:
    centred: Array = values - values.mean()
    return centred


def _spread(values: Array) -> float:
    return float(values.std())
