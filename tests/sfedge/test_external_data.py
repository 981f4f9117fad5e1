import contextlib
import shutil
from pathlib import Path

import onnx
import onnx.external_data_helper
import pytest
import small_bundle
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from sfedge.bundle.bundle import open_bundle
from sfedge.bundle.external_data import external_files
from sfedge.bundle.manifest import GRAPHS
from sfedge.core.errors import BundleError


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_bundle.make().write(tmp_path_factory.mktemp("bundle") / "small")


@pytest.fixture
def folder(pristine: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pristine, tmp_path / "small"))


def external_tensor(location: str) -> TensorProto:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("offset", "0"), ("location", location), ("length", "16")):
        tensor.external_data.add(key=key, value=value)
    return tensor


def model_with(location: str, place: str) -> onnx.ModelProto:
    """A model with external weights as an initialiser, in a node, or in a subgraph's node."""
    tensor = external_tensor(location)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    constant = helper.make_node("Constant", [], ["w"], value=tensor)
    add = helper.make_node("Add", ["x", "w"], ["y"])
    if place == "initialiser":
        graph = helper.make_graph([add], "g", [x], [y], [tensor])
    elif place == "node":
        graph = helper.make_graph([constant, add], "g", [x], [y])
    else:
        branch = helper.make_graph([constant, add], "branch", [], [y])
        condition = helper.make_tensor_value_info("c", TensorProto.BOOL, [])
        node = helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=branch)
        graph = helper.make_graph([node], "g", [x, condition], [y])
    return helper.make_model(graph)


@pytest.mark.parametrize("place", ["initialiser", "node", "subgraph"])
@pytest.mark.parametrize(
    "location",
    ["../../secret", "/etc/hostname", "secret", "../fp32/secret", "", "*/_ORT_MEM_ADDR_/*"],
)
def test_weights_outside_the_list_are_refused(folder: Path, place: str, location: str) -> None:
    model = model_with(location, place)
    (folder / "fp32" / "trunk.onnx").write_bytes(model.SerializeToString())
    small_bundle.relist(folder)
    (folder / "fp32" / "secret").write_bytes(bytes(16))
    with (
        open_bundle(folder) as bundle,
        pytest.raises(BundleError, match=r"fp32/trunk\.onnx keeps weights in .*does not list"),
    ):
        bundle.graph_path("fp32", "trunk")


def test_a_graph_with_compiled_code_is_refused(folder: Path) -> None:
    node = helper.make_node("EPContext", ["x"], ["y"], domain="com.microsoft", embed_mode=1)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4])
    model = helper.make_model(helper.make_graph([node], "g", [x], [y]))
    (folder / "fp32" / "trunk.onnx").write_bytes(model.SerializeToString())
    small_bundle.relist(folder)
    with (
        open_bundle(folder) as bundle,
        pytest.raises(BundleError, match=r"trunk\.onnx: it carries compiled code"),
    ):
        bundle.graph_path("fp32", "trunk")


def test_external_files_are_those_that_onnx_itself_finds(pristine: Path) -> None:
    for graph in GRAPHS:
        path = pristine / "fp32" / f"{graph}.onnx"
        model = onnx.load(path, load_external_data=False)
        found = {
            entry.value
            for tensor in onnx.external_data_helper._get_all_tensors(model)
            for entry in tensor.external_data
            if entry.key == "location"
        }
        assert external_files(path) == found
        assert found == ({f"{graph}.onnx.data"} if graph in ("encoder", "gaze") else set())


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200))
def test_any_bytes_are_read_as_a_graph_or_refused(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "any.onnx"
    path.write_bytes(data)
    with contextlib.suppress(BundleError):
        assert isinstance(external_files(path), set)
