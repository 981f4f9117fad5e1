"""What `make test` sets up of the system, and that CI is nothing but `make test`."""

import os
import shutil
import subprocess
from pathlib import Path

import install_libraries
import pytest

from sfedge.system import libraries
from sfedge.system.libraries import Library

ROOT = Path(__file__).parents[1]
LOG = 'echo "${0##*/} $@" >> "$LOG"\n'
# As the system would: the library and the command are there afterwards.
INSTALL = LOG + '[ "$2" = update ] || { ln -s "$REAL" "$ABSENT"; ln -s /bin/sh "$BIN/absent"; }\n'


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of commands, the only ones; a library and a command are missing."""
    folder, absent = tmp_path / "bin", tmp_path / "libabsent.so.9"
    folder.mkdir()
    for name in ("bash", "dirname", "env", "ln"):
        (folder / name).symlink_to(str(shutil.which(name)))
    maps = Path("/proc/self/maps").read_text().split()
    real = next(word for word in maps if Path(word).name.startswith("libc.so"))
    monkeypatch.setattr(
        libraries, "LIBRARIES", (Library(str(absent), "libabsent9", "PyQt6", "libabsent"),) * 2
    )
    monkeypatch.setattr(install_libraries, "LIBRARIES", libraries.LIBRARIES)
    monkeypatch.setattr(install_libraries, "COMMANDS", {"absent": "an-absent-tool"})
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    for name, value in (("LOG", tmp_path / "log"), ("REAL", real), ("ABSENT", absent)):
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("BIN", str(folder))
    monkeypatch.setenv("PATH", str(folder))
    return folder


def put(folder: Path, name: str, does: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{does}")
    (folder / name).chmod(0o755)


def called() -> list[str]:
    log = Path(os.environ["LOG"])
    return log.read_text().splitlines() if log.exists() else []


def test_root_gets_all_that_is_missing_at_once(
    system: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(system, "apt-get", INSTALL)
    install_libraries.main()
    assert called() == [
        "apt-get -qq update",
        "apt-get -qq install -y --no-install-recommends an-absent-tool libabsent9",
    ]
    assert capsys.readouterr().err == "installing with apt-get: an-absent-tool libabsent9\n"
    install_libraries.main()  # nothing is missing any more
    assert len(called()) == 2
    assert capsys.readouterr().err == ""


def test_sudo_without_a_password_serves_as_well(
    system: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    put(system, "apt-get", INSTALL)
    put(system, "true", "")
    put(system, "sudo", LOG + 'shift; exec "$@"\n')
    install_libraries.main()
    assert called()[0] == "sudo -n true"
    assert [line.split()[0] for line in called()] == ["sudo", *("sudo", "apt-get") * 2]
    assert install_libraries.missing_packages() == []


@pytest.mark.parametrize("present", [(), ("apt-get",), ("apt-get", "sudo")])
def test_without_the_right_to_install_one_line_names_all_and_nothing_is_run(
    system: Path,
    present: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for name in present:
        put(system, name, "exit 1\n" if name == "sudo" else INSTALL)
    with pytest.raises(SystemExit) as ended:
        install_libraries.main()
    assert ended.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith("Run: sudo apt-get install an-absent-tool libabsent9")
    assert called() == []


def test_why_apt_get_failed_is_reported(system: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(system, "apt-get", "echo W: slow >&2; echo E: no such mirror >&2; exit 100\n")
    with pytest.raises(SystemExit):
        install_libraries.main()
    assert capsys.readouterr().err.splitlines()[1] == (
        "Missing (E: no such mirror). Run: sudo apt-get install an-absent-tool libabsent9"
    )


def test_without_a_command_alone_the_tests_are_run(
    system: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(libraries, "LIBRARIES", ())
    install_libraries.main()
    assert capsys.readouterr().err.endswith("Run: sudo apt-get install an-absent-tool\n")


def test_a_bare_python_can_tell_what_is_missing() -> None:
    """Nothing is installed yet when it is asked: -I and -S leave the standard library alone."""
    code = (
        f"import sys; sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / 'tests')!r}]\n"
        "import install_libraries; print(install_libraries.missing_packages())"
    )
    run = subprocess.run(
        [shutil.which("python3") or "python3", "-I", "-S", "-c", code],
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == f"{install_libraries.missing_packages()}\n"


@pytest.mark.parametrize("code", [0, 3])
def test_ci_is_make_test_and_nothing_else(system: Path, code: int) -> None:
    put(system, "make", LOG + f"exit {code}\n")
    run = subprocess.run([ROOT / ".ci" / "run"], capture_output=True, text=True, check=False)
    assert called() == ["make test"]
    assert (run.returncode, run.stdout, run.stderr) == (code, "", "")
