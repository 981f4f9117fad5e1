"""OpenVINO beside ONNX Runtime, graph by graph, each as the runtime's engine runs it."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks import measured_on as machine
from benchmarks.full_size import FP32, INT8, OPENVINO, runnable
from benchmarks.full_size_run import apart
from sfedge.bundle.bundle import Bundle, open_bundle
from sfedge.bundle.graph_io import PROMPT_AXES, GraphIO, graph_io
from sfedge.core.errors import SfedgeError
from sfedge.engines import ENGINES, Engine
from sfedge.engines.compiled import folder_of

# Each way, and the one it is compared with: the same precision, or the nearest, in ONNX Runtime.
BESIDE = dict(zip((FP32, INT8, *OPENVINO), (FP32, INT8, FP32, FP32, INT8), strict=True))
_REPEATS = 3


@dataclass(frozen=True, slots=True, eq=False)
class Timing:
    """One graph on one engine; times in seconds."""

    loaded: float
    runs: list[float]
    busy: list[float]  # of the processor in each run, all threads; other work hardly adds to it
    output: NDArray[np.float32]


def time_graphs(begun: float, path: Path, way: str) -> dict[str, Timing]:
    """Encoder and trunk of a bundle on one engine; the trunk at its shortest and longest prompt."""
    with open_bundle(path) as bundle:
        prompts = sorted({keys.shape[3] for keys in bundle.prefix().values()})
        return {
            **dict(_timed(bundle, way, "encoder", [0])),
            **dict(_timed(bundle, way, "trunk", sorted({prompts[0], prompts[-1]}))),
        }


def _timed(
    bundle: Bundle, way: str, graph: str, prompts: Sequence[int]
) -> Iterator[tuple[str, Timing]]:
    name, precision = way.split("/")
    file, io = bundle.graph_path(precision, graph), graph_io(bundle.manifest)[graph]
    begun = time.perf_counter()
    engine = ENGINES[name].build(file, io, folder_of(bundle.sha256, name, precision))
    loaded = time.perf_counter() - begun
    for prompt in prompts:
        if engine.pads and prompt != prompts[-1]:
            continue
        title = f"{graph}, a prompt of {prompt}" if prompt else graph
        yield title, _time(engine, inputs(io, prompt), loaded)
    engine.close()


def inputs(io: GraphIO, prompt: int) -> dict[str, NDArray[np.float32]]:
    """A sample for a graph, the same at each call: random values, nothing padded, no box."""
    random = np.random.default_rng(0)
    found = {}
    for name, dims in io.inputs.items():
        shape = [1, *dims]
        if name in PROMPT_AXES:
            shape[PROMPT_AXES[name]] = prompt
        found[name] = random.standard_normal(shape, np.float32)
        if name in ("padding", "box_mask"):
            found[name][:] = 0
    return found


def _time(engine: Engine, feed: Mapping[str, NDArray[np.float32]], loaded: float) -> Timing:
    (output,) = engine.run(feed).values()
    timing = Timing(loaded, [], [], np.array(output[0]))
    for _ in range(_REPEATS):
        start, busy = time.perf_counter(), time.process_time()
        engine.run(feed)
        timing.runs.append(time.perf_counter() - start)
        timing.busy.append(time.process_time() - busy)
    return timing


def rows(found: Mapping[str, Sequence[Mapping[str, Timing]]]) -> list[tuple[str, ...]]:
    """Lines of the table, graph by graph.

    Args:
        found: by way, what each round took.
    """
    graphs = list(dict.fromkeys(graph for rounds in found.values() for graph in rounds[0]))
    return [
        (
            graph,
            way,
            f"{_median(rounds, graph):.3g}",
            f"{_median(found[BESIDE[way]], graph) / _median(rounds, graph):.2f} × {BESIDE[way]}",
            f"{machine.median(s for r in rounds for s in r[graph].busy):.3g}",
            f"{machine.median(r[graph].loaded for r in rounds):.3g}",
            f"{cosine(rounds[0][graph].output, found[FP32][0][graph].output):.6f}",
        )
        for graph in graphs
        for way, rounds in found.items()
        if graph in rounds[0]
    ]


def cosine(found: NDArray[np.float32], wanted: NDArray[np.float32]) -> float:
    """Of two whole outputs."""
    a, b = found.astype(np.float64).ravel(), wanted.astype(np.float64).ravel()
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def _median(rounds: Sequence[Mapping[str, Timing]], graph: str) -> float:
    return machine.median(seconds for r in rounds for seconds in r[graph].runs)


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path, exists=True))
@click.option("--rounds", default=2, show_default=True, type=click.IntRange(1))
@click.option("--out", type=click.Path(path_type=Path), default=machine.RESULTS / "openvino.md")
def main(bundle: Path, rounds: int, out: Path) -> None:
    """Time encoder and trunk of BUNDLE, which has fp32 and int8-cpu, on both engines."""
    facts = machine.describe()
    ways, reasons = runnable(bundle)
    order = [way for way in BESIDE if way in ways]
    found: dict[str, list[dict[str, Timing]]] = {way: [] for way in order}
    for _ in range(rounds):
        for way in [*order]:
            try:
                found[way].append(apart(time_graphs, bundle, way))
            except (SfedgeError, RuntimeError, MemoryError) as error:  # RuntimeError: it was killed
                if way in (FP32, INT8):
                    raise
                reasons[way] = f"it failed: {error}"
                order.remove(way)
                found.pop(way)
                continue
            for graph, timing in found[way][-1].items():
                click.echo(f"{way} {graph}: {timing.runs}", err=True)
    machine.write_page(
        out,
        "OpenVINO beside ONNX Runtime, graph by graph",
        f"python -m benchmarks.openvino_graphs {bundle.name} --rounds {rounds}",
        facts,
        [
            f"Medians of {rounds} processes of {_REPEATS} runs each, in turns. ONNX Runtime is the "
            "engine `cpu`. Both get the same sample, and outputs are compared with those of "
            f"{FP32}; the weights may be random, which measures speed only.",
            *(f"{way} was not measured: {reason}" for way, reason in reasons.items()),
            machine.table(
                (
                    "graph",
                    "engine and precision",
                    "s a run",
                    "speed",
                    "processor s a run",
                    "s to load",
                    "cosine of outputs",
                ),
                rows(found),
            ),
        ],
    )
    print(out.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
