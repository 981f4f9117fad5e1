"""Runs the small networks of detectors: any inputs and outputs, unlike those of a bundle."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from sfedge.bundle.graph_io import FLOAT, GraphIO, Port
from sfedge.core.config import DetectorEngine
from sfedge.core.errors import EngineError, unknown_name
from sfedge.engines import compiled, openvino, ort, trt
from sfedge.engines.ort_device import CUDA_OPTIONS
from sfedge.system import cache

ENGINES: tuple[str, ...] = get_args(DetectorEngine)
_FROM_FILES = ("auto", "cpu", "openvino", "cuda")
# By the engine of a model on an NVIDIA device, that of the networks beside it.
_BESIDE = {
    "cuda": "cuda",
    "trt-ep": "cuda",
    "tensorrt": "tensorrt",
    "tensorrt-rtx": "tensorrt-rtx",
}
AS_IS = "as-is"  # the precision of native engines: that of the networks' files
# Most that a GPU's outputs may differ from a CPU's, of the largest: as a bundle's in fp32. Weights
# that are rounded to bf16 do not pass.
_ALIKE = 1e-3

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


@dataclass(frozen=True, slots=True)
class NetworkSet:
    """All networks of a detector; they run on one engine."""

    name: str  # of the detector, as in `RunConfig.detector`
    files: Mapping[str, Path]  # ONNX files by the networks' names

    @property
    def sha256(self) -> str:
        """Of all the files, which are read for it."""
        lines = [f"{name} {cache.file_sha256(file)}\n" for name, file in sorted(self.files.items())]
        return hashlib.sha256("".join(lines).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Place:
    """Where the networks of a detector are to run."""

    # "cpu" and "cuda" are ONNX Runtime's, "openvino" runs on the CPU, "tensorrt" and "tensorrt-rtx"
    # take what `sfedge engine build` made. "auto" is that of the model where it runs on an NVIDIA
    # device and the networks can run there, too; else the first that is installed of cpu and
    # openvino.
    engine: str = "auto"
    beside: str = ""  # the engine of the run's model; "" for none


AUTO = Place()


@dataclass(frozen=True, slots=True)
class OpenedSet:
    """The networks of a detector, ready to run."""

    networks: Mapping[str, SmallNetwork]
    note: str  # why "auto" did not take the engine of the model; "" where it did, or had no choice

    @property
    def device(self) -> str:
        """Where they run, as shown to the user."""
        return next(iter(self.networks.values())).device


def open_set(
    detector: NetworkSet, place: Place, *, threads: int = 1, is_compared: bool = False
) -> OpenedSet:
    """Load the networks of a detector, all on the same engine.

    Args:
        detector: what is to run.
        place: the engine; one that is named is never replaced by another.
        threads: most threads on the CPU. Networks of a few milliseconds are fastest in one, and
            leave the other cores to decoding and the model.
        is_compared: whether networks on a GPU are believed only where their outputs of one input
            are those of a CPU, if an engine for it is installed.

    Raises:
        EngineError: the engine is missing, does not load a network, or computes wrongly.
        UnknownNameError: there is no such engine.
    """
    if place.engine not in ENGINES:
        unknown_name("engine", place.engine, ENGINES, where="detector_engine")
    note = ""
    if place.engine == "auto" and (engine := _BESIDE.get(place.beside)):
        try:
            return OpenedSet(_opened(detector, engine, threads, is_compared), "")
        except EngineError as error:
            note = f"the detector runs on the CPU, as {engine} cannot run it: {error}"
    return OpenedSet(_opened(detector, place.engine, threads, is_compared), note)


def _opened(
    detector: NetworkSet, engine: str, threads: int, is_compared: bool
) -> dict[str, SmallNetwork]:
    if engine in trt.BACKENDS:
        networks = _open_native(detector, engine)
    else:
        networks = {
            name: open_network(file, engine=engine, threads=threads)
            for name, file in detector.files.items()
        }
    if is_compared and engine in _BESIDE.values():
        for name, network in networks.items():
            _compare(name, network, detector.files[name])
    return networks


def open_network(file: Path, *, engine: str = "auto", threads: int = 1) -> SmallNetwork:
    """Load one ONNX file into an engine that needs nothing else (see `Place`).

    Raises:
        EngineError: the engine is missing or does not load the file.
        UnknownNameError: there is no such engine.
    """
    if engine not in _FROM_FILES:
        unknown_name("engine", engine, _FROM_FILES, where="the network")
    if engine == "openvino":
        return _OpenVinoNetwork(file, threads)
    if engine == "cuda":
        ort.check_cuda()
        return _OrtNetwork(file, [(ort.CUDA, CUDA_OPTIONS), (ort.CPU, {})], threads)
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


def _open_native(detector: NetworkSet, backend: str) -> dict[str, SmallNetwork]:
    trt.check(backend)
    folder = compiled.folder_of(detector.sha256, backend, AS_IS)
    try:
        trt.check_built(backend, folder)
        ios = {built.graph: built.io for built in compiled.read(folder).engines if built.io}
        return {
            name: _NativeNetwork(backend, folder, ios.get(name, GraphIO(name, {}, {})))
            for name in detector.files
        }
    except EngineError as error:
        if error.fix != trt.REBUILD:
            raise
        raise type(error)(
            error.what,
            where=error.where,
            fix=f"Run: sfedge engine build --detector {detector.name}.",
        ) from error


def _compare(name: str, network: SmallNetwork, file: Path) -> None:
    """Raise EngineError where a network gives other outputs than a CPU."""
    try:
        reference = open_network(file)
    except EngineError:  # TensorRT alone is installed; what it gives has to be believed
        return
    (taken,) = network.inputs
    sizes = [size if isinstance(size, int) else 1 for size in taken.shape]
    picture = np.random.default_rng(0).random(sizes, np.float32)
    given = network.run({taken.name: picture}), reference.run({taken.name: picture})
    for output, found, right in zip(network.outputs, *given, strict=True):
        far = np.abs(found - right).max() / max(np.abs(right).max(), 1)
        if not far <= _ALIKE:
            raise EngineError(
                f"{name} gives another {output.name!r} than the CPU (by {far:.2g} of its largest "
                "value), so it is not used",
                where=network.device,
                fix="Update the driver and the engine's library (`sfedge doctor` names them), or "
                "run the detector on the CPU (detector_engine='cpu').",
            )


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


class _NativeNetwork:
    def __init__(self, backend: str, folder: Path, io: GraphIO) -> None:
        self._engine = trt.build(backend, Path(), io, folder)
        self.inputs, self.outputs = (
            [Port(name, FLOAT, [1, *dims]) for name, dims in ports.items()]
            for ports in (io.inputs, io.outputs)
        )
        self.device = self._engine.device

    def run(self, inputs: Mapping[str, Array]) -> list[Array]:
        found = self._engine.run(inputs)
        return [np.asarray(found[port.name][0])[None] for port in self.outputs]
