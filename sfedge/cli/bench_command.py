"""`sfedge bench`: how fast a model bundle answers on this machine."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sfedge.cli.options import engine_option, precision_option
from sfedge.core.config import EngineName, RunConfig
from sfedge.core.tasks import task_names

if TYPE_CHECKING:
    from sfedge.diagnostics.bench import Benchmark

_MAX_PAIRS = RunConfig().max_pairs
_EPILOG = """\b
Examples:
  sfedge bench
  sfedge bench my-bundle --engine cpu --people 5
  sfedge bench my-bundle --precision fp32 --tasks gesture,expression --json
"""


@click.command(epilog=_EPILOG)
@click.argument("bundle", type=click.Path(path_type=Path), required=False)
@engine_option
@precision_option
@click.option(
    "--people",
    type=click.IntRange(1, 64),
    default=3,
    show_default=True,
    help=f"In the frame; of their pairs, the {_MAX_PAIRS} nearest are included.",
)
@click.option("--tasks", metavar="NAME,…", help="Tasks to run.  [default: all of the bundle's]")
@click.option(
    "--seconds",
    type=click.FloatRange(0.0, 3600.0),
    default=5.0,
    show_default=True,
    help="Duration of the measurement; at least three frames are timed.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the measurements as JSON.")
def bench(
    bundle: Path | None,
    engine: EngineName,
    precision: str | None,
    people: int,
    tasks: str | None,
    seconds: float,
    as_json: bool,
) -> None:
    """Measure how long BUNDLE takes for all queries of a frame.

    BUNDLE is a folder or a zip; without one, the default model is timed. The frame is made in code,
    and detectors are not part of it: this is the model alone.
    """
    from sfedge.cli.bars import selftest_bar
    from sfedge.diagnostics.bench import measure

    with selftest_bar() as testing:
        found = measure(
            bundle,
            engine=engine,
            precision=precision,
            tasks=None if tasks is None else task_names(tasks),
            people=people,
            seconds=seconds,
            testing=testing,
        )
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=1, ensure_ascii=False))
    else:
        click.echo("\n".join(_lines(found)))


def _lines(found: "Benchmark") -> list[str]:
    rows = [("model", f"{found.model} on {found.device}")]
    if found.note:
        rows.append(("note", found.note))
    asked = ", ".join(f"{count} {name}" for name, count in found.queries.items())
    rows += [
        ("frame", f"{found.people} {'person' if found.people == 1 else 'people'}: {asked}"),
        *([("pairs", _pairs(found))] if _pairs(found) else []),
        (
            "latency",
            f"p50 {_time(found.median)}, p95 {_time(found.slowest)}; {len(found.frames)} frames",
        ),
        ("throughput", f"{found.rate:.3g} queries per second"),
        ("ready", f"after {_time(found.opened)}{_tested(found)}"),
        ("memory", _memory(found)),
        ("work", _work(found)),
    ]
    return [f"{name:<12} {text}" for name, text in rows]


def _pairs(found: "Benchmark") -> str:
    """A clause on the pairs that are not asked about; "" where all are, or none is to be."""
    every = found.people * (found.people - 1) // 2
    return (
        "" if found.pairs in (0, every) else f"the {found.pairs} nearest of {every} are asked about"
    )


def _tested(found: "Benchmark") -> str:
    return f", and {_time(found.tested)} for the first self-test" if found.tested else ""


def _memory(found: "Benchmark") -> str:
    parts = [f"{found.files / 1e6:.1f} MB of files"]
    if found.memory is not None:
        parts.append(f"{found.memory / 1e6:.0f} MB at most")
    if found.gpu_memory is not None:
        parts.append(f"{found.gpu_memory / 1e6:.0f} MB of the GPU's")
    return ", ".join(parts)


def _work(found: "Benchmark") -> str:
    if found.work is None:
        return "not listed in this bundle; export it again"
    text = f"{found.work / 1e9:.3g} GFLOP per frame, {found.work / found.median / 1e9:.3g} GFLOP/s"
    if found.share is None:
        return text
    return f"{text}: {found.share:.0%} of plain fp32 GEMMs of these sizes"


def _time(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"
