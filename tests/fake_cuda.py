"""CUDA's runtime on a device in the host's memory, as strict as the real one.

Work waits in its stream until somebody waits for it, memory is poisoned until it is written, and
what a real device would answer with undefined behaviour is an AssertionError here: a copy beyond
its memory, pageable memory in an asynchronous copy, a replay after the shapes have changed, memory
that is freed while work on it waits. `test_fake_nvidia.py` holds every name and signature against
NVIDIA's own.
"""

# ruff: noqa: N801, N803, N815  (NVIDIA's names)

import ctypes
from collections.abc import Callable
from enum import IntEnum
from types import ModuleType
from typing import Any

import numpy as np

_POISON = 0xFF  # float32 made of it is not a number


class cudaError_t(IntEnum):
    cudaSuccess = 0
    cudaErrorInvalidValue = 1
    cudaErrorMemoryAllocation = 2
    cudaErrorInsufficientDriver = 35
    cudaErrorLaunchFailure = 719
    cudaErrorStreamCaptureUnsupported = 900


class cudaMemcpyKind(IntEnum):
    cudaMemcpyHostToDevice = 1
    cudaMemcpyDeviceToHost = 2
    cudaMemcpyDeviceToDevice = 3


class cudaStreamCaptureMode(IntEnum):
    cudaStreamCaptureModeThreadLocal = 1


class Handle:
    """A stream or graph, as cuda-python gives them: not a number, but it can be made one."""

    def __init__(self, value: int) -> None:
        self._value = value

    def __int__(self) -> int:
        return self._value


class Device:
    """Memory and streams."""

    def __init__(self) -> None:
        self.blocks: dict[int, np.ndarray] = {}  # on the device, by address
        self.pinned: dict[int, np.ndarray] = {}
        self.streams: dict[int, list[Callable[[], None]]] = {}
        self.recording: list[Callable[[], None]] | None = None
        self.graphs: dict[int, list[Callable[[], None]]] = {}
        self.calls: list[str] = []
        self.failing: dict[str, cudaError_t] = {}  # name of a call: what its next one answers
        self.fails_in_a_stream = False
        self._last = 0

    def number(self) -> int:
        self._last += 1
        return self._last

    def piece(self, blocks: dict[int, np.ndarray], address: int, size: int) -> np.ndarray:
        """`size` bytes at an address; they must lie in one allocation."""
        for start, block in blocks.items():
            if start <= address and address + size <= start + block.nbytes:
                return block[address - start : address - start + size]
        raise AssertionError(f"{size} bytes at {address} are not in one allocation")

    def host(self, address: int, size: int) -> np.ndarray:
        for start, block in self.blocks.items():
            assert not start <= address < start + block.nbytes, "the device's memory as the host's"
        raw = (ctypes.c_byte * size).from_address(address)
        return np.frombuffer(raw, np.uint8)

    def queue(self, stream: int, work: Callable[[], None]) -> None:
        assert stream, "work in the default stream"
        assert stream in self.streams, "no such stream"
        (self.streams[stream] if self.recording is None else self.recording).append(work)

    def finish(self, stream: int) -> None:
        work = self.streams[stream]
        while work:
            work.pop(0)()

    @property
    def is_idle(self) -> bool:
        return not any(self.streams.values())

    def leaks(self) -> str:
        """What was not given back."""
        return f"{self.blocks.keys() or ''}{self.pinned.keys() or ''}{self.graphs or ''}" + (
            f"{self.streams or ''}"
        )


class Cudart(ModuleType):
    """`cuda.bindings.runtime`."""

    cudaError_t = cudaError_t
    cudaMemcpyKind = cudaMemcpyKind
    cudaStreamCaptureMode = cudaStreamCaptureMode

    def __init__(self, device: Device) -> None:
        super().__init__("cuda.bindings.runtime")
        self._device = device

    def _answer(self, name: str, *values: Any) -> tuple[Any, ...]:
        self._device.calls.append(name)
        status = self._device.failing.pop(name, cudaError_t.cudaSuccess)
        if status == cudaError_t.cudaSuccess:
            return status, *values
        return status, *(None for _ in values)

    def cudaGetErrorString(self, error: cudaError_t) -> tuple[cudaError_t, bytes]:
        return cudaError_t.cudaSuccess, cudaError_t(error).name.encode()

    def cudaGetDeviceCount(self) -> tuple[Any, ...]:
        return self._answer("cudaGetDeviceCount", 1)

    def cudaMalloc(self, size: int) -> tuple[Any, ...]:
        assert self._device.recording is None, "an allocation while work is recorded"
        assert isinstance(size, int)
        assert size > 0
        if self._device.failing.get("cudaMalloc"):
            return self._answer("cudaMalloc", None)
        block = np.full(size, _POISON, np.uint8)
        self._device.blocks[block.ctypes.data] = block
        return self._answer("cudaMalloc", block.ctypes.data)

    def cudaFree(self, devPtr: int) -> tuple[Any, ...]:
        assert devPtr in self._device.blocks, "freed twice, or never allocated"
        assert self._device.is_idle, "freed while work waits"
        del self._device.blocks[devPtr]
        return self._answer("cudaFree")

    def cudaHostAlloc(self, size: int, flags: int) -> tuple[Any, ...]:
        assert flags == 0
        block = np.full(size, _POISON, np.uint8)
        self._device.pinned[block.ctypes.data] = block
        return self._answer("cudaHostAlloc", block.ctypes.data)

    def cudaFreeHost(self, ptr: int) -> tuple[Any, ...]:
        assert self._device.is_idle, "freed while work waits"
        del self._device.pinned[ptr]
        return self._answer("cudaFreeHost")

    def cudaMemcpy(self, dst: int, src: int, count: int, kind: cudaMemcpyKind) -> tuple[Any, ...]:
        assert kind == cudaMemcpyKind.cudaMemcpyHostToDevice
        self._device.piece(self._device.blocks, dst, count)[:] = self._device.host(src, count)
        return self._answer("cudaMemcpy")

    def cudaMemcpyAsync(
        self, dst: int, src: int, count: int, kind: cudaMemcpyKind, stream: int
    ) -> tuple[Any, ...]:
        device, kinds = self._device, cudaMemcpyKind
        assert isinstance(kind, cudaMemcpyKind)
        to = device.pinned if kind == kinds.cudaMemcpyDeviceToHost else device.blocks
        from_ = device.pinned if kind == kinds.cudaMemcpyHostToDevice else device.blocks
        target, source = device.piece(to, dst, count), device.piece(from_, src, count)

        def copy() -> None:
            target[:] = source

        device.queue(int(stream), copy)
        return self._answer("cudaMemcpyAsync")

    def cudaStreamCreate(self) -> tuple[Any, ...]:
        if self._device.failing.get("cudaStreamCreate"):
            return self._answer("cudaStreamCreate", None)
        handle = self._device.number()
        self._device.streams[handle] = []
        return self._answer("cudaStreamCreate", Handle(handle))

    def cudaStreamDestroy(self, stream: int) -> tuple[Any, ...]:
        assert not self._device.streams.pop(int(stream)), "destroyed while work waits"
        return self._answer("cudaStreamDestroy")

    def cudaStreamSynchronize(self, stream: int) -> tuple[Any, ...]:
        assert self._device.recording is None, "a wait while work is recorded"
        self._device.finish(int(stream))
        return self._answer("cudaStreamSynchronize")

    def cudaStreamBeginCapture(self, stream: int, mode: cudaStreamCaptureMode) -> tuple[Any, ...]:
        assert isinstance(mode, cudaStreamCaptureMode)
        assert self._device.recording is None
        assert int(stream) in self._device.streams
        self._device.recording = []
        return self._answer("cudaStreamBeginCapture")

    def cudaStreamEndCapture(self, stream: int) -> tuple[Any, ...]:
        assert self._device.recording is not None
        handle = self._device.number()
        self._device.graphs[handle] = self._device.recording
        self._device.recording = None
        return self._answer("cudaStreamEndCapture", Handle(handle))

    def cudaGraphInstantiate(self, graph: Handle, flags: int) -> tuple[Any, ...]:
        assert flags == 0
        if self._device.failing.get("cudaGraphInstantiate"):
            return self._answer("cudaGraphInstantiate", None)
        handle = self._device.number()
        self._device.graphs[handle] = list(self._device.graphs[int(graph)])
        return self._answer("cudaGraphInstantiate", Handle(handle))

    def cudaGraphDestroy(self, graph: Handle) -> tuple[Any, ...]:
        del self._device.graphs[int(graph)]
        return self._answer("cudaGraphDestroy")

    def cudaGraphExecDestroy(self, graphExec: Handle) -> tuple[Any, ...]:
        del self._device.graphs[int(graphExec)]
        return self._answer("cudaGraphExecDestroy")

    def cudaGraphLaunch(self, graphExec: Handle, stream: int) -> tuple[Any, ...]:
        for work in self._device.graphs[int(graphExec)]:
            self._device.queue(int(stream), work)
        return self._answer("cudaGraphLaunch")
