"""OpenVINO on a bundle's graphs, beside ONNX Runtime: whether it would be worth an engine.

OpenVINO is no part of this project; install its wheel beside it: pip install openvino.
"""

import importlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks import machine
from benchmarks.full_size_run import apart
from sfedge.bundle import open_bundle
from sfedge.engines.ort import build_cpu, physical_cores
from sfedge.graphs import GraphIO, graph_io

GRAPHS = ("encoder", "trunk")
PRECISIONS = ("fp32", "int8-cpu", "int8-qdq")
_WORTH = 1.2  # times as fast as ONNX Runtime, to be worth an engine
_REPEATS = 3

Feed = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True, eq=False)
class Timing:
    """One library on one graph; times in seconds."""

    loaded: float
    runs: list[float]
    busy: list[float]  # of the processor in each run, all threads; other work hardly adds to it
    output: NDArray[np.float32]


def onnx_runtime(begun: float, path: Path, io: GraphIO) -> Timing:
    """The runtime's own engine."""
    begun = time.perf_counter()
    engine = build_cpu(path, io, path.parent)
    return _timed(begun, io, lambda feed: np.asarray(next(iter(engine.run(feed).values()))))


def openvino(begun: float, path: Path, io: GraphIO, hint: str) -> Timing:
    """OpenVINO on as many threads; `hint` is what it may compute fp32 in."""
    module: Any = importlib.import_module("openvino")
    begun = time.perf_counter()
    settings = {
        "INFERENCE_PRECISION_HINT": hint,
        "INFERENCE_NUM_THREADS": physical_cores(),
        "PERFORMANCE_HINT": "LATENCY",
    }
    core = module.Core()
    model = core.read_model(str(path))
    model.reshape({name: [1, *dims] for name, dims in io.inputs.items()})
    compiled = core.compile_model(model, "CPU", settings)
    return _timed(begun, io, lambda feed: np.array(compiled(dict(feed))[0]))


def _timed(begun: float, io: GraphIO, run: Callable[[Feed], NDArray[np.float32]]) -> Timing:
    random = np.random.default_rng(0)
    feed = {n: random.standard_normal((1, *d), np.float32) for n, d in io.inputs.items()}
    for name in ("padding", "box_mask"):
        if name in feed:
            feed[name][:] = 0
    output = run(feed)
    timing = Timing(time.perf_counter() - begun, [], [], output)
    for _ in range(_REPEATS):
        start, busy = time.perf_counter(), time.process_time()
        run(feed)
        timing.runs.append(time.perf_counter() - start)
        timing.busy.append(time.process_time() - busy)
    return timing


def compare(path: Path, io: GraphIO, rounds: int, hints: Sequence[str]) -> list[tuple[str, ...]]:
    """Lines of the table for one graph; the libraries take turns."""
    graph = f"{path.parent.name}/{io.name}"
    names = ["ONNX Runtime", *(f"OpenVINO, {hint}" for hint in hints)]
    ways: dict[str, list[Timing]] = {name: [] for name in names}
    refused: dict[str, tuple[str, ...]] = {}
    for _ in range(rounds):
        ways["ONNX Runtime"].append(apart(onnx_runtime, path, io))
        for hint in hints:
            way = f"OpenVINO, {hint}"
            try:
                ways[way].append(apart(openvino, path, io, hint))
            except RuntimeError as error:
                click.echo(f"{graph}: {error}", err=True)
                refused[way] = (graph, way, "does not load it", *["–"] * 4)
    wanted = ways["ONNX Runtime"][0].output
    base = _median(ways["ONNX Runtime"])
    rows = [
        (
            graph,
            way,
            f"{_median(timings):.3g}",
            f"{base / _median(timings):.2f} ×",
            f"{machine.median(s for timing in timings for s in timing.busy):.3g}",
            f"{machine.median(t.loaded for t in timings):.3g}",
            f"{_cosine(timings[0].output, wanted):.6f}",
        )
        for way, timings in ways.items()
        if timings
    ]
    return [*rows, *refused.values()]


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path, exists=True))
@click.option("--rounds", default=2, show_default=True, type=click.IntRange(1))
@click.option(
    "--hint",
    "hints",
    multiple=True,
    default=("f32",),
    show_default=True,
    help="What OpenVINO computes in, f32 or bf16; give it once for each.",
)
@click.option("--out", type=click.Path(path_type=Path), default=machine.RESULTS / "openvino.md")
def main(bundle: Path, rounds: int, hints: tuple[str, ...], out: Path) -> None:
    """Time encoder and trunk of BUNDLE in each of its precisions for the processor."""
    facts = machine.describe()
    version = importlib.import_module("openvino").__version__
    rows: list[tuple[str, ...]] = []
    with open_bundle(bundle) as opened:
        contracts = graph_io(opened.manifest)
        for precision in opened.manifest.precisions:
            if precision not in PRECISIONS:
                continue
            for graph in GRAPHS:
                path = opened.graph_path(precision, graph)
                rows += compare(path, contracts[graph], rounds, hints)
                click.echo(rows[-1], err=True)
    words = "".join(f" --hint {hint}" for hint in hints)
    machine.write_page(
        out,
        "OpenVINO on the same graphs",
        f"python -m benchmarks.openvino_graphs {bundle.name} --rounds {rounds}{words}",
        facts,
        [
            f"OpenVINO {version}. Medians of {rounds} processes of {_REPEATS} runs each, in turns.",
            machine.table(
                (
                    "graph",
                    "library",
                    "s a run",
                    "speed",
                    "processor s a run",
                    "s to load",
                    "cosine of outputs",
                ),
                rows,
            ),
            f"It is worth an engine from {_WORTH:g} × on.",
        ],
    )
    print(out.read_text(encoding="utf-8"))


def _median(timings: Sequence[Timing]) -> float:
    return machine.median(seconds for timing in timings for seconds in timing.runs)


def _cosine(found: NDArray[np.float32], wanted: NDArray[np.float32]) -> float:
    a, b = found.astype(np.float64).ravel(), wanted.astype(np.float64).ravel()
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


if __name__ == "__main__":
    main()
