"""`sfedge doctor`: what is installed, what runs, what is wrong and how to fix it."""

import json

import click

from sfedge.diagnostics.doctor import Problem, Report, examine

_EPILOG = """\b
Examples:
  sfedge doctor
  sfedge doctor --json

\b
Exit codes:
  0  sfedge can run
  1  something must be fixed first
"""


@click.command(epilog=_EPILOG)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
def doctor(as_json: bool) -> int:
    """Check this installation and say what is wrong and how to fix it."""
    report = examine()
    if as_json:
        click.echo(json.dumps(report.to_json(), indent=1, ensure_ascii=False))
    else:
        click.echo("\n".join(_lines(report)))
    return 0 if report.is_runnable else 1


def _lines(report: Report) -> list[str]:
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
        ("demo model", report.model or "does not load"),
    ]
    width = 20
    lines = [f"{name:<{width}} {text}" for name, text in rows]
    for problem in report.problems:
        kind = "PROBLEM" if problem.is_fatal else "note"
        lines += [f"{kind:<{width}} {problem.what}", f"{'':<{width}} {problem.fix}"]
    lines.append("sfedge can run." if report.is_runnable else "sfedge cannot run yet.")
    return lines


def _engine_rows(name: str, why: Problem | None) -> list[tuple[str, str]]:
    """Whether an engine runs, and what it needs where it does not."""
    if why is None:
        return [(f"engine {name}", "can run")]
    return [(f"engine {name}", f"cannot run: {why.what}"), ("", why.fix)]
