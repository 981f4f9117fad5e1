"""Builds native TensorRT engines of bundles and detectors, on the device that is to run them."""

import hashlib
import importlib.util
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from math import prod
from pathlib import Path
from types import ModuleType
from typing import Any

from sfedge.bundle.bundle import Bundle
from sfedge.bundle.graph_io import Dims, GraphIO, graph_io
from sfedge.core.errors import EngineError
from sfedge.engines import ENGINES, compiled
from sfedge.engines.small_network import AS_IS, NetworkSet
from sfedge.engines.trt import BACKENDS, Log, load_tensorrt, machine
from sfedge.engines.trt_io import Fit, as_found, as_promised
from sfedge.system import cache

MAX_BATCH = 64
# Peak memory of a build: TensorRT's own, and a multiple of the files of the largest graph. Trunks
# of the paper's size took 90 to 98 % of it, in fp32, bf16 and int8, by TensorRT-RTX 1.7.1 on a CPU
# (docs/engines.md).
MEMORY_BASE, MEMORY_FACTOR = 700_000_000, 3.3

Progress = Callable[[str, float], None]  # graph, fraction that is done
_CHUNK = 1 << 24  # bytes written at a time


def default_backend() -> str:
    """The first backend that is installed; tensorrt where none is."""
    for name, (modules, _) in BACKENDS.items():
        if any(importlib.util.find_spec(module) for module in modules):
            return name
    return next(iter(BACKENDS))


def default_precision(bundle: Bundle, backend: str) -> str:
    """The default precision to build of a bundle: fp16 where it has it, else fp32.

    Raises:
        EngineError: it has none that the backend takes.
    """
    wanted = ENGINES[backend].precisions
    for precision in wanted:
        if precision in bundle.manifest.precisions:
            return precision
    raise EngineError(
        f"{backend} builds {' or '.join(wanted)}, bundle {bundle.manifest.name!r} has "
        f"{', '.join(bundle.manifest.precisions)}",
        fix="Export the bundle with one of these precisions.",
    )


def memory_to_build(bundle: Bundle, precision: str) -> int:
    """Bytes of the host's memory that a build takes at its peak, by the largest graph's files."""
    return MEMORY_BASE + round(MEMORY_FACTOR * max(_sizes(bundle, precision).values()))


def memory_to_run(bundle: Bundle, precision: str, max_batch: int) -> int:
    """Bytes of the device's memory that engines hold: weights, prompts, inputs and outputs.

    What TensorRT itself works in comes on top; it is known once the engines are built.
    """
    contracts = graph_io(bundle.manifest)
    batch = sum(
        prod(dims)
        for contract in contracts.values()
        for dims in (*contract.inputs.values(), *contract.outputs.values())
    )
    trunk, answer = contracts["trunk"].inputs, contracts["answer"].inputs
    prompt = sum(map(prod, (trunk["past"], answer["past_last"], answer["padding"])))
    weights = sum(_sizes(bundle, precision).values())
    return weights + 4 * (len(bundle.manifest.tasks) * prompt + max_batch * batch)


def memory_free() -> int | None:
    """Bytes of the host's memory that can be had now; None where the system does not report it."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(found[0]) * 1024 if found else None


def build_engines(
    bundle: Bundle,
    *,
    backend: str,
    precision: str,
    max_batch: int = 8,
    workspace: int | None = None,
    timing_cache: Path | None = None,
    progress: Progress = lambda graph, share: None,
) -> tuple[compiled.EngineSet, Path]:
    """Compile all graphs of a bundle into the user's cache; takes minutes for a large model.

    The precision is that of the graphs: nothing is lowered while building, TF32 included. Engines
    that were there for this bundle, backend and precision are replaced once all new ones are whole.

    Args:
        bundle: an open bundle.
        backend: a key of `sfedge.engines.trt.BACKENDS`.
        precision: a folder of the bundle.
        max_batch: most queries that one run may answer, 1 to MAX_BATCH.
        workspace: bytes of the device's memory that a layer may work in; None for all of it.
        timing_cache: file that keeps what TensorRT measured, read and written; None for one of
            this device and version in the user's cache. TensorRT-RTX measures nothing.
        progress: called with each graph's name and the fraction that is done.

    Returns:
        What was built, and the folder it is in.

    Raises:
        EngineError: TensorRT is not installed, refuses a graph, or finds no device.
        BundleError: a graph is damaged, or the bundle has no such precision.
        OutputError: the cache cannot be written.
    """
    contracts = graph_io(bundle.manifest)
    return _build_set(
        (
            (name, bundle.graph_path(precision, name), as_promised(contracts[name]))
            for name in contracts
        ),
        bundle.manifest.name,
        bundle.sha256,
        precision,
        backend=backend,
        max_batch=max_batch,
        workspace=workspace,
        timing_cache=timing_cache,
        progress=progress,
    )


def build_networks(
    detector: NetworkSet,
    picture: Dims = (),
    *,
    backend: str,
    workspace: int | None = None,
    timing_cache: Path | None = None,
    progress: Progress = lambda graph, share: None,
) -> tuple[compiled.EngineSet, Path]:
    """Compile a detector's networks for one picture in a run; seconds to a few minutes.

    They compute in the types of their files, those of MediaPipe in fp32; else as `build_engines`.

    Args:
        detector: with networks of one float32 input and float32 outputs of fixed sizes.
        picture: the input's sizes without the batch, for networks that leave some of them free.
        backend: as of `build_engines`.
        workspace: likewise.
        timing_cache: likewise.
        progress: likewise.

    Raises:
        EngineError: TensorRT is not installed, refuses a network, or finds no device; or a network
            is of another kind.
        OutputError: the cache cannot be written.
    """
    return _build_set(
        ((name, file, as_found(name, picture)) for name, file in detector.files.items()),
        detector.name,
        detector.sha256,
        AS_IS,
        backend=backend,
        max_batch=1,
        workspace=workspace,
        timing_cache=timing_cache,
        progress=progress,
    )


def _build_set(
    graphs: Iterable[tuple[str, Path, Fit]],
    name: str,
    sha256: str,
    precision: str,
    *,
    backend: str,
    max_batch: int,
    workspace: int | None,
    timing_cache: Path | None,
    progress: Progress,
) -> tuple[compiled.EngineSet, Path]:
    """Compile graphs, each by name with its file, into the folder of a bundle or detector."""
    trt = load_tensorrt(backend)
    now = machine(trt)
    timings = None if backend == "tensorrt-rtx" else timing_cache or _timing_file(now)
    folder = compiled.folder_of(sha256, backend, precision)
    compiled.make_private(folder.parent)
    with cache.within(folder):
        part = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f"{folder.name}.part-"))
    try:
        built = []
        for graph, path, fit in graphs:
            build = _Build(trt, graph, path, fit, progress)
            plan, io = build.run(max_batch, workspace, timings)
            file = f"{graph}.engine"
            cache.write(part / file, _chunks(plan))
            built.append(
                compiled.BuiltEngine(
                    graph,
                    file,
                    len(plan),
                    hashlib.sha256(plan).hexdigest(),
                    cache.file_sha256(path),
                    io if precision == AS_IS else None,
                )
            )
        engines = compiled.EngineSet(
            backend=backend,
            bundle=name,
            bundle_sha256=sha256,
            precision=precision,
            max_batch=max_batch,
            machine=now,
            engines=tuple(built),
        )
        compiled.save(engines, part)
        with cache.within(folder):
            if folder.exists():
                shutil.rmtree(folder)
            part.rename(folder)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return engines, folder


class _Build:
    """The building of one graph."""

    def __init__(
        self, trt: ModuleType, name: str, graph: Path, fit: Fit, progress: Progress
    ) -> None:
        self._trt, self._name, self._graph, self._fit = trt, name, graph, fit
        self._log = Log(trt)
        self._progress = progress

    def run(
        self, max_batch: int, workspace: int | None, timings: Path | None
    ) -> tuple[memoryview, GraphIO]:
        """The engine's bytes, and what it takes and gives."""
        trt = self._trt
        try:
            builder = trt.Builder(self._log.logger)
            # Strongly typed: the types in the graph are binding, so no flag can lower a precision.
            flags = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
            network = builder.create_network(flags)
        except (TypeError, RuntimeError) as error:  # pybind11: a factory that gave nothing
            raise EngineError(
                f"TensorRT does not start ({self._log.errors() or error})",
                fix="It needs an NVIDIA device and driver; `sfedge doctor` lists what is there.",
            ) from error
        self._parse(network)
        io = self._fit(trt, network, str(self._graph))
        config = builder.create_builder_config()
        if hasattr(trt.BuilderFlag, "TF32"):
            config.clear_flag(trt.BuilderFlag.TF32)
        if workspace is not None:
            config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, workspace)
        profile = builder.create_optimization_profile()
        for name, dims in io.inputs.items():
            profile.set_shape(name, (1, *dims), (min(4, max_batch), *dims), (max_batch, *dims))
        config.add_optimization_profile(profile)
        if timings is not None:
            self._read_timings(config, timings)
        monitor = _monitor(trt, lambda share: self._progress(self._name, share))
        config.progress_monitor = monitor
        plan = builder.build_serialized_network(network, config)
        if monitor.interruption is not None:
            raise monitor.interruption
        if plan is None:
            reasons = self._log.errors() or "it gives no reason"
            raise EngineError(
                f"TensorRT cannot build the {self._name} graph ({reasons})",
                where=str(self._graph),
                fix="Free some memory, or build for smaller batches.",
            )
        if timings is not None:
            cache.write(timings, [bytes(config.get_timing_cache().serialize())])
        return memoryview(plan), io

    def _parse(self, network: Any) -> None:
        trt, where = self._trt, str(self._graph)
        parser = trt.OnnxParser(network, self._log.logger)
        if not parser.parse_from_file(where):
            found = [parser.get_error(index) for index in range(parser.num_errors)]
            reasons = "; ".join(f"{error.node_operator()}: {error.desc()}" for error in found)
            raise EngineError(
                f"TensorRT cannot read the {self._name} graph ({reasons or self._log.errors()})",
                where=where,
            )

    def _read_timings(self, config: Any, file: Path) -> None:
        try:
            known = file.read_bytes() if file.exists() else b""
        except OSError as error:
            raise EngineError(f"it cannot be read ({error.strerror})", where=str(file)) from error
        timings = config.create_timing_cache(known)
        if timings is None or not config.set_timing_cache(timings, ignore_mismatch=False):
            raise EngineError(
                f"it is no timing cache of this device and version ({self._log.errors()})",
                where=str(file),
                fix="Delete it, or choose another timing cache.",
            )


def _sizes(bundle: Bundle, precision: str) -> dict[str, int]:
    """Bytes of each graph's files."""
    sizes = dict.fromkeys(graph_io(bundle.manifest), 0)
    for entry in bundle.manifest.files:
        folder, _, name = entry.path.partition("/")
        graph = name.partition(".")[0]
        if folder == precision and graph in sizes:
            sizes[graph] += entry.size
    return sizes


def _timing_file(now: compiled.Machine) -> Path:
    """Where this device's timings are kept."""
    words = f"{now.builder}, {now.device.name if now.device else 'no device'}"
    return compiled.root() / f"timings-{hashlib.sha256(words.encode()).hexdigest()[:12]}"


def _chunks(data: memoryview) -> Iterator[bytes]:
    """The bytes in chunks, so that gigabytes are not copied at once."""
    for start in range(0, len(data), _CHUNK):
        yield bytes(data[start : start + _CHUNK])


def _monitor(trt: ModuleType, report: Callable[[float], None]) -> Any:
    """Follows TensorRT's nested phases; Ctrl-C ends the build at its next step."""

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc, name-defined]
        interruption: BaseException | None = None

        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._phases: dict[str, list[int]] = {}  # name: steps done and in all, outermost first
            self._best = 0.0

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:
            self._phases[phase_name] = [0, num_steps]

        def step_complete(self, phase_name: str, step: int) -> bool:
            if phase_name in self._phases:
                self._phases[phase_name][0] = step + 1
            self._tell()
            return self.interruption is None

        def phase_finish(self, phase_name: str) -> None:
            self._phases.pop(phase_name, None)
            self._tell()

        def _tell(self) -> None:
            share, width = (0.0, 1.0) if self._phases else (1.0, 0.0)
            for done, steps in self._phases.values():
                share, width = share + width * done / steps, width / steps
            self._best = max(self._best, min(share, 1.0))
            try:
                report(self._best)
            except BaseException as error:  # it may not fly through TensorRT's own code
                self.interruption = error

    return Monitor()
