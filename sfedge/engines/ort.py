"""ONNX Runtime: which of it is installed, what it can run on, and the engine on the CPU."""

import contextlib
import ctypes
import importlib.metadata
import io
import os
import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sfedge.bundle.graph_io import FLOAT, GraphIO, Port, check_ports, leaves_prompts_free
from sfedge.core.errors import EngineError
from sfedge.engines import cuda
from sfedge.engines.engine import Arrays, Rows
from sfedge.engines.one_node import one_node
from sfedge.engines.trt import INSTALL_TENSORRT
from sfedge.system.gpus import find_gpus

# Distributions that write into the same folder `onnxruntime`; the last one installed wins.
FLAVOURS = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino")

INSTALL_CPU = "pip install onnxruntime"
# With NVIDIA's libraries, and with what moves samples to the device.
INSTALL_GPU = 'pip install "onnxruntime-gpu[cuda,cudnn]" cuda-bindings'
_ON_JETSON = "on a Jetson install the onnxruntime-gpu wheel of its JetPack"
CPU, CUDA, TRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"
_FATAL = 4  # log level; everything below also comes as an exception


def installed_flavours() -> dict[str, str]:
    """Installed distributions of ONNX Runtime and their versions; there should be one."""
    found = {}
    for name in FLAVOURS:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def clash(flavours: Mapping[str, str]) -> tuple[str, str] | None:
    """The problem and its fix where several flavours are installed over each other."""
    if len(flavours) < 2:
        return None
    wanted = INSTALL_GPU if "onnxruntime-gpu" in flavours else INSTALL_CPU
    names = " ".join(flavours)
    return (
        f"{' and '.join(flavours)} are installed over each other",
        f"Run: pip uninstall -y {names} && {wanted}.",
    )


def check_cpu() -> None:
    """Raise EngineError where ONNX Runtime is missing or broken."""
    load_runtime()


def check_cuda() -> None:
    """Raise EngineError where the CUDA provider cannot run on this machine."""
    _check_provider(CUDA, "cuda", "")


def check_trt() -> None:
    """Raise EngineError where the TensorRT provider cannot run on this machine."""
    _check_provider(TRT, "tensorrt", f" && {INSTALL_TENSORRT}")


def build_cpu(graph: Path, contract: GraphIO, folder: Path) -> "OrtEngine":
    """An engine on the CPU; `folder` is not used."""
    return OrtEngine(graph, contract, [(CPU, {})], _cpu_name())


def open_session(
    graph: Path, contract: GraphIO, providers: Sequence[tuple[str, dict[str, Any]]]
) -> Any:
    """A session of ONNX Runtime.

    Args:
        graph: the ONNX file.
        contract: what it must take and give.
        providers: names and options; the first must really run, or it is an error.

    Raises:
        EngineError: it does not load, does not fit its contract, or the provider does not run.
    """
    runtime = load_runtime()
    options = session_options(physical_cores())
    if providers[0][0] == CPU:
        # The block that is planned for whole runs comes on top of what the first run took: without
        # it a trunk of the paper's width works in 280 MB in place of 500 MB, as fast.
        options.enable_mem_pattern = False
        _share_memory()
        options.add_session_config_entry("session.use_env_allocators", "1")
    exact_integers(options)
    try:
        session = runtime.InferenceSession(
            str(graph), options, providers=list(providers), enable_fallback=0
        )
    except Exception as error:  # its exceptions share no base of their own
        raise EngineError(
            f"ONNX Runtime cannot load it ({first_line(error)})",
            where=str(graph),
            fix="Run `sfedge doctor`; if it finds nothing, export the bundle again.",
        ) from error
    wanted = providers[0][0]
    if wanted not in session.get_providers():
        raise EngineError(
            f"{wanted} did not start",
            where=str(graph),
            fix="Run `sfedge doctor`, or choose the engine cpu.",
        )
    check_ports(
        contract,
        [port(node) for node in session.get_inputs()],
        [port(node) for node in session.get_outputs()],
        where=str(graph),
    )
    return session


def session_options(threads: int) -> Any:
    """Options of a session that is quiet, gives the same result each time and frees idle cores."""
    options = load_runtime().SessionOptions()
    options.log_severity_level = _FATAL
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.use_deterministic_compute = True
    # Threads that wait in a loop would take the cores from decoding and detection.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def exact_integers(options: Any) -> None:
    """Keep eight-bit GEMMs right on x86 processors without VNNI.

    There ONNX Runtime adds pairs of products in 16 bits, and 2 x 255 x 127 is more than these hold.
    Asked for precision, it takes weights without a sign, whose kernel has the room, but is slower:
    on a processor with VNNI, which needs none of it, half as fast.
    """
    if not _adds_exactly():
        options.add_session_config_entry("session.x64quantprecision", "1")


@cache
def _adds_exactly() -> bool:
    """Whether the quickest eight-bit GEMM is exact where its sums are the largest there are."""
    runtime = load_runtime()
    inner, columns = 64, 16
    graph = one_node(
        "MatMulInteger",
        {"x": ("uint8", (1, inner)), "w": ("int8", (inner, columns))},
        {"y": ("int32", (1, columns))},
        {},
    )
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(graph, options, providers=[CPU])
    x, w = np.full((1, inner), 255, np.uint8), np.full((inner, columns), 127, np.int8)
    (found,) = session.run(["y"], {"x": x, "w": w})
    return bool((found == x.astype(np.int32) @ w.astype(np.int32)).all())


class OrtEngine:
    """One graph in ONNX Runtime (see `sfedge.engines.engine.Engine`).

    Args:
        graph: the ONNX file.
        contract: what it must take and give.
        providers: names and options; the first must really run, or it is an error.
        device: as shown to the user.

    Raises:
        EngineError: it does not load, does not fit its contract, or the provider does not run.
    """

    def __init__(
        self,
        graph: Path,
        contract: GraphIO,
        providers: Sequence[tuple[str, dict[str, Any]]],
        device: str,
    ) -> None:
        self.device, self.batch = device, 1
        self._contract = contract
        self._graph = graph.name
        self._session = open_session(graph, contract, providers)
        self.pads = not leaves_prompts_free([port(node) for node in self._session.get_inputs()])

    def keep(self, row: NDArray[np.float32]) -> NDArray[np.float32]:
        """The sample as it is: this is where the engine runs."""
        return row

    def run(self, inputs: Arrays) -> dict[str, NDArray[np.float32]]:
        """Outputs by name, batch first; the result is the caller's to keep.

        Raises:
            EngineError: the run fails, or gives a value that is not a finite number.
        """
        names = list(self._contract.outputs)
        try:
            feed = {name: _stacked(rows) for name, rows in inputs.items()}
            arrays = self._session.run(names, feed)
        except Exception as error:  # its exceptions share no base of their own
            raise EngineError(
                f"the run failed ({first_line(error)})", where=f"{self._graph} on {self.device}"
            ) from error
        for name, array in zip(names, arrays, strict=True):
            if not np.isfinite(array).all():
                raise EngineError(
                    f"{name!r} contains values that are not numbers",
                    where=f"{self._graph} on {self.device}",
                    fix="Take a bundle in fp32, or another engine.",
                )
        return dict(zip(names, arrays, strict=True))

    def close(self) -> None:
        """Release the session; the engine cannot run any more."""
        del self._session


def physical_cores() -> int:
    """Cores that this process may use, hyper-threads counted once, a container's quota kept."""
    if not hasattr(os, "sched_getaffinity"):  # not Linux
        return max((os.cpu_count() or 2) // 2, 1)
    siblings = set()
    for cpu in os.sched_getaffinity(0):
        topology = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        try:
            siblings.add(topology.read_text())
        except OSError:
            siblings.add(str(cpu))
    return max(min(len(siblings), _quota()), 1)


def _quota() -> int:
    """Whole cores that the container may use (cgroup v2), or a large number."""
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return int(quota) // int(period)
    except (OSError, ValueError):  # no such file, or "max"
        return 1 << 16


def provider_library(name: str) -> Path:
    """The file of a provider, "cuda" or "tensorrt"; it need not be there."""
    folder = Path(str(load_runtime().__file__)).parent / "capi"
    return folder / f"libonnxruntime_providers_{name}.so"


def linked_tensorrt() -> int | None:
    """The version of TensorRT that the installed TensorRT provider links; None without one."""
    try:
        found = re.search(rb"libnvinfer\.so\.(\d+)", provider_library("tensorrt").read_bytes())
    except (EngineError, OSError):
        return None
    return int(found[1]) if found else None


def load_runtime() -> ModuleType:
    """The module `onnxruntime`, quiet."""
    flavours = installed_flavours()
    try:
        import onnxruntime
    except ImportError as error:
        what, fix = clash(flavours) or (
            "ONNX Runtime is not installed" if not flavours else f"it cannot be loaded ({error})",
            f"Run: {INSTALL_CPU}, or with an NVIDIA GPU: {INSTALL_GPU}; {_ON_JETSON}.",
        )
        raise EngineError(what, where="onnxruntime", fix=fix) from error
    onnxruntime.set_default_logger_severity(_FATAL)
    onnxruntime.disable_telemetry_events()
    module: ModuleType = onnxruntime
    return module


def _check_provider(provider: str, library: str, further: str) -> None:
    """Raise EngineError where a provider cannot run; `further` adds to the installing command."""
    runtime = load_runtime()
    flavours = installed_flavours()
    has_provider = provider in runtime.get_available_providers()
    install = INSTALL_GPU + further
    if not has_provider and "onnxruntime" in flavours:
        install = f"pip uninstall -y onnxruntime && {install}"
    gpus, why = find_gpus()
    if not gpus:
        then = "" if has_provider else f", then run: {install}"
        raise EngineError(why, fix=f"Install the NVIDIA driver{then}; or choose the engine cpu.")
    where = f"onnxruntime {runtime.__version__}"
    advice = f"Run: {install}; {_ON_JETSON}."
    if not has_provider:
        what, fix = clash(flavours) or (f"it has no {provider}", advice)
        raise EngineError(what, where=where, fix=fix)
    if hasattr(runtime, "preload_dlls"):
        with contextlib.redirect_stdout(io.StringIO()):  # it prints what it does not find
            runtime.preload_dlls()  # CUDA and cuDNN where pip has put them
    try:
        ctypes.CDLL(str(provider_library(library)))
    except OSError as error:
        raise EngineError(
            f"{provider} does not load ({error})",
            where=where,
            fix=advice,
        ) from error
    cuda.check_cuda()


@cache
def _share_memory() -> None:
    """Let all graphs on the CPU work in the same memory, as they run one after another."""
    runtime = load_runtime()
    place = runtime.OrtMemoryInfo(
        "Cpu", runtime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, runtime.OrtMemType.DEFAULT
    )
    with contextlib.suppress(Exception):  # the program around us has done so; its memory serves
        runtime.create_and_register_allocator(place, runtime.OrtArenaCfg(0, -1, -1, -1))


def _cpu_name() -> str:
    return f"cpu (onnxruntime {load_runtime().__version__})"


def _stacked(rows: Rows) -> NDArray[Any]:
    """[B, ...] of B samples; of one alone without a copy, as prompts are large."""
    if isinstance(rows, np.ndarray):
        return rows
    return np.asarray(rows[0])[None] if len(rows) == 1 else np.stack([np.asarray(r) for r in rows])


def port(node: Any) -> Port:
    """An input or output of a session, as `check_ports` takes it."""
    kind = FLOAT if node.type == "tensor(float)" else str(node.type)
    return Port(node.name, kind, node.shape)


def first_line(error: Exception) -> str:
    """An exception's message in one line."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
