"""Native TensorRT against a strict stand-in of the device: `fake_nvidia`."""

import gc
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import fake_nvidia
import numpy as np
import pytest
import skimage.data
import small_bundle
from fake_nvidia import Cudart, DataType, Device, TensorLocation, cudaError_t
from small_bundle import Small
from test_model import QUERIES, assert_equals_reference

from sfedge import engines
from sfedge.bundle.bundle import Bundle, open_bundle
from sfedge.bundle.graph_io import GraphIO, graph_io
from sfedge.core.errors import BundleError, EngineError, SfedgeError
from sfedge.core.structures import Frame
from sfedge.engines import EngineKind, choose_engine, compiled, ort, ort_device, trt
from sfedge.engines.compiled import EngineSet
from sfedge.engines.cuda import Cuda
from sfedge.engines.device import Bindings, DeviceEngine
from sfedge.engines.engine import Engine
from sfedge.engines.trt_build import build_engines
from sfedge.inference.model import Model
from sfedge.system.gpus import Gpu

ORIN = Gpu("Orin", "8.7")
DRIVER = "540.4.0"


@pytest.fixture
def device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Device]:
    """An Orin with TensorRT 10.3 and cuda-python; all that was taken of it must be given back."""
    made = Device()
    monkeypatch.setenv("SFEDGE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(sys.modules, "tensorrt", fake_nvidia.tensorrt(made))
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", Cudart(made))
    for module in (engines, trt):
        monkeypatch.setattr(module, "find_gpus", lambda: ([ORIN], ""))
    monkeypatch.setattr(trt, "driver_version", lambda: DRIVER)
    yield made
    gc.collect()
    assert made.leaks() == ""


@pytest.fixture
def small(request: pytest.FixtureRequest) -> Small:
    return small_bundle.make(getattr(request, "param", "after"))


both = pytest.mark.parametrize("small", ["after", "before"], indirect=True)


@pytest.fixture
def bundle(small: Small, tmp_path: Path) -> Iterator[Bundle]:
    with open_bundle(small.write(tmp_path / "small")) as opened:
        yield opened


@pytest.fixture
def frame() -> Frame:
    return Frame(skimage.data.astronaut(), index=7, time=1.25)


@pytest.fixture
def built(device: Device, bundle: Bundle) -> Path:
    """The folder with the bundle's engines, for at most 3 queries in a run."""
    return build(bundle)[1]


def build(bundle: Bundle, max_batch: int = 3) -> tuple[EngineSet, Path]:
    return build_engines(bundle, backend="tensorrt", precision="fp32", max_batch=max_batch)


def connector(bundle: Bundle, folder: Path) -> Engine:
    """One engine, the smallest, with one input where boxes enter after it."""
    return trt.build("tensorrt", Path(), graph_io(bundle.manifest)["connector"], folder)


def change(folder: Path, **changes: object) -> None:
    """Alter what the connector's engine says of itself, and make the record fit it again."""
    path = folder / "connector.engine"
    path.write_bytes(json.dumps({**json.loads(path.read_bytes()), **changes}).encode())
    record_anew(folder)


def record_anew(folder: Path) -> None:
    """Make the record fit the files."""
    engine_set = compiled.read(folder)
    built = [
        replace(one, sha256=compiled.cache.file_sha256(folder / one.file))
        for one in engine_set.engines
    ]
    compiled.save(replace(engine_set, engines=tuple(built)), folder)


@both
def test_a_model_answers_as_the_reference_does(
    small: Small, bundle: Bundle, built: Path, frame: Frame
) -> None:
    with Model(bundle, engine="tensorrt") as model:
        for _ in range(3):  # what stands on the device from the run before is no mistake
            for query, prediction in zip(QUERIES, model.answer(frame, QUERIES), strict=True):
                assert_equals_reference(small, frame, query, prediction)
            for query, prediction in zip(
                QUERIES[::-1], model.answer(frame, QUERIES[::-1]), strict=True
            ):
                assert_equals_reference(small, frame, query, prediction)
        assert model.device == "Orin (tensorrt 10.3.0), fp32"


@both
def test_a_recorded_run_answers_as_the_reference_does(
    small: Small, bundle: Bundle, built: Path, frame: Frame, device: Device,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("SFEDGE_CUDA_GRAPH", "1")
    with Model(bundle, engine="tensorrt") as model:
        for _ in range(3):
            for query, prediction in zip(QUERIES, model.answer(frame, QUERIES), strict=True):
                assert_equals_reference(small, frame, query, prediction)
    assert device.calls.count("cudaGraphLaunch") > 5


def test_an_engine_that_cannot_be_recorded_runs_as_it_is(
    small: Small, bundle: Bundle, built: Path, frame: Frame, device: Device,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("SFEDGE_CUDA_GRAPH", "1")
    device.failing["cudaGraphInstantiate"] = cudaError_t.cudaErrorInvalidValue
    with Model(bundle, engine="tensorrt") as model:
        (prediction,) = model.answer(frame, QUERIES[:1])
        assert_equals_reference(small, frame, QUERIES[0], prediction)
    assert "cudaGraphInstantiate" in device.calls
    assert device.calls.count("cudaGraphLaunch") < device.calls.count("cudaGraphInstantiate")


def test_prompts_go_to_the_device_once_and_nothing_comes_back_but_answers(
    bundle: Bundle, built: Path, frame: Frame, device: Device
) -> None:
    with Model(bundle, engine="tensorrt") as model:
        assert Counter(device.calls)["cudaMemcpy"] == 3 * len(model.tasks)
        model.answer(frame, QUERIES)
        device.calls.clear()
        model.answer(frame, QUERIES)
        calls = Counter(device.calls)
    assert calls["cudaMemcpy"] == 0
    assert calls["cudaMalloc"] == 0  # the memory of the frame before is taken again


def test_graphs_are_not_read_again_once_they_are_compiled(
    small: Small, bundle: Bundle, built: Path, frame: Frame
) -> None:
    with open_bundle(bundle.source) as fresh:  # `bundle` has verified its files for the build
        with (bundle.source / "fp32" / "gaze.onnx.data").open("ab") as file:
            file.write(b"more")  # the stand-in's engines still compute with what was there before
        with Model(fresh, engine="tensorrt") as model:
            (prediction,) = model.answer(frame, QUERIES[:1])
            assert_equals_reference(small, frame, QUERIES[0], prediction)
        with pytest.raises(BundleError, match=r"fp32/gaze\.onnx\.data has sha256"):
            Model(fresh, engine="cpu")


@pytest.mark.parametrize("max_batch", [1, 2, 8])
def test_any_largest_batch_gives_the_same_answers(
    small: Small, bundle: Bundle, device: Device, frame: Frame, max_batch: int
) -> None:
    build(bundle, max_batch)
    with Model(bundle, engine="tensorrt") as model:
        for query, prediction in zip(QUERIES, model.answer(frame, QUERIES), strict=True):
            assert_equals_reference(small, frame, query, prediction)


def test_a_result_stays_after_further_runs_and_after_the_engine(
    bundle: Bundle, built: Path
) -> None:
    engine = connector(bundle, built)
    contract = graph_io(bundle.manifest)["connector"]
    random = np.random.default_rng(0)

    def inputs() -> dict[str, np.ndarray]:
        return {
            name: random.standard_normal((2, *dims), np.float32)
            for name, dims in contract.inputs.items()
        }

    first = engine.run(inputs())["tokens"]
    then = np.asarray(first[1])
    engine.run(inputs())
    engine.close()
    assert np.array_equal(np.asarray(first[1]), then)
    assert not np.array_equal(np.asarray(first[0]), then)


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "it takes features, not"),
        ({"features": np.zeros((4, 16, 6), np.float32)}, r"it takes 1 to 3 samples, not \[4\]"),
        ({"features": np.zeros((0, 16, 6), np.float32)}, r"it takes 1 to 3 samples, not \[0\]"),
        ({"features": np.zeros((1, 16, 5), np.float32)}, r"'features' is \(16, 5\), not \(16, 6\)"),
        ({"features": np.zeros((1, 16, 6), np.float64)}, "'features' is float64, not float32"),
    ],
)
def test_wrong_inputs_are_refused(
    bundle: Bundle, built: Path, inputs: dict[str, np.ndarray], message: str
) -> None:
    with pytest.raises(EngineError, match=message):
        connector(bundle, built).run(inputs)


def test_values_that_are_no_numbers_do_not_leave_the_device(bundle: Bundle, built: Path) -> None:
    engine = connector(bundle, built)
    rows = engine.run({"features": np.full((1, 16, 6), np.nan, np.float32)})["tokens"]
    with pytest.raises(EngineError, match="values that are not numbers"):
        np.asarray(rows[0])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ("cudaMalloc", r"cudaMalloc failed \(cudaErrorMemoryAllocation\)\. Free memory of the"),
        ("cudaStreamCreate", "cudaStreamCreate failed"),
        ("create_execution_context", "the device has no room to run it"),
    ],
)
def test_a_device_that_refuses_at_the_start_is_reported(
    bundle: Bundle, built: Path, device: Device, call: str, message: str
) -> None:
    device.failing[call] = cudaError_t.cudaErrorMemoryAllocation
    with pytest.raises(EngineError, match=message):
        connector(bundle, built)


@pytest.mark.parametrize("call", ["cudaMemcpyAsync", "cudaStreamSynchronize", "execute_async_v3"])
def test_a_device_that_fails_in_a_run_is_reported(
    bundle: Bundle, built: Path, device: Device, call: str
) -> None:
    engine = connector(bundle, built)
    device.failing[call] = cudaError_t.cudaErrorLaunchFailure
    with pytest.raises(EngineError, match="failed"):
        engine.run({"features": np.zeros((1, 16, 6), np.float32)})
    for stream in device.streams:
        device.finish(stream)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inputs": []}, "input 'features' is missing"),
        (
            {"inputs": [["features", DataType.HALF, [-1, 16, 6]]]},
            "input 'features' is .*not float32",
        ),
        ({"inputs": [["features", 0, [-1, 16, 7]]]}, r"input 'features' is \[None, 16, 7\]"),
        ({"outputs": [["pixels", 0, [-1, 4, 5]]]}, "output 'pixels' is unknown"),
        ({"location": TensorLocation.HOST}, "'features' is not in the device's memory"),
        ({"profile": {"features": [[1, 16, 6], [1, 16, 6], [2, 16, 6]]}}, "'features' takes"),
    ],
)
def test_an_engine_unlike_its_contract_is_refused(
    bundle: Bundle, built: Path, changes: dict[str, object], message: str
) -> None:
    change(built, **changes)
    with pytest.raises(EngineError, match=message):
        connector(bundle, built)


def refusal(bundle: Bundle) -> str:
    with pytest.raises(SfedgeError) as caught:
        Model(bundle, engine="tensorrt")
    assert "sfedge engine build" in caught.value.fix
    return str(caught.value)


def test_a_driver_too_old_for_cuda_python_is_reported(bundle: Bundle, device: Device) -> None:
    device.failing["cudaGetDeviceCount"] = cudaError_t.cudaErrorInsufficientDriver
    with pytest.raises(EngineError, match="cuda-bindings: it does not work with the driver"):
        choose_engine(bundle, "tensorrt")


def test_without_cuda_python_the_line_that_installs_it_is_reported(
    bundle: Bundle, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("cuda.bindings.runtime", "cuda.cudart"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(EngineError, match="Run: pip install cuda-bindings, on JetPack 6: pip"):
        choose_engine(bundle, "tensorrt")


def test_the_former_name_of_cuda_python_does_as_well(
    bundle: Bundle, built: Path, frame: Frame, device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", None)
    monkeypatch.setitem(sys.modules, "cuda.cudart", Cudart(device))
    with Model(bundle, engine="tensorrt") as model:
        assert len(model.answer(frame, QUERIES)) == len(QUERIES)


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


def test_engines_of_an_earlier_bundle_are_told_as_stale_and_not_loaded(
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
def test_only_engines_of_the_same_model_and_precision_are_told_as_an_earlier_version(
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


def test_an_engine_that_does_not_load_is_told_with_what_tensorrt_says(
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


@both
def test_onnx_runtime_reads_and_writes_the_same_memory(
    small: Small, bundle: Bundle, device: Device, frame: Frame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As with the CUDA provider, but for the place that its session runs in."""

    def build(graph: Path, contract: GraphIO, folder: Path) -> DeviceEngine:
        bindings = Bindings(Cuda(), contract, 3)
        session = ort.open_session(graph, contract, [(ort.CPU, {})])
        launch = ort_device.launcher(session, bindings, graph.name, place="cpu")
        return DeviceEngine(bindings, launch, "a device")

    kind = EngineKind(precisions=("fp32",), check=ort.check_cpu, build=build)
    monkeypatch.setitem(engines.ENGINES, "bound", kind)
    with Model(bundle, engine="bound") as model:
        for _ in range(2):
            for query, prediction in zip(QUERIES, model.answer(frame, QUERIES), strict=True):
                assert_equals_reference(small, frame, query, prediction)
