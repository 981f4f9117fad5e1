"""The interface of every inference engine."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray


class Row(Protocol):
    """One sample of a tensor, without the batch: a numpy array, or something on a device.

    `numpy.asarray` brings it to the host.
    """

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __array__(self, dtype: Any = None, /, *, copy: bool | None = None) -> NDArray[Any]: ...


Rows: TypeAlias = NDArray[Any] | Sequence[Row]  # the samples of a batch; an array is one, too
Arrays: TypeAlias = Mapping[str, Rows]


class Engine(Protocol):
    """Runs one graph of a bundle. One engine belongs to one thread."""

    @property
    def device(self) -> str:
        """Where it really runs, as shown to the user, such as "cpu (onnxruntime 1.32.0)"."""
        ...

    @property
    def batch(self) -> int:
        """Most samples in one run."""
        ...

    @property
    def pads(self) -> bool:
        """Whether prompts come padded to the bundle's longest; others come as long as they are."""
        ...

    def keep(self, row: NDArray[np.float32]) -> Row:
        """A sample that does not change, put once where the engine runs.

        Other engines of the same kind take it, too.
        """
        ...

    def run(self, inputs: Arrays) -> Mapping[str, Rows]:
        """Outputs by name, as many samples as went in; the result is the caller's to keep."""
        ...

    def close(self) -> None:
        """Release the graph and its memory."""
        ...
