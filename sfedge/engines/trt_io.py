"""What a graph, as TensorRT has read it from ONNX, takes and gives."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

from sfedge.bundle.graph_io import FLOAT, PROMPT_AXES, Dims, GraphIO, Port, check_ports
from sfedge.core.errors import EngineError
from sfedge.engines.trt import port

# Sets what is free in a network (TensorRT's module, the network, its file), and says what it then
# takes and gives; raises EngineError where that is not what it should be.
Fit = Callable[[ModuleType, Any, str], GraphIO]


def as_promised(contract: GraphIO) -> Fit:
    """A bundle's graph is as the bundle says; its batch stays free."""

    def fit(trt: ModuleType, network: Any, where: str) -> GraphIO:
        for tensor in _inputs(network):
            if tensor.name in PROMPT_AXES and tensor.name in contract.inputs:
                # Prompts come padded, as those of several tasks go in one run: a size that is
                # known while building makes faster kernels.
                tensor.shape = (-1, *contract.inputs[tensor.name])
        check_ports(contract, *_ports(trt, network), where=where)
        return contract

    return fit


def as_found(name: str, picture: Dims) -> Fit:
    """A detector's network takes one picture; what it gives is in the network.

    Args:
        name: of the network.
        picture: the input's sizes without the batch, where the network leaves some of them free.
    """

    def fit(trt: ModuleType, network: Any, where: str) -> GraphIO:
        for tensor in _inputs(network):
            sizes = tuple(tensor.shape)[1:]
            wanted = picture if len(picture) == len(sizes) else sizes
            tensor.shape = (
                1,
                *(size if size > 0 else want for size, want in zip(sizes, wanted, strict=True)),
            )
        ports = _ports(trt, network)
        if len(ports[0]) != 1:
            raise _unfit(f"it has {len(ports[0])} inputs", where)
        found = [
            {p.name: tuple(size for size in p.shape if isinstance(size, int)) for p in side}
            for side in ports
        ]
        for p in (*ports[0], *ports[1]):
            if p.type != FLOAT or p.shape[:1] != [1] or None in p.shape:
                raise _unfit(f"its {p.name!r} is {p.type} {p.shape}", where)
        inputs, outputs = ({name: dims[1:] for name, dims in side.items()} for side in found)
        return GraphIO(name, inputs, outputs)

    return fit


def _unfit(what: str, where: str) -> EngineError:
    return EngineError(
        f"{what}; a native engine of a detector takes one picture and gives outputs of fixed "
        "sizes, all float32 with a first dimension of 1",
        where=where,
        fix="Run it on cuda or on the CPU.",
    )


def _ports(trt: ModuleType, network: Any) -> tuple[list[Port], list[Port]]:
    """Inputs and outputs."""
    outputs = [network.get_output(index) for index in range(network.num_outputs)]
    taken, given = (
        [port(trt, tensor.name, tensor.dtype, tensor.shape) for tensor in tensors]
        for tensors in (_inputs(network), outputs)
    )
    return taken, given


def _inputs(network: Any) -> list[Any]:
    return [network.get_input(index) for index in range(network.num_inputs)]
