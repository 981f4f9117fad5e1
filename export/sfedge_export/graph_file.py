"""ONNX graphs read and rewritten one weight at a time, so that none is ever held whole."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

Array = NDArray[Any]

# Large weights start where every system can map them into memory, small ones where vectors can.
_PAGE, _VECTOR = 1 << 16, 1 << 6
_LARGE = 1 << 20  # bytes from which a weight counts as large
_INLINE = 1 << 8  # bytes up to which a constant stands in the graph itself


class GraphFile:
    """A graph on disk; its weights stay there until they are asked for."""

    def __init__(self, path: Path) -> None:
        self.model = onnx.load(str(path), load_external_data=False)
        self._folder = path.parent
        self._tensors = {tensor.name: tensor for tensor in self.model.graph.initializer}

    @property
    def nodes(self) -> Sequence[NodeProto]:
        """Its operations in an order in which they can run."""
        nodes: Sequence[NodeProto] = self.model.graph.node
        return nodes

    def dims(self, name: str) -> tuple[int, ...] | None:
        """The shape of a constant; None for what is computed."""
        tensor = self._tensors.get(name)
        return None if tensor is None else tuple(tensor.dims)

    def weight(self, name: str) -> Array:
        """One constant, read anew at each call."""
        tensor = TensorProto()
        tensor.CopyFrom(self._tensors[name])  # reading would leave its bytes in the original
        return numpy_helper.to_array(tensor, str(self._folder))


class GraphWriter:
    """A new graph with the inputs and outputs of `source`, written weight by weight.

    Constants of `source` that the new graph uses, too, are copied from it.
    """

    def __init__(self, source: GraphFile) -> None:
        self.source = source
        self._nodes: list[NodeProto] = []
        self._made: dict[str, Callable[[], Array]] = {}

    def keep(self, node: NodeProto) -> None:
        """Take an operation of `source` as it is."""
        self._nodes.append(node)

    def add(self, operator: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        """Add an operation, and give the name of its output."""
        self._nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def weight(self, name: str, make: Callable[[], Array]) -> str:
        """A constant of the new graph; `make` is called when it is written."""
        self._made.setdefault(name, make)
        return name

    def constant(self, value: Array) -> str:
        """A small constant, named by its value."""
        spelled = "_".join(str(number) for number in value.reshape(-1))
        return self.weight(f"{value.dtype}{list(value.shape)}_{spelled}", lambda: value)

    def write(self, path: Path, opset: int) -> None:
        """Write `path` and, beside it, its weights as `<name>.data`."""
        model = onnx.ModelProto()
        model.CopyFrom(self.source.model)
        model.graph.ClearField("value_info")
        model.graph.ClearField("initializer")
        model.graph.ClearField("node")
        model.graph.node.extend(self._nodes)
        model.ClearField("opset_import")
        model.opset_import.append(helper.make_opsetid("", opset))
        used = dict.fromkeys(name for node in self._nodes for name in node.input)
        with path.with_name(f"{path.name}.data").open("wb") as data:
            for name in used:
                if name in self._made:
                    model.graph.initializer.append(_stored(name, self._made[name](), data))
                elif self.source.dims(name) is not None:
                    model.graph.initializer.append(_stored(name, self.source.weight(name), data))
        path.write_bytes(model.SerializeToString(deterministic=True))


def _stored(name: str, array: Array, data: BinaryIO) -> TensorProto:
    """A constant as the graph names it; its bytes go into `data` unless they are few."""
    if array.nbytes <= _INLINE:
        return numpy_helper.from_array(array, name)
    step = _PAGE if array.nbytes >= _LARGE else _VECTOR
    data.write(bytes(-data.tell() % step))
    tensor = TensorProto(
        name=name,
        dims=array.shape,
        data_type=helper.np_dtype_to_tensor_dtype(array.dtype),
        data_location=TensorProto.EXTERNAL,
    )
    places = {"location": Path(data.name).name, "offset": data.tell(), "length": array.nbytes}
    for key, value in places.items():
        tensor.external_data.add(key=key, value=str(value))
    data.write(np.ascontiguousarray(array).view(np.uint8).data)
    return tensor
