import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path

import click.testing
import onnx
import pytest
import small_bundle
from fake_cuda import Cudart, Device
from nvidia_builder import needs_builder
from onnx import TensorProto, helper

from sfedge.bundle.bundle import Bundle, open_bundle
from sfedge.bundle.graph_io import graph_io
from sfedge.bundle.manifest import GRAPHS
from sfedge.cli.engine_command import engine as engine_command
from sfedge.core.errors import BundleError, EngineError, UnknownNameError
from sfedge.engines import compiled, trt, trt_build
from sfedge.engines.trt import BACKENDS, load_tensorrt
from sfedge.engines.trt_build import (
    build_engines,
    default_precision,
    memory_to_build,
    memory_to_run,
)
from sfedge.system.gpus import find_gpus

pytestmark = pytest.mark.usefixtures("cache")


@pytest.fixture
def invoke() -> Callable[..., click.testing.Result]:
    def run(*words: object) -> click.testing.Result:
        return click.testing.CliRunner().invoke(
            engine_command, [str(word) for word in words], standalone_mode=False
        )

    return run


def rtx(bundle: Bundle, max_batch: int = 2) -> tuple[compiled.EngineSet, Path]:
    return build_engines(bundle, backend="tensorrt-rtx", precision="fp32", max_batch=max_batch)


@pytest.mark.parametrize(
    ("backend", "lines"),
    [
        (
            "tensorrt",
            [
                '--extra-index-url https://pypi.nvidia.com "tensorrt-cu13==10.*"',
                "sudo apt install python3-libnvinfer",
                "--system-site-packages",
            ],
        ),
        ("tensorrt-rtx", ["pip install tensorrt-rtx-cu13-libs tensorrt-rtx-cu13-bindings"]),
    ],
)
def test_without_tensorrt_the_command_says_what_to_install(
    bundle_folder: Path, cache: Path, backend: str, lines: list[str],
    monkeypatch: pytest.MonkeyPatch, invoke: Callable[..., click.testing.Result],
) -> None:  # fmt: skip
    monkeypatch.setitem(BACKENDS, backend, (("tensorrt_of_nobody",), BACKENDS[backend][1]))
    result = invoke("build", bundle_folder, "--backend", backend)
    assert isinstance(result.exception, EngineError)
    assert result.exception.exit_code == 1
    for line in lines:
        assert line in str(result.exception)
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
        monkeypatch.setitem(BACKENDS, "tensorrt", ((name,), "Install it."))
        with pytest.raises(EngineError, match=message):
            load_tensorrt("tensorrt")
        sys.modules.pop(name, None)


@needs_builder
@pytest.mark.parametrize("kind", ["after", "before", "landmarks"])
def test_all_graphs_are_built_and_recorded(tmp_path: Path, cache: Path, kind: str) -> None:
    source = small_bundle.make(kind).write(tmp_path / "bundle")
    reported: dict[str, list[float]] = {}
    with open_bundle(source) as bundle:
        engines, folder = build_engines(
            bundle, backend="tensorrt-rtx", precision="fp32", max_batch=3,
            progress=lambda graph, share: reported.setdefault(graph, []).append(share),
        )  # fmt: skip
    assert folder.is_relative_to(cache)
    assert [item.graph for item in engines.engines] == list(reported) == list(GRAPHS)
    for shares in reported.values():
        assert shares == sorted(shares)
        assert shares[0] < 0.2
        assert shares[-1] == 1.0
    record = json.loads((folder / "engines.json").read_text())
    assert record["schema"] == 3
    assert (record["backend"], record["precision"]) == ("tensorrt-rtx", "fp32")
    assert record["max_batch"] == 3
    assert record["bundle_sha256"] == bundle.sha256
    for item in record["engines"]:
        data = (folder / item["file"]).read_bytes()
        assert len(data) == item["size"] > 1000
        assert hashlib.sha256(data).hexdigest() == item["sha256"]
        graph = source / "fp32" / f"{item['graph']}.onnx"
        assert hashlib.sha256(graph.read_bytes()).hexdigest() == item["onnx_sha256"]
    assert compiled.read(folder) == engines


@needs_builder
def test_a_second_build_replaces_the_first(bundle: Bundle) -> None:
    _, first = rtx(bundle, 1)
    engines, second = rtx(bundle, 2)
    assert first == second
    assert json.loads((first / "engines.json").read_text())["max_batch"] == 2
    assert {p.name for p in first.iterdir()} == {
        *(item.file for item in engines.engines),
        "engines.json",
    }
    assert list(first.parent.iterdir()) == [first]


@needs_builder
def test_a_graph_that_tensorrt_does_not_know_is_reported_with_the_reason(
    bundle_folder: Path,
) -> None:
    x = helper.make_tensor_value_info("hidden", TensorProto.FLOAT, ["batch", 4, 5])
    y = helper.make_tensor_value_info("heatmap", TensorProto.FLOAT, ["batch", 64, 64])
    node = helper.make_node("Conjure", ["hidden"], ["heatmap"], domain="com.example")
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.example", 1)]
    model = helper.make_model(
        helper.make_graph([node], "g", [x], [y]), opset_imports=opsets, ir_version=9
    )
    onnx.save(model, bundle_folder / "fp32" / "gaze.onnx")
    small_bundle.relist(bundle_folder)
    with (
        open_bundle(bundle_folder) as bundle,
        pytest.raises(EngineError, match=r"TensorRT cannot read the gaze graph .*Conjure"),
    ):
        rtx(bundle)
    assert list(compiled.folders()) == []


@needs_builder
def test_a_graph_unlike_its_contract_is_not_built(bundle_folder: Path) -> None:
    answer = (bundle_folder / "fp32" / "answer.onnx").read_bytes()
    (bundle_folder / "fp32" / "gaze.onnx").write_bytes(answer)
    small_bundle.relist(bundle_folder)
    with (
        open_bundle(bundle_folder) as bundle,
        pytest.raises(EngineError, match="output 'heatmap' is missing; output 'logits' is unknown"),
    ):
        rtx(bundle)


@needs_builder
def test_a_build_that_is_interrupted_leaves_the_earlier_engines(bundle: Bundle) -> None:
    engines, folder = rtx(bundle)

    def interrupt(graph: str, share: float) -> None:
        if graph == "trunk":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_engines(
            bundle, backend="tensorrt-rtx", precision="fp32", max_batch=8, progress=interrupt
        )
    assert compiled.read(folder) == engines
    assert list(folder.parent.iterdir()) == [folder]


@needs_builder
@pytest.mark.skipif(bool(find_gpus()[0]), reason="needs a machine without an NVIDIA device")
def test_the_real_runtime_takes_the_file_and_its_refusal_is_reported(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a device it gets as far as asking CUDA for one."""
    _, folder = rtx(bundle)
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", Cudart(Device()))
    with pytest.raises(EngineError, match=r"it cannot be loaded \(.*CUDA driver version"):
        trt.build("tensorrt-rtx", Path(), graph_io(bundle.manifest)["trunk"], folder)


@needs_builder
def test_the_command_prints_what_was_built(
    bundle_folder: Path, invoke: Callable[..., click.testing.Result]
) -> None:
    result = invoke("build", bundle_folder, "--backend", "tensorrt-rtx", "--max-batch", 2, "--json")
    assert result.exception is None, result.exception
    data = json.loads(result.stdout)
    assert data["max_batch"] == 2
    assert Path(data["folder"], "trunk.engine").stat().st_size == data["engines"][2]["size"]
    assert "The build needs about 0.7 GB of memory, " in result.stderr
    result = invoke("build", bundle_folder, "--backend", "tensorrt-rtx")
    assert "small, fp32, for " in result.stdout
    assert "encoder.engine" in result.stdout


def test_the_timings_are_kept_in_the_cache_or_in_the_named_file(
    bundle: Bundle, device: Device, tmp_path: Path
) -> None:
    build_engines(bundle, backend="tensorrt", precision="fp32")
    (own,) = compiled.root().glob("timings-*")
    assert own.read_bytes() == b"....."  # the stand-in adds a dot for each graph
    named = tmp_path / "timings"
    build_engines(bundle, backend="tensorrt", precision="fp32", timing_cache=named)
    assert named.read_bytes() == b"....."
    build_engines(bundle, backend="tensorrt", precision="fp32", timing_cache=named)
    assert named.read_bytes() == b".........."
    assert own.read_bytes() == b"....."


def test_foreign_timings_are_refused(bundle: Bundle, device: Device, tmp_path: Path) -> None:
    (tmp_path / "timings").write_bytes(b"foreign")
    with pytest.raises(EngineError, match="no timing cache of this device and version"):
        build_engines(
            bundle, backend="tensorrt", precision="fp32", timing_cache=tmp_path / "timings"
        )


def test_the_workspace_reaches_the_builder(
    bundle_folder: Path, device: Device, invoke: Callable[..., click.testing.Result]
) -> None:
    result = invoke("build", bundle_folder, "--backend", "tensorrt", "--workspace", 64, "--json")
    assert result.exception is None, result.exception
    built_engines = json.loads(result.stdout)
    plan = json.loads(Path(built_engines["folder"], "trunk.engine").read_bytes())
    assert plan["workspace"] == 64 << 20
    assert plan["profile"]["tokens"] == [[1, 4, 5], [4, 4, 5], [8, 4, 5]]
    assert built_engines["machine"] == {
        "builder": "tensorrt 10.3.0",
        "driver": "540.4.0",
        "device": {"name": "Orin", "capability": "8.7"},
    }


def test_rtx_takes_no_timings(
    bundle_folder: Path, tmp_path: Path, invoke: Callable[..., click.testing.Result]
) -> None:
    words = ("--backend", "tensorrt-rtx", "--timing-cache", tmp_path / "timings")
    assert isinstance(invoke("build", bundle_folder, *words).exception, click.UsageError)


def test_what_was_built_is_listed_verified_and_removed(
    bundle: Bundle, device: Device, monkeypatch: pytest.MonkeyPatch,
    invoke: Callable[..., click.testing.Result],
) -> None:  # fmt: skip
    assert invoke("list").stdout == "No engine was built yet.\n"
    assert invoke("verify").return_value == 0
    _, folder = build_engines(bundle, backend="tensorrt", precision="fp32")
    (row,) = json.loads(invoke("list", "--json").stdout)
    assert row["id"] == f"{bundle.sha256[:12]}/tensorrt-fp32"
    assert (row["bundle"], row["state"], row["folder"]) == ("small", "ready", str(folder))
    assert row["bytes"] == sum(path.stat().st_size for path in folder.iterdir())
    assert f"{row['id']}  small" in invoke("list").stdout
    assert invoke("verify").return_value == 0

    monkeypatch.setattr(trt, "driver_version", lambda: "580.0")
    assert "stale: the driver was 540.4.0, now it is 580.0" in invoke("list").stdout
    assert invoke("verify").return_value == 1
    monkeypatch.setattr(trt, "driver_version", lambda: "540.4.0")

    (folder / "gaze.engine").write_bytes(b"other")
    assert "ready" in invoke("list").stdout  # sums are not looked at
    result = invoke("verify")
    assert result.return_value == 1
    assert "refused: its sha256 is not that of the engine" in result.stdout

    assert isinstance(invoke("remove").exception, click.UsageError)
    assert isinstance(invoke("remove", "nothing").exception, UnknownNameError)
    assert "Removed nothing" in invoke("remove", "--stale").stdout
    assert f"Removed {row['id']}; " in invoke("remove", row["id"]).stdout
    assert not folder.parent.exists()
    assert invoke("list").stdout == "No engine was built yet.\n"


def test_stale_and_all_are_removed_on_request(
    bundle: Bundle, device: Device, monkeypatch: pytest.MonkeyPatch,
    invoke: Callable[..., click.testing.Result],
) -> None:  # fmt: skip
    build_engines(bundle, backend="tensorrt", precision="fp32")
    monkeypatch.setattr(sys.modules["tensorrt"], "__version__", "10.16.2")
    removed = json.loads(invoke("remove", "--stale", "--json").stdout)
    assert removed["removed"] == [f"{bundle.sha256[:12]}/tensorrt-fp32"]
    assert removed["bytes"] > 0
    build_engines(bundle, backend="tensorrt", precision="fp32")
    assert invoke("remove", "--all").return_value is None
    assert list(compiled.folders()) == []


def test_the_memory_that_a_build_needs_is_reported_by_the_largest_graph(bundle: Bundle) -> None:
    entries = {entry.path: entry.size for entry in bundle.manifest.files}
    largest = max(
        sum(size for path, size in entries.items() if path.startswith(f"fp32/{graph}.onnx"))
        for graph in GRAPHS
    )
    assert memory_to_build(bundle, "fp32") == 700_000_000 + round(3.3 * largest)


def test_the_memory_that_engines_hold_is_reported_by_all_that_lies_on_the_device(
    bundle: Bundle,
) -> None:
    weights = sum(e.size for e in bundle.manifest.files if e.path.startswith("fp32/"))
    prompts = 6 * (2 * 42 + 42 + 7)  # past of two blocks, of the last, padding
    images, features, tokens, heatmap = 3 * 8 * 8, 16 * 6, 4 * 5, 64 * 64
    answers = len(bundle.manifest.answers)
    sample = (images + features) + (features + tokens) + (2 * tokens + 4 + 2 * 42 + 7)
    sample += 2 * (tokens + 42 + 7) + answers + heatmap
    for batch in (1, 8):
        held = weights + 4 * (prompts + batch * sample)
        assert memory_to_run(bundle, "fp32", batch) == held


def test_half_precision_is_built_where_the_bundle_has_it(bundle: Bundle) -> None:
    assert default_precision(bundle, "tensorrt") == "fp32"
    object.__setattr__(bundle.manifest, "precisions", ("int8-cpu", "fp32", "int8-qdq", "fp16"))
    assert default_precision(bundle, "tensorrt") == "fp16"
    object.__setattr__(bundle.manifest, "precisions", ("int8-cpu",))
    with pytest.raises(EngineError, match=r"tensorrt builds fp16 or .*'small' has int8-cpu"):
        default_precision(bundle, "tensorrt")


@needs_builder
def test_a_precision_that_the_bundle_lacks_is_refused(bundle: Bundle) -> None:
    with pytest.raises(BundleError, match="Precisions it has: fp32"):
        build_engines(bundle, backend="tensorrt-rtx", precision="fp16")


def test_the_first_backend_that_is_installed_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(BACKENDS, "tensorrt", (("tensorrt_of_nobody",), ""))
    monkeypatch.setitem(BACKENDS, "tensorrt-rtx", (("json",), ""))
    assert trt_build.default_backend() == "tensorrt-rtx"
    monkeypatch.setitem(BACKENDS, "tensorrt-rtx", (("rtx_of_nobody",), ""))
    assert trt_build.default_backend() == "tensorrt"
