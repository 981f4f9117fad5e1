"""One network of the full size at work, each way in a process of its own that ends with it."""

import multiprocessing
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from sfedge.bundle.bundle import open_bundle
from sfedge.core.structures import Query
from sfedge.core.tasks import TASKS
from sfedge.diagnostics.bench import (
    frame_gemms,
    frame_queries,
    graph_gemms,
    loaded_bytes,
    make_frame,
)
from sfedge.diagnostics.gemms import Gemm, gemm_seconds
from sfedge.engines.ort import physical_cores
from sfedge.inference.model import Model
from sfedge.system.machine import peak_memory

REPEATS = 3  # of one query and of the encoder, in each round
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one way took; times in seconds, sizes in bytes, None where it was not measured.

    Attributes:
        encoder: a picture.
        queries: of each task that was asked, features to logits.
        frame: of three people, all queries, with the encoder.
        ready: from the start of the process, files in the system's cache, self-test left out.
        memory: most that the process held.
        files: that it loaded.
    """

    encoder: list[float]
    queries: Mapping[str, list[float]]
    frame: float | None = None
    ready: float | None = None
    memory: int | None = None
    files: int | None = None

    @property
    def gesture(self) -> list[float]:
        """Of the one query that every way is asked."""
        return self.queries["gesture"]


def apart(work: Callable[..., _T], *arguments: object) -> _T:
    """Call a function in a process of its own, after the time at which that was started."""
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(work, time.time(), *arguments).result()


def three_people() -> list[Query]:
    """17 queries: 3 each of expression, gesture and looking-at-me, 2 gazes, 3 pairs twice."""
    queries = frame_queries([*TASKS.values()], 3)
    gazes = [query for query in queries if query.task.name == "gaze"]
    return [query for query in queries if query is not gazes[-1]]


def pytorch(begun: float, preset: str) -> tuple[Run, Run]:
    """The network in PyTorch: as one writes it first, then this project's graphs in bf16.

    The same weights serve both; the first is measured, memory and all, before the second begins.
    """
    model = built(preset)
    ready = time.time() - begun
    return _plain(model, ready), _half(model)


def _plain(model: Any, ready: float) -> Run:
    """In fp32, the whole sequence, logits of all tokens.

    The frame's queries are one after another, each with its own pass of the encoder; as equal
    ones take equal times, each kind is measured once and counted as often as it is asked.
    """
    import torch

    size = model.encoder.input.size
    random = torch.Generator().manual_seed(0)
    images = torch.randn(1, 3, size, size, generator=random)
    mask = (torch.rand(1, model.token_grid**2, generator=random) < 0.2).float()
    embed = model.lm.get_input_embeddings()

    def ask(task: str) -> None:
        tokens = model.image_tokens(features, mask)
        prompt = embed(torch.tensor([model.prompts[task]]))
        whole = torch.cat((prompt, tokens), dim=1)
        if TASKS[task].output == "heatmap":
            states = model.lm.model(inputs_embeds=whole, use_cache=False).last_hidden_state
            model.gaze_head(states[:, prompt.shape[1] :])
        else:
            model.lm(inputs_embeds=whole, use_cache=False)

    with torch.inference_mode():
        features = model.encoder(images)
        encoder = times_of(lambda: model.encoder(images), REPEATS)
        ask("expression")
        queries = {task: times_of(partial(ask, task), 1) for task in TASKS}
    asked = Counter(query.task.name for query in three_people())
    frame = sum(n * (queries[task][0] + float(np.median(encoder))) for task, n in asked.items())
    return Run(encoder=encoder, queries=queries, frame=frame, ready=ready, memory=peak_memory())


def _half(model: Any) -> Run:
    """The graphs that bundles are made of, in bf16: a gesture query and the encoder."""
    import torch

    from sfedge_export.exported_graphs import build_graphs

    rows = [*model.answer_ids.values()]
    longest = max(len(prompt) for prompt in model.prompts.values())
    prompt = len(model.prompts["gesture"])
    graphs = build_graphs(model, model.lm, rows, longest)
    graphs = {name: graphs[name].to(torch.bfloat16) for name in ("connector", "trunk", "answer")}
    encoder = model.encoder.to(torch.bfloat16)
    llama, count = model.lm.config, model.token_grid**2
    past = torch.randn(1, llama.num_hidden_layers, 2, llama.num_key_value_heads, prompt,
                       llama.head_dim).bfloat16()  # fmt: skip
    padding, mask = torch.zeros(1, prompt).bfloat16(), torch.zeros(1, count).bfloat16()
    size = model.encoder.input.size
    images = torch.randn(1, 3, size, size).bfloat16()

    def ask() -> None:
        tokens = graphs["connector"](features=features)
        hidden = graphs["trunk"](tokens=tokens, past=past[:, :-1], padding=padding, box_mask=mask)
        graphs["answer"](hidden=hidden, past_last=past[:, -1], padding=padding)

    with torch.inference_mode():
        features = encoder(images)
        ask()
        return Run(
            encoder=times_of(lambda: encoder(images), REPEATS),
            queries={"gesture": times_of(ask, REPEATS)},
        )


def ours(begun: float, bundle: Path, engine: str, precision: str, with_frame: bool) -> Run:
    """A bundle on one of the runtime's engines; without the frame, queries alone."""
    with open_bundle(bundle) as opened:
        model = Model(opened, engine=engine, precision=precision)
        manifest = opened.manifest
    ready = time.time() - begun - model.tested
    frame, queries = make_frame(), three_people()
    with model:
        encode, ask = gesture_of(model)
        encode()
        ask()
        return Run(
            encoder=times_of(encode, REPEATS),
            queries={"gesture": times_of(ask, REPEATS)},
            frame=times_of(lambda: model.answer(frame, queries), 1)[0] if with_frame else None,
            ready=ready,
            memory=peak_memory(),
            files=loaded_bytes(manifest, model),
        )


def gesture_of(model: Model) -> tuple[Callable[[], object], Callable[[], object]]:
    """A gesture query in two parts: the view's pass of the encoder, and all the rest."""
    frame, queries = make_frame(), frame_queries([TASKS["gesture"]], 1)
    features = model._encode(frame, queries)

    def ask() -> None:
        tokens = model._connect(features, queries)
        model._ask("answer", queries, [*tokens.values()])

    return lambda: model._encode(frame, queries), ask


def crowd(begun: float, bundle: Path, precision: str, people: Sequence[int]) -> list[float]:
    """Seconds of a frame, for each number of people."""
    frame, times = make_frame(), []
    with open_bundle(bundle) as opened, Model(opened, engine="cpu", precision=precision) as model:
        model.answer(frame, frame_queries(model.tasks, 1))
        for number in people:
            queries = frame_queries(model.tasks, number)
            times += times_of(partial(model.answer, frame, queries), 1)
    return times


def gemms_of(bundle: Path) -> dict[str, Counter[Gemm]]:
    """The GEMMs of a gesture query without the encoder, and of the encoder alone."""
    with open_bundle(bundle) as opened:
        manifest = opened.manifest
        prompts = {name: keys.shape[3] for name, keys in opened.prefix().items()}
    whole = frame_gemms(manifest, frame_queries([TASKS["gesture"]], 1), prompts)
    encoder = graph_gemms(manifest, "encoder")
    return {"gesture": whole - encoder, "encoder": encoder}


def plain_gemms(bundle: Path) -> Run:
    """How long the GEMMs of a gesture query and of the encoder take, each one alone."""
    counted = gemms_of(bundle)
    distinct = sorted({gemm for counts in counted.values() for gemm in counts})
    seconds = apart(fastest_gemms, distinct)
    sums = {
        name: sum(n * seconds[gemm] for gemm, n in counts.items())
        for name, counts in counted.items()
    }
    return Run(encoder=[sums["encoder"]], queries={"gesture": [sums["gesture"]]})


def fastest_gemms(begun: float, gemms: Sequence[Gemm]) -> dict[Gemm, float]:
    """Seconds of plain GEMMs in fp32, in ONNX Runtime or PyTorch, whichever is faster."""
    import torch

    torch.set_num_threads(physical_cores())
    times = {}
    for rows, inner, columns in gemms:
        a, b = torch.randn(rows, inner), torch.randn(inner, columns)
        mine = min(times_of(partial(torch.mm, a, b), 5))
        times[rows, inner, columns] = min(mine, gemm_seconds((rows, inner, columns)))
    return times


def built(preset: str) -> Any:
    """The network of a preset with random weights, LoRA merged, ready to answer."""
    import torch

    from sfedge_training.model.model_config import PRESETS
    from sfedge_training.model.social_fusion import build_model

    torch.manual_seed(0)
    torch.set_num_threads(physical_cores())
    return build_model(PRESETS[preset].without_weights(), with_lora=False).eval()


def times_of(work: Callable[[], object], repeats: int) -> list[float]:
    """Seconds that a piece of work takes, time after time."""
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return times
