"""Runs the small networks of detectors: any inputs and outputs, unlike those of a bundle."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from sfedge.bundle.graph_io import Port
from sfedge.core.errors import EngineError, unknown_name
from sfedge.engines import openvino, ort

ENGINES = ("auto", "cpu", "openvino", "cuda")

Array = NDArray[Any]


class SmallNetwork(Protocol):
    """A network that is ready to run; it belongs to one thread."""

    @property
    def inputs(self) -> Sequence[Port]: ...

    @property
    def outputs(self) -> Sequence[Port]: ...

    @property
    def device(self) -> str:
        """Where it really runs, as shown to the user, such as "cpu (onnxruntime 1.32.0)"."""
        ...

    def run(self, inputs: Mapping[str, Array]) -> list[Array]:
        """All outputs, in the order of the file."""
        ...


def open_network(file: Path, *, engine: str = "auto", threads: int = 1) -> SmallNetwork:
    """Load an ONNX file.

    Args:
        file: the network.
        engine: "cpu" and "cuda" are ONNX Runtime's, "openvino" runs on the CPU; "auto" takes the
            first that is installed of cpu and openvino. On the CPU networks of a few milliseconds
            are fastest in one thread, and leave the other cores to decoding and the model.
        threads: most threads on the CPU.

    Raises:
        EngineError: the engine is missing or does not load the file.
        UnknownNameError: there is no such engine.
    """
    if engine not in ENGINES:
        unknown_name("engine", engine, ENGINES, where="the detector")
    if engine == "openvino":
        return _OpenVinoNetwork(file, threads)
    if engine == "cuda":
        ort.check_cuda()
        return _OrtNetwork(file, [(ort.CUDA, {"use_tf32": "0"}), (ort.CPU, {})], threads)
    try:
        ort.check_cpu()
    except EngineError:
        if engine == "cpu":
            raise
        try:
            return _OpenVinoNetwork(file, threads)
        except EngineError as error:
            raise EngineError(
                "detectors need ONNX Runtime or OpenVINO, and neither runs here",
                fix=f"Run: {ort.INSTALL_CPU}; or: {openvino.INSTALL}.",
            ) from error
    return _OrtNetwork(file, [(ort.CPU, {})], threads)


class _OrtNetwork:
    def __init__(
        self, file: Path, providers: Sequence[tuple[str, Mapping[str, str]]], threads: int
    ) -> None:
        runtime = ort.load_runtime()
        options = ort.session_options(threads)
        try:
            self._session = runtime.InferenceSession(
                str(file), options, providers=list(providers), enable_fallback=0
            )
        except Exception as error:  # its exceptions share no base of their own
            raise EngineError(
                f"ONNX Runtime cannot load it ({ort.first_line(error)})", where=str(file)
            ) from error
        if providers[0][0] not in self._session.get_providers():
            raise EngineError(
                f"{providers[0][0]} did not start", where=str(file), fix="Run `sfedge doctor`."
            )
        self.inputs = [ort.port(node) for node in self._session.get_inputs()]
        self.outputs = [ort.port(node) for node in self._session.get_outputs()]
        place = "cuda" if providers[0][0] == ort.CUDA else "cpu"
        self.device = f"{place} (onnxruntime {runtime.__version__})"
        self._where = f"{file.name} on {self.device}"

    def run(self, inputs: Mapping[str, Array]) -> list[Array]:
        try:
            found: list[Array] = self._session.run(None, inputs)
        except Exception as error:  # its exceptions share no base of their own
            raise EngineError(
                f"the run failed ({ort.first_line(error)})", where=self._where
            ) from error
        return found


class _OpenVinoNetwork:
    def __init__(self, file: Path, threads: int) -> None:
        self._request, self.inputs, self.outputs, self.device = openvino.open_plain(file, threads)
        self._where = f"{file.name} on {self.device}"

    def run(self, inputs: Mapping[str, Array]) -> list[Array]:
        try:
            found = self._request.infer(dict(inputs), share_inputs=True)
            return [np.array(found[i]) for i in range(len(self.outputs))]
        except Exception as error:  # its exceptions share no base of their own
            raise EngineError(
                f"the run failed ({openvino.reason(error)})", where=self._where
            ) from error
