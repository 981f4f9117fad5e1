"""What `pip install sfedge` puts on a user's machine."""

import os
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
    "sfedge/bundles/people.zip",
    "sfedge/bundles/LICENSE",
    "sfedge/demo/raised_hand.png",
    "sfedge/diagnostics/known_answers/answers.json",
    "sfedge/diagnostics/known_answers/palm-left-1.jpg",
    "sfedge/py.typed",
    "sfedge_training/recipes/table1/socialfusion-joint.toml",
    "sfedge_training/collection/facts/fairface_by_eye.csv",
    "sfedge_training/collection/facts/xsign_people.csv",
    "sfedge_training/data/people_tasks.json",
    *(
        path.relative_to(ROOT / "training").as_posix()
        for path in (ROOT / "training" / "sfedge_training" / "people").rglob("*.*")
    ),
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


def test_code_and_weights_come_with_their_licences(site: Path) -> None:
    (info,) = site.glob("*.dist-info")
    metadata = (info / "METADATA").read_text(encoding="utf-8")
    assert "\nLicense-Expression: Apache-2.0 AND CC-BY-SA-4.0\n" in metadata
    for name in ("LICENSE", "sfedge/bundles/LICENSE"):
        held = (info / "licenses" / name).read_text(encoding="utf-8")
        assert held == (ROOT / name).read_text(encoding="utf-8")


def test_the_wheel_brings_one_model_alone(site: Path) -> None:
    assert [path.name for path in site.rglob("*.zip")] == ["people.zip"]


def test_the_default_model_is_found_where_it_is_installed(site: Path, tmp_path: Path) -> None:
    code = f"import sys; sys.path.insert(0, {str(site)!r})\n"
    code += "from sfedge.bundle.bundle import open_bundle\n"
    code += "with open_bundle() as bundle: bundle.verify(); print(bundle.source)"
    environment = {name: value for name, value in os.environ.items() if name != "SFEDGE_BUNDLE"}
    ended = subprocess.run(
        [sys.executable, "-I", "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout == f"{site / 'sfedge' / 'bundles' / 'people.zip'}\n"


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
