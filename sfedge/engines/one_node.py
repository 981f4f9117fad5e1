"""ONNX files of a single operator."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from sfedge.engines.onnx_file import Node, Ports, write_onnx


def one_node(
    operator: str, inputs: Ports, outputs: Ports, constants: Mapping[str, NDArray[np.float32]]
) -> bytes:
    """A file with one node, which takes all inputs and then all constants.

    Args:
        operator: of ONNX's own, in operator set 18.
        inputs: what the caller gives.
        outputs: what it gets.
        constants: held in the file.
    """
    node = Node(operator, [*inputs, *constants], list(outputs))
    return write_onnx([node], inputs, outputs, constants, opset=18)
