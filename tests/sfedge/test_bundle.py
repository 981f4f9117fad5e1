import hashlib
import json
import os
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import small_bundle
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sfedge.bundle import bundle as bundle_module
from sfedge.bundle.bundle import open_bundle
from sfedge.bundle.manifest import GRAPHS
from sfedge.core.errors import BundleError
from sfedge.core.tasks import TASKS


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_bundle.make().write(tmp_path_factory.mktemp("bundle") / "small")


@pytest.fixture
def folder(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "small"))


def unpacked(temporary: Path) -> list[Path]:
    return list(temporary.glob("sfedge-bundle-*"))


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The system's folder for temporary files, empty."""
    path = tmp_path / "temporary"
    path.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(path))
    return path


@pytest.mark.parametrize("top", ["", "small/"])
def test_a_zip_opens_as_its_folder_does(
    folder: Path, tmp_path: Path, temporary: Path, top: str
) -> None:
    packed = small_bundle.pack(folder, tmp_path / "small.zip", folder=top)
    with open_bundle(folder) as plain, open_bundle(packed) as zipped:
        plain.verify()
        zipped.verify()
        assert plain.manifest == zipped.manifest
        assert plain.sha256 == zipped.sha256
        for graph in GRAPHS:
            assert (
                plain.graph_path("fp32", graph).read_bytes()
                == zipped.graph_path("fp32", graph).read_bytes()
            )
        assert {n: a.tobytes() for n, a in plain.prefix().items()} == {
            n: a.tobytes() for n, a in zipped.prefix().items()
        }
        assert len(unpacked(temporary)) == 1
    assert unpacked(temporary) == []


def test_a_zip_may_be_open_twice_at_once(folder: Path, tmp_path: Path) -> None:
    packed = small_bundle.pack(folder, tmp_path / "small.zip")
    with open_bundle(packed) as first:
        with open_bundle(packed) as second:
            second.verify()
        first.verify()


def test_prefixes_come_unpadded_as_they_were_saved(folder: Path) -> None:
    small = small_bundle.make()
    with open_bundle(folder) as bundle:
        prefix = bundle.prefix()
    assert list(prefix) == list(TASKS)
    for task, array in prefix.items():
        assert array.shape == (3, 2, 1, small_bundle.LENGTHS[task], 3)
        assert np.array_equal(array, small.prefix[task])


def test_unlisted_files_are_neither_needed_nor_unpacked(
    folder: Path, tmp_path: Path, temporary: Path
) -> None:
    (folder / "fp32" / "notes.txt").write_text("mine")
    with zipfile.ZipFile(tmp_path / "more.zip", "w") as archive:
        for path in folder.rglob("*.*"):
            archive.write(path, path.relative_to(folder).as_posix())
        archive.writestr("../outside.txt", "evil")
        archive.writestr("fp32/inside.txt", "odd")
    with open_bundle(folder) as bundle:
        bundle.verify()
    with open_bundle(tmp_path / "more.zip") as bundle:
        bundle.verify()
        (root,) = unpacked(temporary)
        found = {p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file()}
        assert found == {entry.path for entry in bundle.manifest.files} | {"bundle.json"}
    assert not (temporary / "outside.txt").exists()


def flip_byte(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def replace_by_link(path: Path) -> None:
    elsewhere = path.parent.parent.parent / "elsewhere"
    shutil.move(path, elsewhere)
    path.symlink_to(elsewhere)


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 3)


DAMAGES = [
    (flip_byte, "fp32/trunk.onnx", r"fp32/trunk\.onnx has sha256 [0-9a-f]{12}…, the manifest says"),
    (flip_byte, "fp32/gaze.onnx.data", r"fp32/gaze\.onnx\.data has sha256"),
    (flip_byte, "prefix.safetensors", r"prefix\.safetensors has sha256"),
    (cut, "fp32/encoder.onnx.data", r"has \d+ bytes, the manifest says \d+"),
    (Path.unlink, "fp32/answer.onnx", r"fp32/answer\.onnx is missing"),
    (replace_by_link, "fp32/answer.onnx", r"fp32/answer\.onnx is a link"),
    (replace_by_link, "fp32", r"fp32/answer\.onnx is a link"),
    (replace_by_folder, "prefix.safetensors", r"prefix\.safetensors is no plain file"),
    (replace_by_link, "bundle.json", r"there is no bundle\.json"),
    (Path.unlink, "bundle.json", r"there is no bundle\.json"),
    (cut, "bundle.json", r"this is no bundle description"),
]


@pytest.mark.parametrize(
    ("damage", "file", "message"), DAMAGES, ids=[f"{d.__name__}-{f}" for d, f, _ in DAMAGES]
)
def test_damage_in_a_folder_is_named(
    folder: Path, damage: Callable[[Path], None], file: str, message: str
) -> None:
    damage(folder / file)
    with pytest.raises(BundleError, match=message) as caught, open_bundle(folder) as bundle:
        bundle.verify()
    assert "small" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("file", "read"),
    [
        ("prefix.safetensors", lambda bundle: bundle.prefix()),
        ("fp32/trunk.onnx", lambda bundle: bundle.graph_path("fp32", "trunk")),
        ("fp32/gaze.onnx.data", lambda bundle: bundle.graph_path("fp32", "gaze")),
    ],
)
def test_a_file_is_verified_before_it_is_handed_out(
    folder: Path, file: str, read: Callable[[bundle_module.Bundle], object]
) -> None:
    flip_byte(folder / file)
    with (
        open_bundle(folder) as bundle,
        pytest.raises(BundleError, match=f"{re.escape(file)} has sha256"),
    ):
        read(bundle)


@pytest.mark.parametrize(
    ("schema", "message"),
    [(2, r"bundle schema 2, this sfedge reads 1\. Update sfedge"), (0, "Export the bundle again")],
)
def test_another_schema_is_refused(folder: Path, schema: int, message: str) -> None:
    small_bundle.edit(folder, schema=schema)
    with pytest.raises(BundleError, match=message):
        open_bundle(folder)


@pytest.mark.parametrize(
    "name", ["../evil.onnx", "/tmp/evil.onnx", "fp32/../../evil.onnx", "C:/evil.onnx", "a\\b.onnx"]
)
def test_a_listed_name_that_leaves_the_bundle_is_refused(
    folder: Path, tmp_path: Path, temporary: Path, name: str
) -> None:
    description = json.loads((folder / "bundle.json").read_text())
    entry = {"path": name, "size": 4, "sha256": hashlib.sha256(b"evil").hexdigest()}
    small_bundle.edit(folder, files=[*description["files"], entry])
    packed = small_bundle.pack(folder, tmp_path / "small.zip")
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr(name, b"evil")
    for path in (folder, packed):
        with pytest.raises(BundleError, match="leave the bundle"):
            open_bundle(path)
    assert list(tmp_path.rglob("evil*")) == []
    assert unpacked(temporary) == []


def test_a_zip_that_would_fill_the_disk_is_refused_before_unpacking(
    folder: Path, tmp_path: Path, temporary: Path
) -> None:
    size = 300 << 20
    description = json.loads((folder / "bundle.json").read_text())
    entry = {"path": "zeros", "size": size, "sha256": "0" * 64}
    small_bundle.edit(folder, files=[*description["files"], entry])
    packed = small_bundle.pack(folder, tmp_path / "small.zip")
    with pytest.raises(BundleError, match=f"would grow from {packed.stat().st_size} to 3146"):
        open_bundle(packed)
    assert unpacked(temporary) == []


def test_a_member_longer_than_listed_is_cut_off_and_refused(
    folder: Path, tmp_path: Path, temporary: Path
) -> None:
    packed = tmp_path / "small.zip"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in folder.rglob("*.*"):
            data = path.read_bytes()
            name = path.relative_to(folder).as_posix()
            archive.writestr(name, data + bytes(50 << 20) if path.suffix == ".data" else data)
    with pytest.raises(BundleError, match=r"has (\d+) bytes, the manifest says") as caught:
        open_bundle(packed)
    found = re.findall(r"\d+", str(caught.value).split("has ")[1])
    assert int(found[0]) == int(found[1]) + 1
    assert unpacked(temporary) == []


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_a_flipped_bit_in_a_zip_is_noticed_or_harmless(
    pristine: Path, tmp_path: Path, where: float, bit: int
) -> None:
    packed = tmp_path / "small.zip"
    if not packed.exists():
        small_bundle.pack(pristine, packed)
    data = bytearray(packed.read_bytes())
    data[int(where * len(data))] ^= 1 << bit
    (tmp_path / "flipped.zip").write_bytes(data)
    try:
        with open_bundle(tmp_path / "flipped.zip") as bundle:
            bundle.verify()
            for graph in GRAPHS:
                found = bundle.graph_path("fp32", graph).read_bytes()
                assert found == (pristine / "fp32" / f"{graph}.onnx").read_bytes()
    except BundleError:
        pass


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("claimed", [0, 8, 9, 12, 14, 97])
def test_an_entry_that_claims_another_compression_is_refused(
    folder: Path, tmp_path: Path, method: int, claimed: int
) -> None:
    packed = small_bundle.pack(folder, tmp_path / "small.zip", method=method)
    with zipfile.ZipFile(packed) as archive:
        entry = archive.getinfo(f"fp32/{GRAPHS[0]}.onnx")
    data = bytearray(packed.read_bytes())
    assert entry.compress_type == method
    central = data.rindex(entry.filename.encode()) - 46  # its header in the list at the end
    for place in (entry.header_offset + 8, central + 10):
        data[place : place + 2] = claimed.to_bytes(2, "little")
    content = entry.header_offset + 30 + len(entry.filename)
    data[content + 20 : content + 40] = bytes(20)
    packed.write_bytes(data)
    with pytest.raises(BundleError, match=r"small\.zip"), open_bundle(packed) as bundle:
        bundle.verify()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"not a zip at all" * 100])
def test_a_file_that_is_no_zip_is_refused(tmp_path: Path, temporary: Path, content: bytes) -> None:
    (tmp_path / "bad.zip").write_bytes(content)
    with pytest.raises(BundleError, match=r"bad\.zip: this is no zip, or a damaged one"):
        open_bundle(tmp_path / "bad.zip")
    assert unpacked(temporary) == []


def test_a_zip_without_a_description_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "photos.zip", "w") as archive:
        archive.writestr("a/b/bundle.json", "{}")
    with pytest.raises(BundleError, match=r"there is no bundle\.json in it"):
        open_bundle(tmp_path / "photos.zip")


def test_a_missing_bundle_is_reported_with_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BundleError, match=r"nowhere\.zip: there is no such bundle"):
        open_bundle(tmp_path / "nowhere.zip")
    monkeypatch.setenv("SFEDGE_BUNDLE", str(tmp_path / "mine.zip"))
    with pytest.raises(BundleError, match=r"mine\.zip: there is no such bundle.*SFEDGE_BUNDLE"):
        open_bundle()
    monkeypatch.delenv("SFEDGE_BUNDLE")
    monkeypatch.setattr(bundle_module, "DEFAULT_BUNDLE", tmp_path / "people.zip")
    with pytest.raises(BundleError, match="the default bundle is not in this installation"):
        open_bundle()


def test_without_a_path_the_default_bundle_opens_or_the_one_that_the_environment_names(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packed = small_bundle.pack(folder, tmp_path / "people.zip")
    monkeypatch.delenv("SFEDGE_BUNDLE")
    monkeypatch.setattr(bundle_module, "DEFAULT_BUNDLE", packed)
    with open_bundle() as bundle:
        assert bundle.source == packed
    monkeypatch.setenv("SFEDGE_BUNDLE", str(folder))
    with open_bundle() as bundle:
        assert bundle.source == folder


def test_an_unknown_precision_is_reported_with_those_there_are(folder: Path) -> None:
    with (
        open_bundle(folder) as bundle,
        pytest.raises(BundleError, match=r"'fp16'\. Precisions it has: fp32"),
    ):
        bundle.graph_path("fp16", "trunk")


WRONG_PREFIXES: dict[str, Callable[[dict[str, np.ndarray]], object]] = {
    "the prompt of task 'gaze' is missing": lambda p: p.pop("gaze"),
    r"task 'gaze' is float32 \(2, 2, 1, 5, 3\)": lambda p: p.update(gaze=p["gaze"][:2].copy()),
    r"task 'gaze' is float16": lambda p: p.update(gaze=p["gaze"].astype(np.float16)),
    r"at most 7 x 3": lambda p: p.update(gaze=np.zeros((3, 2, 1, 8, 3), np.float32)),
    r"task 'gaze' is float32 \(6, 5\)": lambda p: p.update(gaze=np.zeros((6, 5), np.float32)),
    r"task 'gaze' is not all numbers": lambda p: p.update(
        gaze=np.full((3, 2, 1, 5, 3), np.nan, np.float32)
    ),
}


@pytest.mark.parametrize("message", WRONG_PREFIXES)
def test_a_prefix_that_does_not_fit_is_refused(folder: Path, message: str) -> None:
    arrays = dict(small_bundle.make().prefix)
    WRONG_PREFIXES[message](arrays)
    safetensors.numpy.save_file(arrays, folder / "prefix.safetensors")
    small_bundle.relist(folder)
    with open_bundle(folder) as bundle, pytest.raises(BundleError, match=message):
        bundle.prefix()


def test_a_prefix_that_is_no_safetensors_file_is_refused(folder: Path) -> None:
    (folder / "prefix.safetensors").write_bytes(b"\xff" * 64)
    small_bundle.relist(folder)
    with open_bundle(folder) as bundle, pytest.raises(BundleError, match="it cannot be read"):
        bundle.prefix()


def test_the_identity_of_a_bundle_changes_with_any_file(folder: Path) -> None:
    with open_bundle(folder) as bundle:
        before = bundle.sha256
    arrays = small_bundle.make(seed=1).prefix
    safetensors.numpy.save_file(arrays, folder / "prefix.safetensors")
    small_bundle.relist(folder)
    with open_bundle(folder) as bundle:
        assert bundle.sha256 != before


def test_damaged_weights_are_reported_in_place_of_what_they_did_to_the_loader(
    tmp_path: Path,
) -> None:
    root = small_bundle.make().write(tmp_path / "small")
    flip_byte(root / "fp32/gaze.onnx.data")
    with open_bundle(root) as bundle:
        with bundle.loading("fp32", "trunk") as path:
            assert path == root / "fp32/trunk.onnx"
        with (
            pytest.raises(BundleError, match=r"fp32/gaze\.onnx\.data has sha256"),
            bundle.loading("fp32", "gaze"),
        ):
            raise MemoryError("what a loader may make of them")


def test_a_damaged_graph_is_reported_before_anything_loads_it(tmp_path: Path) -> None:
    root = small_bundle.make().write(tmp_path / "small")
    flip_byte(root / "fp32/gaze.onnx")
    is_reached = False
    with (
        open_bundle(root) as bundle,
        pytest.raises(BundleError, match=r"fp32/gaze\.onnx has sha256"),
        bundle.loading("fp32", "gaze"),
    ):
        is_reached = True
    assert not is_reached
