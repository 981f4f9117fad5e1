"""`sfedge detectors`: what it prints, and what it says of a cache that cannot be used."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sfedge.detect.conversion import networks


@pytest.fixture(scope="module")
def ready() -> dict[str, Path]:
    """The networks in the user's own cache."""
    paths = networks.fetch()
    networks.fetch_sources(paths)
    return paths


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the networks in an empty cache."""
    monkeypatch.setenv("SFEDGE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "networks"


def source_of(ready: dict[str, Path], name: str) -> Path:
    """The TFLite file that a network was made of."""
    return ready[name].parent / networks.NETWORKS[name].source.file


def sfedge(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sfedge", "detectors", *words],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_the_command_lists_and_adds(cache: Path, ready: dict[str, Path]) -> None:
    added = sfedge("add", str(source_of(ready, "face-full-range")))
    assert (added.returncode, added.stderr) == (0, "")
    assert added.stdout.startswith("Added face-full-range. Still missing: face-short-range, ")
    rows = {row["name"]: row for row in json.loads(sfedge("list", "--json").stdout)["networks"]}
    assert rows.keys() == networks.NETWORKS.keys()
    assert rows["face-full-range"]["status"] == "ready"
    assert rows["hand-landmarks"]["status"] == "missing"
    data = Path(rows["face-full-range"]["path"]).read_bytes()
    assert hashlib.sha256(data).hexdigest() == rows["face-full-range"]["sha256"]
    shown = sfedge("list").stdout
    assert "face-full-range   ready" in shown
    assert shown.startswith("mediapipe-onnx    MediaPipe's networks")
    refused = sfedge("add", __file__)
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1


def test_the_command_tells_as_json_what_it_added_and_fetched(
    cache: Path, ready: dict[str, Path]
) -> None:
    for name in [*ready][:-1]:
        added = json.loads(sfedge("add", str(source_of(ready, name)), "--json").stdout)
        assert added["added"] == [name]
    assert added["missing"] == ["iris"]
    shutil.copy(ready["iris"], cache)
    fetched = json.loads(sfedge("fetch", "--json").stdout)
    paths = {name: str(cache / path.name) for name, path in ready.items()}
    assert fetched == {"fetched": [], "paths": paths}


def is_one_sentence(run: subprocess.CompletedProcess[str], place: str) -> bool:
    return (
        run.returncode == 1
        and run.stderr.startswith(f"sfedge: error: {place}")
        and run.stderr.endswith("or name another folder in SFEDGE_CACHE.\n")
        and run.stderr.count("\n") == 1
    )


def test_a_file_in_the_place_of_the_cache_is_reported_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SFEDGE_CACHE", str(tmp_path / "file"))
    run = sfedge("fetch")
    assert is_one_sentence(run, f"{tmp_path}/file/networks: cannot be read"), run.stderr


def test_a_network_that_cannot_be_read_is_reported_in_one_sentence(
    cache: Path, ready: dict[str, Path]
) -> None:
    place = cache / ready["hand-landmarks"].name
    place.parent.mkdir(parents=True)
    place.symlink_to("/proc/self/mem")  # opens, and fails at the first byte, for root as well
    run = sfedge("list")
    assert is_one_sentence(run, f"{place}: cannot be read"), run.stderr
