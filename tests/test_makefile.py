"""What `make` says before it sets anything up."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from test_docs import PROGRAMS, parse

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("place", ["python-of-the-system", ".venv/bin/python"])
def test_an_older_python_is_reported_in_one_sentence_and_nothing_is_set_up(
    tmp_path: Path, place: str
) -> None:
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "constraints", tmp_path / "constraints")
    older = tmp_path / place
    older.parent.mkdir(parents=True, exist_ok=True)
    older.write_text(
        f"#!/bin/sh\nexec '{sys.executable}' -c "
        "'import sys; sys.version_info = (3, 10, 12); exec(sys.argv[1])' \"$2\"\n"
    )
    older.chmod(0o755)
    before = set(tmp_path.rglob("*"))

    words = ["make", "demo", f"PYTHON={older}"]
    ended = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)

    assert ended.returncode != 0
    first = ended.stderr.splitlines()[0]
    assert first.startswith("Python 3.11 or newer is needed, ")
    assert first.endswith(" is 3.10. Run: rm -rf .venv && make demo PYTHON=python3.11")
    assert "Traceback" not in ended.stderr
    assert set(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("words", "programs"),
    [
        (("drawn-bundle",), ["train", "train", "train", "export"]),
        (("default-model", "DATA=pictures", "HUMANS=humans"), ["train"] * 6 + ["export"]),
        (("demo",), [""]),
    ],
    ids=["drawn-bundle", "default-model", "demo"],
)
def test_what_make_calls_are_commands_that_the_programs_take(
    words: tuple[str, ...], programs: list[str], tmp_path: Path
) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "constraints").mkdir()
    for name in ("pyproject.toml", "constraints/py311.txt"):
        (tmp_path / name).touch()
    ended = subprocess.run(
        ["make", "-n", *words], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    lines = ended.stdout.replace("\\\n", " ").splitlines()
    called = [shlex.split(line) for line in lines if line.startswith(".venv/bin/sfedge")]
    assert [Path(program).name for program, *_ in called] == [
        f"sfedge-{name}".removesuffix("-") for name in programs
    ]
    for program, *rest in called:
        name = Path(program).name
        parse(PROGRAMS[name,], rest, name)


def test_the_default_model_wants_both_folders_and_says_so() -> None:
    for words in ((), ("DATA=pictures",), ("HUMANS=humans",)):
        command = ["make", "--no-print-directory", "default-model", *words]
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert ended.returncode != 0
        assert ended.stdout == ""
        assert ended.stderr.splitlines()[0].startswith("Name both folders: make default-model DATA")


def test_missing_libraries_end_make_test_before_anything_is_set_up(tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    shutil.copytree(ROOT / "constraints", tmp_path / "constraints")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "install_libraries.py").write_text("raise SystemExit('libabsent9')\n")
    before = set(tmp_path.rglob("*"))

    words = ["make", "--no-print-directory", "test", f"PYTHON={sys.executable}"]
    ended = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)

    assert ended.returncode != 0
    assert ended.stdout == ""
    assert ended.stderr.splitlines()[0] == "libabsent9"
    assert set(tmp_path.rglob("*")) == before
