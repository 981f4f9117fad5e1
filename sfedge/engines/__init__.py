"""Inference engines by name, and the choice among them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sfedge.engines import ort
from sfedge.engines.base import Engine
from sfedge.errors import EngineError, unknown_name
from sfedge.gpus import find_gpus
from sfedge.graphs import GraphIO
from sfedge.manifest import Manifest

__all__ = ["ENGINES", "Choice", "Engine", "EngineKind", "choose_engine", "choose_precision"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineKind:
    """One way to run graphs."""

    precisions: tuple[str, ...]  # of a bundle, the preferred first
    batch: int  # most queries in one run; a CPU gains nothing from more than one
    check: Callable[[], None]  # raises EngineError where it cannot run on this machine
    build: Callable[[Path, GraphIO, Path], Engine]  # graph, its contract, folder for caches


ENGINES: dict[str, EngineKind] = {
    "cuda": EngineKind(
        precisions=("fp16", "fp32"), batch=8, check=ort.check_cuda, build=ort.build_cuda
    ),
    "cpu": EngineKind(
        precisions=("int8-cpu", "fp32"), batch=1, check=ort.check_cpu, build=ort.build_cpu
    ),
    "trt-ep": EngineKind(
        precisions=("fp16", "fp32"), batch=8, check=ort.check_trt, build=ort.build_trt
    ),
}
# What "auto" tries, in this order; trt-ep compiles for minutes at its first start: only on request.
_AUTOMATIC = ("cuda", "cpu")


@dataclass(frozen=True, slots=True)
class Choice:
    """The engine that was taken, and a sentence on each faster one that cannot run here."""

    name: str
    passed: tuple[str, ...]

    @property
    def note(self) -> str:
        """What somebody with an NVIDIA GPU must know who does not get what it can do; else ""."""
        gpus = find_gpus()[0] if self.passed else []
        if not gpus:
            return ""
        return f"{gpus[0].name} is not used, the engine {self.name} is. {' '.join(self.passed)}"


def choose_engine(name: str = "auto") -> Choice:
    """The engine to run, known to run here; "auto" takes the fastest that does.

    Raises:
        UnknownNameError: there is no such engine.
        EngineError: it cannot run on this machine; the message says what to install. Another
            engine is never taken in place of the one that was named.
    """
    if name != "auto":
        if name not in ENGINES:
            unknown_name("engine", name, ["auto", *ENGINES], where="--engine")
        ENGINES[name].check()
        return Choice(name, ())
    passed: list[str] = []
    for candidate in _AUTOMATIC[:-1]:
        try:
            ENGINES[candidate].check()
        except EngineError as error:
            passed.append(f"The engine {candidate} cannot run: {error}")
        else:
            return Choice(candidate, tuple(passed))
    ENGINES[_AUTOMATIC[-1]].check()
    return Choice(_AUTOMATIC[-1], tuple(passed))


def choose_precision(engine: str, manifest: Manifest) -> str:
    """The precision of the bundle that suits the engine best.

    Raises:
        EngineError: the bundle has none that the engine runs.
    """
    wanted = ENGINES[engine].precisions
    for precision in wanted:
        if precision in manifest.precisions:
            return precision
    raise EngineError(
        f"engine {engine!r} runs {' or '.join(wanted)}, "
        f"bundle {manifest.name!r} has {', '.join(manifest.precisions)}",
        fix="Export the bundle with one of these precisions.",
    )
