"""Detectors on the engine of the run: CUDA and TensorRT, against strict stand-ins of the device."""

import importlib.util
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from cell_detectors import describe
from fake_cuda import Device
from native_engines import change
from numpy.typing import NDArray
from onnx import numpy_helper
from scenes import Finished, Scene

from sfedge.core.errors import ConfigError, DetectorError, EngineError
from sfedge.core.structures import Frame
from sfedge.detect import build_detector
from sfedge.detect.conversion import networks
from sfedge.detect.described_detector import open_described
from sfedge.detect.mediapipe.mediapipe_networks import MediaPipeNetworks
from sfedge.detect.registry import networks_of
from sfedge.diagnostics import doctor
from sfedge.engines import compiled, ort, small_network, trt
from sfedge.engines.small_network import NetworkSet, Place
from sfedge.engines.trt_build import build_networks

Picture = NDArray[np.uint8]
Command = Callable[..., Finished]
NATIVE = Place("tensorrt")
BUILD = "sfedge engine build --detector mediapipe-onnx"


@pytest.fixture(scope="module")
def files() -> dict[str, Path]:
    return networks.fetch(networks.DETECTING)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: Mapping[str, Path]) -> Path:
    """The user's cache, with the networks and nothing else."""
    folder = tmp_path / "cache"
    (folder / "networks").mkdir(parents=True)
    for file in files.values():
        (folder / "networks" / file.name).symlink_to(file)
    monkeypatch.setenv("SFEDGE_CACHE", str(folder))
    return folder


@pytest.fixture
def built(device: Device) -> Path:
    return build()[1]


def build(backend: str = "tensorrt") -> tuple[compiled.EngineSet, Path]:
    return build_networks(*networks_of("mediapipe-onnx", offline=True), backend=backend)


def finds(found_by: MediaPipeNetworks, picture: Picture) -> list[NDArray[np.float64]]:
    """Landmarks of all that is found, by every network."""
    return [
        *(face.points for face in found_by.find_faces(picture, "short", 0.6)),
        *(face.points for face in found_by.find_faces(picture, "full", 0.6)),
        *(hand.points for hand in found_by.find_hands(picture)),
        *(pose.points for pose in found_by.find_poses(picture)),
    ]


@pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx_bindings") is None,
    reason="needs tensorrt-rtx-cu13-bindings (x86-64 only)",
)
def test_nvidia_s_own_builder_compiles_every_converted_network(cache: Path) -> None:
    everything = NetworkSet("all", networks.fetch())
    engines, folder = build_networks(everything, backend="tensorrt-rtx")
    assert compiled.read(folder) == engines
    assert [one.graph for one in engines.engines] == [*networks.NETWORKS]
    for one in engines.engines:
        graph = onnx.load(everything.files[one.graph]).graph
        assert one.io is not None
        for ports, values in ((one.io.inputs, graph.input), (one.io.outputs, graph.output)):
            wanted = {
                value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)[1:]
                for value in values
            }
            assert list(ports.items()) == list(wanted.items())  # in this order, too
        assert (folder / one.file).stat().st_size == one.size > 100_000


def test_native_engines_find_what_the_cpu_finds(
    built: Path, files: Mapping[str, Path], astronaut: Picture
) -> None:
    found_by = MediaPipeNetworks(files, NATIVE)
    assert found_by.device == "Orin (tensorrt 10.3.0)"
    assert found_by.engine_note == ""
    wanted = finds(MediaPipeNetworks(files), astronaut)
    assert len(wanted) >= 3
    for _ in range(2):
        for ours, right in zip(finds(found_by, astronaut), wanted, strict=True):
            assert np.array_equal(ours, right)


def test_outputs_come_in_the_file_s_order_however_the_engine_lists_them(
    built: Path, files: Mapping[str, Path], astronaut: Picture
) -> None:
    for name in networks.DETECTING:
        plan = json.loads((built / f"{name}.engine").read_bytes())
        change(built, name, outputs=plan["outputs"][::-1])
    wanted = finds(MediaPipeNetworks(files), astronaut)
    for ours, right in zip(finds(MediaPipeNetworks(files, NATIVE), astronaut), wanted, strict=True):
        assert np.array_equal(ours, right)


@pytest.mark.parametrize(
    ("place", "wanted"),
    [
        (Place("auto", "tensorrt"), "Orin (tensorrt 10.3.0)"),
        (Place("auto", "cpu"), "cpu (onnxruntime"),
        (Place("auto", "openvino"), "cpu (onnxruntime"),
        (Place("auto", ""), "cpu (onnxruntime"),
        (Place("cpu", "tensorrt"), "cpu (onnxruntime"),
        (Place("openvino", "tensorrt"), "cpu (openvino"),
    ],
)
def test_auto_follows_a_model_that_is_on_a_gpu(
    built: Path, files: Mapping[str, Path], place: Place, wanted: str
) -> None:
    found_by = MediaPipeNetworks(files, place)
    assert found_by.device.startswith(wanted)
    assert found_by.engine_note == ""


def refusal(files: Mapping[str, Path], place: Place = NATIVE) -> str:
    """What is said where the engine is named; "auto" takes the CPU and says the same."""
    with pytest.raises(DetectorError) as caught:
        MediaPipeNetworks(files, place)
    found_by = MediaPipeNetworks(files, Place("auto", place.engine))
    assert found_by.device.startswith("cpu (")
    note = found_by.engine_note
    assert note.startswith(f"the detector runs on the CPU, as {place.engine} cannot run it: ")
    assert caught.value.fix
    assert note.endswith(caught.value.fix)
    return str(caught.value)


def test_networks_that_were_not_built_are_reported_with_the_command_that_builds_them(
    device: Device, files: Mapping[str, Path]
) -> None:
    refused = refusal(files)
    assert "the network does not start: no engine was built" in refused
    assert refused.endswith(f"Run: {BUILD}.")


def test_stale_foreign_and_damaged_engines_are_not_loaded(
    built: Path, files: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trt, "driver_version", lambda: "580.0")
    refused = refusal(files)
    assert "stale: the driver was 540.4.0, now it is 580.0" in refused
    assert BUILD in refused
    monkeypatch.setattr(trt, "driver_version", lambda: "540.4.0")
    built.chmod(0o777)
    assert "other users may write it" in refusal(files)
    built.chmod(0o700)
    path = built / "palm.engine"
    path.write_bytes(path.read_bytes() + b" ")
    refused = refusal(files)
    assert "its sha256 is not that of the engine that was built" in refused
    assert BUILD in refused


def test_networks_that_changed_need_engines_of_their_own(
    built: Path, files: Mapping[str, Path], tmp_path: Path
) -> None:
    changed = tmp_path / "palm.onnx"
    changed.write_bytes(files["palm"].read_bytes() + b"\x32\x00")  # one more empty field
    assert "no engine was built" in refusal({**files, "palm": changed})


def test_a_gpu_that_computes_otherwise_than_the_cpu_is_not_believed(
    built: Path, files: Mapping[str, Path], tmp_path: Path
) -> None:
    """The stand-in computes with the weights of hand landmarks, the least sensitive, in bf16."""
    model = onnx.load(files["hand-landmarks"])
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT and tensor.dims:
            bits = numpy_helper.to_array(tensor).view(np.uint32)
            rounded = ((bits + 0x7FFF) & ~np.uint32(0xFFFF)).view(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(rounded, tensor.name))
    onnx.save(model, tmp_path / "rounded.onnx")
    change(built, "hand-landmarks", onnx=str(tmp_path / "rounded.onnx"))
    refused = refusal(files)
    assert "hand-landmarks gives another 'Identity' than the CPU" in refused
    assert "run the detector on the CPU (detector_engine='cpu')." in refused


def test_tensorrt_alone_runs_the_networks_where_no_engine_for_the_cpu_is_installed(
    built: Path, files: Mapping[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object) -> None:
        raise EngineError("it is not installed")

    monkeypatch.setattr(ort, "check_cpu", missing)
    monkeypatch.setattr(small_network.openvino, "open_plain", missing)
    assert MediaPipeNetworks(files, NATIVE).device == "Orin (tensorrt 10.3.0)"
    with pytest.raises(DetectorError, match="need ONNX Runtime or OpenVINO"):
        MediaPipeNetworks(files)


@pytest.mark.parametrize("engine", ["tensorrt", "tensorrt-rtx", "cuda"])
def test_without_a_gpu_a_named_engine_is_one_sentence(
    cache: Path, files: Mapping[str, Path], engine: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (trt, ort):
        monkeypatch.setattr(module, "find_gpus", lambda: ([], "no NVIDIA driver is installed"))
    refused = refusal(files, Place(engine))
    assert "the network does not start: no NVIDIA driver is installed" in refused
    assert "Install the NVIDIA driver" in refused


class CudaSession(onnxruntime.InferenceSession):
    """A session of the CUDA provider, but for the place that it runs in."""

    options: dict[str, Any]

    def __init__(self, path: str, options: Any, *, providers: Any, **more: Any) -> None:
        (name, settings), *rest = providers
        self.is_cuda = name == "CUDAExecutionProvider"
        if self.is_cuda:
            assert rest == [("CPUExecutionProvider", {})]
            assert more == {"enable_fallback": 0}
            CudaSession.options = dict(settings)
        super().__init__(path, options, providers=["CPUExecutionProvider"])

    def get_providers(self) -> list[str]:
        return [*["CUDAExecutionProvider"] * self.is_cuda, "CPUExecutionProvider"]


@pytest.mark.parametrize("beside", ["cuda", "trt-ep"])
def test_beside_a_model_in_onnx_runtime_the_cuda_provider_runs_the_networks_in_fp32(
    beside: str, files: Mapping[str, Path], astronaut: Picture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ort, "check_cuda", lambda: None)
    monkeypatch.setattr(onnxruntime, "InferenceSession", CudaSession)
    found_by = MediaPipeNetworks(files, Place("auto", beside))
    assert found_by.device == f"cuda (onnxruntime {onnxruntime.__version__})"
    assert CudaSession.options["use_tf32"] == "0"
    assert CudaSession.options["cudnn_conv_algo_search"] == "HEURISTIC"
    assert len(finds(found_by, astronaut)) >= 3


def test_a_description_s_engine_counts_unless_the_run_names_one(
    tmp_path: Path, cache: Path
) -> None:
    path = describe(tmp_path, engine="openvino")
    assert open_described(path).device.startswith("cpu (openvino")
    assert open_described(path, Place("cpu")).device.startswith("cpu (onnxruntime")
    assert open_described(path, Place("auto", "cuda")).device.startswith("cpu (openvino")


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_a_described_network_is_built_by_the_command_and_finds_the_same(
    device: Device, tmp_path: Path, command: Command, layout: str
) -> None:
    path = describe(tmp_path, engine="tensorrt", input={"size": 160, "layout": layout})
    with pytest.raises(DetectorError, match="no engine was built") as caught:
        open_described(path)
    assert caught.value.fix == f"Run: sfedge engine build --detector {path}."
    done = command("engine", "build", "--backend", "tensorrt", "--detector", path, "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["bundle"] == str(path)
    image = np.zeros((160, 160, 3), np.uint8)
    image[48:64, 32:48] = (255, 0, 0)
    frame = Frame(image, 0, 0.0)
    native = open_described(path)
    assert native.device == "Orin (tensorrt 10.3.0)"
    found = native.detect(frame)
    assert len(found) == 1
    assert found == open_described(path, Place("cpu")).detect(frame)


@pytest.mark.parametrize(
    ("shape", "kind", "message"),
    [
        ([1, 3, "height", "width"], onnx.TensorProto.FLOAT, ""),
        ([1, 3, 64, 64], onnx.TensorProto.FLOAT16, r"its 'x' is .*; a native engine"),
        ([2, 3, 64, 64], onnx.TensorProto.FLOAT, r"its 'y' is .*; a native engine"),
    ],
)
def test_a_network_of_another_kind_is_not_built(
    device: Device, tmp_path: Path, shape: list[Any], kind: int, message: str
) -> None:
    node = onnx.helper.make_node("Relu", ["x"], ["y"])
    ports = [onnx.helper.make_tensor_value_info(name, kind, shape) for name in "xy"]
    if shape[0] == 2:
        ports[1] = onnx.helper.make_tensor_value_info("y", kind, ["n", 3, 64, 64])
        node = onnx.helper.make_node("Concat", ["x", "x"], ["y"], axis=0)
    model = onnx.helper.make_model(
        onnx.helper.make_graph([node], "g", ports[:1], ports[1:]), ir_version=8,
        opset_imports=[onnx.helper.make_opsetid("", 17)],
    )  # fmt: skip
    onnx.save(model, tmp_path / "net.onnx")
    network = NetworkSet("mine.json", {"network": tmp_path / "net.onnx"})
    if message:
        with pytest.raises(EngineError, match=message):
            build_networks(network, (3, 64, 64), backend="tensorrt")
        assert list(compiled.folders()) == []
    else:
        (engine,) = build_networks(network, (3, 64, 48), backend="tensorrt")[0].engines
        assert engine.io is not None
        assert engine.io.inputs == {"x": (3, 64, 48)}
        assert engine.io.outputs == {"y": (3, 64, 48)}


def test_a_bundle_s_build_builds_the_default_detector_once(
    device: Device, bundle_folder: Path, command: Command
) -> None:
    words = ("engine", "build", bundle_folder, "--backend", "tensorrt")
    done = command(*words)
    assert "small, fp32, for Orin" in done.out
    assert "mediapipe-onnx, as-is, for Orin" in done.out
    again = json.loads(command(*words, "--json").out)
    assert again["bundle"] == "small"
    assert "detector" not in again
    rows = {row["bundle"]: row for row in json.loads(command("engine", "list", "--json").out)}
    assert rows.keys() == {"small", "mediapipe-onnx"}
    assert {row["state"] for row in rows.values()} == {"ready"}
    assert rows["mediapipe-onnx"]["id"].endswith("/tensorrt-as-is")
    place = Path(rows["mediapipe-onnx"]["folder"]) / "palm.engine"
    place.write_bytes(b"other")
    assert command("engine", "verify").code == 1
    assert command("engine", "remove", rows["mediapipe-onnx"]["id"]).code == 0
    assert not place.exists()
    assert command("engine", "verify").code == 0
    assert json.loads(command(*words, "--json").out)["detector"]["bundle"] == "mediapipe-onnx"


def test_without_the_networks_a_bundle_is_built_and_the_rest_is_reported(
    device: Device, cache: Path, bundle_folder: Path, command: Command
) -> None:
    for file in (cache / "networks").iterdir():
        file.unlink()
    done = command("engine", "build", bundle_folder, "--backend", "tensorrt")
    assert done.code == 0
    assert f"Run: {BUILD}; it fetches them." in done.err


def test_a_detector_is_built_without_a_bundle(device: Device, command: Command) -> None:
    for words in (("some-bundle",), ("--precision", "fp16")):
        done = command("engine", "build", *words, "--detector", "mediapipe-onnx")
        assert done.code == 2
        assert "--detector is built without a bundle" in done.err
    done = command("engine", "build", "--detector", "mediapipe")
    assert done.code == 2
    assert "mediapipe-onnx" in done.err


def test_a_run_s_detector_follows_its_model_and_is_reported(
    device: Device, bundle_folder: Path, tmp_path: Path, command: Command, scene: Scene
) -> None:
    command("engine", "build", bundle_folder, "--backend", "tensorrt")
    words = ("run", scene.video, "--out", tmp_path / "out", "--tasks", "domain", "--end", "0.2")
    done = command(*words, "--bundle", bundle_folder, "--engine", "tensorrt", "--offline")
    assert done.code == 0, done.err
    assert "detector mediapipe-onnx on Orin (tensorrt 10.3.0)" in done.err.splitlines()
    (path,) = (tmp_path / "out").glob("*.metadata.json")
    metadata = json.loads(path.read_text())
    assert metadata["detector"] == {"device": "Orin (tensorrt 10.3.0)"}
    assert metadata["settings"]["detector_engine"] == "auto"


def test_the_doctor_tells_where_the_detector_runs(
    cache: Path, bundle_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SFEDGE_BUNDLE", str(bundle_folder))
    report = doctor.examine()
    assert report.is_runnable
    assert report.detector.startswith("mediapipe-onnx on ")
    if not report.gpus:
        assert report.detector.endswith(f"cpu (onnxruntime {onnxruntime.__version__})")


@pytest.mark.parametrize("name", ["precomputed", "mediapipe"])
def test_an_engine_for_a_detector_that_takes_none_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"'{name}' runs no ONNX network.*detector_engine='cuda'"):
        build_detector(name, place=Place("cuda"), width=1, height=1)
