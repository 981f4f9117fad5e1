"""One call of a network on a region of a picture."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfedge.core.errors import DetectorError, EngineError
from sfedge.core.structures import Image
from sfedge.detect.mediapipe.regions import Region, cut_out
from sfedge.engines.small_network import SmallNetwork


class NetworkCall:
    """A network that takes one square picture.

    Args:
        network: ready to run; input (1, size, size, 3).
        low: value of black in the network's input.
        high: value of white.
    """

    def __init__(self, network: SmallNetwork, *, low: float, high: float) -> None:
        self._network = network
        self._input = network.inputs[0].name
        self._scale, self._offset = np.float32((high - low) / 255), np.float32(low)

    def __call__(
        self, image: Image, region: Region, size: int, *, is_black_outside: bool
    ) -> list[NDArray[Any]]:
        """All outputs, with the batch of one.

        Raises:
            DetectorError: the network fails.
        """
        picture = cut_out(image, region, size, is_black_outside=is_black_outside)
        return self.run(picture)

    def run(self, picture: Image) -> list[NDArray[Any]]:
        """All outputs for a picture of the network's size."""
        values = picture[None] * self._scale
        if self._offset:
            values += self._offset
        try:
            return self._network.run({self._input: values})
        except EngineError as error:
            raise DetectorError(
                error.what,
                where=error.where,
                fix="Report it with the output of `sfedge doctor --json`.",
            ) from error
