"""The converted networks beside Google's own runtime, on real pictures."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper
from PIL import Image

from sfedge.core.errors import EngineError
from sfedge.detect.conversion import networks
from sfedge.detect.conversion.tflite import read_tflite
from sfedge.detect.conversion.to_onnx import to_onnx
from sfedge.engines.onnx_file import Node, write_onnx
from sfedge.engines.openvino import open_plain
from sfedge.engines.small_network import open_network

Picture = NDArray[np.uint8]
PARTS = [(180, 60, 300, 180), (0, 0, 512, 512), (100, 200, 356, 456)]  # of the astronaut


@pytest.fixture(scope="module")
def sources() -> dict[str, Path]:
    return networks.fetch_sources(networks.NETWORKS)


@pytest.fixture(scope="module")
def converted() -> dict[str, Path]:
    return networks.fetch()


def _inputs(picture: Picture, size: int) -> list[NDArray[np.float32]]:
    parts = [Image.fromarray(picture).crop(part).resize((size, size)) for part in PARTS]
    return [np.asarray(part, np.float32)[None] / 255 for part in parts]


def _reference(source: Path) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(source), num_threads=1)
    interpreter.allocate_tensors()
    return interpreter


@pytest.mark.parametrize("name", [*networks.NETWORKS])
def test_a_converted_network_gives_what_google_s_runtime_gives(
    name: str,
    sources: dict[str, Path],
    converted: dict[str, Path],
    astronaut: Picture,
    capfd: pytest.CaptureFixture[str],
) -> None:
    reference = _reference(sources[name])
    graph = read_tflite(sources[name].read_bytes())
    names = [graph.tensors[i].name for i in graph.outputs]
    kept = networks.NETWORKS[name].outputs or names
    (taken,) = reference.get_input_details()
    places = [reference.get_output_details()[names.index(output)]["index"] for output in kept]
    engine = open_network(converted[name], engine="cpu")
    assert [port.name for port in engine.outputs] == [*kept]
    for values in _inputs(astronaut, taken["shape"][1]):
        reference.set_tensor(taken["index"], values)
        reference.invoke()
        for found, place in zip(engine.run({taken["name"]: values}), places, strict=True):
            right = reference.get_tensor(place)
            assert found.shape == right.shape
            assert np.abs(found - right).max() <= 1e-4 * max(np.abs(right).max(), 1)


@pytest.mark.parametrize("name", [*networks.NETWORKS])
def test_openvino_gives_the_same_where_onnx_runtime_is_not_there(
    name: str, converted: dict[str, Path], astronaut: Picture
) -> None:
    runs = [open_network(converted[name], engine=engine) for engine in ("cpu", "openvino")]
    assert "openvino" in runs[1].device
    size = int(runs[0].inputs[0].shape[1])
    for values in _inputs(astronaut, size):
        right, found = (run.run({run.inputs[0].name: values}) for run in runs)
        for a, b in zip(right, found, strict=True):
            assert np.abs(a - b).max() <= 1e-3 * max(np.abs(a).max(), 1)


@pytest.mark.parametrize("name", [*networks.NETWORKS])
def test_the_files_are_onnx_by_its_own_checker_and_take_any_batch(
    name: str, converted: dict[str, Path], astronaut: Picture
) -> None:
    onnx.checker.check_model(str(converted[name]), full_check=True)
    engine = open_network(converted[name], engine="cpu")
    port = engine.inputs[0]
    values = np.concatenate(_inputs(astronaut, int(port.shape[1])))
    together = engine.run({port.name: values})
    for i in range(len(values)):
        alone = engine.run({port.name: values[i : i + 1]})
        for a, b in zip(together, alone, strict=True):
            assert np.allclose(a[i], b[0], atol=1e-4 * max(np.abs(b).max(), 1))


def test_the_same_source_gives_the_same_bytes(sources: dict[str, Path]) -> None:
    network = networks.NETWORKS["person"]
    data = sources["person"].read_bytes()
    assert to_onnx(data, network.outputs) == to_onnx(data, network.outputs)


def test_sparse_weights_are_mostly_zeros(sources: dict[str, Path]) -> None:
    graph = read_tflite(sources["person"].read_bytes())
    weights = [
        graph.tensors[operator.inputs[0]].value
        for operator in graph.operators
        if operator.name == "DENSIFY"
    ]
    shares = [float((value != 0).mean()) for value in weights if value is not None]
    assert len(shares) == 38
    assert 0.05 < float(np.mean(shares)) < 0.6


def test_an_output_that_is_not_there_is_named(sources: dict[str, Path]) -> None:
    with pytest.raises(ValueError, match="no output 'mask', but Identity, Identity_1"):
        to_onnx(sources["palm"].read_bytes(), ["mask"])


@pytest.mark.parametrize("data", [b"", b"TFL3", b"PK\3\4 some zip", bytes(100)])
def test_what_is_no_tflite_file_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not a TFLite file"):
        read_tflite(data)


def test_attributes_and_constants_are_written_as_onnx_reads_them() -> None:
    constants: dict[str, NDArray[Any]] = {
        "half": np.array([[0.5, -2]], np.float32),
        "whole": np.array([-1, 2**40], np.int64),
        "byte": np.array(7, np.uint8),
    }
    attributes = {"alpha": 0.25, "axis": -2, "mode": "linear", "pads": (0, 300, -1)}
    node = Node("Thing", ["x"], ["y"], attributes)
    data = write_onnx(
        [node], {"x": ("float32", [None, 3])}, {"y": ("int64", [4])}, constants, opset=17
    )
    model = onnx.load_from_string(data)
    (read,) = model.graph.node
    values = {item.name: onnx.helper.get_attribute_value(item) for item in read.attribute}
    assert values == {"alpha": 0.25, "axis": -2, "mode": b"linear", "pads": [0, 300, -1]}
    for tensor in model.graph.initializer:
        kept = numpy_helper.to_array(tensor)
        assert kept.dtype == constants[tensor.name].dtype
        assert np.array_equal(kept, constants[tensor.name])
    first, second = model.graph.input[0].type.tensor_type.shape.dim
    assert (first.dim_param, second.dim_value) == ("batch", 3)


def test_a_graph_that_is_none_is_an_error_with_the_file(tmp_path: Path) -> None:
    file = tmp_path / "broken.onnx"
    file.write_bytes(b"no graph")
    for engine in ("cpu", "openvino"):
        with pytest.raises(EngineError, match=r"broken\.onnx"):
            open_network(file, engine=engine)
    with pytest.raises(EngineError, match="cannot load"):
        open_plain(file, 1)


def test_without_onnx_runtime_openvino_runs_the_networks(
    converted: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert "openvino" in open_network(converted["palm"]).device
    with pytest.raises(EngineError, match="cannot be loaded"):
        open_network(converted["palm"], engine="cpu")
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(EngineError, match=r"need ONNX Runtime or OpenVINO.*pip install"):
        open_network(converted["palm"])
