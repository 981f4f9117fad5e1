"""Names the machine beside what was measured on it, and writes both as a page."""

import os
import platform
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from sfedge.core.version import __version__
from sfedge.engines.ort import physical_cores
from sfedge.system.gpus import find_gpus
from sfedge.system.machine import cpu_name

RESULTS = Path(__file__).parent / "results"

_PACKAGES = (
    "numpy",
    "onnxruntime",
    "onnxruntime-gpu",
    "openvino",
    "torch",
    "opencv-python-headless",
    "av",
)


def describe() -> str:
    """The machine and its software, line by line; call it before there is load of one's own."""
    gpus, _ = find_gpus()
    found = [f"{name} {text}" for name in _PACKAGES if (text := _version(name))]
    facts = {
        "Machine": f"{cpu_name()}, {physical_cores()} of {os.cpu_count()} cores, {_memory()} GiB",
        "GPU": ", ".join(gpu.name for gpu in gpus) or "none",
        "System": f"{_system()}, Linux {platform.release()}, Python {platform.python_version()}",
        "Packages": ", ".join([f"sfedge {__version__}", *found]),
        "Begun": datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "Load before": f"{os.getloadavg()[0]:.1f} (mean of a minute)",
    }
    return "\n".join(f"- {name}: {fact}" for name, fact in facts.items())


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def middle_and_95th(seconds: Sequence[float]) -> tuple[str, str]:
    """Median and 95th percentile in milliseconds."""
    return milliseconds(float(np.median(seconds))), milliseconds(float(np.quantile(seconds, 0.95)))


def median(values: Iterable[float]) -> float:
    """The middle one, or the mean of the middle two."""
    return float(np.median([*values]))


def milliseconds(seconds: float) -> str:
    """Three digits of a time."""
    value = 1000 * seconds
    return f"{value:.0f}" if value >= 99.5 else f"{value:#.3g}".rstrip(".")


def write_page(path: Path, title: str, command: str, machine: str, parts: Sequence[str]) -> None:
    """Write a result: its command, the machine, then the tables and what they say."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = "\n\n".join([f"# {title}", f"```\n{command}\n```", machine, *parts])
    path.write_text(text + "\n", encoding="utf-8")


def _memory() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)


def _system() -> str:
    with suppress(OSError):
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    return platform.system()


def _version(distribution: str) -> str:
    with suppress(PackageNotFoundError):
        return version(distribution)
    return ""
