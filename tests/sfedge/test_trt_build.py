import hashlib
import importlib.util
import json
import sys
from pathlib import Path

import click.testing
import onnx
import pytest
import small_bundle
from onnx import TensorProto, helper

from sfedge.bundle import open_bundle
from sfedge.cli.engine import engine as engine_command
from sfedge.engines import trt_build
from sfedge.engines.trt_build import build_engines, load_tensorrt
from sfedge.errors import BundleError, EngineError
from sfedge.manifest import GRAPHS

# NVIDIA's builder for desktop devices, the real one: it compiles without a device at hand.
needs_builder = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx_bindings") is None,
    reason="needs tensorrt-rtx-cu13-bindings (x86-64 only)",
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return small_bundle.make().write(tmp_path / "small")


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SFEDGE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_without_tensorrt_the_command_says_what_to_install(
    folder: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trt_build, "_MODULES", ("tensorrt_of_nobody",))
    result = click.testing.CliRunner().invoke(
        engine_command, ["build", str(folder)], standalone_mode=False
    )
    assert isinstance(result.exception, EngineError)
    assert result.exception.exit_code == 1
    message = str(result.exception)
    assert '--extra-index-url https://pypi.nvidia.com "tensorrt-cu13==10.*"' in message
    assert "sudo apt install python3-libnvinfer" in message
    assert "--system-site-packages" in message
    assert not cache.exists()


def test_a_tensorrt_that_does_not_load_is_not_called_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "tensorrt_broken.py").write_text("raise OSError('libnvinfer.so.10: not found')")
    (tmp_path / "tensorrt_partial.py").write_text("import tensorrt_libs_of_nobody")
    for name, message in (
        ("tensorrt_broken", r"it cannot be loaded \(libnvinfer\.so\.10: not found\)"),
        ("tensorrt_partial", "it needs tensorrt_libs_of_nobody, which is missing"),
    ):
        monkeypatch.setattr(trt_build, "_MODULES", (name,))
        with pytest.raises(EngineError, match=message):
            load_tensorrt()
        sys.modules.pop(name, None)


@needs_builder
@pytest.mark.parametrize("box_embedding", ["after", "before"])
def test_all_graphs_are_built_and_recorded(tmp_path: Path, cache: Path, box_embedding: str) -> None:
    source = small_bundle.make(box_embedding).write(tmp_path / "bundle")
    said: list[str] = []
    with open_bundle(source) as bundle:
        engines, folder = build_engines(bundle, max_batch=3, report=said.append)
    assert folder.is_relative_to(cache)
    assert [item.graph for item in engines.engines] == list(GRAPHS)
    assert len(said) == len(GRAPHS)
    record = json.loads((folder / "engines.json").read_text())
    assert record["schema"] == 1
    assert (record["precision"], record["max_batch"]) == ("fp32", 3)
    assert record["bundle_sha256"] == bundle.sha256
    for item in record["engines"]:
        data = (folder / item["file"]).read_bytes()
        assert len(data) == item["size"] > 1000
        assert hashlib.sha256(data).hexdigest() == item["sha256"]
        graph = source / "fp32" / f"{item['graph']}.onnx"
        assert hashlib.sha256(graph.read_bytes()).hexdigest() == item["onnx_sha256"]


@needs_builder
def test_a_second_build_replaces_the_first(folder: Path) -> None:
    with open_bundle(folder) as bundle:
        _, first = build_engines(bundle, max_batch=1)
        engines, second = build_engines(bundle, max_batch=2)
    assert first == second
    assert json.loads((first / "engines.json").read_text())["max_batch"] == 2
    assert {p.name for p in first.iterdir()} == {
        *(item.file for item in engines.engines),
        "engines.json",
    }


@needs_builder
def test_a_graph_that_tensorrt_does_not_know_is_told_with_the_reason(folder: Path) -> None:
    x = helper.make_tensor_value_info("hidden", TensorProto.FLOAT, ["batch", 4, 5])
    y = helper.make_tensor_value_info("heatmap", TensorProto.FLOAT, ["batch", 64, 64])
    node = helper.make_node("Conjure", ["hidden"], ["heatmap"], domain="com.example")
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.example", 1)]
    model = helper.make_model(
        helper.make_graph([node], "g", [x], [y]), opset_imports=opsets, ir_version=9
    )
    onnx.save(model, folder / "fp32" / "gaze.onnx")
    small_bundle.relist(folder)
    with (
        open_bundle(folder) as bundle,
        pytest.raises(EngineError, match=r"TensorRT cannot read the gaze graph .*Conjure"),
    ):
        build_engines(bundle)


@needs_builder
def test_a_graph_unlike_its_contract_is_not_built(folder: Path) -> None:
    answer = (folder / "fp32" / "answer.onnx").read_bytes()
    (folder / "fp32" / "gaze.onnx").write_bytes(answer)
    small_bundle.relist(folder)
    with (
        open_bundle(folder) as bundle,
        pytest.raises(EngineError, match="output 'heatmap' is missing; output 'logits' is unknown"),
    ):
        build_engines(bundle)


@needs_builder
def test_the_command_prints_what_was_built(folder: Path) -> None:
    runner = click.testing.CliRunner()
    result = runner.invoke(
        engine_command, ["build", str(folder), "--max-batch", "2", "--json"], standalone_mode=False
    )
    assert result.exception is None, result.exception
    data = json.loads(result.stdout)
    assert data["max_batch"] == 2
    assert Path(data["folder"], "trunk.engine").stat().st_size == data["engines"][2]["size"]
    result = runner.invoke(engine_command, ["build", str(folder)], standalone_mode=False)
    assert "small, fp32, for " in result.stdout
    assert "encoder.engine" in result.stdout


@needs_builder
def test_a_precision_that_the_bundle_lacks_is_refused(folder: Path) -> None:
    with open_bundle(folder) as bundle, pytest.raises(BundleError, match="Precisions it has: fp32"):
        build_engines(bundle, precision="fp16")
