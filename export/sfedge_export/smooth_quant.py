"""Outlying channels moved from activations into weights, where rounding minds them less.

What a norm gives is divided by a factor for each channel, and the weights behind it are multiplied
by it: the same function, at no cost, as the norm has a weight of its own that takes the division
(SmoothQuant, arXiv 2211.10438, equation 4, with an exponent of one half).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from onnx import NodeProto

from sfedge_export.graph_file import Array, GraphFile
from sfedge_export.linears import linear_weight

_LEAST, _MOST = 1e-4, 1e4  # of a factor


class SmoothedFile(GraphFile):
    """A graph whose constants are read as they are after smoothing.

    Args:
        path: of a graph in float32.
        ranges: the largest absolute input of each linear layer by channel, by its name; a layer
            that no task of the bundle has reached has none, and stays as it is.

    Attributes:
        ranges: the same after smoothing.
    """

    def __init__(self, path: Path, ranges: Mapping[str, Array]) -> None:
        super().__init__(path)
        self.ranges = dict(ranges)
        self._factors: dict[str, Array] = {}
        readers: dict[str, list[NodeProto]] = {}
        for node in self.nodes:
            for name in node.input:
                readers.setdefault(name, []).append(node)
        for node in self.nodes:
            own = self._own_constants(node)
            weights = [linear_weight(reader, self) for reader in readers.get(node.output[0], [])]
            constants = [*own, *weights]
            is_known = node.output[0] in ranges
            if not (own and weights and is_known):
                continue
            if all(name and len(readers[name]) == 1 for name in constants):
                factors = self._balance(ranges[node.output[0]], [w for w in weights if w])
                self.ranges[node.output[0]] = ranges[node.output[0]] / factors
                self._factors |= {name: 1 / factors for name in own}
                self._factors |= {name: factors[:, None] for name in weights if name}

    def weight(self, name: str) -> Array:
        """One constant, smoothed."""
        weight, factors = super().weight(name), self._factors.get(name)
        return weight if factors is None else (weight * factors).astype(np.float32)

    def _own_constants(self, node: NodeProto) -> list[str]:
        """What scales and shifts the channels that a norm gives; none where it is no norm."""
        if node.op_type == "LayerNormalization":
            return [name for name in node.input[1:] if name]
        if node.op_type == "Mul":
            return [name for name in node.input if len(self.dims(name) or ()) == 1]
        return []

    def _balance(self, largest: Array, weights: Sequence[str]) -> Array:
        """A factor for each channel, after which tokens and weights reach equally far."""
        reach = np.max([np.abs(super(SmoothedFile, self).weight(w)).max(1) for w in weights], 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            factors = np.sqrt(largest / reach)
        is_used = (largest > 0) & (reach > 0)
        return np.where(is_used, factors, 1).clip(_LEAST, _MOST).astype(np.float32)
