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

from sfedge.bench import frame_products, frame_queries, loaded_bytes, make_frame
from sfedge.bundle import open_bundle
from sfedge.engines.ort import physical_cores
from sfedge.machine import peak_memory
from sfedge.products import Product, product_seconds
from sfedge.structures import Query
from sfedge.tasks import TASKS

_REPEATS = 3  # of one query and of the encoder, in each round
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one way took; times in seconds, sizes in bytes.

    Attributes:
        ready: from the start of the process, files in the system's cache, self-test left out.
        encoder: a picture.
        queries: of each task that was asked, tokens to answer.
        frame: of three people, all queries.
        memory: most that the process held.
        files: that it loaded; 0 for PyTorch, whose weights are made.
    """

    ready: float
    encoder: list[float]
    queries: Mapping[str, list[float]]
    frame: float
    memory: int
    files: int


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


def plain(begun: float, preset: str) -> Run:
    """As one writes it first: PyTorch in fp32, the whole sequence, logits of all tokens.

    The frame's queries are one after another, each with its own pass of the encoder; as equal
    ones take equal times, each kind is measured once and counted as often as it is asked.
    """
    import torch

    model = _built(preset)
    ready = time.time() - begun
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
        encoder = _times(lambda: model.encoder(images), _REPEATS)
        ask("expression")
        queries = {task: _times(partial(ask, task), 1) for task in TASKS}
    asked = Counter(query.task.name for query in three_people())
    frame = sum(n * (queries[task][0] + float(np.median(encoder))) for task, n in asked.items())
    return Run(
        ready=ready,
        encoder=encoder,
        queries=queries,
        frame=frame,
        memory=peak_memory() or 0,
        files=0,
    )


def ours(begun: float, bundle: Path, precision: str) -> Run:
    """A bundle on the runtime's engine for the CPU."""
    from sfedge.model import Model

    with open_bundle(bundle) as opened:
        model = Model(opened, engine="cpu", precision=precision)
        manifest = opened.manifest
    ready = time.time() - begun - model.tested
    frame, queries = make_frame(), three_people()
    gesture = [query for query in queries if query.task.name == "gesture"][:1]
    with model:
        features = model._encode(frame, gesture)
        encoder = _times(lambda: model._encode(frame, gesture), _REPEATS)

        def ask() -> None:
            tokens = model._connect(features, gesture)
            model._ask("answer", gesture, [*tokens.values()])

        ask()
        query = _times(ask, _REPEATS)
        (whole,) = _times(lambda: model.answer(frame, queries), 1)
        return Run(
            ready=ready,
            encoder=encoder,
            queries={"gesture": query},
            frame=whole,
            memory=peak_memory() or 0,
            files=loaded_bytes(manifest, model),
        )


def crowd(begun: float, bundle: Path, precision: str, people: Sequence[int]) -> list[float]:
    """Seconds of a frame with so many people each."""
    from sfedge.model import Model

    frame, times = make_frame(), []
    with open_bundle(bundle) as opened, Model(opened, engine="cpu", precision=precision) as model:
        model.answer(frame, frame_queries(model.tasks, 1))
        for number in people:
            queries = frame_queries(model.tasks, number)
            times += _times(partial(model.answer, frame, queries), 1)
    return times


def half(begun: float, preset: str, prefix: int) -> Mapping[str, list[float]]:
    """The graphs in PyTorch and bf16: a gesture query and the encoder, seconds each."""
    import torch

    from export.graphs import build_graphs

    model = _built(preset)
    rows = [*model.answer_ids.values()]
    graphs = build_graphs(model, model.lm, rows, prefix)
    graphs = {name: graphs[name].to(torch.bfloat16) for name in ("connector", "trunk", "answer")}
    encoder = model.encoder.to(torch.bfloat16)
    llama, count = model.lm.config, model.token_grid**2
    past = torch.randn(1, llama.num_hidden_layers, 2, llama.num_key_value_heads, prefix,
                       llama.head_dim).bfloat16()  # fmt: skip
    padding, mask = torch.zeros(1, prefix).bfloat16(), torch.zeros(1, count).bfloat16()
    size = model.encoder.input.size
    images = torch.randn(1, 3, size, size).bfloat16()

    def ask() -> None:
        tokens = graphs["connector"](features=features)
        hidden = graphs["trunk"](tokens=tokens, past=past[:, :-1], padding=padding, box_mask=mask)
        graphs["answer"](hidden=hidden, past_last=past[:, -1], padding=padding)

    with torch.inference_mode():
        features = encoder(images)
        ask()
        return {
            "encoder": _times(lambda: encoder(images), _REPEATS),
            "gesture": _times(ask, _REPEATS),
        }


def products_of(bundle: Path) -> dict[str, Counter[Product]]:
    """What a gesture query without the encoder multiplies, and the encoder alone."""
    with open_bundle(bundle) as opened:
        manifest = opened.manifest
    (query,) = frame_queries([TASKS["gesture"]], 1)
    whole = frame_products(manifest, [query])
    encoder: Counter[Product] = Counter()
    for count, *product in manifest.card["products"]["encoder"]:
        encoder[product[0], product[1], product[2]] += count
    return {"gesture": whole - encoder, "encoder": encoder}


def fastest_products(begun: float, products: Sequence[Product]) -> dict[Product, float]:
    """Seconds of plain products in fp32, in ONNX Runtime or PyTorch, whichever is faster."""
    import torch

    torch.set_num_threads(physical_cores())
    times = {}
    for rows, inner, columns in products:
        a, b = torch.randn(rows, inner), torch.randn(inner, columns)
        mine = min(_times(partial(torch.mm, a, b), 5))
        times[rows, inner, columns] = min(mine, product_seconds((rows, inner, columns)))
    return times


def _built(preset: str) -> Any:
    """The network of a preset with random weights, LoRA merged, ready to answer."""
    import torch

    from training.config import PRESETS
    from training.model import build_model

    torch.manual_seed(0)
    torch.set_num_threads(physical_cores())
    return build_model(PRESETS[preset].without_weights(), with_lora=False).eval()


def _times(work: Callable[[], object], repeats: int) -> list[float]:
    times = []
    for _ in range(repeats):
        begun = time.perf_counter()
        work()
        times.append(time.perf_counter() - begun)
    return times
