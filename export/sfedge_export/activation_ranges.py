"""How large the inputs of linear layers get on pictures, channel by channel."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import InferenceSession

from sfedge.bundle.manifest import GRAPHS, Manifest
from sfedge_export.calibration_pictures import View
from sfedge_export.graph_file import Array, GraphFile
from sfedge_export.linears import linear_weight
from sfedge_export.precision_session import Answers, Chain, Floats, answer_all, session_options

Ranges = dict[str, Array]  # largest absolute values by the name of what a linear layer takes


def calibrate(
    folder: Path, manifest: Manifest, prefix: Mapping[str, Floats], views: Iterable[View]
) -> tuple[dict[str, Ranges], Answers]:
    """The largest inputs over all views and tasks by graph, and the answers on the way.

    Args:
        folder: of the graphs in fp32.
        manifest: of the bundle.
        prefix: keys and values by task name, not padded.
        views: to run the graphs on.
    """
    chain = _Probed(folder, manifest, prefix)
    answers = answer_all(chain, manifest, views, title="Asking fp32")
    return chain.ranges, answers


class _Probed(Chain):
    """The graphs with an output more for each input of a linear layer."""

    def __init__(self, folder: Path, manifest: Manifest, prefix: Mapping[str, Floats]) -> None:
        super().__init__(folder, manifest, prefix, _open_probed)
        self.ranges: dict[str, Ranges] = {name: {} for name in GRAPHS}

    def _run(self, name: str, **inputs: Floats) -> Floats:
        session = self._sessions[name]
        output, *largest = session.run(None, inputs)
        seen = self.ranges[name]
        for port, value in zip(session.get_outputs()[1:], largest, strict=True):
            probed = port.name.removesuffix(_SUFFIX)
            seen[probed] = np.maximum(seen.get(probed, 0), value)
        return np.asarray(output)


_SUFFIX, _FIRST = "/probed", "/first_axis"


def _open_probed(path: Path) -> InferenceSession:
    graph = GraphFile(path)
    model = onnx.ModelProto()
    model.CopyFrom(graph.model)
    probed = {n.input[0]: linear_weight(n, graph) for n in graph.nodes if linear_weight(n, graph)}
    for name, weight in probed.items():
        width = (graph.dims(weight or "") or (0,))[0]
        size, rows, axes = f"{name}/size", f"{name}/rows", f"{name}/axes"
        model.graph.initializer.append(numpy_helper.from_array(np.array([-1, width]), axes))
        model.graph.node.append(helper.make_node("Abs", [name], [size]))
        model.graph.node.append(helper.make_node("Reshape", [size, axes], [rows]))
        model.graph.node.append(
            helper.make_node("ReduceMax", [rows, _FIRST], [f"{name}{_SUFFIX}"], keepdims=0)
        )
        model.graph.output.append(
            helper.make_tensor_value_info(f"{name}{_SUFFIX}", TensorProto.FLOAT, [width])
        )
    model.graph.initializer.append(numpy_helper.from_array(np.array([0]), _FIRST))
    options = session_options()
    # The weights are beside the graph that this one was made of.
    options.add_session_config_entry(
        "session.model_external_initializers_file_folder_path", str(path.parent)
    )
    return InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
