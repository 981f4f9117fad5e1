"""How near a bundle's networks come to PyTorch, each alone and all together."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL.Image
import skimage.data
import torch
from matplotlib.cbook import get_sample_data
from numpy.typing import NDArray
from onnxruntime import InferenceSession
from torch import nn
from tqdm import tqdm

from export.decoder import HIDDEN
from export.onnx_graphs import random_inputs
from sfedge.boxes import FULL, Box, patch_mask
from sfedge.errors import BundleError
from sfedge.graphs import GraphIO
from sfedge.manifest import GRAPHS, Manifest
from sfedge.preprocess import crop, encoder_input
from sfedge.structures import Image
from sfedge.tasks import Task
from training.model import SocialFusion

Floats = NDArray[np.float32]

TOLERANCE = 1e-4  # of the largest value
_ROUNDING = 1e-5  # of the largest value; what two orders of summing may differ by
_BATCHES = (1, 3)


@dataclass(frozen=True, slots=True)
class Difference:
    """Two versions of one output."""

    error: float  # largest absolute difference
    scale: float  # largest absolute value
    agreement: float  # share of the samples whose largest element is the same, or as large

    def to_json(self) -> dict[str, float]:
        """Rounded to three digits, which is what such a figure is worth."""
        return {
            "error": float(f"{self.error:.3g}"),
            "scale": float(f"{self.scale:.3g}"),
            "agreement": float(f"{self.agreement:.3g}"),
        }


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A picture as a question shows it, and where people are in it."""

    image: Image
    boxes: tuple[Box, Box]


def difference(found: Floats, wanted: Floats) -> Difference:
    """Compare two outputs, samples first."""
    scale = float(np.abs(wanted).max())
    rows = wanted.reshape(len(wanted), -1)
    choices = found.reshape(len(found), -1).argmax(1)
    # A heatmap's rim holds equal values side by side, of which rounding chooses one.
    is_same = rows[np.arange(len(rows)), choices] >= rows.max(1) - _ROUNDING * scale
    return Difference(float(np.abs(found - wanted).max()), scale, float(is_same.mean()))


def check(found: Difference, *, where: str) -> Difference:
    """`found`, if it is small enough.

    Raises:
        BundleError: it is larger than TOLERANCE, or another element is the largest.
    """
    fix = "Check the versions of torch, onnx and onnxruntime."
    if not found.error <= TOLERANCE * found.scale:
        raise BundleError(
            f"ONNX is {found.error:.2g} away from PyTorch, whose values go to {found.scale:.3g}",
            where=where,
            fix=fix,
        )
    if found.agreement < 1:
        raise BundleError(
            f"ONNX and PyTorch agree on {found.agreement:.0%} of the answers only",
            where=where,
            fix=fix,
        )
    return found


@torch.inference_mode()
def check_graph(module: nn.Module, path: Path, io: GraphIO) -> Difference:
    """One network on random inputs, one and several at a time.

    Raises:
        BundleError: ONNX Runtime and PyTorch differ.
    """
    session = open_session(path)
    (output,) = io.outputs
    pairs = []
    for batch in _BATCHES:
        inputs = random_inputs(io, batch, seed=batch)
        (found,) = session.run([output], {name: t.numpy() for name, t in inputs.items()})
        pairs.append((found, module(**inputs).numpy()))
    found, wanted = (np.concatenate(side) for side in zip(*pairs, strict=True))
    return check(difference(found, wanted), where=path.name)


@torch.inference_mode()
def check_answers(
    model: SocialFusion, manifest: Manifest, prefix: Mapping[str, Floats], folder: Path
) -> dict[str, Difference]:
    """The whole bundle on photographs and noise, by task, against the model as it was trained.

    Args:
        model: with its adapter still apart from the weights.
        manifest: of the bundle.
        prefix: keys and values by task name.
        folder: the ONNX files of one precision.

    Raises:
        BundleError: an answer is too far from PyTorch's.
    """
    sessions = {name: open_session(folder / f"{name}.onnx") for name in GRAPHS}
    views = [*photographs(), *noise(manifest.input.size)]
    found: dict[str, list[Floats]] = {task.name: [] for task in manifest.tasks}
    wanted: dict[str, list[Floats]] = {task.name: [] for task in manifest.tasks}
    for view in tqdm(views, desc="Comparing answers", unit="view", disable=None):
        images = encoder_input(view.image, model.encoder.input)[None]
        for task in manifest.tasks:
            boxes = view.boxes[: task.boxes]
            mask = torch.from_numpy(patch_mask(boxes, model.token_grid)).float()[None]
            wanted[task.name].append(_trained_answer(model, torch.from_numpy(images), mask, task))
            found[task.name].append(
                answer(sessions, manifest, prefix[task.name], images, boxes, task)
            )
    return {
        task.name: check(
            difference(np.concatenate(found[task.name]), np.concatenate(wanted[task.name])),
            where=f"task {task.name}",
        )
        for task in manifest.tasks
    }


def answer(
    sessions: Mapping[str, InferenceSession],
    manifest: Manifest,
    prefix: Floats,
    images: Floats,
    boxes: tuple[Box, ...],
    task: Task,
) -> Floats:
    """One query through the bundle: [1, labels] or [1, 64, 64] logits."""

    def run(name: str, **inputs: Floats) -> Floats:
        (output,) = sessions[name].run(None, inputs)
        return np.asarray(output)

    missing = manifest.shape.prefix - prefix.shape[3]
    past = np.pad(prefix, ((0, 0),) * 3 + ((missing, 0), (0, 0)))[None]
    padding = np.zeros((1, manifest.shape.prefix), np.float32)
    padding[:, :missing] = HIDDEN
    is_before = manifest.box_embedding == "before"
    grid = manifest.shape.grid if is_before else manifest.shape.token_grid
    mask = {"box_mask": patch_mask(boxes, grid).astype(np.float32)[None]}
    features = run("encoder", images=images)
    tokens = run("connector", features=features, **(mask if is_before else {}))
    hidden = run(
        "trunk", tokens=tokens, past=past[:, :-1], padding=padding, **({} if is_before else mask)
    )
    last = {"hidden": hidden, "past_last": past[:, -1], "padding": padding}
    if task.output == "heatmap":
        return run("gaze", **last)
    return run("answer", **last)[:, manifest.rows(task)]


def _trained_answer(
    model: SocialFusion, images: torch.Tensor, mask: torch.Tensor, task: Task
) -> Floats:
    if task.output == "heatmap":
        logits = model.gaze_logits(images, mask)
    else:
        logits = model.label_logits(images, mask, task.name)
    return np.asarray(logits.numpy())


def open_session(path: Path) -> InferenceSession:
    """An ONNX Runtime session on the CPU."""
    return InferenceSession(str(path), providers=["CPUExecutionProvider"])


def photographs() -> Iterator[View]:
    """Two photographs that scikit-image and matplotlib carry, whole and cut to the head."""
    astronaut = skimage.data.astronaut()  # type: ignore[no-untyped-call]
    with PIL.Image.open(get_sample_data("grace_hopper.jpg", asfileobj=False)) as picture:
        hopper = np.asarray(picture)
    heads = ((astronaut, Box(0.34, 0.11, 0.54, 0.36)), (hopper, Box(0.36, 0.15, 0.66, 0.53)))
    for image, head in heads:
        yield View(image, (head, Box(0.1, 0.5, 0.9, 1.0)))
        yield View(crop(image, head), (FULL, Box(0.25, 0.25, 0.5, 0.5)))


def noise(size: int) -> Iterator[View]:
    """Two random pictures, always the same."""
    generator = np.random.default_rng(0)
    for boxes in ((Box(0.0, 0.0, 0.02, 0.02), FULL), (Box(0.4, 0.6, 0.7, 0.9), Box(0, 0, 1, 0.1))):
        pixels = generator.integers(0, 256, (size, size, 3), dtype=np.uint8)
        yield View(pixels, boxes)
