"""`sfedge engine list`, `verify` and `remove`, where several versions and kinds of engines lie."""

import json
from pathlib import Path
from typing import Any

import pytest
import small_bundle
from scenes import Command

from sfedge.bundle.bundle import Bundle, open_bundle
from sfedge.engines import compiled
from sfedge.engines.trt_build import build_engines
from sfedge.inference.model import Model

pytestmark = pytest.mark.usefixtures("device")


def opened(folder: Path, seed: int = 0) -> Bundle:
    return open_bundle(small_bundle.make(seed=seed).write(folder))


def keep(sha256: str, precision: str = "fp16") -> Path:
    """What ONNX Runtime leaves where it has compiled a bundle."""
    folder = compiled.folder_of(sha256, "trt-ep", precision)
    compiled.make_private(folder)
    for name in ("trunk_0_sm87.engine", "trunk_0_sm87.profile", "sm87.timing"):
        (folder / name).write_bytes(1000 * b"x")
    return folder


def listed(command: Command, word: str = "list") -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in json.loads(command("engine", word, "--json").out)}


def test_engines_of_two_versions_of_a_bundle_are_both_ready(
    tmp_path: Path, command: Command
) -> None:
    with opened(tmp_path / "first") as first, opened(tmp_path / "second", 1) as second:
        for bundle in (first, second):
            build_engines(bundle, backend="tensorrt", precision="fp32")
        rows = listed(command)
        assert rows.keys() == {f"{b.sha256[:12]}/tensorrt-fp32" for b in (first, second)}
        assert {(row["bundle"], row["state"]) for row in rows.values()} == {("small", "ready")}
        assert "Removed nothing" in command("engine", "remove", "--stale").out


def test_what_onnx_runtime_keeps_is_listed_verified_and_removed(
    tmp_path: Path, command: Command
) -> None:
    with opened(tmp_path / "small") as bundle:
        native = build_engines(bundle, backend="tensorrt", precision="fp32")[1]
        folder = keep(bundle.sha256)
        name = f"{bundle.sha256[:12]}/trt-ep-fp16"
    row = listed(command)[name]
    assert (row["backend"], row["precision"], row["bytes"]) == ("trt-ep", "fp16", 3000)
    assert (row["bundle"], row["state"]) == (
        "small",
        "ready",
    )  # the native engines' record has the name
    assert f"{name}  small  0.0 MB  ready (ONNX Runtime's own" in command("engine", "list").out
    verified = command("engine", "verify")
    assert verified.code == 0
    assert (
        f"{name}  ready (ONNX Runtime's own, which checks itself whether it fits)" in verified.out
    )
    assert f"Removed {name}; 0.0 MB" in command("engine", "remove", name).out
    assert not folder.exists()
    assert native.exists()


def test_a_model_that_was_tested_here_is_known_by_its_name(
    tmp_path: Path, command: Command
) -> None:
    with opened(tmp_path / "small") as bundle:
        keep(bundle.sha256)
        assert "/trt-ep-fp16  unknown  0.0 MB  ready" in command("engine", "list").out
        with Model(bundle, engine="cpu"):
            pass
    assert "/trt-ep-fp16  small  0.0 MB  ready" in command("engine", "list").out


def test_what_others_could_have_compiled_is_refused_and_removed_as_stale(command: Command) -> None:
    good, bad = keep("a" * 64), keep("b" * 64)
    bad.chmod(0o777)
    rows = listed(command, "verify")
    assert rows["a" * 12 + "/trt-ep-fp16"]["state"] == "ready"
    assert "other users may write it" in rows["b" * 12 + "/trt-ep-fp16"]["state"]
    assert command("engine", "verify").code == 1
    command("engine", "remove", "--stale")
    assert good.exists()
    assert not bad.exists()


@pytest.mark.parametrize("words", [("--all",), ("a" * 12 + "/trt-ep-fp16",)])
def test_a_link_in_the_place_of_engines_is_removed_and_what_it_points_to_is_not(
    tmp_path: Path, command: Command, words: tuple[str, ...]
) -> None:
    folder = keep("a" * 64)
    folder.rename(tmp_path / "elsewhere")
    folder.symlink_to(tmp_path / "elsewhere")
    (row,) = listed(command).values()
    assert (row["bytes"], row["state"][:21]) == (0, "refused: it is a link")
    assert command("engine", "remove", *words).code == 0
    assert not folder.is_symlink()
    assert len(list((tmp_path / "elsewhere").iterdir())) == 3
