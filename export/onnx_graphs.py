"""A bundle's networks as ONNX files, each checked against the shapes that were promised."""

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
import onnx_ir
import torch
from onnx import checker, shape_inference
from torch import Tensor, nn

from sfedge.errors import BundleError

# The newest operator set that ONNX Runtime and TensorRT 10.3 to 11 all run; later ones bring a
# fused attention that TensorRT refuses in float32.
OPSET = 18


@dataclass(frozen=True, slots=True, eq=False)
class Network:
    """One network of a bundle with an example of its inputs, batch first and of two or more."""

    name: str  # one of sfedge.manifest.GRAPHS
    module: nn.Module  # its forward takes the inputs in their order
    inputs: Mapping[str, Tensor]
    output: str


def write_network(network: Network, folder: Path) -> Path:
    """Write `<name>.onnx` and its weights `<name>.onnx.data`; only the batch is dynamic.

    Raises:
        BundleError: the file does not pass ONNX's own checks, or has other inputs or outputs.
    """
    path = folder / f"{network.name}.onnx"
    batch = torch.export.Dim("batch", min=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's notes on its own parts
        program = torch.onnx.export(
            network.module.eval(),
            tuple(network.inputs.values()),
            dynamo=True,
            opset_version=OPSET,
            input_names=list(network.inputs),
            output_names=[network.output],
            dynamic_shapes=tuple({0: batch} for _ in network.inputs),
            verbose=False,
        )
    assert program is not None  # the dynamo exporter always returns one
    _forget_origin(program.model)
    program.save(path, external_data=True)
    _check_file(path, network)
    return path


def _forget_origin(model: onnx_ir.Model) -> None:
    """Drop the exporter's notes, which hold stack traces with paths of this machine."""
    graph = model.graph
    for value in (*graph.inputs, *graph.outputs, *graph.initializers.values()):
        value.metadata_props.clear()
    for node in graph:
        node.metadata_props.clear()
        for value in node.outputs:
            value.metadata_props.clear()
    graph.metadata_props.clear()
    model.metadata_props.clear()


@torch.inference_mode()
def _check_file(path: Path, network: Network) -> None:
    """ONNX's checker and shape inference, by path (files may be larger than a message may be)."""
    with TemporaryDirectory(dir=path.parent) as scratch:
        inferred = Path(scratch) / path.name
        try:
            checker.check_model(str(path))
            shape_inference.infer_shapes_path(
                str(path), str(inferred), check_type=True, strict_mode=True
            )
        except (checker.ValidationError, shape_inference.InferenceError) as error:
            raise BundleError(f"ONNX refuses the network ({error})", where=path.name) from error
        graph = onnx.load(str(inferred), load_external_data=False).graph
    example = {**network.inputs, network.output: network.module(*network.inputs.values())}
    wanted = {name: _signature(tuple(tensor.shape)) for name, tensor in example.items()}
    found = {value.name: _declared(value) for value in (*graph.input, *graph.output)}
    if found != wanted:
        raise BundleError(
            f"inputs and outputs are {found}, not {wanted}",
            where=path.name,
            fix="Check the versions of torch and onnx.",
        )


def _signature(shape: tuple[int, ...]) -> tuple[str | int, ...]:
    return ("float32", "batch", *shape[1:])


def _declared(value: onnx.ValueInfoProto) -> tuple[str | int, ...]:
    tensor = value.type.tensor_type
    kind = str(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type))
    return (kind, *(dim.dim_param or dim.dim_value for dim in tensor.shape.dim))
