"""How near a bundle's networks come to PyTorch, each alone and all together."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from sfedge.bundle.graph_io import GraphIO
from sfedge.bundle.manifest import Manifest
from sfedge.core.boxes import patch_mask
from sfedge.core.decode import highest
from sfedge.core.errors import BundleError
from sfedge.core.preprocess import encoder_input
from sfedge_export.calibration_pictures import View, noise, photographs
from sfedge_export.onnx_graphs import random_inputs
from sfedge_export.precision_session import Answers, Floats, open_session
from sfedge_training.model.social_fusion import SocialFusion

TOLERANCE = 1e-4  # of the largest value
_ROUNDING = 1e-5  # of the largest value; what two orders of summing may differ by
SAMPLES = ((1, 0), (3, 5))  # batches that networks are compared on, and what their prompts lack


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


def difference(found: Floats, wanted: Floats) -> Difference:
    """Compare two outputs, samples first."""
    scale = float(np.abs(wanted).max())
    rows = wanted.reshape(len(wanted), -1)
    choices = highest(found)
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


def check_graph(path: Path, io: GraphIO, wanted: Sequence[Floats]) -> Difference:
    """One network in ONNX Runtime on random inputs.

    Args:
        path: of the graph.
        io: what it takes and gives.
        wanted: what PyTorch computes of the same inputs, see `graph_outputs`.

    Raises:
        BundleError: ONNX Runtime and PyTorch differ.
    """
    session = open_session(path)
    (output,) = io.outputs
    found = []
    for batch, cut in SAMPLES:
        inputs = random_inputs(io, batch, batch, cut=cut)
        found += session.run([output], {name: value.numpy() for name, value in inputs.items()})
    return check(difference(np.concatenate(found), np.concatenate(wanted)), where=path.name)


@torch.inference_mode()
def graph_outputs(module: nn.Module, io: GraphIO) -> list[Floats]:
    """What PyTorch computes of the random inputs that `check_graph` takes."""
    return [module(**random_inputs(io, batch, batch, cut=cut)).numpy() for batch, cut in SAMPLES]


@torch.inference_mode()
def trained_answers(
    model: SocialFusion, manifest: Manifest, views: Iterable[View]
) -> dict[str, Floats]:
    """The answers of the model as it was trained, its adapter apart from the weights, by task."""
    answers: dict[str, list[Floats]] = {task.name: [] for task in manifest.tasks}
    for view in tqdm(views, desc="Asking PyTorch", unit="view", disable=None):
        images = torch.from_numpy(encoder_input(view.image, model.encoder.input)[None])
        features = model.encode(images)
        for task in manifest.tasks:
            cells = patch_mask(view.boxes[: task.boxes], model.token_grid)
            mask = torch.from_numpy(cells).float()[None]
            known = torch.from_numpy(view.landmarks)[None]
            answers[task.name].append(model.logits(features, mask, task.name, known).numpy())
    return {name: np.concatenate(rows) for name, rows in answers.items()}


def check_answers(found: Answers, wanted: Mapping[str, Floats]) -> dict[str, Difference]:
    """The whole bundle on the views of `parity_views`, by task.

    Raises:
        BundleError: an answer is too far from PyTorch's.
    """
    return {
        name: check(difference(found.logits[name], rows), where=f"task {name}")
        for name, rows in wanted.items()
    }


def parity_views(size: int) -> list[View]:
    """A photograph, the head of another, and noise, for an encoder that sees `size` pixels a side.

    Few, as each is asked everything in the plain way: a minute a view at full size on two cores.
    """
    whole, _, _, head = photographs()
    return [whole, head, next(noise(size))]
