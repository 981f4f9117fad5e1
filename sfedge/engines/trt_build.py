"""Builds native TensorRT engines from a bundle, on the device that is to run them."""

import hashlib
import importlib
import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from sfedge import cache
from sfedge.bundle import Bundle
from sfedge.engines import choose_precision
from sfedge.engines.ort import INSTALL_TENSORRT
from sfedge.errors import EngineError
from sfedge.gpus import Gpu, find_gpus
from sfedge.graphs import FLOAT, GraphIO, Port, check_ports, graph_io

SCHEMA = 1
RECORD_NAME = "engines.json"
MAX_BATCH = 64

# TensorRT, and the kind of it for desktop RTX devices, in the order they are looked for.
_MODULES = ("tensorrt", "tensorrt_rtx", "tensorrt_rtx_bindings")
_INSTALL = (
    f"Run: {INSTALL_TENSORRT}. On a Jetson: "
    "sudo apt install python3-libnvinfer, and make the virtual environment with "
    "--system-site-packages."
)
_PIECE = 1 << 24  # bytes written at a time


@dataclass(frozen=True, slots=True)
class BuiltEngine:
    """One graph as TensorRT compiled it."""

    graph: str
    file: str  # beside the record
    size: int  # bytes
    sha256: str
    onnx_sha256: str


@dataclass(frozen=True, slots=True)
class EngineSet:
    """All engines of a bundle in one precision, for one device; written beside them as JSON."""

    bundle: str  # the model's name
    bundle_sha256: str
    precision: str
    max_batch: int
    builder: str  # module and version that built them; engines run in no other version
    device: Gpu | None  # None where a desktop builder compiled without a device
    engines: tuple[BuiltEngine, ...]
    schema: int = SCHEMA


def build_engines(
    bundle: Bundle,
    *,
    precision: str | None = None,
    max_batch: int = 8,
    report: Callable[[str], None] = lambda text: None,
) -> tuple[EngineSet, Path]:
    """Compile all graphs of a bundle into the user's cache; takes minutes for a large model.

    The precision is that of the graphs: nothing is lowered while building.

    Args:
        bundle: an open bundle.
        precision: a folder of the bundle; None for fp16 where it has one, else fp32.
        max_batch: most queries that one run may answer, 1 to MAX_BATCH.
        report: called with a sentence before each graph.

    Returns:
        What was built, and the folder it is in.

    Raises:
        EngineError: TensorRT is not installed, refuses a graph, or finds no device.
        BundleError: a graph is damaged, or the bundle has no such precision.
        OutputError: the cache cannot be written.
    """
    trt = load_tensorrt()
    chosen = precision or choose_precision("trt-ep", bundle.manifest)
    builder = f"{trt.__name__} {trt.__version__}"
    gpus, _ = find_gpus()
    folder = cache.cache_folder() / "engines" / bundle.sha256 / f"tensorrt-{chosen}"
    built = []
    for name, contract in graph_io(bundle.manifest).items():
        graph = bundle.graph_path(chosen, name)
        report(f"building {name} with {builder}")
        plan = _build(trt, graph, contract, max_batch)
        file = f"{name}.engine"
        cache.write(folder / file, _pieces(plan))
        sha256 = hashlib.sha256(plan).hexdigest()
        built.append(BuiltEngine(name, file, len(plan), sha256, cache.file_sha256(graph)))
    engines = EngineSet(
        bundle=bundle.manifest.name,
        bundle_sha256=bundle.sha256,
        precision=chosen,
        max_batch=max_batch,
        builder=builder,
        device=gpus[0] if gpus else None,
        engines=tuple(built),
    )
    # Last: a record means that all it lists is there.
    cache.write(folder / RECORD_NAME, [json.dumps(asdict(engines), indent=1).encode()])
    return engines, folder


def load_tensorrt() -> ModuleType:
    """The installed TensorRT, of any kind and version from 10.3 on.

    Raises:
        EngineError: there is none, or it cannot be loaded; the message says what to install.
    """
    for name in _MODULES:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:
                raise EngineError(
                    f"it needs {error.name}, which is missing", where=name, fix=_INSTALL
                ) from error
        except (ImportError, OSError, RuntimeError) as error:
            raise EngineError(f"it cannot be loaded ({error})", where=name, fix=_INSTALL) from error
    raise EngineError("TensorRT is not installed", fix=_INSTALL)


def _build(trt: ModuleType, graph: Path, contract: GraphIO, max_batch: int) -> memoryview:
    log = _logger(trt)
    try:
        builder = trt.Builder(log)
        # Strongly typed: the types in the graph are binding, so no flag can lower a precision.
        flags = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
        network = builder.create_network(flags)
    except (TypeError, RuntimeError) as error:  # pybind11: a factory that gave nothing
        raise EngineError(
            f"TensorRT does not start ({log.errors() or error})",
            fix="It needs an NVIDIA device and its driver; `sfedge doctor` tells what is there.",
        ) from error
    parser = trt.OnnxParser(network, log)
    if not parser.parse_from_file(str(graph)):
        found = [parser.get_error(index) for index in range(parser.num_errors)]
        reasons = (
            "; ".join(f"{error.node_operator()}: {error.desc()}" for error in found) or log.errors()
        )
        raise EngineError(
            f"TensorRT cannot read the {contract.name} graph ({reasons})", where=str(graph)
        )
    check_ports(
        contract,
        [_port(trt, network.get_input(i)) for i in range(network.num_inputs)],
        [_port(trt, network.get_output(i)) for i in range(network.num_outputs)],
        where=str(graph),
    )
    config = builder.create_builder_config()
    profile = builder.create_optimization_profile()
    for name, dims in contract.inputs.items():
        profile.set_shape(name, (1, *dims), (min(4, max_batch), *dims), (max_batch, *dims))
    config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        reasons = log.errors() or "it gives no reason"
        raise EngineError(
            f"TensorRT cannot build the {contract.name} graph ({reasons})",
            where=str(graph),
            fix="Free some memory, or build for smaller batches.",
        )
    return memoryview(plan)


def _pieces(data: memoryview) -> Iterator[bytes]:
    """The bytes in pieces, so that gigabytes are not copied at once."""
    for start in range(0, len(data), _PIECE):
        yield bytes(data[start : start + _PIECE])


def _logger(trt: ModuleType) -> Any:
    """A log that keeps the errors for the message and says nothing else."""

    # The module is whichever TensorRT is installed, so that mypy does not know its classes.
    class Log(trt.ILogger):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self._lines: list[str] = []

        def log(self, severity: Any, text: str) -> None:
            if severity <= trt.ILogger.Severity.ERROR:
                self._lines.append(" ".join(text.split()))

        def errors(self) -> str:
            return "; ".join(self._lines)

    return Log()


def _port(trt: ModuleType, tensor: Any) -> Port:
    kind = FLOAT if tensor.dtype == trt.float32 else str(tensor.dtype)
    return Port(tensor.name, kind, [None if size < 0 else int(size) for size in tensor.shape])
