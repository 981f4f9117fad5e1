"""What `make` says before it sets anything up."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("place", ["python-of-the-system", ".venv/bin/python"])
def test_an_older_python_is_told_in_one_sentence_and_nothing_is_set_up(
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
