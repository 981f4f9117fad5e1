"""What targets run: vendors' operators, newer ones and types are refused by name."""

import onnx
import pytest
from onnx import TensorProto, helper

from sfedge.core.errors import BundleError
from sfedge.detect.conversion import networks
from sfedge_export.operators import CPU, GPU, check_operators


def model(operator: str, domain: str = "", kind: int = TensorProto.FLOAT) -> onnx.ModelProto:
    ports = [helper.make_tensor_value_info(name, kind, [1]) for name in ("x", "y", "z")]
    nodes = [
        helper.make_node(operator, ["x"], ["z"], domain=domain),
        helper.make_node("Relu", ["z"], ["y"]),
    ]
    return helper.make_model(
        helper.make_graph(nodes, "g", ports[:1], ports[1:2], value_info=ports[2:])
    )


@pytest.mark.parametrize("allowed", [CPU, GPU])
@pytest.mark.parametrize(
    ("operator", "domain", "name"),
    [
        ("GroupQueryAttention", "com.microsoft", "com.microsoft.GroupQueryAttention"),
        ("Attention", "", "Attention"),
        ("Loop", "", "Loop"),
    ],
)
def test_an_operator_that_some_do_not_run_is_refused(
    operator: str, domain: str, name: str, allowed: frozenset[str]
) -> None:
    with pytest.raises(BundleError, match=f"g.onnx: not all .PUs run {name}"):
        check_operators(model(operator, domain), allowed, where="g.onnx")


def test_whole_numbers_without_sign_are_for_cpus_alone() -> None:
    unsigned = model("Abs", kind=TensorProto.UINT8)
    check_operators(unsigned, CPU, where="g.onnx")
    with pytest.raises(BundleError, match="not all GPUs run UINT8 in z"):
        check_operators(unsigned, GPU, where="g.onnx")


def test_integer_products_are_for_cpus_alone() -> None:
    check_operators(model("MatMulInteger"), CPU, where="g.onnx")
    with pytest.raises(BundleError, match="MatMulInteger"):
        check_operators(model("MatMulInteger"), GPU, where="g.onnx")


@pytest.mark.parametrize("name", [*networks.NETWORKS])
def test_detector_networks_hold_nothing_that_some_do_not_run(name: str) -> None:
    network = onnx.shape_inference.infer_shapes(onnx.load(networks.fetch([name])[name]))
    for allowed in (CPU, GPU):
        check_operators(network, allowed, where=name)
