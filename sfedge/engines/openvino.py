"""OpenVINO on the CPU: graphs in bf16 where the processor has it, in fp32 anywhere."""

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfedge.bundle.graph_io import FLOAT, GraphIO, Port, check_ports, leaves_prompts_free
from sfedge.core.errors import EngineError
from sfedge.engines.engine import Arrays
from sfedge.engines.ort import physical_cores
from sfedge.system.machine import cpu_name

INSTALL = "pip install openvino"
_DEVICE = "CPU"
_REPORTER = "openvino_telemetry"


def check() -> None:
    """Raise EngineError where OpenVINO is missing or cannot use the processor."""
    capabilities()


def check_precision(precision: str) -> None:
    """Raise EngineError where the processor does not compute in a precision of a bundle."""
    if precision == "bf16" and "BF16" not in capabilities():
        raise EngineError(
            "it does not compute in bf16, so OpenVINO would run these graphs in another precision",
            where=cpu_name() or "the processor",
            fix="Take a bundle with fp32, another precision of this one, or the engine cpu.",
        )


def capabilities() -> tuple[str, ...]:
    """The types that the processor computes in natively, by OpenVINO, such as "BF16" and "INT8".

    Raises:
        EngineError: OpenVINO is missing, broken, or has nothing for this processor.
    """
    module = load_openvino()
    try:
        found = _core().get_property(_DEVICE, "OPTIMIZATION_CAPABILITIES")
    except Exception as error:  # its exceptions share no base of their own
        raise EngineError(
            f"it cannot use the processor ({reason(error)})",
            where=f"openvino {_version(module)}",
            fix=f"Run: {INSTALL} --force-reinstall; or choose the engine cpu.",
        ) from error
    return tuple(str(name) for name in found)


def build(graph: Path, contract: GraphIO, folder: Path) -> "OpenVinoEngine":
    """An engine on the CPU; `folder` is not used.

    What OpenVINO would keep there is as large as the graphs, and takes longer to load than they do.
    """
    return OpenVinoEngine(graph, contract)


class OpenVinoEngine:
    """One graph in OpenVINO, a sample at a time (see `sfedge.engines.engine.Engine`).

    Args:
        graph: the ONNX file.
        contract: what it must take and give.

    Raises:
        EngineError: it does not load, or does not fit its contract.
    """

    def __init__(self, graph: Path, contract: GraphIO) -> None:
        module = load_openvino()
        self.device, self.batch = f"cpu (openvino {_version(module)})", 1
        self._contract = contract
        self._graph = graph.name
        with _loading(graph):
            # Asked for by name: else a damaged file is offered to the readers of other formats.
            frontend = module.frontend.FrontEndManager().load_by_framework("onnx")
            model = frontend.convert(frontend.load(str(graph)))
            inputs = [_port(node, contract) for node in model.inputs]
            outputs = [_port(node, contract) for node in model.outputs]
        check_ports(contract, inputs, outputs, where=str(graph))
        self.pads = not leaves_prompts_free(inputs)
        with _loading(graph):
            # Of all sizes only the prompt's is left free: a compiler that knows the others lays out
            # the weights here and not in the first run, and needs less memory for it.
            model.reshape(
                {
                    port.name: [1, *(s if isinstance(s, int) else -1 for s in port.shape[1:])]
                    for port in inputs
                }
            )
            settings = {
                "INFERENCE_PRECISION_HINT": _hint(model),
                "INFERENCE_NUM_THREADS": physical_cores(),
                "PERFORMANCE_HINT": "LATENCY",
                # Threads that are bound to a core cannot make way for decoding and detection.
                "ENABLE_CPU_PINNING": False,
            }
            self._request = _core().compile_model(model, _DEVICE, settings).create_infer_request()

    def keep(self, row: NDArray[np.float32]) -> NDArray[np.float32]:
        """The sample as it is: this is where the engine runs."""
        return row

    def run(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        """Outputs by name, batch first; the result is the caller's to keep.

        Raises:
            EngineError: the inputs are not those of the graph, the run fails, or it gives a value
                that is not a finite number.
        """
        feed = self._feed(inputs)
        try:
            found = self._request.infer(feed, share_inputs=True)  # outputs are copied
            arrays = {name: found[name] for name in self._contract.outputs}
        except Exception as error:  # its exceptions share no base of their own
            raise self._failed(reason(error)) from error
        for name, array in arrays.items():
            if not np.isfinite(array).all():
                raise EngineError(
                    f"{name!r} contains values that are not numbers",
                    where=f"{self._graph} on {self.device}",
                    fix="Take a bundle in fp32, or another engine.",
                )
        return arrays

    def close(self) -> None:
        """Release the graph and its memory; the engine cannot run any more."""
        del self._request

    def _feed(self, inputs: Arrays) -> dict[str, NDArray[Any]]:
        """The arrays of one sample by name.

        OpenVINO itself would silently convert other types, and take what the last run took
        for an input that is missing.
        """
        if inputs.keys() != self._contract.inputs.keys():
            taken, given = ", ".join(self._contract.inputs), ", ".join(inputs)
            raise self._failed(f"it takes {taken}, not {given or 'nothing'}")
        feed = {}
        for name, rows in inputs.items():
            if len(rows) != 1:
                raise self._failed(f"it takes 1 sample, not {len(rows)} of {name!r}")
            array = rows if isinstance(rows, np.ndarray) else np.asarray(rows[0])[None]
            if array.dtype != np.float32:
                raise self._failed(f"{name!r} is {array.dtype}, not {FLOAT}")
            feed[name] = array
        return feed

    def _failed(self, why: str) -> EngineError:
        return EngineError(f"the run failed ({why})", where=f"{self._graph} on {self.device}")


def open_plain(graph: Path, threads: int) -> tuple[Any, list[Port], list[Port], str]:
    """A graph of any inputs and outputs, in fp32.

    Returns:
        What runs it, its inputs, its outputs, and the device as shown to the user.

    Raises:
        EngineError: OpenVINO is missing, or the graph does not load.
    """
    module = load_openvino()
    with _loading(graph):
        frontend = module.frontend.FrontEndManager().load_by_framework("onnx")
        model = frontend.convert(frontend.load(str(graph)))
        settings = {
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
            "ENABLE_CPU_PINNING": False,
        }
        request = _core().compile_model(model, _DEVICE, settings).create_infer_request()
    device = f"cpu (openvino {_version(module)})"
    ports = [[_plain_port(node) for node in nodes] for nodes in (model.inputs, model.outputs)]
    return request, ports[0], ports[1], device


def load_openvino() -> ModuleType:
    """The module `openvino`, kept from reporting its use.

    Raises:
        EngineError: it is not installed, or cannot be loaded; the message says what to run.
    """
    try:
        with _unreported():
            return importlib.import_module("openvino")
    except Exception as error:  # any exception at import makes it unusable
        is_missing = isinstance(error, ModuleNotFoundError) and error.name == "openvino"
        what = "is not installed" if is_missing else f"cannot be loaded ({reason(error)})"
        fix = INSTALL if is_missing else f"{INSTALL} --force-reinstall"
        raise EngineError(f"OpenVINO {what}", fix=f"Run: {fix}.") from error


@contextmanager
def _unreported() -> Iterator[None]:
    """Keep OpenVINO's import from reporting to Google Analytics, by blocking an optional module.

    A program around us that has loaded it goes on with it.
    """
    loaded = sys.modules.get(_REPORTER)
    sys.modules[_REPORTER] = None  # type: ignore[assignment]  # its import fails
    try:
        yield
    finally:
        sys.modules.pop(_REPORTER, None)
        if loaded is not None:
            sys.modules[_REPORTER] = loaded


@contextmanager
def _loading(graph: Path) -> Iterator[None]:
    """Turn any exception of OpenVINO while loading a graph into EngineError."""
    try:
        yield
    except Exception as error:  # its exceptions share no base of their own
        raise EngineError(
            f"OpenVINO cannot load it ({reason(error)})",
            where=str(graph),
            fix="Run `sfedge doctor`; if it finds nothing, export the bundle again.",
        ) from error


@cache
def _core() -> Any:
    """The object that lists devices and compiles; a single one, so that graphs share threads."""
    return load_openvino().Core()


def _hint(model: Any) -> str:
    """The precision to compute in: bf16 where the graph holds values in it, else fp32.

    In 8-bit graphs the graph itself sets the type of the GEMMs.
    """
    kinds = {
        output.get_element_type().to_string()
        for node in model.get_ops()
        for output in node.outputs()
    }
    return "bf16" if "bf16" in kinds else "f32"


def _port(node: Any, contract: GraphIO) -> Port:
    """An input or output of a model, as `check_ports` takes it."""
    # Nodes that do nothing are taken out, and what goes through them has all their names.
    names = sorted(node.get_names(), key=lambda n: n not in {*contract.inputs, *contract.outputs})
    return replace(_plain_port(node), name=next(iter(names), ""))


def _plain_port(node: Any) -> Port:
    """An input or output of a model by any of its names."""
    kind = node.get_element_type().to_string()
    sizes = [size.get_length() if size.is_static else "?" for size in node.get_partial_shape()]
    return Port(min(node.get_names(), default=""), FLOAT if kind == "f32" else kind, sizes)


def _version(module: ModuleType) -> str:
    return str(module.__version__).split("-")[0]  # the build follows


def reason(error: Exception) -> str:
    """An exception's message in one line: OpenVINO puts its source files first."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
