"""How much of a frame's work queries could share: image tokens before their box masks differ.

In causal order an image token depends on the prompt, the image and the marks up to itself. Queries
of one task on one view have all of that in common up to the first patch that one's box touches
and another's does not. It is counted here, not done: branching costs memory and smaller GEMMs.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks import measured_on as machine
from sfedge.bundle.bundle import open_bundle
from sfedge.bundle.manifest import Manifest
from sfedge.core.boxes import Box, clamped, patch_mask
from sfedge.core.errors import BundleError
from sfedge.core.structures import Hand, Query, Scene, Track
from sfedge.core.tasks import Task
from sfedge.diagnostics.bench import MAX_PAIRS, frame_gemms, frame_queries, graph_gemms
from sfedge.diagnostics.gemms import work
from sfedge.inference.plan import IntervalPlanner

_ASPECT = 16 / 9  # of the made frames


@dataclass(frozen=True, slots=True)
class Count:
    """One frame: what could be shared.

    Attributes:
        queries: of the frame.
        tokens: share of the image tokens that another query has computed, by task.
        work: fraction of the frame's GEMM operations that this is.
    """

    queries: int
    tokens: Mapping[str, float]
    work: float


def count(manifest: Manifest, prompts: Mapping[str, int], queries: Sequence[Query]) -> Count:
    """What the queries of one frame could share.

    Args:
        manifest: of the bundle.
        prompts: tokens of each task's prompt.
        queries: all of the frame's.
    """
    grid = manifest.shape.token_grid
    groups: dict[tuple[Task, Box], list[NDArray[np.bool_]]] = defaultdict(list)
    for query in queries:
        groups[query.task, query.view].append(patch_mask(query.boxes, grid))
    asked, shared = defaultdict[str, int](int), defaultdict[str, int](int)
    spared = 0.0
    for (task, _), masks in groups.items():
        repeats = repeated(np.stack(masks))
        asked[task.name] += len(masks) * grid**2
        shared[task.name] += int(repeats.sum())
        spared += float(repeats @ work_by_token(manifest, task, prompts[task.name]))
    tokens = {name: shared[name] / number for name, number in asked.items()}
    whole = work(frame_gemms(manifest, queries, prompts))
    return Count(len(queries), tokens, spared / whole)


def repeated(masks: NDArray[np.bool_]) -> NDArray[np.int64]:
    """At each image token, how many of some queries find it computed already.

    Args:
        masks: [queries, T] of queries of one task on one view.

    Returns:
        [T], each from 0 to queries - 1.
    """
    differs = np.zeros(masks.shape[1], dtype=np.int64)
    for number, mask in enumerate(masks):
        # A query has to compute what comes after the longest beginning that it shares with one
        # of those before it.
        common = [_first_difference(mask, other) for other in masks[:number]]
        differs[max(common, default=0) :] += 1
    return len(masks) - differs


def _first_difference(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> int:
    different = np.flatnonzero(a != b)
    return int(different[0]) if different.size else a.size


def work_by_token(manifest: Manifest, task: Task, prompt: int) -> NDArray[np.float64]:
    """Operations of a query at each image token [T], which another query might share.

    Layers take the same for each; attention the more, the more a token sees. The part of an answer
    that is computed at the last token alone is nobody else's.
    """
    count = manifest.shape.tokens
    layers = attention = 0
    for graph in ("trunk", "gaze" if task.output == "heatmap" else "answer"):
        for gemm, times in graph_gemms(manifest, graph, prompt).items():
            if gemm[0] == count:
                layers += work({gemm: times})
            elif graph != "answer":
                attention += work({gemm: times})
    seen = prompt + 1.0 + np.arange(count)
    by_token: NDArray[np.float64] = layers / count + attention * seen / seen.sum()
    return by_token


def crowd(tasks: Sequence[Task], people: int, seed: int) -> list[Query]:
    """The queries about that many people, anywhere in a wide frame, near and far."""
    random = np.random.default_rng(seed)
    planner = IntervalPlanner(tasks, interval=0.0, max_people=people, max_pairs=MAX_PAIRS)
    return planner.plan(Scene(tuple(_somebody(number, random) for number in range(people))), 0.0)


def _somebody(number: int, random: np.random.Generator) -> Track:
    """A standing person, seven heads high and two wide; the farther, the higher in the frame."""
    height = random.uniform(0.25, 0.85)
    width = height * 2 / 7 / _ASPECT
    x, foot = random.uniform(0, 1 - width), min(0.55 + 0.5 * height, 1.0)
    head, top = height / 7, foot - height
    middle, half = x + width / 2, head / 2 / _ASPECT
    return Track(
        id=number + 1,
        person=clamped(x, top, x + width, foot),
        face=clamped(middle - half, top, middle + half, top + head),
        hands=(
            Hand(
                number + 1,
                clamped(x + width - 2 * half, top, x + width, top + head),
                None,
                1.0,
                0.0,
            ),
        ),
        first_seen=0.0,
        last_seen=0.0,
    )


def rows(
    manifest: Manifest, prompts: Mapping[str, int], numbers: Sequence[int], layouts: int
) -> list[tuple[str, ...]]:
    """Lines of the table: people side by side as `sfedge bench` has them, then anywhere."""
    names = [task.name for task in manifest.tasks if task.view == "frame"]
    lines = []
    for name, seeds in (("side by side", [-1]), ("anywhere", [*range(layouts)])):
        for number in numbers:
            found = [
                count(
                    manifest,
                    prompts,
                    frame_queries(manifest.tasks, number)
                    if seed < 0
                    else crowd(manifest.tasks, number, seed),
                )
                for seed in seeds
            ]
            spared = machine.median(each.work for each in found)
            lines.append(
                (
                    name,
                    str(number),
                    f"{machine.median(each.queries for each in found):.0f}",
                    *(
                        f"{machine.median(each.tokens.get(task, 0.0) for each in found):.0%}"
                        for task in names
                    ),
                    f"{spared:.1%}",
                    f"{1 / (1 - spared):.2f} ×",
                )
            )
    return lines


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path, exists=True))
@click.option("--people", default=16, show_default=True, type=click.IntRange(1, 64))
@click.option("--layouts", default=20, show_default=True, type=click.IntRange(1))
@click.option("--out", type=click.Path(path_type=Path), default=machine.RESULTS / "sharing.md")
def main(bundle: Path, people: int, layouts: int, out: Path) -> None:
    """Count what the queries of a frame could share of BUNDLE's work."""
    facts = machine.describe()
    with open_bundle(bundle) as opened:
        manifest = opened.manifest
        prompts = {name: keys.shape[3] for name, keys in opened.prefix().items()}
    if "products" not in manifest.card:
        raise BundleError(
            "it does not list its matrix products",
            where=bundle.name,
            fix="Export the bundle again.",
        )
    numbers = [n for n in (1, 2, 3, 4, 8, 16, 32, 64) if n <= people]
    lines = rows(manifest, prompts, numbers, layouts)
    names = [task.name for task in manifest.tasks if task.view == "frame"]
    most = max(float(line[-1].split()[0]) for line in lines)
    machine.write_page(
        out,
        "What queries of one task could share",
        f"python -m benchmarks.sharing {bundle.name} --people {people} --layouts {layouts}",
        facts,
        [
            f"Counted, not run, on {manifest.shape.tokens} image tokens. Queries of one task on "
            "the whole frame share an image token while no box mask has differed before or at it. "
            f"People stand side by side as in `sfedge bench`, or anywhere: medians of {layouts} "
            "made frames. By task: the share of the image tokens that another query has computed. "
            "Then the fraction of the frame's GEMM operations, encoder included, that this saves, "
            "and how much faster the frame could be at best, if time went with operations.",
            machine.table(
                ("people stand", "people", "queries", *names, "GEMM operations saved", "at best"),
                lines,
            ),
            f"So a frame can become {most:.2f} times as fast at best, before what branching itself "
            "costs.",
        ],
    )
    print(out.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
