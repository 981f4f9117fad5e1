"""Precisions made of fp32: what is written, what is refused, and NVIDIA's builder on all of it."""

import copy
import json
from dataclasses import replace
from pathlib import Path

import click.testing
import numpy as np
import PIL.Image
import pytest
import skimage.data
from nvidia_builder import build, needs_builder

from sfedge.bundle.bundle import open_bundle
from sfedge.bundle.graph_io import graph_io
from sfedge.bundle.manifest import GRAPHS, MANIFEST_NAME
from sfedge.core.errors import BundleError, ConfigError, DataError, UnknownNameError
from sfedge.inference.model import Model
from sfedge_export.__main__ import main
from sfedge_export.compare import compare
from sfedge_export.derive import PRECISIONS
from sfedge_export.package import export_bundle, extend_bundle
from sfedge_export.precisions import DEFAULT
from sfedge_training.model.social_fusion import SocialFusion


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    (folder / "more").mkdir(parents=True)
    PIL.Image.fromarray(skimage.data.astronaut()).save(folder / "one.png")
    PIL.Image.fromarray(skimage.data.coffee()).save(folder / "more" / "two.jpg")
    (folder / "notes.txt").write_text("no picture")
    return folder


def test_all_precisions_stand_beside_fp32_and_are_judged(small_precisions: Path) -> None:
    with open_bundle(small_precisions) as bundle:
        bundle.verify()
        manifest = bundle.manifest
    assert manifest.precisions == ("fp32", *PRECISIONS)
    agreement = manifest.card["agreement"]
    assert agreement["pictures"] == "two photographs and the heads in them"
    for name in PRECISIONS:
        assert agreement[name]["views"] == 4
        assert set(agreement[name]["tasks"]) == {task.name for task in manifest.tasks}
        assert agreement[name]["features"] > 0.998
        assert agreement[name]["tasks"]["gesture"]["cosine"] >= PRECISIONS[name].least_cosine
    assert agreement["fp16"]["tasks"]["gesture"]["divergence"] < 1e-3
    for name in PRECISIONS:
        folder = small_precisions / name
        assert sorted(path.name for path in folder.iterdir()) == sorted(
            f"{graph}.onnx{end}" for graph in GRAPHS for end in ("", ".data")
        )


@needs_builder
@pytest.mark.parametrize("precision", ["fp32", "fp16", "bf16", "int8-qdq", "fp8-qdq"])
def test_tensorrt_builds_every_graph(small_precisions: Path, precision: str) -> None:
    with open_bundle(small_precisions) as bundle:
        contracts = graph_io(bundle.manifest)
    for name, io in contracts.items():
        assert build(small_precisions / precision / f"{name}.onnx", io) > 1000


def test_what_a_cpu_takes_without_a_word_is_fp32_and_int8(
    small_model: SocialFusion, tmp_path: Path
) -> None:
    out = tmp_path / "bundle"
    export_bundle(copy.deepcopy(small_model), out, name="x", created="2026-01-02T03:04:05Z")
    with open_bundle(out) as bundle, Model(bundle, engine="cpu") as runtime:
        assert bundle.manifest.precisions == DEFAULT == ("fp32", "int8-cpu")
        assert runtime.precision == "int8-cpu"


def test_fp32_can_be_left_out(small_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "bundle.zip"
    manifest = extend_bundle(small_bundle, out, precisions=("int8-cpu",))
    assert manifest.precisions == ("int8-cpu",)
    with open_bundle(out) as bundle:
        assert not any(entry.path.startswith("fp32") for entry in bundle.manifest.files)
    with pytest.raises(BundleError, match="in precision 'fp32'"):
        extend_bundle(out, tmp_path / "other", precisions=("fp16",))
    assert list(tmp_path.iterdir()) == [out]


def test_a_bundle_gains_precisions_in_its_place(small_bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    extend_bundle(small_bundle, out, precisions=("fp32", "int8-cpu"))
    arguments = [str(out), "--out", str(out), "--precision", "fp32", "--precision", "fp16"]
    main(arguments, standalone_mode=False)
    assert list(tmp_path.iterdir()) == [out]
    with open_bundle(out) as bundle:
        assert bundle.manifest.precisions == ("fp32", "fp16")
        assert bundle.manifest.name == "small"
        assert bundle.manifest.card["steps"] == 7
    assert not (out / "int8-cpu").exists()
    assert list(bundle.manifest.card["agreement"]) == ["pictures", "fp16"]
    assert "agreement" not in extend_bundle(out, out, precisions=("fp32",)).card
    for name in GRAPHS:
        again = (out / "fp32" / f"{name}.onnx.data").read_bytes()
        assert again == (small_bundle / "fp32" / f"{name}.onnx.data").read_bytes()


def test_a_precision_written_twice_is_the_same(small_bundle: Path, tmp_path: Path) -> None:
    made = [
        extend_bundle(small_bundle, tmp_path / name, precisions=("fp32", "int8-cpu", "fp8-qdq"))
        for name in ("one", "two")
    ]
    assert made[0] == made[1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"least_cosine": 1.1}, "the answers to expression are too far from those in fp32"),
        ({"operators": frozenset(["Add"])}, "not all CPUs run "),
    ],
)
def test_a_precision_that_fails_is_not_written(
    small_bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: dict[str, object],
    message: str,
) -> None:
    broken = replace(PRECISIONS["int8-cpu"], **change)  # type: ignore[arg-type]
    monkeypatch.setitem(PRECISIONS, "int8-cpu", broken)
    with pytest.raises(BundleError, match=message):
        extend_bundle(small_bundle, tmp_path / "bundle")
    assert list(tmp_path.iterdir()) == []


def test_wrong_calls_are_reported(small_bundle: Path, tmp_path: Path, pictures: Path) -> None:
    out = str(tmp_path / "out")
    with pytest.raises(UnknownNameError, match="no precision is called 'int8'"):
        main([str(small_bundle), "--out", out, "--precision", "int8"], standalone_mode=False)
    with pytest.raises(
        ConfigError, match="a bundle keeps its name, notice, licence, mirror and date"
    ):
        main([str(small_bundle), "--out", out, "--name", "new"], standalone_mode=False)
    (pictures / "more" / "three.png").write_bytes(b"no picture")
    with pytest.raises(DataError, match=r"three\.png: it cannot be read"):
        main([str(small_bundle), "--out", out, "--pictures", str(pictures)], standalone_mode=False)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="there is no picture in it"):
        compare(small_bundle, tmp_path / "empty")
    assert not Path(out).exists()


def test_pictures_of_a_folder_are_named_in_the_card(
    small_bundle: Path, tmp_path: Path, pictures: Path
) -> None:
    out = tmp_path / "bundle"
    main([str(small_bundle), "--out", str(out), "--pictures", str(pictures)], standalone_mode=False)
    agreement = json.loads((out / MANIFEST_NAME).read_text())["card"]["agreement"]
    assert agreement["pictures"] == "2 pictures of pictures"
    assert agreement["int8-cpu"]["views"] == 2


def test_every_precision_is_compared(small_precisions: Path, pictures: Path) -> None:
    def run(*arguments: str) -> str:
        result = click.testing.CliRunner().invoke(
            main,
            [str(small_precisions), "--compare", str(pictures), *arguments],
            standalone_mode=False,
        )
        assert result.exception is None, result.exception
        return result.stdout

    found = json.loads(run("--json"))
    assert list(found) == list(PRECISIONS)
    assert found["int8-cpu"]["tasks"]["gaze"]["distance"] < 0.1
    lines = run("--precision", "int8-cpu", "--precision", "bf16").splitlines()
    assert (lines[0], lines[9]) == ("int8-cpu", "bf16")
    assert lines[1].startswith("2 pictures; encoder: cosine 0.9")
    assert lines[2].startswith("expression     same answer ")
    assert lines[5].startswith("gaze           peaks ")


def test_what_cannot_be_compared_is_refused(small_bundle: Path, pictures: Path) -> None:
    with pytest.raises(BundleError, match="no other precision than fp32"):
        compare(small_bundle, pictures)
    with pytest.raises(UnknownNameError, match="no precision is called 'fp16'"):
        compare(small_bundle, pictures, ("fp16",))


def test_a_weight_that_is_lost_on_the_way_is_noticed(
    small_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = PRECISIONS["int8-cpu"]

    def write(source: Path, target: Path, ranges: dict[str, float]) -> None:
        whole.write(source, target, ranges)
        if target.name == "trunk.onnx":
            data = target.with_name("trunk.onnx.data")
            content = np.frombuffer(data.read_bytes(), np.uint8).copy()
            content[len(content) // 4 :: 2] ^= 0x55
            data.write_bytes(content.tobytes())

    monkeypatch.setitem(PRECISIONS, "int8-cpu", replace(whole, write=write))
    with pytest.raises(BundleError, match="too far from those in fp32"):
        extend_bundle(small_bundle, tmp_path / "bundle")
