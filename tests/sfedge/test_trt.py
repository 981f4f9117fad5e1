"""Native TensorRT against a strict stand-in of the device: answers, memory, what it refuses."""

import gc
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from fake_cuda import Cudart, Device, cudaError_t
from fake_nvidia import DataType, TensorLocation
from native_engines import build, change, connector
from small_bundle import Small
from test_model import QUERIES, assert_equals_reference

from sfedge import engines
from sfedge.bundle.bundle import Bundle, open_bundle
from sfedge.bundle.graph_io import GraphIO, graph_io
from sfedge.core.errors import BundleError, EngineError
from sfedge.core.structures import Frame
from sfedge.engines import EngineKind, choose_engine, ort, ort_device
from sfedge.engines.cuda import Cuda
from sfedge.engines.device import Bindings, DeviceEngine
from sfedge.inference.model import Model

every_kind = pytest.mark.parametrize("small", ["after", "before", "landmarks"], indirect=True)


@every_kind
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


@every_kind
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


def test_memory_is_given_back_where_the_garbage_collector_takes_all_at_once(
    device: Device,
) -> None:
    """Then nobody says in which order: here the device's object goes before its memory."""
    cuda = Cuda()
    memory = cuda.allocate(8)
    cuda.itself, cuda.memory = cuda, memory  # type: ignore[attr-defined]
    del cuda, memory
    gc.collect()
    assert device.leaks() == ""


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


@every_kind
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
