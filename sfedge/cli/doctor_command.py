"""`sfedge doctor`: what is installed, what runs, what is wrong and how to fix it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from sfedge.diagnostics.doctor import Problem, Report

_EPILOG = """\b
Examples:
  sfedge doctor
  sfedge doctor my-bundle.zip
  sfedge doctor --json

\b
Exit codes:
  0  sfedge can run
  1  something must be fixed first
"""


@click.command(epilog=_EPILOG)
@click.argument("bundle", type=click.Path(path_type=Path), required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor(bundle: Path | None, as_json: bool) -> int:
    """Check this installation and BUNDLE, and say what is wrong and how to fix it.

    BUNDLE is a folder or a zip; without one, the default model is checked. Detector and model are
    shown pictures whose answers are known: is left left, and up up?
    """
    from sfedge.cli.bars import selftest_bar
    from sfedge.diagnostics.doctor import examine

    with selftest_bar() as testing:
        report = examine(bundle, testing=testing)
    if as_json:
        click.echo(json.dumps(report.to_json(), indent=1, ensure_ascii=False))
    else:
        click.echo("\n".join(_lines(report)))
    return 0 if report.is_runnable else 1


def _lines(report: "Report") -> list[str]:
    packages = ", ".join(f"{name} {version}" for name, version in report.packages.items())
    gpus = ", ".join(f"{gpu.name} (compute {gpu.capability})" for gpu in report.gpus)
    networks = ", ".join(f"{name} {status}" for name, status in report.networks.items())
    rows = [
        ("sfedge", f"{report.sfedge}, Python {report.python}, {report.platform}"),
        ("packages", packages),
        ("processor", report.processor),
        ("gpus", f"{gpus}, driver {report.driver}" if gpus else "none"),
        *(row for name, why in report.engines.items() for row in _engine_rows(name, why)),
        *((f"built {name}", how) for name, how in report.compiled.items()),
        ("networks", f"{networks}, in {report.cache}"),
        ("model", report.model or "does not load"),
        ("detector", report.detector or "is not loaded"),
        ("known answers", _known(report)),
    ]
    width = 20
    lines = [f"{name:<{width}} {text}" for name, text in rows]
    for problem in report.problems:
        kind = "PROBLEM" if problem.is_fatal else "note"
        lines += [f"{kind:<{width}} {problem.what}", f"{'':<{width}} {problem.fix}"]
    lines.append("sfedge can run." if report.is_runnable else "sfedge cannot run yet.")
    return lines


def _known(report: "Report") -> str:
    """What came of the pictures whose answers are known."""
    found = report.known_answers
    if found is None:
        why = "they could not be shown" if report.detector else "the detector is not loaded"
        return f"none, since {why}"
    sides = "sides are mistaken" if found.problems else "no side is mistaken"
    parts = [f"{found.pictures} pictures and their mirror images: {sides}"]
    if 0 < found.answered < found.pictures:
        parts.append(f"for lack of time the model was asked about the first {found.answered}")
    if found.tallies:
        right = (f"{tally.task} {tally.right} of {tally.asked}" for tally in found.tallies)
        parts.append(f"right answers: {', '.join(right)}")
    return "; ".join(parts)


def _engine_rows(name: str, why: "Problem | None") -> list[tuple[str, str]]:
    """Whether an engine runs, and what it needs where it does not."""
    if why is None:
        return [(f"engine {name}", "can run")]
    return [(f"engine {name}", f"cannot run: {why.what}"), ("", why.fix)]
