"""The speed of a bundle on this machine, compared with what the hardware can do.

The frame is made in code: people side by side, each with a face and a raised hand, before noise.
"""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from math import comb
from pathlib import Path
from typing import Any

import numpy as np

from sfedge.bundle.bundle import open_bundle
from sfedge.bundle.manifest import GRAPHS, HEADS, PREFIX_NAME, Manifest
from sfedge.core.boxes import Box
from sfedge.core.config import RunConfig
from sfedge.core.errors import EngineError
from sfedge.core.structures import Frame, Hand, Query, Scene, Track
from sfedge.core.tasks import Task
from sfedge.diagnostics.gemms import Gemm, plain_seconds, work
from sfedge.engines.cuda import load_cuda
from sfedge.inference.model import Model, tokens_key
from sfedge.inference.plan import IntervalPlanner
from sfedge.inference.selftest import Progress
from sfedge.system.gpus import find_gpus
from sfedge.system.machine import peak_memory

MAX_PAIRS = RunConfig().max_pairs
_WIDTH, _HEIGHT = 1280, 720  # of the frame that is asked about
_FEWEST = 3  # frames that are timed, however long one takes


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmark:
    """The measurements; times in seconds, sizes in bytes.

    Attributes:
        model: name of the model.
        device: what ran it.
        note: why "auto" took no faster engine.
        people: in the frame.
        pairs: that were queried, the nearest ones; 0 where no task is about pairs.
        queries: of a frame, by task.
        opened: from nothing to ready, self-test left out.
        tested: that the self-test took; 0 where it had passed before.
        frames: of each frame's queries.
        memory: peak of the process, taken before the plain GEMMs are measured.
        gpu_memory: by which the GPU's free memory fell meanwhile.
        files: that were loaded.
        work: floating-point operations of a frame's GEMMs; None where the bundle does not
            list them.
        plain: seconds that ONNX Runtime takes for the same GEMMs alone, in fp32; None on a GPU.
    """

    model: str
    device: str
    note: str
    people: int
    pairs: int
    queries: Mapping[str, int]
    opened: float
    tested: float
    frames: Sequence[float]
    memory: int | None
    gpu_memory: int | None
    files: int
    work: int | None
    plain: float | None

    @property
    def median(self) -> float:
        """Seconds a frame."""
        return float(np.median(self.frames))

    @property
    def slowest(self) -> float:
        """95th percentile of the seconds a frame."""
        return float(np.quantile(self.frames, 0.95))

    @property
    def rate(self) -> float:
        """Queries a second."""
        return sum(self.queries.values()) / self.median

    @property
    def share(self) -> float | None:
        """Fraction of the speed of plain GEMMs of the same sizes; eight bits may exceed 1."""
        return self.plain / self.median if self.plain is not None else None

    def to_json(self) -> dict[str, Any]:
        """All of it, for a program to read."""
        return {
            **asdict(self),
            "p50": self.median,
            "p95": self.slowest,
            "queries_per_second": self.rate,
            "share_of_plain_gemms": self.share,
        }


def measure(
    bundle: Path | None,
    *,
    engine: str = "auto",
    precision: str | None = None,
    tasks: Sequence[str] | None = None,
    people: int = 3,
    seconds: float = 5.0,
    testing: Progress | None = None,
) -> Benchmark:
    """Answer the queries of one frame again and again.

    Args:
        bundle: a folder or zip; None for the default model.
        engine: a name, or "auto".
        precision: of the bundle; None for the one that suits the engine best.
        tasks: names; None for all that the bundle knows.
        people: in the frame.
        seconds: to go on for; a few frames are timed in any case.
        testing: called with the self-test's tasks done and to do; only where it runs.

    Raises:
        SfedgeError: as opening the bundle and loading the model do.
    """
    free = _gpu_memory_free()
    begun = time.perf_counter()
    with open_bundle(bundle) as opened:
        manifest = opened.manifest
        model = Model(opened, engine=engine, precision=precision, tasks=tasks, testing=testing)
    ready = time.perf_counter() - begun
    is_cpu = model.choice.name in ("cpu", "openvino")
    with model:
        queries = frame_queries(model.tasks, people)
        frame = make_frame()
        model.answer(frame, queries)  # the first run of a kind takes longer
        asks_of_pairs = any(task.people == 2 for task in model.tasks)
        frames: list[float] = []
        while len(frames) < _FEWEST or sum(frames) < seconds:
            begun = time.perf_counter()
            model.answer(frame, queries)
            frames.append(time.perf_counter() - begun)
        memory, left = peak_memory(), _gpu_memory_free()
        gemms = frame_gemms(manifest, queries, model.prompts)
        return Benchmark(
            model=model.name,
            device=model.device,
            note=model.engine_note,
            people=people,
            pairs=min(comb(people, 2), MAX_PAIRS) if asks_of_pairs else 0,
            queries=dict(Counter(query.task.name for query in queries)),
            opened=ready - model.tested,
            tested=model.tested,
            frames=frames,
            memory=memory,
            gpu_memory=None if is_cpu or free is None or left is None else free - left,
            files=loaded_bytes(manifest, model),
            work=work(gemms) if gemms else None,
            plain=plain_seconds(gemms) if gemms and is_cpu else None,
        )


def make_frame(width: int = _WIDTH, height: int = _HEIGHT) -> Frame:
    """Noise, which takes as long as any picture."""
    random = np.random.default_rng(0)
    return Frame(random.integers(0, 256, (height, width, 3), dtype=np.uint8), 0, 0.0)


def frame_queries(tasks: Sequence[Task], people: int, max_pairs: int = MAX_PAIRS) -> list[Query]:
    """All queries that `sfedge run` would make for a frame of `people` people."""
    planner = IntervalPlanner(tasks, interval=0.0, max_people=people, max_pairs=max_pairs)
    scene = Scene(tuple(_person(number, people) for number in range(people)))
    return planner.plan(scene, 0.0, aspect=_WIDTH / _HEIGHT)


def _person(number: int, people: int) -> Track:
    """One of a row of people, in a column of the frame; a hand is held up beside the face."""

    def part(x1: float, y1: float, x2: float, y2: float) -> Box:
        return Box((number + x1) / people, y1, (number + x2) / people, y2)

    return Track(
        id=number + 1,
        person=part(0.1, 0.1, 0.9, 0.95),
        face=part(0.35, 0.15, 0.65, 0.4),
        hands=(Hand(number + 1, part(0.7, 0.2, 0.88, 0.35), None, 1.0, 0.0),),
        first_seen=0.0,
        last_seen=0.0,
    )


def frame_gemms(
    manifest: Manifest, queries: Sequence[Query], prompts: Mapping[str, int]
) -> Counter[Gemm]:
    """Sizes and counts of a frame's GEMMs; empty where the bundle does not list them.

    Args:
        manifest: of the bundle.
        queries: all of the frame's.
        prompts: by task, the tokens of its prompt as the graphs get it, with padding.
    """
    if not isinstance(manifest.card.get("products"), Mapping):
        return Counter()
    views = len({query.view for query in queries})
    marked = len({tokens_key(manifest, query) for query in queries})
    gemms: Counter[Gemm] = Counter()
    if manifest.mirrored:
        views, marked, queries = 2 * views, 2 * marked, [*queries, *queries]
    for graph, runs in (("encoder", views), ("connector", marked)):
        for gemm, count in graph_gemms(manifest, graph).items():
            gemms[gemm] += runs * count
    for query in queries:
        for graph in ("trunk", HEADS[query.task.output]):
            gemms += graph_gemms(manifest, graph, prompts[query.task.name])
    return +gemms


def graph_gemms(manifest: Manifest, graph: str, prompt: int = 0) -> Counter[Gemm]:
    """Sizes and counts of the GEMMs in one run of a graph, as the bundle lists them.

    Args:
        manifest: of the bundle.
        graph: its name.
        prompt: tokens of the prompt that goes in.
    """
    listed = manifest.card["products"][graph]
    # A graph that takes prompts of any length has a list for each; others pad to the longest.
    rows = listed[str(prompt)] if isinstance(listed, Mapping) else listed
    gemms: Counter[Gemm] = Counter()
    for count, height, inner, width in rows:
        gemms[height, inner, width] += count
    return gemms


def loaded_bytes(manifest: Manifest, model: Model) -> int:
    """Size of the graphs that the model has loaded, and of the prompts."""
    idle = {*HEADS.values()} - {HEADS[task.output] for task in model.tasks}
    graphs = [graph for graph in GRAPHS if graph not in idle]
    loaded = tuple(f"{model.precision}/{graph}." for graph in graphs)
    return sum(e.size for e in manifest.files if e.path.startswith((*loaded, PREFIX_NAME)))


def _gpu_memory_free() -> int | None:
    """Bytes; None where there is no GPU, or no way to ask it."""
    if not find_gpus()[0]:
        return None
    try:
        runtime = load_cuda()
    except EngineError:
        return None
    status, free, _ = runtime.cudaMemGetInfo()
    return int(free) if status == runtime.cudaError_t.cudaSuccess else None
