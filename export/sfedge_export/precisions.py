"""The precisions that a bundle can carry, and how each is made of the graphs in fp32."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from sfedge_export.activation_ranges import Ranges
from sfedge_export.half import write_half
from sfedge_export.int8_cpu import write_int8_cpu
from sfedge_export.onnx_graphs import OPSET
from sfedge_export.operators import CPU, GPU
from sfedge_export.qdq import FLOAT8, INT8, write_qdq
from sfedge_export.smooth_quant import SmoothedFile

REFERENCE = "fp32"
# What runs everywhere exactly, and what runs fastest where there is no GPU. Graphs for GPUs take
# as much room again and are of no use without one: on request.
DEFAULT = (REFERENCE, "int8-cpu")

_FLOAT8_OPSET = 19  # the first that has eight-bit floats

Write = Callable[[Path, Path, Ranges], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """One number format for the weights of a bundle.

    Attributes:
        write: makes a graph in this precision of one in fp32, and its weights beside it, given
            how large the inputs of linear layers get on pictures.
        operators: what its target runs.
        least_cosine: mean cosine of a task's logits to those in fp32, below which something is
            broken rather than rounded.
        rehearse: makes a graph of the same rounding that ONNX Runtime's CPU provider runs; None
            where that runs the graph itself.
    """

    write: Write
    operators: frozenset[str]
    least_cosine: float
    rehearse: Write | None = None


def _half(
    source: Path, target: Path, _: Ranges, *, kind: type[np.generic], is_rehearsal: bool = False
) -> None:
    write_half(source, target, OPSET, kind, is_rehearsal=is_rehearsal)


def _int8_cpu(source: Path, target: Path, ranges: Ranges) -> None:
    write_int8_cpu(SmoothedFile(source, ranges), target, OPSET)


def _qdq(source: Path, target: Path, ranges: Ranges, *, kind: np.dtype[Any], opset: int) -> None:
    smoothed = SmoothedFile(source, ranges)
    largest = {name: float(values.max()) for name, values in smoothed.ranges.items()}
    write_qdq(smoothed, target, opset, largest, kind)


PRECISIONS = {
    "int8-cpu": Precision(write=_int8_cpu, operators=CPU, least_cosine=0.95),
    "fp16": Precision(write=partial(_half, kind=np.float16), operators=GPU, least_cosine=0.999),
    "bf16": Precision(
        write=partial(_half, kind=ml_dtypes.bfloat16),
        operators=GPU,
        least_cosine=0.99,
        rehearse=partial(_half, kind=ml_dtypes.bfloat16, is_rehearsal=True),
    ),
    "int8-qdq": Precision(
        write=partial(_qdq, kind=INT8, opset=OPSET), operators=GPU, least_cosine=0.8
    ),
    "fp8-qdq": Precision(
        write=partial(_qdq, kind=FLOAT8, opset=_FLOAT8_OPSET), operators=GPU, least_cosine=0.7
    ),
}
