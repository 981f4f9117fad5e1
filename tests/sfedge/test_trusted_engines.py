"""Which compiled engines are loaded: never stale or damaged ones, nor what others may write."""

import json
import os
import re
import sys
from pathlib import Path

import pytest
import small_bundle
from fake_cuda import Device
from native_engines import build, connector, record_anew

from sfedge.bundle.bundle import Bundle, open_bundle
from sfedge.bundle.graph_io import graph_io
from sfedge.core.errors import EngineError, SfedgeError
from sfedge.engines import choose_engine, compiled, ort_device, trt
from sfedge.inference.model import Model
from sfedge.system.gpus import Gpu


def refusal(bundle: Bundle) -> str:
    with pytest.raises(SfedgeError) as caught:
        Model(bundle, engine="tensorrt")
    assert "sfedge engine build" in caught.value.fix
    return str(caught.value)


def test_without_an_engine_the_command_that_builds_one_is_reported(
    bundle: Bundle, device: Device
) -> None:
    assert "no engine was built" in refusal(bundle)


@pytest.mark.parametrize(
    ("place", "name", "value", "message"),
    [
        ("trt", "find_gpus", ([Gpu("Thor", "11.0")], ""), "the device was Orin .* now it is Thor"),
        ("trt", "driver_version", "580.0", "the driver was 540.4.0, now it is 580.0"),
        ("tensorrt", "__version__", "10.16.2", "TensorRT was tensorrt 10.3.0, now it is .*10.16"),
    ],
)
def test_a_stale_engine_is_named_and_not_loaded(
    bundle: Bundle, built: Path, place: str, name: str, value: object, message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    target = trt if place == "trt" else sys.modules["tensorrt"]
    monkeypatch.setattr(target, name, (lambda: value) if place == "trt" else value)
    refused = refusal(bundle)
    assert "its engines are stale" in refused
    assert re.search(message, refused)
    assert choose_engine(bundle).name == "cpu"  # "auto" does not load it, either
    assert re.search(message, choose_engine(bundle).note)


def test_engines_of_an_earlier_bundle_are_reported_as_stale_and_not_loaded(
    bundle: Bundle, built: Path, tmp_path: Path
) -> None:
    other = small_bundle.make(seed=1).write(tmp_path / "other")
    with open_bundle(other) as changed:
        refused = refusal(changed)
        assert (
            "its engines are stale: they were built from another version of bundle 'small'"
            in refused
        )
        assert f"({bundle.sha256[:12]}…, now it is {changed.sha256[:12]}…)" in refused
        assert str(built) in refused
        assert "another version of bundle 'small'" in choose_engine(changed).note
        with pytest.raises(EngineError, match="another version of bundle 'small'"):
            choose_engine(changed, "tensorrt", precision="fp32")
        build(changed)
        assert choose_engine(changed).name == "tensorrt"
    assert choose_engine(bundle).name == "tensorrt"  # an earlier version stays usable


@pytest.mark.parametrize("change", ["another name", "damaged", "another precision"])
def test_only_engines_of_the_same_model_and_precision_are_reported_as_an_earlier_version(
    bundle: Bundle, built: Path, tmp_path: Path, change: str
) -> None:
    other = small_bundle.make(seed=1).write(tmp_path / "other")
    if change == "another name":
        small_bundle.edit(other, name="large")
    elif change == "damaged":
        (built / "engines.json").write_bytes(b"{")
    else:
        built.rename(built.parent / "tensorrt-fp16")
    with open_bundle(other) as changed:
        assert "no engine was built" in refusal(changed)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def test_an_engine_with_a_flipped_bit_is_refused(bundle: Bundle, built: Path) -> None:
    flip(built / "trunk.engine")
    assert "its sha256 is not that of the engine that was built" in refusal(bundle)


def test_a_missing_engine_is_refused(bundle: Bundle, built: Path) -> None:
    (built / "trunk.engine").unlink()
    assert "it cannot be read (No such file or directory)" in refusal(bundle)


@pytest.mark.parametrize("place", ["", "trunk.engine", "engines.json", ".."])
def test_what_other_users_could_write_is_refused(bundle: Bundle, built: Path, place: str) -> None:
    (built / place).chmod(0o777)
    assert "other users may write it" in refusal(bundle)


def test_a_link_is_not_followed(bundle: Bundle, built: Path, tmp_path: Path) -> None:
    (built / "trunk.engine").rename(tmp_path / "trunk.engine")
    (built / "trunk.engine").symlink_to(tmp_path / "trunk.engine")
    assert "it is a link" in refusal(bundle)


def test_nobody_but_the_user_can_write_what_was_built(built: Path) -> None:
    for place in (built, *built.iterdir(), built.parent, built.parent.parent):
        assert place.stat().st_mode & 0o022 == 0
        assert place.stat().st_uid == os.getuid()


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"schema": 3}', "\xff"])
def test_a_damaged_record_is_refused(bundle: Bundle, built: Path, text: str) -> None:
    (built / "engines.json").write_bytes(text.encode("latin-1"))
    assert "its record is damaged" in refusal(bundle)


def test_a_record_of_another_version_is_refused(bundle: Bundle, built: Path) -> None:
    record = json.loads((built / "engines.json").read_text()) | {"schema": 1}
    (built / "engines.json").write_text(json.dumps(record))
    assert "another version of sfedge built it" in refusal(bundle)


def test_an_engine_that_does_not_load_is_reported_with_what_tensorrt_says(
    bundle: Bundle, built: Path
) -> None:
    (built / "connector.engine").write_bytes(b"no engine")
    record_anew(built)
    with pytest.raises(EngineError, match=r"it cannot be loaded \(Magic tag does not match\)"):
        connector(bundle, built)


def test_auto_takes_native_engines_where_they_were_built(bundle: Bundle, built: Path) -> None:
    choice = choose_engine(bundle)
    assert (choice.name, choice.precision, choice.note) == ("tensorrt", "fp32", "")


def test_a_precision_that_was_not_built_is_not_replaced_by_another(
    bundle: Bundle, built: Path
) -> None:
    object.__setattr__(bundle.manifest, "precisions", ("fp32", "fp16"))
    assert choose_engine(bundle, "tensorrt").precision == "fp32"
    with pytest.raises(EngineError, match="no engine was built"):
        choose_engine(bundle, "tensorrt", precision="fp16")


@pytest.fixture
def kept(device: Device, bundle: Bundle) -> Path:
    """The folder with what ONNX Runtime has compiled of the bundle, a file as it leaves them."""
    folder = compiled.folder_of(bundle.sha256, "trt-ep", "fp32")
    compiled.check_private(folder)  # nothing is there yet
    compiled.make_private(folder)
    (folder / "trunk_0.engine").write_bytes(b"engine")
    (folder / "trunk_0.engine").chmod(0o664)  # as many systems have it; nobody gets there
    compiled.check_private(folder)
    return folder


@pytest.mark.parametrize(
    ("place", "fix"),
    [
        (".", "Run: sfedge engine remove {id};"),
        ("..", "run: chmod 700 {place} && sfedge engine remove {id}."),
        ("../..", "run: chmod 700 {place} && sfedge engine remove {id}."),
    ],
)
def test_what_onnx_runtime_compiled_is_not_loaded_where_others_could_write(
    bundle: Bundle, kept: Path, place: str, fix: str
) -> None:
    target = (kept / place).resolve()
    target.chmod(0o770)
    with pytest.raises(
        EngineError, match="other users may write it, so it is not loaded"
    ) as raised:
        ort_device.build_trt(
            bundle.graph_path("fp32", "trunk"), graph_io(bundle.manifest)["trunk"], kept
        )
    assert raised.value.where == str(target)
    assert fix.format(id=f"{bundle.sha256[:12]}/trt-ep-fp32", place=target) in raised.value.fix
    assert target.stat().st_mode & 0o777 == 0o770  # it is not made to look well


def test_what_another_user_compiled_is_not_loaded(
    kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lstat, other = Path.lstat, kept / "trunk_0.engine"

    def owned(path: Path) -> os.stat_result:
        status = list(lstat(path))
        status[4] += path == other  # the user's number
        return os.stat_result(status)

    monkeypatch.setattr(Path, "lstat", owned)
    with pytest.raises(EngineError, match="other users may write it") as raised:
        compiled.check_private(kept)
    assert raised.value.where == str(other)


@pytest.mark.parametrize("name", ["", "trunk_0.engine"])
def test_a_link_among_what_onnx_runtime_compiled_is_not_followed(
    kept: Path, tmp_path: Path, name: str
) -> None:
    place = kept / name
    place.rename(tmp_path / "elsewhere")
    place.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(EngineError, match="it is a link"):
        compiled.check_private(kept)
