"""What every inference engine offers."""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]


class Engine(Protocol):
    """Runs one graph of a bundle. One engine belongs to one thread."""

    @property
    def device(self) -> str:
        """Where it really runs, as told to the user, such as "cpu (onnxruntime 1.32.0)"."""
        ...

    def run(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        """Outputs by name, batch first; the result is the caller's to keep."""
        ...

    def close(self) -> None:
        """Release the graph and its memory."""
        ...
