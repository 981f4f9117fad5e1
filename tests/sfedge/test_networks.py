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
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mediapipe.tasks.metadata import metadata_schema_py_generated as metadata_schema
from mediapipe.tasks.metadata import schema_py_generated as model_schema

from sfedge.core.errors import DetectorError, OutputError, UnknownNameError
from sfedge.detect import networks, wheel
from sfedge.detect import parts as parts_module
from sfedge.detect.metadata import with_normalisation
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
    """Each part by its file name."""
    with zipfile.ZipFile(wheel_file) as archive:
        entries = {Path(name).name: name for name in archive.namelist()}
        return {
            part.file: archive.read(entries[part.file])
            for network in networks.NETWORKS.values()
            for part in network.parts
        }


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache with nothing in it, and no way to Google."""
    monkeypatch.setenv("SFEDGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(parts_module, "GOOGLE", NOWHERE)
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


def _normalisation(model: bytes) -> tuple[Any, list[float], list[float]]:
    """Model, mean and std, read by the classes that the FlatBuffers compiler made."""
    read = model_schema.ModelT.InitFromObj(model_schema.Model.GetRootAs(model, 0))
    (entry,) = [entry for entry in read.metadata if entry.name == b"TFLITE_METADATA"]
    data = read.buffers[entry.buffer].data.tobytes()
    assert metadata_schema.ModelMetadata.ModelMetadataBufferHasIdentifier(data, 0)
    root = metadata_schema.ModelMetadata.GetRootAs(data, 0)
    tree = metadata_schema.ModelMetadataT.InitFromObj(root)
    (unit,) = tree.subgraphMetadata[0].inputTensorMetadata[0].processUnits
    assert unit.optionsType == metadata_schema.ProcessUnitOptions.NormalizationOptions
    return read, [*unit.options.mean], [*unit.options.std]


_number = st.floats(-1000, 1000, width=32)


@given(_number, _number)
@settings(max_examples=10, deadline=None)
def test_metadata_that_is_written_is_read_by_googles_own_schema(mean: float, std: float) -> None:
    path = networks.fetch(["face-short-range"])["face-short-range"]
    model = path.read_bytes()
    changed = with_normalisation(model, mean=mean, std=std)
    read, means, stds = _normalisation(changed)
    assert (means, stds) == ([mean], [std])
    assert changed.endswith(model)
    old = model_schema.ModelT.InitFromObj(model_schema.Model.GetRootAs(model, 0))
    assert len(read.buffers) == len(old.buffers) + 1
    for before, after in zip(old.buffers, read.buffers, strict=False):
        assert (before.data is None) == (after.data is None)
        assert before.data is None or (before.data == after.data).all()
    tensors = [(tensor.name, [*tensor.shape]) for tensor in old.subgraphs[0].tensors]
    assert [(t.name, [*t.shape]) for t in read.subgraphs[0].tensors] == tensors
    assert len(read.subgraphs[0].operators) == len(old.subgraphs[0].operators)
    assert (read.version, read.description) == (old.version, old.description)


def test_metadata_replaces_what_a_model_had(parts: dict[str, bytes]) -> None:
    once = with_normalisation(parts["pose_detection.tflite"], mean=1, std=2)
    _, means, stds = _normalisation(with_normalisation(once, mean=3, std=4))
    assert (means, stds) == ([3], [4])


def test_the_pose_networks_say_which_range_they_want(ready: dict[str, Path]) -> None:
    with zipfile.ZipFile(ready["pose-landmarker"]) as bundle:
        assert _normalisation(bundle.read("pose_detector.tflite"))[1:] == ([127.5], [127.5])
        assert _normalisation(bundle.read("pose_landmarks_detector.tflite"))[1:] == ([0], [255])


@pytest.mark.parametrize("data", [b"", b"TFL3", b"PK\3\4 some zip", os.urandom(100)])
def test_metadata_goes_into_models_only(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a TFLite model"):
        with_normalisation(data, mean=0, std=1)


def test_the_networks_in_the_cache_are_the_pinned_ones(ready: dict[str, Path]) -> None:
    assert ready.keys() == networks.NETWORKS.keys()
    for name, path in ready.items():
        assert path.stat().st_size == networks.NETWORKS[name].size
        assert file_sha256(path) == networks.NETWORKS[name].sha256


def test_task_bundles_are_stored_plain_and_aligned(ready: dict[str, Path]) -> None:
    for name in ("hand-landmarker", "pose-landmarker"):
        data = ready[name].read_bytes()
        with zipfile.ZipFile(ready[name]) as bundle:
            for entry in bundle.infolist():
                assert entry.compress_type == zipfile.ZIP_STORED
                assert data.index(bundle.read(entry)) % 64 == 0


def test_networks_come_from_google(
    empty: Path, parts: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: set[str] = set()
    with _store(parts) as address:
        monkeypatch.setattr(parts_module, "GOOGLE", address)
        monkeypatch.setattr(wheel, "download", pytest.fail)
        paths = networks.fetch(progress=lambda what, *_: told.add(what))
    assert not networks.missing()
    assert told == parts.keys()
    assert {path.parent for path in paths.values()} == {empty}
    assert sorted(empty.iterdir()) == sorted(paths.values())


def test_networks_come_from_the_wheel_where_google_is_out_of_reach(empty: Path) -> None:
    told: list[tuple[str, int, int]] = []
    networks.fetch(progress=lambda *step: told.append(step))
    assert not networks.missing()
    assert told[-1] == (wheel.FILE, wheel.SIZE, wheel.SIZE)
    assert len([*empty.iterdir()]) == len(networks.NETWORKS)


def test_a_page_in_the_place_of_a_network_is_not_taken(
    empty: Path, monkeypatch: pytest.MonkeyPatch, wheel_file: Path
) -> None:
    part = networks.NETWORKS["face-short-range"].parts[0]
    with _store({part.file: b"<html>Please sign in</html>".ljust(part.size)}) as address:
        monkeypatch.setattr(parts_module, "GOOGLE", address)
        monkeypatch.setattr(wheel, "download", lambda *_: wheel_file)
        networks.fetch(["face-short-range"])
    assert networks.missing(["face-short-range"]) == []


def test_without_google_and_pip_both_reasons_are_told(
    empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pip", None)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(DetectorError, match=r"(?s)127\.0\.0\.1.*there is no pip.*models add FILE"):
        networks.fetch()
    assert not [*empty.iterdir()]


def test_pips_own_words_are_told_where_it_fails(
    empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", f"{NOWHERE}simple")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(empty))
    with pytest.raises(DetectorError, match="No matching distribution found for mediapipe"):
        networks.fetch()


def test_offline_nothing_is_fetched_and_the_way_out_is_told(
    empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(networks, "_fetch_parts", pytest.fail)
    with pytest.raises(DetectorError, match=r"models fetch.*models add FILE") as caught:
        networks.fetch(["hand-landmarker"], offline=True)
    assert "hand-landmarker is missing" in str(caught.value)
    assert not empty.exists()


def test_a_damaged_network_is_refused_offline_and_fetched_anew_online(
    empty: Path,
    ready: dict[str, Path],
    parts: dict[str, bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    empty.mkdir(parents=True)
    file = empty / ready["hand-landmarker"].name
    data = bytearray(ready["hand-landmarker"].read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    assert [listing.status for listing in networks.listed(["hand-landmarker"])] == ["damaged"]
    with pytest.raises(DetectorError, match="hand-landmarker is damaged"):
        networks.fetch(["hand-landmarker"], offline=True)
    with _store(parts) as address:
        monkeypatch.setattr(parts_module, "GOOGLE", address)
        networks.fetch(["hand-landmarker"])
    assert file.read_bytes() == ready["hand-landmarker"].read_bytes()
    assert networks.fetch(["hand-landmarker"], offline=True) == {"hand-landmarker": file}


def test_two_processes_may_fetch_at_once(empty: Path, parts: dict[str, bytes]) -> None:
    with _store(parts) as address:
        code = (
            "from sfedge.detect import networks, parts, wheel\n"
            f"parts.GOOGLE, wheel.download = {address!r}, None\n"  # the store alone is asked
            "networks.fetch()"
        )
        processes = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]
        assert [process.wait(60) for process in processes] == [0, 0]
    assert not networks.missing()
    assert len([*empty.iterdir()]) == len(networks.NETWORKS)


def test_a_wheel_that_the_user_brings_holds_all_networks(empty: Path, wheel_file: Path) -> None:
    renamed = empty.parent / "mp.zip"
    renamed.parent.mkdir(parents=True)
    shutil.copy(wheel_file, renamed)
    assert networks.add(renamed) == [*networks.NETWORKS]
    assert not networks.missing()


@pytest.mark.parametrize("name", [*networks.NETWORKS])
def test_each_network_can_be_brought_alone(
    name: str, empty: Path, ready: dict[str, Path], tmp_path: Path
) -> None:
    file = tmp_path / "brought"
    shutil.copy(ready[name], file)
    assert networks.add(file) == [name]
    assert networks.missing([name]) == []


def test_a_bundle_packed_otherwise_is_known_by_its_contents(
    empty: Path, ready: dict[str, Path], tmp_path: Path
) -> None:
    file = tmp_path / "other.task"
    with zipfile.ZipFile(ready["hand-landmarker"]) as old, zipfile.ZipFile(file, "w") as new:
        for name in reversed(old.namelist()):
            new.writestr(f"folder/{name}", old.read(name), zipfile.ZIP_DEFLATED)
    assert networks.add(file) == ["hand-landmarker"]
    assert networks.missing(["hand-landmarker"]) == []


def test_what_is_no_network_is_refused(empty: Path, tmp_path: Path) -> None:
    unknown, broken = tmp_path / "model.tflite", tmp_path / "model.task"
    size = networks.NETWORKS["face-short-range"].size
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


def test_a_wrong_name_is_told_with_the_near_one() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'hand-landmarker'"):
        networks.fetch(["hand-landmark"])


def test_a_disk_that_fills_while_fetching_is_told(
    empty: Path, ready: dict[str, Path], parts: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    soft, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    with _store(parts) as address:
        monkeypatch.setattr(parts_module, "GOOGLE", address)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, most))
        try:
            with pytest.raises(OutputError, match=r"File too large.*SFEDGE_CACHE"):
                networks.fetch(["face-short-range"])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, most))
    assert not [*empty.iterdir()]


def test_a_wheel_for_which_there_is_no_room_is_told_as_such(
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
