"""A model of the paper's size on this processor: the runtime against the plain way, and goals.

A whole run takes most of an hour: results are printed at once, and the page is written anew
after each round.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from benchmarks import measured_on as machine
from benchmarks.full_size_run import Run, apart, crowd, ours, plain_gemms, pytorch
from sfedge.bundle.bundle import open_bundle
from sfedge.core.errors import SfedgeError
from sfedge.core.tasks import TASKS
from sfedge.diagnostics.bench import MAX_PAIRS, frame_queries
from sfedge.engines import ENGINES, choose_precision
from sfedge_training.model.model_config import PRESETS

FP32, INT8 = "cpu/fp32", "cpu/int8-cpu"
OPENVINO = ("openvino/fp32", "openvino/bf16", "openvino/int8-qdq")
PLAIN = "PyTorch, whole sequence, fp32"
HALF = "PyTorch, this project's graphs, bf16"
GEMMS = "plain GEMMs of the same sizes, fp32"
# Its frame takes minutes, and the engine is judged by its smaller precisions.
_FRAME_ONCE = ("openvino/fp32",)
_SLACK = 600e6  # bytes that a process may hold besides 1.3 times its files
_READY = 3.0  # seconds from start to ready
_EVEN = 1.05  # ratio of two times up to which they count as equal

Round = Mapping[str, Run]  # every way once, one after another; one that failed is not in it


@dataclass(frozen=True, slots=True)
class Goal:
    """One line of the table."""

    what: str
    way: str
    goal: str
    found: str
    is_met: bool


def runnable(bundle: Path) -> tuple[list[str], dict[str, str]]:
    """The engines with a precision each that can be measured here, and why others cannot be."""
    ways, reasons = [], {}
    with open_bundle(bundle) as opened:
        for way in (INT8, FP32, *OPENVINO):
            engine, precision = way.split("/")
            try:
                if engine not in ENGINES:
                    raise SfedgeError(f"{engine} is not installed")
                ENGINES[engine].check()
                choose_precision(engine, opened, precision)
            except SfedgeError as error:
                if engine == "cpu":
                    raise
                reasons[way] = str(error)
            else:
                ways.append(way)
    return ways, reasons


def measure(
    bundle: Path, preset: str, ways: Sequence[str], number: int, reasons: dict[str, str]
) -> Iterator[Round]:
    """One round, way by way; each has the machine for itself.

    Args:
        bundle: what is measured.
        preset: of the plain way's network.
        ways: engines with a precision each.
        number: of the round, from 0.
        reasons: why a way is not measured; one that fails is added.
    """
    for way in ways:
        engine, precision = way.split("/")
        with_frame = number == 0 or way not in _FRAME_ONCE
        try:
            yield {way: apart(ours, bundle, engine, precision, with_frame)}
        except (SfedgeError, RuntimeError, MemoryError) as error:  # RuntimeError: it was killed
            if engine == "cpu":
                raise
            reasons[way] = f"it failed: {error}"
            click.echo(f"{way}: {reasons[way]}", err=True)
    yield {GEMMS: plain_gemms(bundle)}
    plain, half = apart(pytorch, preset)
    yield {PLAIN: plain, HALF: half}


def goals(
    rounds: Sequence[Round], cosines: Mapping[str, float], times: Mapping[int, float]
) -> list[Goal]:
    """What is aimed at and what was found.

    Args:
        rounds: all of them; ratios are taken within a round, then the median.
        cosines: of the encoder's features, mean, as the bundle's card lists them, by way.
        times: seconds of a frame by the number of people; none before they are measured.
    """
    found = []

    def ratio(
        what: str, goal: float, ways: Sequence[str], of: Callable[[Run], float | None]
    ) -> None:
        for way in ways:
            pairs = [(of(r[PLAIN]), of(r[way])) for r in rounds if way in r]
            if faster := [plain / own for plain, own in pairs if plain and own]:
                middle = machine.median(faster)
                is_met = middle >= goal
                found.append(Goal(what, way, f"≥ {goal:g} ×", f"{middle:.2f} ×", is_met))

    def share(what: str, of: Callable[[Run], float]) -> None:
        value = machine.median(of(r[GEMMS]) / of(r[FP32]) for r in rounds)
        found.append(Goal(what, FP32, "≥ 80 %", f"{value:.0%}", value >= 0.8))

    ratio("gesture query, fp32", 3.0, (FP32, OPENVINO[0]), _gesture)
    ratio("gesture query, bf16", 6.0, (OPENVINO[1], HALF), _gesture)
    ratio("gesture query, int8", 9.0, (INT8, OPENVINO[2]), _gesture)
    ratio("encoder, int8", 3.0, (INT8, OPENVINO[2]), _encoder)
    for way, cosine in cosines.items():
        what, is_met = "encoder, int8, cosine of features", cosine >= 0.999
        found.append(Goal(what, way, "≥ 0.999", f"{cosine:.5f}", is_met))
    ratio("frame of 17 queries, fp32", 2.0, (FP32, OPENVINO[0]), _frame)
    ratio("frame of 17 queries, int8", 5.5, (INT8, OPENVINO[2]), _frame)
    share("gesture query, fp32, of plain GEMMs", _gesture)
    share("encoder, fp32, of plain GEMMs", _encoder)
    found += [_memory(way, [r[way] for r in rounds]) for way in (FP32, INT8)]
    for way in (FP32, INT8):
        ready = machine.median(r[way].ready or 0 for r in rounds)
        is_met = ready <= _READY
        found.append(Goal("from start to ready", way, f"≤ {_READY:g} s", f"{ready:.2f} s", is_met))
    if times:
        growth = _growth(times)
        what = "a query among many people against one person's"
        found.append(Goal(what, INT8, f"≤ {_EVEN:g} ×", f"{growth:.2f} ×", growth <= _EVEN))
    return found


def _memory(way: str, runs: Sequence[Run]) -> Goal:
    files, peak = runs[0].files or 0, max(run.memory or 0 for run in runs)
    most = 1.3 * files + _SLACK
    found = f"{peak / 1e9:.2f} GB of {files / 1e9:.2f} GB"
    return Goal("memory", way, f"≤ {most / 1e9:.2f} GB", found, peak <= most)


def page_parts(
    rounds: Sequence[Round],
    found: Sequence[Goal],
    times: Mapping[int, float],
    reasons: Mapping[str, str],
) -> list[str]:
    """The tables."""
    ways = list(dict.fromkeys(way for r in rounds for way in r))
    order = [PLAIN, *(w for w in (FP32, INT8, *OPENVINO) if w in ways), HALF, GEMMS]
    parts = [
        f"Medians of {len(rounds)}, every way in turn, each engine's in a process of its own, the "
        "two in PyTorch one after another in one. The weights are random, which measures speed "
        "only.",
        machine.table(
            ("way", "encoder s", "gesture query s", "17 queries s", "ready after s", "memory GB"),
            [_row(way, [r[way] for r in rounds if way in r]) for way in order],
        ),
        "A gesture query begins with features and ends with logits. The 17 queries are 3 each of "
        "expression, gesture and looking-at-me, 2 gazes, and 3 pairs asked for domain and "
        "relation, encoder included; the plain way encodes anew for each.",
        *(f"{way} was not measured: {reason}" for way, reason in reasons.items()),
        machine.table(
            ("goal", "way", "wanted", "found", "met"),
            [(g.what, g.way, g.goal, g.found, "yes" if g.is_met else "no") for g in found],
        ),
        "Ratios are against the plain way in the same round, the median of the rounds. Plain "
        "GEMMs are single ones, in ONNX Runtime or PyTorch, whichever is faster.",
    ]
    return parts + (_crowd_part(times) if times else [])


def _crowd_part(times: Mapping[int, float]) -> list[str]:
    counts = {n: frame_queries([*TASKS.values()], n) for n in times}
    return [
        machine.table(
            ("people", "queries", "s a frame, int8", "s a query"),
            [
                (str(n), str(len(counts[n])), _seconds(t), _seconds(t / len(counts[n])))
                for n, t in times.items()
            ],
        ),
        f"Of more pairs than {MAX_PAIRS}, the {MAX_PAIRS} nearest are asked about. Each person has "
        "a face view and a body view of their own; the whole frame is one view for all.",
        "![seconds a frame by its queries](full_size.png)",
    ]


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path, exists=True))
@click.option("--preset", type=click.Choice([*PRESETS]), default="paper", show_default=True)
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1))
@click.option("--people", default=16, show_default=True, type=click.IntRange(1, 64))
@click.option(
    "--json", "log", type=click.Path(path_type=Path), help="Add each result to it, a line each."
)
@click.option("--out", type=click.Path(path_type=Path), default=machine.RESULTS / "full_size.md")
def main(bundle: Path, preset: str, rounds: int, people: int, log: Path | None, out: Path) -> None:
    """Measure BUNDLE, of that preset with fp32 and int8-cpu, against the plain way."""
    facts = machine.describe()
    command = (
        f"python -m benchmarks.full_size {bundle.name} --preset {preset} --rounds {rounds} "
        f"--people {people}"
    )
    ways, reasons = runnable(bundle)
    cosines = _cosines(bundle, ways)
    measured: list[Round] = []

    def write(times: Mapping[int, float]) -> None:
        parts = page_parts(measured, goals(measured, cosines, times), times, reasons)
        machine.write_page(out, "The full size on a processor", command, facts, parts)

    for number in range(rounds):
        one: dict[str, Run] = {}
        for found in measure(bundle, preset, ways, number, reasons):
            one |= found
            for way, run in found.items():
                _keep(log, {"round": number + 1, "way": way, **asdict(run)})
        measured.append(one)
        write({})
    numbers = [n for n in (1, 2, 4, 8, 16, 32, 64) if n <= people]
    times = dict(zip(numbers, apart(crowd, bundle, INT8.split("/")[1], numbers), strict=True))
    _keep(log, {"people": times})
    write(times)
    plot(times, out.with_name("full_size.png"))
    print(out.read_text(encoding="utf-8"))


def _keep(log: Path | None, result: Mapping[str, Any]) -> None:
    """Say a result as soon as it is there: the whole takes most of an hour."""
    line = json.dumps(result)
    click.echo(line, err=True)
    if log is not None:
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as file:
            file.write(line + "\n")


def _cosines(bundle: Path, ways: Sequence[str]) -> dict[str, float]:
    """Of the encoder's features in eight bits, by way, where the bundle's card lists them."""
    with open_bundle(bundle) as opened:
        agreement = opened.manifest.card.get("agreement", {})
    eight_bits = {way: way.split("/")[1] for way in (INT8, OPENVINO[2]) if way in ways}
    return {
        way: agreement[name]["features"] for way, name in eight_bits.items() if name in agreement
    }


def plot(times: Mapping[int, float], path: Path) -> None:
    """Seconds a frame by its queries, beside a line at one person's seconds a query."""
    import matplotlib  # not at the top: the processes that are timed import this module, too

    matplotlib.use("agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    queries = [len(frame_queries([*TASKS.values()], n)) for n in times]
    seconds = [*times.values()]
    axes.plot(queries, seconds, marker="o", label="measured, int8")
    axes.plot(
        queries,
        [seconds[0] / queries[0] * n for n in queries],
        "--",
        label="each query as long as one person's",
    )
    for number, x, y in zip(times, queries, seconds, strict=True):
        people = "1 person" if number == 1 else f"{number} people"
        axes.annotate(people, (x, y), (6, -12), textcoords="offset points")
    axes.set(xlabel="queries of a frame", ylabel="seconds a frame", xlim=(0, None), ylim=(0, None))
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)


def _row(way: str, runs: Sequence[Run]) -> tuple[str, ...]:
    memory = [run.memory for run in runs if run.memory]
    return (
        way,
        _middle(_encoder(run) for run in runs),
        _middle(_gesture(run) for run in runs),
        _middle(run.frame for run in runs),
        _middle(run.ready for run in runs),
        f"{max(memory) / 1e9:.2f}" if memory else "–",
    )


def _growth(times: Mapping[int, float]) -> float:
    """A query's time with the most people, relative to one person's."""
    most = max(times)
    one, many = (times[n] / len(frame_queries([*TASKS.values()], n)) for n in (1, most))
    return many / one


def _encoder(run: Run) -> float:
    return machine.median(run.encoder)


def _gesture(run: Run) -> float:
    return machine.median(run.gesture)


def _frame(run: Run) -> float | None:
    return run.frame


def _middle(values: Iterable[float | None]) -> str:
    known = [value for value in values if value is not None]
    return _seconds(machine.median(known)) if known else "–"


def _seconds(value: float) -> str:
    return f"{value:.3g}"


if __name__ == "__main__":
    main()
