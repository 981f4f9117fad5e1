"""A bundle's networks as ONNX files, each checked against the names and shapes it must have."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
import onnx_ir
import torch
from onnx import checker, shape_inference
from torch import Tensor, nn

from sfedge.bundle.graph_io import PROMPT_AXES, GraphIO, Port, check_ports
from sfedge.core.errors import BundleError
from sfedge_export.operators import GPU, check_operators

# The newest operator set that ONNX Runtime and TensorRT 10.3 to 11 all run; later ones bring a
# fused attention that TensorRT refuses in float32.
OPSET = 18


def random_inputs(io: GraphIO, batch: int, seed: int = 0, *, cut: int = 0) -> dict[str, Tensor]:
    """Normal inputs of a network; masks are among them, as any number must be handled alike.

    Args:
        io: what it takes.
        batch: samples.
        seed: of the numbers.
        cut: tokens by which the prompt is shorter than the longest; one stays in any case.
    """
    generator = torch.Generator().manual_seed(seed)
    inputs = {}
    for name, dims in io.inputs.items():
        sizes = [batch, *dims]
        if axis := PROMPT_AXES.get(name):
            sizes[axis] = max(sizes[axis] - cut, 1)
        inputs[name] = torch.randn(sizes, generator=generator)
    return inputs


def write_graph(module: nn.Module, io: GraphIO, folder: Path) -> Path:
    """Write `<name>.onnx` and its weights `<name>.onnx.data`; batch and prompt are dynamic.

    Args:
        module: its forward names its arguments as `io` names the inputs.
        io: what the graph takes and gives.
        folder: where the files go.

    Raises:
        BundleError: the network cannot be written as ONNX, or ONNX's own checks refuse it.
        EngineError: its inputs or outputs are not those of `io`.
    """
    path = folder / f"{io.name}.onnx"
    program = _program(module.eval(), io)
    _forget_origin(program.model)
    program.save(path, external_data=True)
    check_file(path, io, GPU)
    return path


def _program(module: nn.Module, io: GraphIO) -> torch.onnx.ONNXProgram:
    batch, prompt = (torch.export.Dim(name, min=1) for name in ("batch", "prompt"))
    free = {
        name: {0: batch, **({PROMPT_AXES[name]: prompt} if name in PROMPT_AXES else {})}
        for name in io.inputs
    }
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the exporter's notes on its own parts
            program = torch.onnx.export(
                module,
                kwargs=random_inputs(io, 2),
                dynamo=True,
                opset_version=OPSET,
                output_names=list(io.outputs),
                dynamic_shapes=free,
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as error:
        reason = str(error.__cause__ or error).strip().splitlines()[0]
        raise BundleError(
            f"the network cannot be written as ONNX ({reason})", where=io.name
        ) from error
    assert program is not None  # the dynamo exporter always returns one
    return program


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


def check_file(path: Path, io: GraphIO, allowed: frozenset[str]) -> None:
    """ONNX's checker and shape inference, by path: files may be larger than a message may be.

    Args:
        path: of the graph.
        io: what it must take and give.
        allowed: the operators of its target.

    Raises:
        BundleError: ONNX refuses it, or its target does not run it.
        EngineError: its inputs or outputs are not those of `io`.
    """
    with TemporaryDirectory(dir=path.parent) as scratch:
        inferred = Path(scratch) / path.name
        try:
            checker.check_model(str(path))
            shape_inference.infer_shapes_path(
                str(path), str(inferred), check_type=True, strict_mode=True
            )
        except (checker.ValidationError, shape_inference.InferenceError) as error:
            raise BundleError(f"ONNX refuses the network ({error})", where=path.name) from error
        model = onnx.load(str(inferred), load_external_data=False)
    check_operators(model, allowed, where=path.name)
    check_ports(io, _ports(model.graph.input), _ports(model.graph.output), where=path.name)


def _ports(values: Sequence[onnx.ValueInfoProto]) -> list[Port]:
    ports = []
    for value in values:
        tensor = value.type.tensor_type
        kind = str(onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type))
        ports.append(
            Port(value.name, kind, [dim.dim_param or dim.dim_value for dim in tensor.shape.dim])
        )
    return ports
