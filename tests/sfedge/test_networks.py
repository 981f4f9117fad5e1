import contextlib
import errno
import os
import resource
import shutil
import subprocess
import sys
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sfedge.core.errors import DetectorError, OutputError, UnknownNameError
from sfedge.detect.conversion import networks, tflite_files, wheel
from sfedge.system.cache import file_sha256

NOWHERE = "http://127.0.0.1:9/"  # a port that nobody serves


@pytest.fixture(scope="module")
def ready() -> dict[str, Path]:
    """The networks in the user's own cache."""
    return networks.fetch()


@pytest.fixture(scope="module")
def wheel_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return wheel.download(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def parts(wheel_file: Path) -> dict[str, bytes]:
    """Each TFLite file by its name."""
    with zipfile.ZipFile(wheel_file) as archive:
        entries = {Path(name).name: name for name in archive.namelist()}
        return {
            network.source.file: archive.read(entries[network.source.file])
            for network in networks.NETWORKS.values()
        }


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with nothing in it, and no way to Google."""
    monkeypatch.setenv("SFEDGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(tflite_files, "GOOGLE", NOWHERE)
    return tmp_path / "cache" / "networks"


@contextlib.contextmanager
def _store(files: dict[str, bytes]) -> Iterator[str]:
    """An address that serves these files, as Google's store does."""

    class Store(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = files.get(self.path.lstrip("/").partition("?")[0])
            if body is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Store) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


def test_the_networks_in_the_cache_are_the_pinned_ones(ready: dict[str, Path]) -> None:
    assert ready.keys() == networks.NETWORKS.keys()
    for name, path in ready.items():
        assert file_sha256(path) == networks.NETWORKS[name].sha256


def test_networks_come_from_google(
    empty: Path, parts: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    reported: set[str] = set()
    with _store(parts) as address:
        monkeypatch.setattr(tflite_files, "GOOGLE", address)
        monkeypatch.setattr(wheel, "download", pytest.fail)
        paths = networks.fetch(progress=lambda what, *_: reported.add(what))
    assert not networks.missing()
    assert reported == parts.keys()
    assert {path.parent for path in paths.values()} == {empty}
    kept = {path.name for path in paths.values()} | parts.keys()
    assert {path.name for path in empty.iterdir()} == kept


def test_networks_come_from_the_wheel_where_google_is_out_of_reach(empty: Path) -> None:
    reported: list[tuple[str, int, int]] = []
    networks.fetch(progress=lambda *step: reported.append(step))
    assert not networks.missing()
    assert reported[-1] == (wheel.FILE, wheel.SIZE, wheel.SIZE)
    assert len([*empty.iterdir()]) == 2 * len(networks.NETWORKS)  # source and result


def test_a_page_in_the_place_of_a_network_is_not_taken(
    empty: Path, monkeypatch: pytest.MonkeyPatch, wheel_file: Path
) -> None:
    part = networks.NETWORKS["face-short-range"].source
    with _store({part.file: b"<html>Please sign in</html>".ljust(part.size)}) as address:
        monkeypatch.setattr(tflite_files, "GOOGLE", address)
        monkeypatch.setattr(wheel, "download", lambda *_: wheel_file)
        networks.fetch(["face-short-range"])
    assert networks.missing(["face-short-range"]) == []


def test_without_google_and_pip_both_reasons_are_reported(
    empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pip", None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(
        DetectorError, match=r"(?s)127\.0\.0\.1.*there is no pip.*detectors add FILE"
    ):
        networks.fetch()
    assert not [*empty.iterdir()]


def test_pips_own_words_are_reported_where_it_fails(
    empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", f"{NOWHERE}simple")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(empty))
    with pytest.raises(DetectorError, match="No matching distribution found for mediapipe"):
        networks.fetch()


def test_offline_nothing_is_fetched_and_the_way_out_is_reported(
    empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(networks, "_fetched", pytest.fail)
    with pytest.raises(DetectorError, match=r"detectors fetch.*detectors add FILE") as caught:
        networks.fetch(["hand-landmarks"], offline=True)
    assert "hand-landmarks is missing" in str(caught.value)
    assert not empty.exists()


def _damaged(data: bytes) -> bytes:
    changed = bytearray(data)
    changed[len(changed) // 2] ^= 1
    return bytes(changed)


def test_a_damaged_network_is_refused_offline_and_fetched_anew_online(
    empty: Path,
    ready: dict[str, Path],
    parts: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    empty.mkdir(parents=True)
    file = empty / ready["palm"].name
    file.write_bytes(_damaged(ready["palm"].read_bytes()))
    assert [listing.status for listing in networks.listed(["palm"])] == ["damaged"]
    with pytest.raises(DetectorError, match="palm is damaged"):
        networks.fetch(["palm"], offline=True)
    with _store(parts) as address:
        monkeypatch.setattr(tflite_files, "GOOGLE", address)
        networks.fetch(["palm"])
    assert file.read_bytes() == ready["palm"].read_bytes()
    assert networks.fetch(["palm"], offline=True) == {"palm": file}


def test_a_network_is_converted_again_offline_where_its_source_is_whole(
    empty: Path, parts: dict[str, bytes], ready: dict[str, Path]
) -> None:
    empty.mkdir(parents=True)
    source = networks.NETWORKS["palm"].source.file
    (empty / source).write_bytes(parts[source])
    (empty / ready["palm"].name).write_bytes(_damaged(ready["palm"].read_bytes()))
    path = networks.fetch(["palm"], offline=True)["palm"]
    assert path.read_bytes() == ready["palm"].read_bytes()


def test_sources_are_fetched_where_only_the_results_are_there(
    empty: Path, parts: dict[str, bytes], ready: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    empty.mkdir(parents=True)
    shutil.copy(ready["palm"], empty)
    with pytest.raises(DetectorError, match="palm is missing"):
        networks.fetch_sources(["palm"], offline=True)
    with _store(parts) as address:
        monkeypatch.setattr(tflite_files, "GOOGLE", address)
        path = networks.fetch_sources(["palm"])["palm"]
    assert path.read_bytes() == parts["palm_detection_full.tflite"]


def test_two_processes_may_fetch_at_once(empty: Path, parts: dict[str, bytes]) -> None:
    with _store(parts) as address:
        code = (
            "from sfedge.detect.conversion import networks, tflite_files, wheel\n"
            f"tflite_files.GOOGLE, wheel.download = {address!r}, None\n"  # the store alone is asked
            "networks.fetch()"
        )
        processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
        assert [process.wait(300) for process in processes] == [0, 0]
    assert not networks.missing()
    assert len([*empty.iterdir()]) == 2 * len(networks.NETWORKS)  # source and result


def test_a_wheel_that_the_user_brings_holds_all_networks(empty: Path, wheel_file: Path) -> None:
    renamed = empty.parent / "mp.zip"
    renamed.parent.mkdir(parents=True)
    shutil.copy(wheel_file, renamed)
    assert networks.add(renamed) == [*networks.NETWORKS]
    assert not networks.missing()


@pytest.mark.parametrize("name", [*networks.NETWORKS])
def test_each_network_can_be_brought_alone(
    name: str, empty: Path, parts: dict[str, bytes], tmp_path: Path
) -> None:
    file = tmp_path / "brought"
    file.write_bytes(parts[networks.NETWORKS[name].source.file])
    assert networks.add(file) == [name]
    assert networks.missing([name]) == []


def test_a_zip_is_known_by_its_contents(
    empty: Path, parts: dict[str, bytes], tmp_path: Path
) -> None:
    file = tmp_path / "other.task"
    with zipfile.ZipFile(file, "w") as bundle:
        bundle.writestr("folder/a", parts["hand_landmark_full.tflite"], zipfile.ZIP_DEFLATED)
        bundle.writestr("folder/b", parts["palm_detection_full.tflite"], zipfile.ZIP_DEFLATED)
    assert networks.add(file) == ["palm", "hand-landmarks"]
    assert networks.missing(["palm", "hand-landmarks"]) == []


def test_what_is_no_network_is_refused(empty: Path, tmp_path: Path) -> None:
    unknown, broken = tmp_path / "model.tflite", tmp_path / "model.task"
    size = networks.NETWORKS["face-short-range"].source.size
    unknown.write_bytes(os.urandom(size))
    with pytest.raises(DetectorError, match=r"model\.tflite.*no network.*mediapipe==0\.10\.21"):
        networks.add(unknown)
    with zipfile.ZipFile(broken, "w") as bundle:
        bundle.writestr("a.tflite", os.urandom(size))
    data = bytearray(broken.read_bytes())
    data[100] ^= 1
    broken.write_bytes(data)
    with pytest.raises(DetectorError, match=r"model\.task: cannot be read as a zip"):
        networks.add(broken)
    with pytest.raises(DetectorError, match=r"no such file\. Check the path"):
        networks.add(tmp_path / "absent")
    assert not empty.exists()


def test_a_wrong_name_is_reported_with_the_near_one() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'hand-landmarks'"):
        networks.fetch(["hand-landmark"])


def test_a_disk_that_fills_while_fetching_is_reported(
    empty: Path, ready: dict[str, Path], parts: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    soft, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    with _store(parts) as address:
        monkeypatch.setattr(tflite_files, "GOOGLE", address)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, most))
        try:
            with pytest.raises(OutputError, match=r"File too large.*SFEDGE_CACHE"):
                networks.fetch(["face-short-range"])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, most))
    assert not [*empty.iterdir()]


def test_a_wheel_for_which_there_is_no_room_is_reported_as_such(
    empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = Path.mkdir

    def full(self: Path, *settings: int, **further: bool) -> None:
        if self.name == "pip":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        make(self, *settings, **further)

    monkeypatch.setattr(Path, "mkdir", full)
    with pytest.raises(OutputError, match=r"networks: .*No space left on device.*SFEDGE_CACHE"):
        networks.fetch()
    assert not [*empty.iterdir()]
