"""The precisions that a bundle can carry, and how each is made from the graphs in fp32."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import ml_dtypes
import numpy as np

from export.half import write_half
from export.int8_cpu import write_int8_cpu
from export.onnx_graphs import OPSET
from export.operators import CPU, GPU

REFERENCE = "fp32"
# What runs everywhere exactly, and what runs fastest where there is no GPU. Graphs for GPUs take
# as much room again and are of no use without one: on request.
DEFAULT = (REFERENCE, "int8-cpu")


@dataclass(frozen=True, slots=True, kw_only=True)
class Precision:
    """One way to hold the weights of a bundle.

    Attributes:
        write: makes a graph in this precision of one in fp32, and its weights beside it.
        operators: what its target runs.
        least_cosine: mean cosine of a task's logits to those in fp32, below which something is
            broken rather than rounded.
    """

    write: Callable[[Path, Path], None]
    operators: frozenset[str]
    least_cosine: float


def _int8_cpu(source: Path, target: Path) -> None:
    write_int8_cpu(source, target, OPSET)


def _fp16(source: Path, target: Path) -> None:
    write_half(source, target, OPSET, np.float16)


def _bf16(source: Path, target: Path) -> None:
    write_half(source, target, OPSET, ml_dtypes.bfloat16)


PRECISIONS = {
    "int8-cpu": Precision(write=_int8_cpu, operators=CPU, least_cosine=0.95),
    "fp16": Precision(write=_fp16, operators=GPU, least_cosine=0.999),
    "bf16": Precision(write=_bf16, operators=GPU, least_cosine=0.99),
}
