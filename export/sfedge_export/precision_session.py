"""One precision of a bundle at work in ONNX Runtime, on the CPU, one question at a time."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnxruntime import GraphOptimizationLevel, InferenceSession, SessionOptions
from tqdm import tqdm

from sfedge.bundle.graph_io import leaves_prompts_free
from sfedge.bundle.manifest import GRAPHS, HEADS, Manifest
from sfedge.core.boxes import Box, patch_mask
from sfedge.core.landmarks import Vector
from sfedge.core.preprocess import encoder_input
from sfedge.core.tasks import Task
from sfedge.engines.ort import exact_integers, port
from sfedge_export.calibration_pictures import View
from sfedge_export.exported_decoder import HIDDEN

Floats = NDArray[np.float32]


def open_session(path: Path, options: SessionOptions | None = None) -> InferenceSession:
    """An ONNX Runtime session on the CPU that holds no second copy of the weights."""
    return InferenceSession(
        str(path), options or session_options(), providers=["CPUExecutionProvider"]
    )


def open_as_written(path: Path) -> InferenceSession:
    """A session of a graph for GPUs, every operator for itself.

    Optimised for the CPU, eight-bit floats come out wrong: ONNX Runtime 1.32 takes a Relu before
    QuantizeLinear to be needless, as it is before unsigned numbers.
    """
    options = session_options()
    options.graph_optimization_level = GraphOptimizationLevel.ORT_DISABLE_ALL
    return open_session(path, options)


def session_options() -> SessionOptions:
    """Quiet, as all that is wrong comes as an exception; weights stay as they are in the file."""
    options = SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry("session.disable_prepacking", "1")
    exact_integers(options)
    return options


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What a precision makes of some views, one after another."""

    features: Floats  # [views, G*G, d_v] of the encoder
    logits: Mapping[str, Floats]  # by task: [views, labels] or [views, 64, 64]


class Chain:
    """The five graphs of one precision, one after another.

    Args:
        folder: of the ONNX files.
        manifest: of the bundle.
        prefix: keys and values by task name, not padded.
        opener: makes the session of a graph.
    """

    def __init__(
        self,
        folder: Path,
        manifest: Manifest,
        prefix: Mapping[str, Floats],
        opener: Callable[[Path], InferenceSession] = open_session,
    ) -> None:
        self._sessions = {name: opener(folder / f"{name}.onnx") for name in GRAPHS}
        self._manifest, self._prefix = manifest, prefix
        inputs = self._sessions["trunk"].get_inputs()
        self._pads = not leaves_prompts_free([port(node) for node in inputs])

    def features(self, images: Floats) -> Floats:
        """[1, 3, S, S] to [1, G*G, d_v]."""
        return self._run("encoder", images=images)

    def answer(
        self, features: Floats, landmarks: Vector, boxes: tuple[Box, ...], task: Task
    ) -> Floats:
        """One question about an encoded view: [1, labels] or [1, 64, 64] logits.

        Args:
            features: [1, G*G, d_v].
            landmarks: [INPUT_WIDTH], what is known in the view; left alone by a model that reads
                none.
            boxes: marked in the view.
            task: of the query.
        """
        shape = self._manifest.shape
        prefix = self._prefix[task.name]
        missing = shape.prefix - prefix.shape[3] if self._pads else 0
        past = np.pad(prefix, ((0, 0),) * 3 + ((missing, 0), (0, 0)))[None]
        padding = np.zeros((1, past.shape[4]), np.float32)
        padding[:, :missing] = HIDDEN
        is_before = self._manifest.box_embedding == "before"
        grid = shape.grid if is_before else shape.token_grid
        mask = {"box_mask": patch_mask(boxes, grid).astype(np.float32)[None]}
        known = {"landmarks": landmarks[None]} if self._manifest.landmarks else {}
        tokens = self._run("connector", features=features, **known, **(mask if is_before else {}))
        hidden = self._run(
            "trunk",
            tokens=tokens,
            past=past[:, :-1],
            padding=padding,
            **({} if is_before else mask),
        )
        last = {"hidden": hidden, "past_last": past[:, -1], "padding": padding}
        values = self._run(HEADS[task.output], **last)
        return values if task.output == "heatmap" else values[:, self._manifest.rows(task)]

    def _run(self, name: str, **inputs: Floats) -> Floats:
        (output,) = self._sessions[name].run(None, inputs)
        return np.asarray(output)


def answer_all(chain: Chain, manifest: Manifest, views: Iterable[View], *, title: str) -> Answers:
    """Every task's answer to every view; a view is encoded once."""
    features: list[Floats] = []
    logits: dict[str, list[Floats]] = {task.name: [] for task in manifest.tasks}
    for view in tqdm(views, desc=title, unit="view", disable=None):
        encoded = chain.features(encoder_input(view.image, manifest.input)[None])
        features.append(encoded)
        for task in manifest.tasks:
            boxes = view.boxes[: task.boxes]
            logits[task.name].append(chain.answer(encoded, view.landmarks, boxes, task))
    return Answers(
        np.concatenate(features), {name: np.concatenate(rows) for name, rows in logits.items()}
    )
