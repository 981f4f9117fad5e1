"""Native TensorRT: runs engines that `sfedge engine build` made on this machine.

One way for all versions from 10.3 (JetPack 6) on, and for TensorRT-RTX on desktop devices.
"""

import importlib
import importlib.util
import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from sfedge.bundle.graph_io import FLOAT, GraphIO, Port, check_ports
from sfedge.core.errors import EngineError
from sfedge.engines import compiled
from sfedge.engines.cuda import Cuda, Graph, check_cuda, wants_graphs
from sfedge.engines.device import Bindings, DeviceEngine
from sfedge.engines.engine import Engine
from sfedge.system.gpus import driver_version, find_gpus

# PyPI's onnxruntime-gpu links TensorRT 10; version 11 has another library name.
INSTALL_TENSORRT = 'pip install --extra-index-url https://pypi.nvidia.com "tensorrt-cu13==10.*"'
INSTALL_RTX = "pip install tensorrt-rtx-cu13-libs tensorrt-rtx-cu13-bindings"
# Backend: the modules that hold it, in the order they are looked for, and what to install.
BACKENDS: dict[str, tuple[tuple[str, ...], str]] = {
    "tensorrt": (
        ("tensorrt",),
        f"Run: {INSTALL_TENSORRT}. On a Jetson: sudo apt install python3-libnvinfer, and make the "
        "virtual environment with --system-site-packages.",
    ),
    "tensorrt-rtx": (
        ("tensorrt_rtx", "tensorrt_rtx_bindings"),
        f"On a PC with an RTX device, run: {INSTALL_RTX}.",
    ),
}
REBUILD = "Run: sfedge engine build, with this bundle."


def load_tensorrt(backend: str) -> ModuleType:
    """The installed module of a backend.

    Raises:
        EngineError: there is none, or it cannot be loaded; the message says what to install.
    """
    modules, install = BACKENDS[backend]
    for name in modules:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise EngineError(
                    f"it needs {error.name}, which is missing", where=name, fix=install
                ) from error
        except (ImportError, OSError, RuntimeError) as error:
            raise EngineError(f"it cannot be loaded ({error})", where=name, fix=install) from error
    raise EngineError(f"{backend} is not installed", fix=install)


def machine(trt: ModuleType) -> compiled.Machine:
    """The software and device that engines are built with and for here."""
    gpus, _ = find_gpus()
    return compiled.Machine(
        builder=f"{trt.__name__} {trt.__version__}",
        driver=driver_version() if gpus else "",
        device=gpus[0] if gpus else None,
    )


def check(backend: str) -> None:
    """Raise EngineError where native engines of this backend cannot run on this machine."""
    gpus, why = find_gpus()
    if not gpus:
        modules, install = BACKENDS[backend]
        is_there = any(importlib.util.find_spec(name) for name in modules)
        then = "" if is_there else f" {install}"
        raise EngineError(why, fix=f"Install the NVIDIA driver, or choose the engine cpu.{then}")
    load_tensorrt(backend)
    check_cuda()


def check_built(backend: str, folder: Path, model: str = "") -> None:
    """Raise EngineError where `folder` holds no engines that fit this machine.

    Args:
        backend: a key of `BACKENDS`.
        folder: where the engines of the bundle are.
        model: its name; with it, the error names engines of another version of the bundle.
    """
    try:
        _built(load_tensorrt(backend), folder)
    except compiled.NotBuiltError as error:
        if (other := compiled.of_another_version(folder, model)) is None:
            raise
        raise EngineError(
            "its engines are stale: they were built from another version of bundle "
            f"{model!r} ({other.bundle_sha256[:12]}…, now it is {folder.parent.name[:12]}…)",
            where=str(compiled.folder_of(other.bundle_sha256, backend, other.precision)),
            fix=REBUILD,
        ) from error


def state(engines: compiled.EngineSet) -> str:
    """Why engines do not run here, a clause; "" where they do."""
    try:
        reason = compiled.staleness(engines, machine(load_tensorrt(engines.backend)))
    except EngineError as error:
        return f"{engines.backend} cannot run: {error.what}"
    return f"stale: {reason}" if reason else ""


def build(backend: str, graph: Path, contract: GraphIO, folder: Path) -> Engine:
    """The engine of a graph, out of those in `folder`; the graph itself is not read.

    Raises:
        EngineError: there is none, it is not from here, it is stale, or it does not load.
    """
    trt = load_tensorrt(backend)
    engines = _built(trt, folder)
    with _rebuild_advised():
        path = compiled.checked_file(engines, folder, contract.name)
    bindings = Bindings(Cuda(), contract, engines.max_batch)
    plan = _Plan(trt, path, bindings)
    gpus, _ = find_gpus()
    name = gpus[0].name if gpus else "no device"
    return DeviceEngine(bindings, plan.launch, f"{name} ({engines.machine.builder})")


class Log:
    """TensorRT's log lines of level error, for error messages."""

    def __init__(self, trt: ModuleType) -> None:
        lines: list[str] = []

        # The module is whichever TensorRT is installed, so that mypy does not know its classes.
        class Logger(trt.ILogger):  # type: ignore[misc, name-defined]
            def __init__(self) -> None:
                trt.ILogger.__init__(self)

            def log(self, severity: Any, text: str) -> None:
                if severity <= trt.ILogger.Severity.ERROR:
                    lines.append(" ".join(text.split()))

        self.logger = Logger()
        self._lines = lines

    def errors(self) -> str:
        """All of them since the last call, in one line."""
        text = "; ".join(self._lines)
        self._lines.clear()
        return text


def port(trt: ModuleType, name: str, kind: Any, shape: Any) -> Port:
    """A tensor of a network or an engine, as `check_ports` takes it."""
    element = FLOAT if kind == trt.float32 else str(kind)
    return Port(name, element, [None if size < 0 else int(size) for size in shape])


def _built(trt: ModuleType, folder: Path) -> compiled.EngineSet:
    with _rebuild_advised():
        engines = compiled.read(folder)
    if reason := compiled.staleness(engines, machine(trt)):
        raise EngineError(f"its engines are stale: {reason}", where=str(folder), fix=REBUILD)
    return engines


@contextmanager
def _rebuild_advised() -> Iterator[None]:
    """Let errors about what was compiled say how to compile it again."""
    try:
        yield
    except EngineError as error:
        raise type(error)(error.what, where=error.where, fix=REBUILD) from error


class _Plan:
    """An engine on the device, and the one context that runs it.

    With `SFEDGE_CUDA_GRAPH=1` in the environment, a batch that comes a second time in a row is
    captured as a CUDA graph and replayed until another size comes.
    """

    def __init__(self, trt: ModuleType, path: Path, bindings: Bindings) -> None:
        self._trt, self._bindings, self._where = trt, bindings, str(path)
        self._log = Log(trt)  # must outlive what it was given to
        try:
            self._runtime = trt.Runtime(self._log.logger)
            with path.open("rb") as file, _mapped(file.fileno()) as data:
                self._engine = self._runtime.deserialize_cuda_engine(data)
        except (OSError, ValueError, RuntimeError, TypeError) as error:
            raise self._error("it cannot be loaded", str(error)) from error
        if self._engine is None:
            raise self._error("it cannot be loaded")
        self._check()
        self._context = self._engine.create_execution_context()
        if self._context is None:
            raise self._error("the device has no room to run it")
        for name, address in bindings.addresses.items():
            if not self._context.set_tensor_address(name, address):
                raise self._error(f"{name!r} cannot be placed")
        self._count = 0  # samples that the context is set to
        self._may_capture = wants_graphs()
        self._graph: Graph | None = None

    def launch(self, count: int) -> None:
        """Queue a run of the first `count` samples.

        Raises:
            EngineError: TensorRT refuses.
        """
        if count != self._count:
            self._graph = None
            self._set_shapes(count)
        elif self._may_capture and self._graph is None:
            self._capture()
        if self._graph is not None:
            self._graph.launch()
        else:
            self._execute()

    def _execute(self) -> None:
        if not self._context.execute_async_v3(self._bindings.cuda.stream):
            raise self._error("the run failed")

    def _set_shapes(self, count: int) -> None:
        self._count = 0
        contract = self._bindings.contract
        for name, dims in contract.inputs.items():
            if not self._context.set_input_shape(name, (count, *dims)):
                raise self._error(f"{name!r} does not take {count} samples")
        try:
            missing = self._context.infer_shapes()
        except RuntimeError as error:
            raise self._error(str(error)) from error
        found = {name: tuple(self._context.get_tensor_shape(name)) for name in contract.outputs}
        wanted = {name: (count, *dims) for name, dims in contract.outputs.items()}
        if missing or found != wanted:
            raise self._error(f"of {count} samples it gives {found}, not {wanted}")
        self._count = count

    def _capture(self) -> None:
        try:
            self._graph = Graph(self._bindings.cuda, self._execute)
        except EngineError:  # some engines cannot be recorded; they run as they are
            self._may_capture = False

    def _check(self) -> None:
        """Compare names, modes, types, shapes and profile with the required ones."""
        trt, engine, contract = self._trt, self._engine, self._bindings.contract
        ports: dict[Any, list[Port]] = {trt.TensorIOMode.INPUT: [], trt.TensorIOMode.OUTPUT: []}
        for index in range(engine.num_io_tensors):
            name = engine.get_tensor_name(index)
            kind, shape = engine.get_tensor_dtype(name), tuple(engine.get_tensor_shape(name))
            if shape[:1] == (1,) and self._bindings.batch == 1:  # built for one sample alone
                shape = (-1, *shape[1:])
            ports[engine.get_tensor_mode(name)].append(port(trt, name, kind, shape))
            if engine.get_tensor_location(name) != trt.TensorLocation.DEVICE:
                raise self._error(f"{name!r} is not in the device's memory")
        check_ports(
            contract,
            ports[trt.TensorIOMode.INPUT],
            ports[trt.TensorIOMode.OUTPUT],
            where=self._where,
        )
        for name, dims in contract.inputs.items():
            least, _, most = (tuple(s) for s in engine.get_tensor_profile_shape(name, 0))
            if least != (1, *dims) or most != (self._bindings.batch, *dims):
                raise self._error(f"{name!r} takes {least} to {most}")

    def _error(self, what: str, reason: str = "") -> EngineError:
        reason = self._log.errors() or reason
        return EngineError(
            f"{what} ({reason})" if reason else what,
            where=self._where,
            fix=REBUILD,
        )


def _mapped(file: int) -> mmap.mmap:
    """A file's bytes, read while they are used: an engine may be half of a device's memory."""
    return mmap.mmap(file, 0, access=mmap.ACCESS_READ)
