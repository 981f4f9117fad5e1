"""Runs a graph on an NVIDIA device, from memory there into memory there."""

from collections.abc import Callable, Mapping
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from sfedge.bundle.graph_io import Dims, GraphIO
from sfedge.core.errors import EngineError
from sfedge.engines.cuda import Cuda, DeviceRow, Memory, Pinned
from sfedge.engines.engine import Arrays, Row, Rows

_BYTES = np.dtype(np.float32).itemsize


class Bindings:
    """The places in the device's memory that a graph reads and writes, the same in every run.

    Args:
        cuda: the device.
        contract: what the graph takes and gives.
        batch: most samples in one run.
    """

    def __init__(self, cuda: Cuda, contract: GraphIO, batch: int) -> None:
        self.cuda, self.contract, self.batch = cuda, contract, batch
        self._inputs = {name: _Slots(cuda, dims, batch) for name, dims in contract.inputs.items()}
        self._outputs = {
            name: cuda.allocate(batch * _size(dims)) for name, dims in contract.outputs.items()
        }

    @property
    def addresses(self) -> dict[str, int]:
        """Of all inputs and outputs, by name; each holds a whole batch, sample after sample."""
        memory: dict[str, Memory] = {name: slots.memory for name, slots in self._inputs.items()}
        return {name: place.address for name, place in (memory | self._outputs).items()}

    def fill(self, inputs: Arrays) -> int:
        """Queue the copies of what a run reads; the number of samples.

        Raises:
            EngineError: the inputs are not those of the graph.
        """
        if inputs.keys() != self.contract.inputs.keys():
            raise self._error(
                f"it takes {', '.join(self.contract.inputs)}, not {', '.join(inputs)}"
            )
        counts = {len(rows) for rows in inputs.values()}
        if len(counts) != 1 or not 1 <= max(counts) <= self.batch:
            raise self._error(f"it takes 1 to {self.batch} samples, not {sorted(counts)}")
        for name, rows in inputs.items():
            for index, row in enumerate(rows):
                if tuple(row.shape) != self.contract.inputs[name]:
                    wanted = self.contract.inputs[name]
                    raise self._error(f"{name!r} is {tuple(row.shape)}, not {wanted}")
                if isinstance(row, np.ndarray) and row.dtype != np.float32:
                    raise self._error(f"{name!r} is {row.dtype}, not float32")
                self._inputs[name].put(index, row)
        return counts.pop()

    def take(self, count: int) -> dict[str, Rows]:
        """Queue copies of what a run has written, so that the next one may write there."""
        kind = self.cuda.runtime.cudaMemcpyKind.cudaMemcpyDeviceToDevice
        taken: dict[str, Rows] = {}
        for name, dims in self.contract.outputs.items():
            rows: list[Row] = []
            for index in range(count):
                memory = self.cuda.allocate(_size(dims))
                source = self._outputs[name].address + index * memory.size
                self.cuda.copy(memory.address, source, memory.size, kind)
                rows.append(DeviceRow(self.cuda, memory, dims))
            taken[name] = rows
        return taken

    def _error(self, what: str) -> EngineError:
        return EngineError(f"the run failed ({what})", where=f"the {self.contract.name} graph")


class DeviceEngine:
    """One graph on an NVIDIA device (see `sfedge.engines.engine.Engine`).

    Args:
        bindings: where it reads and writes.
        launch: queues a run of that many samples in the stream of `bindings.cuda`.
        device: as shown to the user.
    """

    def __init__(self, bindings: Bindings, launch: Callable[[int], None], device: str) -> None:
        self.device, self.batch, self.pads = device, bindings.batch, True
        self._bindings = bindings
        self._launch = launch

    def keep(self, row: NDArray[np.float32]) -> DeviceRow:
        """A sample that does not change, put on the device once."""
        return self._bindings.cuda.keep(row)

    def run(self, inputs: Arrays) -> Mapping[str, Rows]:
        """Outputs by name, on the device; the result is the caller's to keep.

        Raises:
            EngineError: the inputs are not those of the graph, or the run fails.
        """
        try:
            count = self._bindings.fill(inputs)
            self._launch(count)
            outputs = self._bindings.take(count)
        except BaseException:
            with suppress(EngineError):  # what was queued still reads and writes memory
                self._bindings.cuda.wait()
            raise
        self._bindings.cuda.wait()
        return outputs

    def close(self) -> None:
        """Release the graph and its memory; rows that are still held stay valid."""
        del self._launch, self._bindings


class _Slots:
    """One input's place for a whole batch."""

    def __init__(self, cuda: Cuda, dims: Dims, batch: int) -> None:
        self.memory = cuda.allocate(batch * _size(dims))
        self._cuda, self._size, self._batch = cuda, _size(dims), batch
        self._pinned: Pinned | None = None  # only where samples come from the host
        self._resident: list[Row | None] = [None] * batch  # kept rows that are uploaded already

    def put(self, index: int, row: Row) -> None:
        """Queue the copy of a sample to its slot, unless an earlier run left it there."""
        if self._resident[index] is row:
            return
        kinds = self._cuda.runtime.cudaMemcpyKind
        target = self.memory.address + index * self._size
        if isinstance(row, DeviceRow):
            self._resident[index] = row if row.is_kept else None
            self._cuda.copy(target, row.address, self._size, kinds.cudaMemcpyDeviceToDevice)
            return
        self._resident[index] = None
        address = self._stage(index, np.asarray(row))
        self._cuda.copy(target, address, self._size, kinds.cudaMemcpyHostToDevice)

    def _stage(self, index: int, row: NDArray[np.float32]) -> int:
        """Copy a sample to pinned memory; its address there."""
        if self._pinned is None:
            self._pinned = self._cuda.pinned(self._batch * self._size // _BYTES)
        self._pinned.array.reshape(self._batch, -1)[index] = row.reshape(-1)
        return self._pinned.address + index * self._size


def _size(dims: Dims) -> int:
    return int(np.prod(dims)) * _BYTES
