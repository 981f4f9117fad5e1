"""Inference engines by name, and the choice among them."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from sfedge.bundle.bundle import Bundle
from sfedge.bundle.graph_io import GraphIO
from sfedge.core.errors import EngineError, unknown_name
from sfedge.engines import compiled, openvino, ort, ort_device, trt
from sfedge.engines.engine import Engine
from sfedge.system.gpus import find_gpus

__all__ = ["ENGINES", "Choice", "Engine", "EngineKind", "choose_engine", "choose_precision"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineKind:
    """One way to run graphs."""

    precisions: tuple[str, ...]  # of a bundle, the preferred first
    check: Callable[[], None]  # raises EngineError where it cannot run on this machine
    build: Callable[
        [Path, GraphIO, Path], Engine
    ]  # graph, its contract, folder for what it compiles
    loaders: int = 1  # graphs that are loaded at once; a compiler measures and wants quiet
    reads_graphs: bool = True  # else they were compiled ahead, of graphs that were verified then
    # Raises EngineError where the folder lacks what must be compiled ahead of the model so named.
    check_built: Callable[[Path, str], None] = lambda folder, model: None
    # Raises EngineError where the machine does not compute in a precision of the bundle.
    check_precision: Callable[[str], None] = lambda precision: None


def _native(backend: str) -> EngineKind:
    return EngineKind(
        precisions=("fp16", "bf16", "fp32", "int8-qdq", "fp8-qdq"),
        check=partial(trt.check, backend),
        build=partial(trt.build, backend),
        reads_graphs=False,
        check_built=partial(trt.check_built, backend),
    )


ENGINES: dict[str, EngineKind] = {
    "tensorrt": _native("tensorrt"),
    "tensorrt-rtx": _native("tensorrt-rtx"),
    "cuda": EngineKind(
        precisions=("fp16", "fp32"), check=ort.check_cuda, build=ort_device.build_cuda
    ),
    "cpu": EngineKind(
        precisions=("int8-cpu", "fp32"), check=ort.check_cpu, build=ort.build_cpu, loaders=2
    ),
    "openvino": EngineKind(
        precisions=("bf16", "fp32", "int8-qdq"),
        check=openvino.check,
        build=openvino.build,
        loaders=2,
        check_precision=openvino.check_precision,
    ),
    "trt-ep": EngineKind(
        precisions=("fp16", "fp32"), check=ort.check_trt, build=ort_device.build_trt
    ),
}
# Engines for "auto", fastest first. Only on request: trt-ep, which compiles for minutes at its
# first start, and openvino, as int8-cpu in ONNX Runtime is faster where the bundle has it.
_AUTOMATIC = ("tensorrt", "tensorrt-rtx", "cuda", "cpu")


@dataclass(frozen=True, slots=True)
class Choice:
    """The engine that was taken, and a sentence on each faster one that cannot run here."""

    name: str
    precision: str
    passed: tuple[str, ...]

    @property
    def note(self) -> str:
        """What "auto" chose and why no faster one, where it skipped some; else ""."""
        if not self.passed:
            return ""
        gpus, why = find_gpus()
        if not gpus:  # the same reason for all of them
            return f"the engine {self.name} is used: {why}."
        return (
            f"the engine {self.name} is used on a machine with {gpus[0].name}. "
            f"{' '.join(self.passed)}"
        )


def choose_engine(bundle: Bundle, name: str = "auto", *, precision: str | None = None) -> Choice:
    """The engine to run a bundle, known to run here; "auto" takes the fastest that does.

    Args:
        bundle: what is to run.
        name: of an engine, or "auto".
        precision: of the bundle; None for the one that suits the engine best.

    Raises:
        UnknownNameError: there is no such engine.
        EngineError: it cannot run on this machine, or not this bundle; the message says what to
            do. Another engine is never taken in place of the one that was named.
    """
    if name != "auto":
        if name not in ENGINES:
            unknown_name("engine", name, ["auto", *ENGINES], where="engine")
        ENGINES[name].check()
        return Choice(name, choose_precision(name, bundle, precision), ())
    passed: list[str] = []
    for candidate in _AUTOMATIC:
        try:
            ENGINES[candidate].check()
            found = choose_precision(candidate, bundle, precision)
        except EngineError as error:
            if candidate == _AUTOMATIC[-1]:
                raise
            passed.append(f"The engine {candidate} cannot run: {error}")
        else:
            break
    return Choice(candidate, found, tuple(passed))


def choose_precision(engine: str, bundle: Bundle, precision: str | None = None) -> str:
    """The precision of a bundle that suits an engine best; of native engines one that was built.

    Args:
        engine: its name.
        bundle: what is to run.
        precision: the one that is wanted; None for any that the engine runs.

    Raises:
        EngineError: the bundle has none that the engine runs, none of them was built here, or the
            machine does not compute in them.
    """
    manifest, wanted = bundle.manifest, ENGINES[engine].precisions
    known = [p for p in wanted if p in manifest.precisions and precision in (None, p)]
    if not known:
        asked = f", asked for is {precision}" if precision else ""
        others = [p for p in wanted if p in manifest.precisions]
        raise EngineError(
            f"engine {engine!r} runs {' or '.join(wanted)}, "
            f"bundle {manifest.name!r} has {', '.join(manifest.precisions)}{asked}",
            fix=f"Choose {' or '.join(others)}, or leave the precision out."
            if others
            else "Choose another engine, or export the model with one of these precisions.",
        )
    errors = []
    for candidate in known:
        try:
            ENGINES[engine].check_precision(candidate)
            folder = compiled.folder_of(bundle.sha256, engine, candidate)
            ENGINES[engine].check_built(folder, manifest.name)
        except EngineError as error:
            errors.append(error)
        else:
            return candidate
    # A stale engine is more useful to report than one that was never built.
    raise next(
        (error for error in errors if not isinstance(error, compiled.NotBuiltError)), errors[0]
    )
