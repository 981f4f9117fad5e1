"""Networks as ONNX: the same values at any batch, plain operators, nothing of this machine."""

from pathlib import Path

import onnx
import onnxruntime
import pytest
import timm
import torch
from torch import Tensor, nn

from sfedge.bundle.bundle import open_bundle
from sfedge.bundle.graph_io import GraphIO, graph_io
from sfedge.bundle.manifest import GRAPHS
from sfedge.core.errors import BundleError, EngineError
from sfedge_export.exported_graphs import Connector, Encoder
from sfedge_export.onnx_graphs import random_inputs, write_graph
from sfedge_training.model.image_encoders import TimmEncoder
from sfedge_training.model.social_fusion import SocialFusion


def run(path: Path, inputs: dict[str, Tensor]) -> Tensor:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {name: value.numpy() for name, value in inputs.items()})
    return torch.from_numpy(found)


@pytest.mark.parametrize("batch", [1, 3])
def test_the_encoder_of_a_bundle_is_the_trained_one_at_any_batch(
    small_bundle: Path, small_model: SocialFusion, batch: int
) -> None:
    images = torch.randn(batch, 3, 32, 32)
    with torch.inference_mode():
        wanted = small_model.encoder(images)
    found = run(small_bundle / "fp32" / "encoder.onnx", {"images": images})
    assert (found - wanted).abs().max() <= 1e-4 * wanted.abs().max()


@pytest.mark.parametrize("name", GRAPHS)
def test_samples_of_a_batch_do_not_touch_each_other(small_bundle: Path, name: str) -> None:
    with open_bundle(small_bundle) as bundle:
        inputs = random_inputs(graph_io(bundle.manifest)[name], 3)
        path = bundle.graph_path("fp32", name)
    together = run(path, inputs)
    for row in range(3):
        alone = run(path, {key: value[row : row + 1] for key, value in inputs.items()})
        torch.testing.assert_close(together[row : row + 1], alone, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", GRAPHS)
def test_graphs_use_only_operators_of_the_standard(small_bundle: Path, name: str) -> None:
    graph = onnx.load(str(small_bundle / "fp32" / f"{name}.onnx"), load_external_data=False)
    assert [(used.domain, used.version) for used in graph.opset_import] == [("", 18)]
    assert not graph.functions
    operators = {node.op_type for node in graph.graph.node}
    assert not operators & {"Attention", "If", "Loop", "Scan", "Where", "IsNaN", "NonZero"}


@pytest.mark.parametrize("name", GRAPHS)
def test_graphs_tell_nothing_of_the_machine(small_bundle: Path, name: str) -> None:
    content = (small_bundle / "fp32" / f"{name}.onnx").read_bytes()
    for trace in (str(Path(__file__).parents[2]), "site-packages", "stack_trace", "object at 0x"):
        assert trace.encode() not in content


def test_weights_stand_in_one_file_beside_each_graph(small_bundle: Path) -> None:
    names = sorted(path.name for path in (small_bundle / "fp32").iterdir())
    assert names == sorted(f"{name}.onnx{end}" for name in GRAPHS for end in ("", ".data"))


def test_a_timm_encoder_is_exported_too(tmp_path: Path) -> None:
    torch.manual_seed(0)
    visual = timm.models.VisionTransformer(
        img_size=32, patch_size=8, embed_dim=32, depth=2, num_heads=2, num_classes=0
    )
    encoder = TimmEncoder(visual.eval(), layer=-1).eval()
    io = GraphIO("encoder", {"images": (3, 32, 32)}, {"features": (16, 32)})
    path = write_graph(Encoder(encoder), io, tmp_path)
    inputs = random_inputs(io, 3)
    with torch.inference_mode():
        wanted = encoder(inputs["images"])
    torch.testing.assert_close(run(path, inputs), wanted, rtol=1e-4, atol=1e-5)


def test_a_network_written_twice_is_the_same_file(
    small_bundle: Path, small_model: SocialFusion, tmp_path: Path
) -> None:
    with open_bundle(small_bundle) as bundle:
        io = graph_io(bundle.manifest)["connector"]
    module = Connector(small_model.connector, None, None)
    path = write_graph(module, io, tmp_path)
    for end in ("", ".data"):
        again = path.with_name(path.name + end).read_bytes()
        assert again == (small_bundle / "fp32" / (path.name + end)).read_bytes()


class Sum(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        return values.sum(-1)


def test_an_output_of_another_shape_is_refused(tmp_path: Path) -> None:
    io = GraphIO("sum", {"values": (4, 5)}, {"total": (5,)})
    with pytest.raises(EngineError, match="'total'"):
        write_graph(Sum(), io, tmp_path)


class Branching(nn.Module):
    def forward(self, values: Tensor) -> Tensor:
        return values if values.sum() > 0 else -values


def test_a_network_that_depends_on_its_values_is_refused_by_name(tmp_path: Path) -> None:
    io = GraphIO("branching", {"values": (4,)}, {"total": (4,)})
    with pytest.raises(BundleError, match="branching: the network cannot be written as ONNX"):
        write_graph(Branching(), io, tmp_path)
