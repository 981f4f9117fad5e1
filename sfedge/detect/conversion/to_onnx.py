"""Converts the detector networks from TFLite to ONNX: numpy alone, no TensorFlow.

Constants are folded (weights come in half precision and partly sparse), activations are in the
layout of ONNX (NCHW), and PReLU is written as convolutions, in which ONNX Runtime is two to three
times as fast.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from sfedge.detect.conversion.tflite import Array, Graph, Operator, read_tflite
from sfedge.engines.onnx_file import Attribute, Node, write_onnx

_NCHW, _NHWC = (0, 3, 1, 2), (0, 2, 3, 1)
_SAME = 0  # Padding
_RELU, _RELU6 = 1, 3  # ActivationFunctionType


def to_onnx(tflite: bytes, outputs: Iterable[str] | None = None) -> bytes:
    """The same network as an ONNX file; the same bytes give the same file.

    Its input and outputs have the names and the layout (NHWC) that they have in the TFLite file,
    float32, with a free batch size.

    Args:
        tflite: content of a TFLite file.
        outputs: names of those to keep; None for all. What only the others need is left out.

    Raises:
        ValueError: the file is damaged, or holds what the detector networks do not.
    """
    graph = read_tflite(tflite)
    by_name = {graph.tensors[i].name: i for i in graph.outputs}
    kept = [*by_name] if outputs is None else [*outputs]
    if unknown := [name for name in kept if name not in by_name]:
        raise ValueError(f"it has no output {unknown[0]!r}, but {', '.join(by_name)}")
    return _Conversion(graph, [by_name[name] for name in kept]).write()


class _Conversion:
    def __init__(self, graph: Graph, outputs: Sequence[int]) -> None:
        self._graph = graph
        self._outputs = outputs
        self._nodes: list[Node] = []
        self._constants: dict[str, Array] = {}
        self._folded: dict[int, Array] = {
            i: tensor.value for i, tensor in enumerate(graph.tensors) if tensor.value is not None
        }

    def write(self) -> bytes:
        (source,) = self._graph.inputs
        name = self._graph.tensors[source].name
        self._nodes.append(Node("Transpose", [name], [_name(source)], {"perm": _NCHW}))
        for operator in _needed(self._graph.operators, self._outputs):
            _CONVERTERS[operator.name](self, operator)
        for i in self._outputs:
            name = self._graph.tensors[i].name
            if len(self._shape(i)) == 4:
                self._nodes.append(Node("Transpose", [_name(i)], [name], {"perm": _NHWC}))
            else:
                self._nodes.append(Node("Identity", [_name(i)], [name]))
        return write_onnx(
            self._nodes, self._ports([source]), self._ports(self._outputs), self._constants
        )

    def dequantize(self, operator: Operator) -> None:
        self._folded[operator.outputs[0]] = self._value(operator.inputs[0]).astype(np.float32)

    def densify(self, operator: Operator) -> None:
        self._folded[operator.outputs[0]] = self._value(operator.inputs[0])

    def convolution(self, operator: Operator) -> None:
        source, weights = operator.inputs[:2]
        kernel = self._value(weights).transpose(0, 3, 1, 2)  # O H W I
        attributes: dict[str, Attribute] = {"group": 1}
        if operator.name == "DEPTHWISE_CONV_2D":
            if operator.options["multiplier"] != 1:
                raise ValueError("a depthwise convolution has a multiplier")
            kernel = kernel.transpose(1, 0, 2, 3)  # 1 H W C
            attributes["group"] = len(kernel)
        attributes |= self._window(operator, kernel.shape[2:])
        dilations = (operator.options["dilation_h"], operator.options["dilation_w"])
        if dilations != (1, 1):
            raise ValueError("a convolution is dilated")
        inputs = [_name(source), self._constant(np.ascontiguousarray(kernel))]
        if len(operator.inputs) > 2 and operator.inputs[2] >= 0:
            inputs.append(self._constant(self._value(operator.inputs[2])))
        self._add("Conv", inputs, operator, attributes)

    def pooling(self, operator: Operator) -> None:
        size = (operator.options["filter_h"], operator.options["filter_w"])
        attributes: dict[str, Attribute] = {"kernel_shape": size, **self._window(operator, size)}
        self._add("MaxPool", [_name(operator.inputs[0])], operator, attributes)

    def dense(self, operator: Operator) -> None:
        source, weights, bias = operator.inputs
        if len(self._shape(source)) != 2 or operator.options["weights_format"] != 0:
            raise ValueError("a fully connected layer is not plain")
        constants = [self._constant(self._value(i)) for i in (weights, bias)]
        self._add("Gemm", [_name(source), *constants], operator, {"transB": 1})

    def addition(self, operator: Operator) -> None:
        self._add("Add", [_name(i) for i in operator.inputs], operator)

    def prelu(self, operator: Operator) -> None:
        """As alpha x + (1 - alpha) relu(x), two depthwise convolutions."""
        source, result = operator.inputs[0], operator.outputs[0]
        channels = self._shape(source)[3]
        alpha = np.broadcast_to(self._value(operator.inputs[1]), (1, 1, channels))
        alpha = alpha.reshape(channels, 1, 1, 1).astype(np.float32)
        names = [f"{_name(result)}_{part}" for part in ("relu", "low", "high")]
        self._nodes += [
            Node("Relu", [_name(source)], names[:1]),
            Node("Conv", [_name(source), self._constant(alpha)], [names[1]], {"group": channels}),
            Node("Conv", [names[0], self._constant(1 - alpha)], [names[2]], {"group": channels}),
            Node("Add", names[1:], [_name(result)]),
        ]

    def padding(self, operator: Operator) -> None:
        before_after = self._value(operator.inputs[1])[list(_NCHW)]  # (4, 2)
        if before_after[1].any() and not before_after[[0, 2, 3]].any() and before_after[1, 0] == 0:
            # Channels of zeros, as a convolution: ONNX Runtime keeps its own layout across it.
            channels, more = self._shape(operator.inputs[0])[3], int(before_after[1, 1])
            identity = np.eye(channels + more, channels, dtype=np.float32)[..., None, None]
            self._add("Conv", [_name(operator.inputs[0]), self._constant(identity)], operator)
            return
        pads = self._constant(before_after.T.reshape(-1).astype(np.int64))
        self._add("Pad", [_name(operator.inputs[0]), pads], operator)

    def resizing(self, operator: Operator) -> None:
        if operator.options["align_corners"] or not operator.options["half_pixel_centers"]:
            raise ValueError("a picture is resized otherwise than by half pixel centres")
        before, after = (self._shape(i)[1:3] for i in (operator.inputs[0], operator.outputs[0]))
        scales = np.array([1, 1, *(b / a for a, b in zip(before, after, strict=True))], np.float32)
        attributes: dict[str, Attribute] = {
            "mode": "linear",
            "coordinate_transformation_mode": "half_pixel",
        }
        inputs = [_name(operator.inputs[0]), "", self._constant(scales)]
        self._add("Resize", inputs, operator, attributes)

    def reshape(self, operator: Operator) -> None:
        source, result = operator.inputs[0], operator.outputs[0]
        name = _name(source)
        if len(self._shape(source)) == 4:
            name = f"{_name(result)}_nhwc"
            self._nodes.append(Node("Transpose", [_name(source)], [name], {"perm": _NHWC}))
        if len(self._shape(result)) == 4:
            raise ValueError("something is reshaped to a picture")
        sizes = np.array([0, *self._shape(result)[1:]], np.int64)  # 0: the batch, as it is
        self._add("Reshape", [name, self._constant(sizes)], operator)

    def mean(self, operator: Operator) -> None:
        axes = sorted(np.atleast_1d(self._value(operator.inputs[1])).tolist())
        if axes != [1, 2]:
            raise ValueError("a mean is not over a whole picture")
        attributes: dict[str, Attribute] = {
            "axes": (2, 3),
            "keepdims": operator.options["keep_dims"],
        }
        self._add("ReduceMean", [_name(operator.inputs[0])], operator, attributes)

    def concatenation(self, operator: Operator) -> None:
        if len(self._shape(operator.outputs[0])) == 4:
            raise ValueError("pictures are concatenated")
        inputs = [_name(i) for i in operator.inputs]
        self._add("Concat", inputs, operator, {"axis": operator.options["axis"]})

    def depth_to_space(self, operator: Operator) -> None:
        attributes: dict[str, Attribute] = {
            "blocksize": operator.options["block_size"],
            "mode": "DCR",
        }
        self._add("DepthToSpace", [_name(operator.inputs[0])], operator, attributes)

    def relu(self, operator: Operator) -> None:
        self._add("Relu", [_name(operator.inputs[0])], operator)

    def logistic(self, operator: Operator) -> None:
        self._add("Sigmoid", [_name(operator.inputs[0])], operator)

    def _add(
        self,
        onnx: str,
        inputs: Sequence[str],
        operator: Operator,
        attributes: Mapping[str, Attribute] | None = None,
    ) -> None:
        """Add a node, and one for the activation that is part of the operator."""
        result = _name(operator.outputs[0])
        activation = operator.options.get("activation", 0)
        if activation not in (0, _RELU, _RELU6):
            raise ValueError(f"activation {activation} is not one of the detector networks'")
        first = f"{result}_linear" if activation else result
        self._nodes.append(Node(onnx, inputs, [first], attributes or {}))
        if activation == _RELU:
            self._nodes.append(Node("Relu", [first], [result]))
        elif activation == _RELU6:
            limits = [self._constant(np.array(v, np.float32)) for v in (0, 6)]
            self._nodes.append(Node("Clip", [first, *limits], [result]))

    def _window(self, operator: Operator, kernel: Sequence[int]) -> dict[str, Attribute]:
        """Strides and pads; with SAME the odd pixel is padded behind, as TensorFlow does."""
        strides = (operator.options["stride_h"], operator.options["stride_w"])
        before, after = [0, 0], [0, 0]
        if operator.options["padding"] == _SAME:
            sizes = self._shape(operator.inputs[0])[1:3]
            for axis, (size, stride, k) in enumerate(zip(sizes, strides, kernel, strict=True)):
                total = max((-(-size // stride) - 1) * stride + k - size, 0)
                before[axis], after[axis] = total // 2, total - total // 2
        return {"strides": strides, "pads": [*before, *after]}

    def _constant(self, value: Array) -> str:
        name = f"c{len(self._constants)}"
        self._constants[name] = value
        return name

    def _value(self, tensor: int) -> Array:
        if tensor not in self._folded:
            raise ValueError(f"{self._graph.tensors[tensor].name} is not constant")
        return self._folded[tensor]

    def _shape(self, tensor: int) -> tuple[int, ...]:
        return self._graph.tensors[tensor].shape

    def _ports(self, tensors: Iterable[int]) -> dict[str, tuple[str, Sequence[int | None]]]:
        return {
            self._graph.tensors[i].name: ("float32", [None, *self._shape(i)[1:]]) for i in tensors
        }


def _name(tensor: int) -> str:
    return f"t{tensor}"


def _needed(operators: Sequence[Operator], outputs: Iterable[int]) -> list[Operator]:
    """The operators that something of the outputs depends on, in order."""
    wanted, needed = set(outputs), []
    for operator in reversed(operators):
        if wanted & set(operator.outputs):
            wanted |= set(operator.inputs)
            needed.append(operator)
    return needed[::-1]


_CONVERTERS: Mapping[str, Callable[[_Conversion, Operator], None]] = {
    "ADD": _Conversion.addition,
    "CONCATENATION": _Conversion.concatenation,
    "CONV_2D": _Conversion.convolution,
    "DENSIFY": _Conversion.densify,
    "DEPTHWISE_CONV_2D": _Conversion.convolution,
    "DEPTH_TO_SPACE": _Conversion.depth_to_space,
    "DEQUANTIZE": _Conversion.dequantize,
    "FULLY_CONNECTED": _Conversion.dense,
    "LOGISTIC": _Conversion.logistic,
    "MAX_POOL_2D": _Conversion.pooling,
    "MEAN": _Conversion.mean,
    "PAD": _Conversion.padding,
    "PRELU": _Conversion.prelu,
    "RELU": _Conversion.relu,
    "RESHAPE": _Conversion.reshape,
    "RESIZE_BILINEAR": _Conversion.resizing,
}
