"""ONNX Runtime on an NVIDIA device, through its CUDA or its TensorRT provider."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sfedge.bundle.graph_io import GraphIO
from sfedge.core.errors import EngineError
from sfedge.engines import compiled
from sfedge.engines.cuda import Cuda, wants_graphs
from sfedge.engines.device import Bindings, DeviceEngine
from sfedge.engines.ort import CPU, CUDA, TRT, first_line, load_runtime, open_session
from sfedge.system.gpus import find_gpus

_BATCH = 8  # most samples in one run
CUDA_OPTIONS = {
    "arena_extend_strategy": "kSameAsRequested",
    # The search of the default measures: it is not worth its time for the one convolution of a
    # bundle, the encoder's, and lets detectors compute otherwise from start to start.
    "cudnn_conv_algo_search": "HEURISTIC",
    "use_tf32": "0",  # a graph in fp32 computes in fp32
}


def build_cuda(graph: Path, contract: GraphIO, folder: Path) -> DeviceEngine:
    """An engine on the first NVIDIA device; `folder` is not used."""
    options = CUDA_OPTIONS | {"enable_cuda_graph": "1" if wants_graphs() else "0"}
    return _engine(graph, contract, [(CUDA, options), (CPU, {})], "cuda")


def build_trt(graph: Path, contract: GraphIO, folder: Path) -> DeviceEngine:
    """An engine through TensorRT; what it compiles is kept in `folder`, for this user alone.

    Raises:
        EngineError: somebody else could have written there, or ONNX Runtime refuses.
    """
    compiled.check_private(folder)
    compiled.make_private(folder)
    options: dict[str, Any] = {
        # The graph's own types hold: no precision is lowered silently.
        "trt_fp16_enable": False,
        "trt_cuda_graph_enable": wants_graphs(),
        "trt_engine_cache_enable": True,
        "trt_engine_cache_path": str(folder),
        "trt_engine_cache_prefix": contract.name,
        "trt_timing_cache_enable": True,
        "trt_timing_cache_path": str(folder),
        **{
            f"trt_profile_{bound}_shapes": ",".join(
                f"{name}:{'x'.join(map(str, (batch, *dims)))}"
                for name, dims in contract.inputs.items()
            )
            for bound, batch in (("min", 1), ("opt", 1), ("max", _BATCH))
        },
    }
    providers = [(TRT, options), (CUDA, {"use_tf32": "0"}), (CPU, {})]
    return _engine(graph, contract, providers, compiled.RUNTIME)


def launcher(
    session: Any, bindings: Bindings, where: str, *, place: str = "cuda"
) -> Callable[[int], None]:
    """Runs a session from and into memory on the device.

    Args:
        session: of ONNX Runtime.
        bindings: where it reads and writes.
        where: what runs, for messages.
        place: ONNX Runtime's word for where that memory is.
    """
    runtime = load_runtime()
    addresses = bindings.addresses

    def launch(count: int) -> None:
        binding, options = session.io_binding(), runtime.RunOptions()
        if wants_graphs():
            # The id selects the recorded CUDA graph: one for each batch size.
            options.add_run_config_entry("gpu_graph_id", str(count))
        for name, dims in bindings.contract.inputs.items():
            binding.bind_input(name, place, 0, np.float32, [count, *dims], addresses[name])
        for name, dims in bindings.contract.outputs.items():
            binding.bind_output(name, place, 0, np.float32, [count, *dims], addresses[name])
        bindings.cuda.wait()  # the runtime has a stream of its own
        try:
            session.run_with_iobinding(binding, options)
            binding.synchronize_outputs()
        except Exception as error:  # its exceptions share no base of their own
            raise EngineError(f"the run failed ({first_line(error)})", where=where) from error

    return launch


def _engine(
    graph: Path, contract: GraphIO, providers: Sequence[tuple[str, dict[str, Any]]], engine: str
) -> DeviceEngine:
    gpus, _ = find_gpus()
    name = gpus[0].name if gpus else "no device"
    device = f"{name} ({engine}, onnxruntime {load_runtime().__version__})"
    session = open_session(graph, contract, providers)
    bindings = Bindings(Cuda(), contract, _BATCH)
    return DeviceEngine(bindings, launcher(session, bindings, f"{graph.name} on {device}"), device)
