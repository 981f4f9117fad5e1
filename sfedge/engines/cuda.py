"""Memory of an NVIDIA device: samples that stay on it, and the calls that move them.

Every call goes through `cuda.bindings.runtime` (cuda-python), and each status is checked.
"""

import ctypes
import importlib
import os
import weakref
from collections import defaultdict
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfedge.core.errors import EngineError

_MODULES = ("cuda.bindings.runtime", "cuda.cudart")  # its name, and the one up to version 12.6
_INSTALL = 'Run: pip install cuda-bindings, on JetPack 6: pip install "cuda-python==12.6.*".'
_FLOAT = np.dtype(np.float32)


def load_cuda() -> ModuleType:
    """The CUDA runtime's Python module.

    Raises:
        EngineError: it is not installed, or cannot be loaded; the message says what to install.
    """
    reason = "it is not installed"
    for name in _MODULES:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError:
            continue
        except (ImportError, OSError, RuntimeError) as error:
            reason = f"it cannot be loaded ({error})"
    raise EngineError(
        reason,
        where="cuda-bindings",
        fix=_INSTALL,
    )


def check_cuda() -> None:
    """Raise EngineError where the CUDA runtime's Python module cannot work with this driver."""
    status, _ = (runtime := load_cuda()).cudaGetDeviceCount()
    if status != runtime.cudaError_t.cudaSuccess:
        raise EngineError(
            f"it does not work with the driver ({_reason(runtime, status)})",
            where="cuda-bindings",
            fix="Install the version of the driver's CUDA, as shown by `nvidia-smi`, such as: "
            'pip install "cuda-bindings==12.*".',
        )


def wants_graphs() -> bool:
    """Whether runs are to be recorded as CUDA graphs (`Graph`), by the user's wish."""
    return os.environ.get("SFEDGE_CUDA_GRAPH") == "1"


class Cuda:
    """The device's memory and one stream of work; belongs to one thread.

    Memory of rows that are gone is used again for rows of the same size, as an allocation stops the
    whole device for longer than a copy takes.
    """

    def __init__(self) -> None:
        self.runtime = load_cuda()
        self._pool = _Pool(self.runtime)
        self._staging: Pinned | None = None
        self.stream = int(self.call("cudaStreamCreate"))
        # Not at exit: by then the driver may be gone, and it frees everything itself.
        weakref.finalize(self, self.runtime.cudaStreamDestroy, self.stream).atexit = False
        weakref.finalize(self, self._pool.close).atexit = False

    def call(self, name: str, *arguments: Any) -> Any:
        """Call a function of the runtime; what it gives beside its status, None for nothing.

        Raises:
            EngineError: the status is not success.
        """
        return _call(self.runtime, name, *arguments)

    def allocate(self, size: int) -> "Memory":
        """Memory on the device, `size` bytes; it lives as long as the object."""
        address = self._pool.take(size) or int(self.call("cudaMalloc", size))
        return Memory(self, address, size, self._pool)

    def keep(self, row: NDArray[np.float32]) -> "DeviceRow":
        """A sample that does not change, on the device."""
        whole = np.ascontiguousarray(row, _FLOAT)
        memory = self.allocate(whole.nbytes)
        kind = self.runtime.cudaMemcpyKind.cudaMemcpyHostToDevice
        self.call("cudaMemcpy", memory.address, whole.ctypes.data, whole.nbytes, kind)
        return DeviceRow(self, memory, whole.shape, is_kept=True)

    def download(self, address: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
        """A copy of float32 numbers from the device."""
        size = int(np.prod(shape)) * _FLOAT.itemsize
        if self._staging is None or self._staging.array.nbytes < size:
            self._staging = self.pinned(size // _FLOAT.itemsize)
        self.copy(
            self._staging.address, address, size, self.runtime.cudaMemcpyKind.cudaMemcpyDeviceToHost
        )
        self.wait()
        array: NDArray[np.float32] = (
            self._staging.array[: size // _FLOAT.itemsize].reshape(shape).copy()
        )
        return array

    def pinned(self, count: int) -> "Pinned":
        """Float32 numbers on the host that the device reads and writes by itself."""
        return Pinned(self, count)

    def copy(self, target: int, source: int, size: int, kind: Any) -> None:
        """Queue a copy behind what is in the stream; `wait` ends it."""
        self.call("cudaMemcpyAsync", target, source, size, kind, self.stream)

    def wait(self) -> None:
        """Wait until all work in the stream is done.

        Raises:
            EngineError: some of it failed.
        """
        self.call("cudaStreamSynchronize", self.stream)


class Memory:
    """A block of the device's memory; returned to the pool when it is no longer referenced."""

    __slots__ = ("__weakref__", "_cuda", "address", "size")

    def __init__(self, cuda: Cuda, address: int, size: int, pool: "_Pool") -> None:
        self._cuda = cuda  # outlives it, unless the garbage collector takes both
        self.address, self.size = address, size
        weakref.finalize(self, pool.put, size, address).atexit = False


class DeviceRow:
    """A sample on the device (see `sfedge.engines.engine.Row`)."""

    __slots__ = ("_cuda", "_memory", "is_kept", "shape")

    def __init__(
        self, cuda: Cuda, memory: Memory, shape: tuple[int, ...], *, is_kept: bool = False
    ) -> None:
        self._cuda, self._memory, self.shape = cuda, memory, shape
        self.is_kept = is_kept  # whether it stays as it is for as long as engines run

    @property
    def address(self) -> int:
        """Address of its first byte."""
        return self._memory.address

    def __array__(self, dtype: Any = None, /, *, copy: bool | None = None) -> NDArray[Any]:
        """A copy on the host.

        Raises:
            EngineError: a value is not a finite number, or the device fails.
        """
        array = self._cuda.download(self.address, self.shape)
        if not np.isfinite(array).all():
            raise EngineError(
                "the result contains values that are not numbers",
                where="CUDA",
                fix="Take a bundle in fp32, or another engine.",
            )
        return array if dtype is None else array.astype(dtype, copy=False)


class Graph:
    """Work of one stream, recorded once to be queued again as a whole.

    Args:
        cuda: whose stream it is.
        queue: puts the work in the stream; nothing of it runs while it is recorded.

    Raises:
        EngineError: the work cannot be recorded.
    """

    def __init__(self, cuda: Cuda, queue: Callable[[], None]) -> None:
        runtime = cuda.runtime
        mode = runtime.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        cuda.call("cudaStreamBeginCapture", cuda.stream, mode)
        try:
            queue()
        finally:  # the stream takes nothing else before
            status, recorded = runtime.cudaStreamEndCapture(cuda.stream)
        _check(runtime, "cudaStreamEndCapture", status)
        try:
            work = cuda.call("cudaGraphInstantiate", recorded, 0)
        finally:
            cuda.call("cudaGraphDestroy", recorded)
        weakref.finalize(self, runtime.cudaGraphExecDestroy, work).atexit = False
        self._cuda, self._work = cuda, work

    def launch(self) -> None:
        """Queue the work again."""
        self._cuda.call("cudaGraphLaunch", self._work, self._cuda.stream)


class Pinned:
    """Float32 numbers in pinned host memory, which copies from and to the device need."""

    def __init__(self, cuda: Cuda, count: int) -> None:
        size = count * _FLOAT.itemsize
        self.address = int(cuda.call("cudaHostAlloc", size, 0))
        raw = (ctypes.c_byte * size).from_address(self.address)
        self.array: NDArray[np.float32] = np.ctypeslib.as_array(raw).view(_FLOAT)
        weakref.finalize(self, cuda.runtime.cudaFreeHost, self.address).atexit = False


def _call(runtime: ModuleType, name: str, *arguments: Any) -> Any:
    status, *values = getattr(runtime, name)(*arguments)
    _check(runtime, name, status)
    return values[0] if values else None


def _check(runtime: ModuleType, name: str, status: Any) -> None:
    if status != runtime.cudaError_t.cudaSuccess:
        is_memory = status == runtime.cudaError_t.cudaErrorMemoryAllocation
        raise EngineError(
            f"{name} failed ({_reason(runtime, status)})",
            where="CUDA",
            fix="Free memory of the device, or build for smaller batches." if is_memory else "",
        )


def _reason(runtime: ModuleType, status: Any) -> str:
    _, text = runtime.cudaGetErrorString(status)
    return text.decode() if isinstance(text, bytes) else str(text)


class _Pool:
    """Addresses of memory that nothing refers to any more, by size."""

    def __init__(self, runtime: ModuleType) -> None:
        self._runtime = runtime
        self._unused: defaultdict[int, list[int]] = defaultdict(list)
        self._is_closed = False

    def take(self, size: int) -> int | None:
        """The address of `size` bytes, None where there are none."""
        return self._unused[size].pop() if self._unused[size] else None

    def put(self, size: int, address: int) -> None:
        """Keep memory to be used again; free it where its user is gone."""
        if self._is_closed:
            self._runtime.cudaFree(address)
        else:
            self._unused[size].append(address)

    def close(self) -> None:
        """Free all, and from now on what still comes."""
        self._is_closed = True
        for addresses in self._unused.values():
            while addresses:
                self._runtime.cudaFree(addresses.pop())
