"""A model of the paper's size on this processor: the runtime against the plain way, and goals."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import click
import matplotlib

from benchmarks import machine
from benchmarks.full_size_run import (
    Run,
    apart,
    crowd,
    fastest_products,
    half,
    ours,
    plain,
    products_of,
)
from sfedge.bench import MAX_PAIRS, frame_queries
from sfedge.bundle import open_bundle
from sfedge.tasks import TASKS
from training.config import PRESETS

_T = TypeVar("_T")

FP32, INT8 = "fp32", "int8-cpu"
_SLACK = 600e6  # bytes that a process may hold besides 1.3 times its files
_EVEN = 1.05  # two times that differ less are the same


@dataclass(frozen=True, slots=True)
class Round:
    """Every way once, one after another."""

    plain: Run
    ours: Mapping[str, Run]  # by precision
    half: Mapping[str, list[float]]  # gesture and encoder in PyTorch and bf16
    products: Mapping[str, float]  # gesture and encoder as plain products, seconds


@dataclass(frozen=True, slots=True)
class Goal:
    """One line of the table."""

    what: str
    goal: str
    found: str
    is_met: bool


def measure(bundle: Path, preset: str) -> Round:
    """One round; each way has the machine for itself."""
    counted = products_of(bundle)
    distinct = sorted({product for counts in counted.values() for product in counts})
    with open_bundle(bundle) as opened:
        prefix = opened.manifest.shape.prefix
    runs = {name: _told(name, apart(ours, bundle, name)) for name in (INT8, FP32)}
    seconds = apart(fastest_products, distinct)
    products = {
        name: sum(n * seconds[product] for product, n in counts.items())
        for name, counts in counted.items()
    }
    return Round(
        products=_told("plain products", products),
        plain=_told("the plain way", apart(plain, preset)),
        ours=runs,
        half=_told("bf16", apart(half, preset, prefix)),
    )


def _told(what: str, found: _T) -> _T:
    """`found`, once it is said: the whole takes half an hour."""
    click.echo(f"{what}: {found}", err=True)
    return found


def goals(rounds: Sequence[Round], cosine: float | None, times: Mapping[int, float]) -> list[Goal]:
    """What is aimed at and what was found.

    Args:
        rounds: all of them; ratios are taken within a round, then the median.
        cosine: of the encoder's features in eight bits, mean, as the bundle's card tells it.
        times: seconds of a frame by the number of people.
    """

    def ratio(what: str, goal: float, of: Callable[[Round], float]) -> Goal:
        found = machine.median(of(r) for r in rounds)
        return Goal(what, f"≥ {goal:g} ×", f"{found:.2f} ×", found >= goal)

    def share(what: str, of: Callable[[Round], float]) -> Goal:
        found = machine.median(of(r) for r in rounds)
        return Goal(what, "≥ 80 %", f"{found:.0%}", found >= 0.8)

    def memory(precision: str) -> Goal:
        runs = [r.ours[precision] for r in rounds]
        files, peak = runs[0].files, max(run.memory for run in runs)
        most = 1.3 * files + _SLACK
        found = f"{peak / 1e9:.2f} GB of {files / 1e9:.2f} GB"
        return Goal(f"memory, {precision}", f"≤ {most / 1e9:.2f} GB", found, peak <= most)

    encoder = ratio(
        "encoder, int8 against PyTorch fp32",
        3.0,
        lambda r: _mid(r.plain.encoder) / _mid(r.ours[INT8].encoder),
    )
    ready = machine.median(r.ours[INT8].ready for r in rounds)
    growth = _growth(times)
    found = [
        ratio("gesture query, fp32", 3.0, lambda r: _gesture(r.plain) / _gesture(r.ours[FP32])),
        ratio(
            "gesture query, bf16 (PyTorch, same savings)",
            6.0,
            lambda r: _gesture(r.plain) / _mid(r.half["gesture"]),
        ),
        ratio("gesture query, int8", 9.0, lambda r: _gesture(r.plain) / _gesture(r.ours[INT8])),
        encoder,
        ratio("frame of 17 queries, fp32", 2.0, lambda r: r.plain.frame / r.ours[FP32].frame),
        ratio("frame of 17 queries, int8", 5.5, lambda r: r.plain.frame / r.ours[INT8].frame),
        share(
            "gesture query, fp32, of plain products",
            lambda r: r.products["gesture"] / _gesture(r.ours[FP32]),
        ),
        share(
            "encoder, fp32, of plain products",
            lambda r: r.products["encoder"] / _mid(r.ours[FP32].encoder),
        ),
        memory(FP32),
        memory(INT8),
        Goal("from start to ready, int8", "≤ 3 s", f"{ready:.2f} s", ready <= 3.0),
        Goal(
            "a query among many people against one person's, int8",
            f"≤ {_EVEN:g} ×",
            f"{growth:.2f} ×",
            growth <= _EVEN,
        ),
    ]
    if cosine is not None:
        worth = Goal(
            "encoder, int8, cosine of features", "≥ 0.999", f"{cosine:.5f}", cosine >= 0.999
        )
        found.insert(4, worth)
    return found


def tell(rounds: Sequence[Round], found: Sequence[Goal], times: Mapping[int, float]) -> list[str]:
    """The tables."""
    rows = [
        _row("PyTorch, whole sequence, fp32", [r.plain for r in rounds]),
        *(_row(f"this project, {p}", [r.ours[p] for r in rounds]) for p in (FP32, INT8)),
        (
            "this project's graphs in PyTorch, bf16",
            *(_seconds(machine.median(_mid(r.half[k]) for r in rounds)) for k in _PARTS),
            *("–",) * 3,
        ),
        (
            "plain products of the same sizes, fp32",
            *(_seconds(machine.median(r.products[k] for r in rounds)) for k in _PARTS),
            *("–",) * 3,
        ),
    ]
    counts = {n: frame_queries([*TASKS.values()], n) for n in times}
    return [
        f"Medians of {len(rounds)}, every way in turn in a process of its own. The weights are "
        "random, which tells about speed only.",
        machine.table(
            ("way", "encoder s", "gesture query s", "17 queries s", "ready after s", "memory GB"),
            rows,
        ),
        "A gesture query begins with features and ends with logits. The 17 queries are 3 each of "
        "expression, gesture and looking-at-me, 2 gazes, and 3 pairs asked for domain and "
        "relation, encoder included; the plain way encodes anew for each.",
        machine.table(
            ("goal", "wanted", "found", "met"),
            [(g.what, g.goal, g.found, "yes" if g.is_met else "no") for g in found],
        ),
        "Ratios are against the plain way in the same round, the median of the rounds. Plain "
        "products are single ones, in ONNX Runtime or PyTorch, whichever is faster.",
        machine.table(
            ("people", "queries", "s a frame, int8", "s a query"),
            [
                (str(n), str(len(counts[n])), _seconds(t), _seconds(t / len(counts[n])))
                for n, t in times.items()
            ],
        ),
        f"Of more pairs than {MAX_PAIRS}, the {MAX_PAIRS} nearest are asked about. Each person has "
        "a face view and a body view of their own; the whole frame is one view for all.",
        "![seconds a frame by the number of people](full_size.png)",
    ]


_PARTS = ("encoder", "gesture")


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path, exists=True))
@click.option("--preset", type=click.Choice([*PRESETS]), default="paper", show_default=True)
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1))
@click.option("--people", default=16, show_default=True, type=click.IntRange(1, 64))
@click.option("--out", type=click.Path(path_type=Path), default=machine.RESULTS / "full_size.md")
def main(bundle: Path, preset: str, rounds: int, people: int, out: Path) -> None:
    """Measure BUNDLE, of that preset with fp32 and int8-cpu, against the plain way."""
    facts = machine.describe()
    command = (
        f"python -m benchmarks.full_size {bundle.name} --preset {preset} --rounds {rounds} "
        f"--people {people}"
    )
    measured: list[Round] = []
    for number in range(rounds):
        click.echo(f"round {number + 1} of {rounds}", err=True)
        measured.append(measure(bundle, preset))
    numbers = [n for n in (1, 2, 4, 8, 16, 32, 64) if n <= people]
    times = dict(zip(numbers, apart(crowd, bundle, INT8, numbers), strict=True))
    with open_bundle(bundle) as opened:
        told = opened.manifest.card.get("agreement", {}).get(INT8, {})
    found = goals(measured, told.get("features"), times)
    machine.write_page(
        out, "The full size on a processor", command, facts, tell(measured, found, times)
    )
    plot(times, out.with_name("full_size.png"))
    print(out.read_text(encoding="utf-8"))


def plot(times: Mapping[int, float], path: Path) -> None:
    """Seconds a frame by the number of people, beside a line through one person's."""
    matplotlib.use("agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    numbers, first = [*times], times[min(times)]
    axes.plot(numbers, [*times.values()], marker="o", label="measured, int8")
    axes.plot(numbers, [first * n / min(times) for n in numbers], "--", label="as many times one")
    axes.set(xlabel="people in the frame", ylabel="seconds a frame, all queries", ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)


def _row(way: str, runs: Sequence[Run]) -> tuple[str, ...]:
    return (
        way,
        _seconds(machine.median(_mid(run.encoder) for run in runs)),
        _seconds(machine.median(_gesture(run) for run in runs)),
        _seconds(machine.median(run.frame for run in runs)),
        _seconds(machine.median(run.ready for run in runs)),
        f"{max(run.memory for run in runs) / 1e9:.2f}",
    )


def _growth(times: Mapping[int, float]) -> float:
    """A query's time with the most people, relative to one person's."""
    most = max(times)
    one, many = (times[n] / len(frame_queries([*TASKS.values()], n)) for n in (1, most))
    return many / one


def _gesture(run: Run) -> float:
    return _mid(run.queries["gesture"])


def _mid(seconds: Sequence[float]) -> float:
    return machine.median(seconds)


def _seconds(value: float) -> str:
    return f"{value:.3g}"


if __name__ == "__main__":
    main()
