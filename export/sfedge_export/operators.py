"""Which operators a graph may hold, by what is to run it."""

import onnx
from onnx import TensorProto

from sfedge.core.errors import BundleError

# Run by ONNX Runtime's CPU and CUDA providers and by TensorRT 10.3 to 11 alike.
_NAMES = (
    "Abs Add AveragePool BatchNormalization Cast Ceil Clip Concat Constant ConstantOfShape Conv "
    "ConvTranspose Cos DepthToSpace Div Dropout Elu Equal Erf Exp Expand Flatten Floor Gather "
    "Gemm GlobalAveragePool Greater HardSigmoid HardSwish Identity InstanceNormalization "
    "LayerNormalization LeakyRelu Less Log MatMul Max MaxPool Min Mish Mod Mul Neg Not PRelu Pad "
    "Pow Range Reciprocal ReduceMax ReduceMean ReduceMin ReduceSum Relu Reshape Resize Round "
    "Shape Sigmoid Sin Size Slice Softmax Softplus SpaceToDepth Split Sqrt Squeeze Sub Tanh Tile "
    "Transpose Unsqueeze Where"
)
_EVERYWHERE = frozenset(_NAMES.split())
CPU = _EVERYWHERE | {"MatMulInteger", "QuantizeLinear"}
GPU = _EVERYWHERE | {"QuantizeLinear", "DequantizeLinear"}
# TensorRT: "does not support UINT8 types for intermediate tensors".
_NOT_ON_GPU = {TensorProto.UINT8}


def check_operators(model: onnx.ModelProto, allowed: frozenset[str], *, where: str) -> None:
    """Refuse a graph with an operator that its target does not run.

    Args:
        model: with the types of its values inferred.
        allowed: CPU or GPU.
        where: the file, as messages name it.

    Raises:
        BundleError: an operator or a type is not among those that run there.
    """
    graph = model.graph
    foreign = {f"{node.domain}.{node.op_type}" for node in graph.node if node.domain}
    foreign |= {
        node.op_type for node in graph.node if not node.domain and node.op_type not in allowed
    }
    if allowed is GPU:
        foreign |= {
            f"{TensorProto.DataType.Name(value.type.tensor_type.elem_type)} in {value.name}"
            for value in graph.value_info
            if value.type.tensor_type.elem_type in _NOT_ON_GPU
        }
    if foreign:
        target = "GPUs" if allowed is GPU else "CPUs"
        raise BundleError(f"not all {target} run {', '.join(sorted(foreign))}", where=where)
