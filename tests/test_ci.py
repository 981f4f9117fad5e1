"""What `.ci/run` sets up before it calls `make test`."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sfedge.system.libraries import LIBRARIES, missing_libraries

ROOT = Path(__file__).parents[1]
# Each writes its name and words to a file; the Python finds one package lacking, or none.
COMMANDS = {
    "make": 'echo make "$@" >> "$LOG"',
    "apt-get": 'echo apt-get "$@" >> "$LOG"; exit "$APT"',
    "sudo": 'shift; exec "$@"',
    "Xvfb": "",
    "python3": 'echo "$LACKING"',
}


def ci(folder: Path, *, lacking: str, apt: int, without: str = "") -> tuple[list[str], str]:
    """What is called, and what is said."""
    for name, does in COMMANDS.items():
        if name != without:
            (folder / name).write_text(f"#!/bin/sh\n{does}\n")
            (folder / name).chmod(0o755)
    for name in ("bash", "dirname", "id"):
        (folder / name).symlink_to(str(shutil.which(name)))
    environment = {"PATH": str(folder), "LOG": str(folder / "log"), "APT": str(apt)}
    run = subprocess.run(
        [ROOT / ".ci" / "run"],
        env=environment | {"LACKING": lacking},
        capture_output=True,
        text=True,
        check=True,
    )
    return (folder / "log").read_text().splitlines(), run.stderr


def test_where_nothing_is_missing_nothing_is_installed(tmp_path: Path) -> None:
    assert ci(tmp_path, lacking="", apt=1) == (["make test"], "")


def test_what_is_missing_is_installed(tmp_path: Path) -> None:
    called, said = ci(tmp_path, lacking="libgl1 libegl1", apt=0, without="Xvfb")
    assert called[1:] == ["apt-get install -y -qq libgl1 libegl1 xvfb", "make test"]
    assert said == ""


@pytest.mark.parametrize("without", ["", "apt-get"])
def test_without_root_network_or_apt_the_tests_go_on(tmp_path: Path, without: str) -> None:
    called, said = ci(tmp_path, lacking="libgl1", apt=100, without=without)
    assert called[-1] == "make test"
    assert "ci: could not install: libgl1" in said


def test_the_packages_asked_for_are_those_that_the_doctor_misses() -> None:
    code = (ROOT / ".ci" / "run").read_text().split("-c '\n")[1].split("')\n")[0]
    absent = "libraries.LIBRARIES += (libraries.Library('libno.so.9', 'libno9', 'PyQt6', ''),)\n"
    run = subprocess.run(
        [sys.executable, "-c", f"from sfedge import libraries\n{absent}{code}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    missing = {lib.package for lib in missing_libraries({lib.user for lib in LIBRARIES})}
    assert set(run.stdout.split()) == {"libno9", *missing}
