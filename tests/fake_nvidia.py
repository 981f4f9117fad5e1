"""TensorRT on a device in the host's memory, as strict as the real one.

A run without addresses or shapes is an AssertionError here; so is what `fake_cuda` names. Engines
compute with ONNX Runtime on the CPU. `test_fake_nvidia.py` holds every name and signature against
NVIDIA's own.
"""

import json
from enum import IntEnum
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import onnx
import onnxruntime
from fake_cuda import Device


class DataType(IntEnum):
    FLOAT = 0
    HALF = 1


class TensorIOMode(IntEnum):
    NONE = 0
    INPUT = 1
    OUTPUT = 2


class TensorLocation(IntEnum):
    DEVICE = 0
    HOST = 1


class MemoryPoolType(IntEnum):
    WORKSPACE = 0


class BuilderFlag(IntEnum):
    TF32 = 7


class NetworkDefinitionCreationFlag(IntEnum):
    STRONGLY_TYPED = 1


class ILogger:
    class Severity(IntEnum):
        INTERNAL_ERROR = 0
        ERROR = 1
        WARNING = 2
        INFO = 3
        VERBOSE = 4

    def log(self, severity: Any, msg: str) -> None:
        raise AssertionError("log was not written")


class IProgressMonitor:
    def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
        raise AssertionError

    def step_complete(self, phase_name: str, step: int) -> bool:
        raise AssertionError

    def phase_finish(self, phase_name: str) -> None:
        raise AssertionError


class _Tensor:
    def __init__(self, value: Any) -> None:
        self.name = value.name
        kind = value.type.tensor_type.elem_type
        self.dtype = DataType.FLOAT if kind == onnx.TensorProto.FLOAT else DataType.HALF
        self.shape = tuple(
            -1 if dim.dim_param else dim.dim_value for dim in value.type.tensor_type.shape.dim
        )


class INetworkDefinition:
    def __init__(self) -> None:
        self._path = ""
        self._inputs: list[_Tensor] = []
        self._outputs: list[_Tensor] = []

    @property
    def num_inputs(self) -> int:
        return len(self._inputs)

    @property
    def num_outputs(self) -> int:
        return len(self._outputs)

    def get_input(self, index: int) -> _Tensor:
        return self._inputs[index]

    def get_output(self, index: int) -> _Tensor:
        """With the sizes that follow from the inputs as they are now."""
        if any(size < 0 for tensor in self._inputs for size in tensor.shape):
            return self._outputs[index]
        model = onnx.load(self._path, load_external_data=False)
        for value, tensor in zip(model.graph.input, self._inputs, strict=True):
            for dim, size in zip(value.type.tensor_type.shape.dim, tensor.shape, strict=True):
                dim.dim_value = size
        for value in model.graph.output:
            value.type.tensor_type.ClearField("shape")
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
        self._outputs = [_Tensor(value) for value in inferred.graph.output]
        return self._outputs[index]


class OnnxParser:
    def __init__(self, network: INetworkDefinition, logger: ILogger) -> None:
        assert isinstance(logger, ILogger)
        self._network = network

    @property
    def num_errors(self) -> int:
        return 0

    def get_error(self, index: int) -> Any:
        raise AssertionError("there is none")

    def parse_from_file(self, model: str) -> bool:
        assert isinstance(model, str)
        body = onnx.load(model, load_external_data=False).graph
        self._network._path = model
        self._network._inputs = [_Tensor(value) for value in body.input]
        self._network._outputs = [_Tensor(value) for value in body.output]
        return True


class IOptimizationProfile:
    def __init__(self) -> None:
        self._shapes: dict[str, list[list[int]]] = {}

    def set_shape(self, input: str, min: Any, opt: Any, max: Any) -> None:  # noqa: A002
        self._shapes[input] = [list(min), list(opt), list(max)]


class ITimingCache:
    def __init__(self, text: bytes) -> None:
        self._text = text

    def serialize(self) -> bytes:
        return self._text + b"."


class IBuilderConfig:
    progress_monitor: IProgressMonitor | None = None

    def __init__(self) -> None:
        self._profiles: list[IOptimizationProfile] = []
        self._timings: ITimingCache | None = None
        self._workspace: int | None = None
        self._has_tf32 = True

    def add_optimization_profile(self, profile: IOptimizationProfile) -> int:
        self._profiles.append(profile)
        return len(self._profiles) - 1

    def clear_flag(self, flag: BuilderFlag) -> None:
        assert flag == BuilderFlag.TF32
        self._has_tf32 = False

    def set_memory_pool_limit(self, pool: MemoryPoolType, pool_size: int) -> None:
        assert pool == MemoryPoolType.WORKSPACE
        self._workspace = pool_size

    def create_timing_cache(self, serialized_timing_cache: bytes) -> ITimingCache:
        assert isinstance(serialized_timing_cache, bytes)
        return ITimingCache(serialized_timing_cache)

    def set_timing_cache(self, cache: ITimingCache, ignore_mismatch: bool) -> bool:
        assert not ignore_mismatch
        self._timings = cache
        return not cache._text.startswith(b"foreign")

    def get_timing_cache(self) -> ITimingCache:
        assert self._timings is not None
        return self._timings


class Builder:
    def __init__(self, logger: ILogger) -> None:
        assert isinstance(logger, ILogger)

    def create_network(self, flags: int) -> INetworkDefinition:
        assert flags == 1 << NetworkDefinitionCreationFlag.STRONGLY_TYPED
        return INetworkDefinition()

    def create_builder_config(self) -> IBuilderConfig:
        return IBuilderConfig()

    def create_optimization_profile(self) -> IOptimizationProfile:
        return IOptimizationProfile()

    def build_serialized_network(
        self, network: INetworkDefinition, config: IBuilderConfig
    ) -> bytes | None:
        (profile,) = config._profiles
        assert profile._shapes.keys() == {tensor.name for tensor in network._inputs}
        assert not config._has_tf32
        monitor = config.progress_monitor
        assert monitor is not None
        monitor.phase_start("Building", None, 2)
        for step in range(2):
            if not monitor.step_complete("Building", step):
                return None
        monitor.phase_finish("Building")
        plan = {
            "onnx": network._path,
            "profile": profile._shapes,
            "inputs": [(t.name, t.dtype, t.shape) for t in network._inputs],
            "outputs": [(t.name, t.dtype, t.shape) for t in network._outputs],
            "location": TensorLocation.DEVICE,
            "workspace": config._workspace,
        }
        return json.dumps(plan).encode()


class ICudaEngine:
    def __init__(self, plan: dict[str, Any], device: Device) -> None:
        self._plan, self._device = plan, device
        self._ports = {
            name: (mode, DataType(kind), tuple(shape))
            for mode, ports in (
                (TensorIOMode.INPUT, plan["inputs"]),
                (TensorIOMode.OUTPUT, plan["outputs"]),
            )
            for name, kind, shape in ports
        }

    @property
    def num_io_tensors(self) -> int:
        return len(self._ports)

    def get_tensor_name(self, index: int) -> str:
        return list(self._ports)[index]

    def get_tensor_mode(self, name: str) -> TensorIOMode:
        return self._ports[name][0]

    def get_tensor_dtype(self, name: str) -> DataType:
        return self._ports[name][1]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self._ports[name][2]

    def get_tensor_location(self, name: str) -> TensorLocation:
        assert name in self._ports
        return TensorLocation(self._plan["location"])

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[tuple[int, ...]]:
        assert profile_index == 0
        assert self._ports[name][0] == TensorIOMode.INPUT
        return [tuple(shape) for shape in self._plan["profile"][name]]

    def create_execution_context(self) -> "IExecutionContext | None":
        if self._device.failing.pop("create_execution_context", None):
            return None
        return IExecutionContext(self)


class IExecutionContext:
    def __init__(self, engine: ICudaEngine) -> None:
        self._engine, self._device = engine, engine._device
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}
        self._are_shapes_inferred = False
        self._waiting = 0  # runs in a stream
        self._changes = 0  # of shapes; a recorded run holds for one
        self._session = onnxruntime.InferenceSession(
            engine._plan["onnx"], providers=["CPUExecutionProvider"]
        )

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        assert isinstance(shape, tuple)
        assert not self._waiting, "a shape is set while a run waits"
        assert self._engine.get_tensor_mode(name) == TensorIOMode.INPUT
        least, _, most = self._engine.get_tensor_profile_shape(name, 0)
        self._are_shapes_inferred = False
        self._changes += 1
        if not all(a <= b <= c for a, b, c in zip(least, shape, most, strict=True)):
            return False
        self._shapes[name] = shape
        return True

    def infer_shapes(self) -> list[str]:
        inputs = {name for name, port in self._engine._ports.items() if port[0] == 1}
        self._are_shapes_inferred = True
        return sorted(inputs - self._shapes.keys())

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        assert self._are_shapes_inferred
        if name in self._shapes:
            return self._shapes[name]
        (count,) = {shape[0] for shape in self._shapes.values()}
        return (count, *self._engine.get_tensor_shape(name)[1:])

    def set_tensor_address(self, name: str, memory: int) -> bool:
        assert isinstance(memory, int)
        assert name in self._engine._ports
        self._addresses[name] = memory
        return True

    def execute_async_v3(self, stream_handle: int) -> bool:
        assert isinstance(stream_handle, int)
        assert self._are_shapes_inferred, "a run before the shapes are known"
        assert self._addresses.keys() == self._engine._ports.keys(), "a tensor has no address"
        if self._device.failing.pop("execute_async_v3", None):
            return False
        pieces = {}
        for name, address in self._addresses.items():
            shape = self.get_tensor_shape(name)
            size = 4 * int(np.prod(shape))
            piece = self._device.piece(self._device.blocks, address, size)
            pieces[name] = piece.view(np.float32).reshape(shape)
        changes, is_recorded = self._changes, self._device.recording is not None
        self._waiting += not is_recorded

        def compute() -> None:
            self._waiting -= not is_recorded
            assert self._changes == changes, "a recorded run after its shapes have changed"
            names = [output.name for output in self._session.get_outputs()]
            inputs = {i.name: pieces[i.name].copy() for i in self._session.get_inputs()}
            for name, value in zip(names, self._session.run(names, inputs), strict=True):
                pieces[name][:] = value

        self._device.queue(stream_handle, compute)
        return True


class Runtime:
    _device: Device

    def __init__(self, logger: ILogger) -> None:
        assert isinstance(logger, ILogger)
        self._logger = logger

    def deserialize_cuda_engine(self, serialized_engine: Any) -> ICudaEngine | None:
        try:
            plan = json.loads(bytes(serialized_engine))
        except ValueError:
            self._logger.log(ILogger.Severity.ERROR, "Magic tag does not match")
            return None
        return ICudaEngine(plan, self._device)


CLASSES = (
    DataType, TensorIOMode, TensorLocation, MemoryPoolType, BuilderFlag, ILogger, IProgressMonitor,
    NetworkDefinitionCreationFlag, INetworkDefinition, OnnxParser, IOptimizationProfile,
    ITimingCache, IBuilderConfig, Builder, ICudaEngine, IExecutionContext, Runtime,
)  # fmt: skip


def tensorrt(device: Device, name: str = "tensorrt", version: str = "10.3.0") -> ModuleType:
    """TensorRT's module on a device."""
    module = ModuleType(name)
    module.__spec__ = ModuleSpec(name, None)  # as of an installed one
    module.__version__ = version  # type: ignore[attr-defined]
    module.float32 = DataType.FLOAT  # type: ignore[attr-defined]
    for made in CLASSES:
        setattr(module, made.__name__, made)
    module.Runtime = type("Runtime", (Runtime,), {"_device": device})  # type: ignore[attr-defined]
    return module


def graph_of(plan: Path) -> str:
    """The ONNX file that an engine was built from."""
    return str(json.loads(plan.read_bytes())["onnx"])
