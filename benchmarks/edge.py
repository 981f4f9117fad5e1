"""What a quarter of the image tokens spares: a gesture query of two bundles, by count and clock."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from benchmarks import measured_on as machine
from benchmarks.full_size_run import REPEATS, apart, times_of
from sfedge.bundle.bundle import open_bundle
from sfedge.core.errors import BundleError
from sfedge.core.tasks import TASKS
from sfedge.diagnostics.bench import frame_gemms, frame_queries, graph_gemms, make_frame
from sfedge.diagnostics.gemms import work
from sfedge.inference.model import Model

_PRECISIONS = ("fp32", "int8-cpu")
# Parts of a query, and the share of the larger bundle's that is aimed at.
WANTED = {"decoder": 0.25, "whole query": 0.5}

Times = Mapping[str, list[float]]  # seconds of each part, time after time


@dataclass(frozen=True, slots=True)
class Pair:
    """One precision in both bundles: seconds of each round, by part."""

    paper: Sequence[Times]
    edge: Sequence[Times]


def query_times(begun: float, bundle: Path, precision: str) -> Times:
    """A gesture query on the engine for the CPU: from image tokens on, and from the picture on."""
    frame, queries = make_frame(), frame_queries([TASKS["gesture"]], 1)
    with open_bundle(bundle) as opened:
        model = Model(opened, engine="cpu", precision=precision, tasks=["gesture"])
    with model:
        tokens = [*model._connect(model._encode(frame, queries), queries).values()]
        model._ask("answer", queries, tokens)
        return {
            "decoder": times_of(lambda: model._ask("answer", queries, tokens), REPEATS),
            "whole query": times_of(lambda: model.answer(frame, queries), REPEATS),
        }


def operations(bundle: Path) -> dict[str, int]:
    """Floating-point operations of a gesture query's GEMMs, by part.

    Raises:
        BundleError: the bundle does not list them.
    """
    with open_bundle(bundle) as opened:
        manifest = opened.manifest
        prompts = {name: keys.shape[3] for name, keys in opened.prefix().items()}
    whole = frame_gemms(manifest, frame_queries([TASKS["gesture"]], 1), prompts)
    if not whole:
        raise BundleError(
            "it does not list its matrix products",
            where=bundle.name,
            fix="Export the bundle again.",
        )
    before = graph_gemms(manifest, "encoder") + graph_gemms(manifest, "connector")
    return {"decoder": work(whole - before), "whole query": work(whole)}


def rows(
    times: Mapping[str, Pair], paper: Mapping[str, int], edge: Mapping[str, int]
) -> list[tuple[str, ...]]:
    """Lines of the table.

    Args:
        times: by precision.
        paper: operations of the larger bundle by part.
        edge: and of the smaller.
    """
    lines = []
    for part, wanted in WANTED.items():
        counted = edge[part] / paper[part]
        for precision, pair in times.items():
            middles = [[machine.median(r[part]) for r in own] for own in (pair.paper, pair.edge)]
            clocked = machine.median(b / a for a, b in zip(*middles, strict=True))
            lines.append(
                (
                    part,
                    precision,
                    *(f"{machine.median(own):.3g}" for own in middles),
                    f"{clocked:.1%}",
                    f"{counted:.1%}",
                    f"≤ {wanted:.0%}",
                    "yes" if max(clocked, counted) <= wanted else "no",
                )
            )
    return lines


@click.command()
@click.argument("paper", type=click.Path(path_type=Path, exists=True))
@click.argument("edge", type=click.Path(path_type=Path, exists=True))
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1))
@click.option("--out", type=click.Path(path_type=Path), default=machine.RESULTS / "edge.md")
def main(paper: Path, edge: Path, rounds: int, out: Path) -> None:
    """Compare a gesture query of EDGE, a bundle of that preset, with one of PAPER."""
    facts = machine.describe()
    counts = operations(paper), operations(edge)
    with open_bundle(paper) as one, open_bundle(edge) as other:
        has = {*one.manifest.precisions} & {*other.manifest.precisions}
        tokens = one.manifest.shape.tokens, other.manifest.shape.tokens
    times: dict[str, Pair] = {}
    for precision in (name for name in _PRECISIONS if name in has):
        found: tuple[list[Times], list[Times]] = [], []
        for _ in range(rounds):
            for own, bundle in zip(found, (paper, edge), strict=True):
                own.append(apart(query_times, bundle, precision))
                click.echo(f"{bundle.name} {precision}: {own[-1]}", err=True)
        times[precision] = Pair(*found)
    machine.write_page(
        out,
        "The preset for small devices beside the paper's",
        f"python -m benchmarks.edge {paper.name} {edge.name} --rounds {rounds}",
        facts,
        [
            f"A gesture query of {paper.name} with {tokens[0]} image tokens and of {edge.name} "
            f"with {tokens[1]}, on the engine `cpu`; medians of {rounds} processes of {REPEATS} "
            "each, in turns. The decoder goes from image tokens to logits, the whole query from "
            f"the picture. By count, a query is {counts[0]['whole query'] / 1e12:.3g} TFLOP and "
            f"{counts[1]['whole query'] / 1e12:.3g}.",
            machine.table(
                (
                    "part",
                    "precision",
                    f"{paper.name} s",
                    f"{edge.name} s",
                    "by clock",
                    "by count",
                    "wanted",
                    "met",
                ),
                rows(times, *counts),
            ),
        ],
    )
    print(out.read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
