"""The README's two commands on a minimal Debian that has nothing but Python and make."""

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
RELEASE = "bookworm"  # Debian 12, whose Python is 3.11
PACKAGES = "python3,python3-venv,make,ca-certificates"
CHECKOUT = "srv/sfedge"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(4 * 3600)]


@dataclass(frozen=True)
class Machine:
    """The root of a minimal Debian with a checkout in it."""

    root: Path
    shared: list[Path] = field(default_factory=list)  # places of this system that pip is set up for

    def run(self, command: str) -> tuple[int, str]:
        """How a command ends in the checkout, and all that it says.

        Its mounts and processes are in namespaces of their own, and so end with it.
        """
        place = shlex.quote(str(self.root))
        mounts = [
            f"mount --bind {place} {place}",  # what is no mount cannot be made private inside
            f"mount -t proc proc {place}/proc",
            *(f"mount --rbind /{name} {place}/{name}" for name in ("sys", "dev")),
            *(
                f"mount --bind {shlex.quote(str(p))} {place}{shlex.quote(str(p))}"
                for p in self.shared
            ),
        ]
        passed = [
            f"{name}={value}"
            for name, value in os.environ.items()
            if name.startswith("PIP_") or name.endswith("_proxy") or name == "PYTEST_ADDOPTS"
        ]
        words = ["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", *passed]
        inside = shlex.join([*words, "sh", "-c", f"cd /{CHECKOUT} && {command}"])
        script = "\n".join([*mounts, f"exec chroot {place} {inside}"])
        run = subprocess.run(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-ec", script],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return run.returncode, run.stdout


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        pytest.skip("a Debian is made by root, with debootstrap")
    root = tmp_path_factory.mktemp("debian") / "root"
    try:
        subprocess.run(
            ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", RELEASE, str(root)],
            check=True,
            stdout=subprocess.DEVNULL,
        )
        _check_out(root / CHECKOUT)
        yield Machine(root, _set_up_pip(root))
    finally:
        shutil.rmtree(root, ignore_errors=True)  # about 10 GB


def _check_out(folder: Path) -> None:
    """Copy what git knows or would take, as it stands."""
    words = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.rstrip("\0").split("\0"):
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def _set_up_pip(root: Path) -> list[Path]:
    """Have pip there look where it looks here; returns the places that are on this machine."""
    words = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    settings = re.findall(r"^global\.([\w-]+)='(.*)'$", listed, flags=re.MULTILINE)
    lines = [f"{name} = {value}" for name, value in settings]
    (root / "etc" / "pip.conf").write_text("\n".join(["[global]", *lines, ""]))
    found = re.findall(r"(file://|['\s])(/[^\s']+)", listed)
    # The pages of an index may name files that lie beside them.
    places = {Path(path).parent if kind == "file://" else Path(path) for kind, path in found}
    shared = sorted(place for place in places if place.exists())
    for place in shared:
        there = root / place.relative_to("/")
        if place.is_dir():
            there.mkdir(parents=True, exist_ok=True)
        else:
            there.parent.mkdir(parents=True, exist_ok=True)
            there.touch()
    return shared


def test_the_demo_runs_and_needs_no_package_of_the_system(machine: Machine) -> None:
    before = machine.run("dpkg-query -W")
    code, out = machine.run("make demo")
    assert code == 0, out[-5000:]
    results = {path.name for path in (machine.root / CHECKOUT / "out").iterdir()}
    assert {"demo.mp4", "demo.annotated.mp4", "demo.jsonl", "demo.csv"} <= results
    assert machine.run("dpkg-query -W") == before


def test_the_tests_pass_after_one_installation_of_what_they_need(machine: Machine) -> None:
    code, out = machine.run("make test")
    assert code == 0, out[-20000:]
    assert out.count("installing with apt-get: ") == 1
    assert re.search(r"\d+ passed", out)
    assert "there is no Xvfb" not in out
    assert "network of their own" not in out
