"""What `pip install sfedge` puts on a user's machine."""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = {"sfedge", "sfedge_training", "sfedge_export", "sfedge_desktop"}
DATA = {
    "sfedge/core/tasks.json",
    "sfedge/results/record.schema.json",
    "sfedge/bundles/tiny.zip",
    "sfedge/py.typed",
    "sfedge_training/recipes/table1/socialfusion-joint.toml",
}
_CACHES = shutil.ignore_patterns("__pycache__")
COMMANDS = ("sfedge", "sfedge-train", "sfedge-export")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, unpacked as an installer does."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("sfedge", "training", "export", "desktop"):
        shutil.copytree(ROOT / name, folder / "source" / name, ignore=_CACHES)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "source")
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-cache-dir"),
            *("--no-build-isolation", "--wheel-dir", str(folder)),
            str(folder / "source"),
        ],
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_nothing_of_a_general_name_is_installed(site: Path) -> None:
    top = {path.name for path in site.iterdir() if not path.name.endswith(".dist-info")}
    assert top == PACKAGES


def test_all_code_and_data_are_in_the_wheel(site: Path) -> None:
    files = {str(path.relative_to(site)) for path in site.rglob("*")}
    assert files >= DATA
    for package in PACKAGES:
        home = ROOT / package.partition("_")[2]
        for path in (home / package).rglob("*"):
            if path.suffix in (".py", ".toml"):
                assert str(path.relative_to(home)) in files


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_runs_outside_the_checkout(command: str, site: Path, tmp_path: Path) -> None:
    entry = (next(site.glob("*.dist-info")) / "entry_points.txt").read_text()
    module, _, function = entry.split(f"{command} = ")[1].splitlines()[0].partition(":")
    code = f"import sys; sys.path.insert(0, {str(site)!r}); sys.argv = ['x', '--help']\n"
    code += f"from {module} import {function}; {function}()"
    ended = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
    assert "Usage: x" in ended.stdout or f"Usage: {command}" in ended.stdout
