"""How large the inputs of linear layers get on pictures, for scales that are fixed beforehand."""

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper
from onnxruntime import InferenceSession

from export.answers import Chain, Floats, answer_all, session_options
from export.graph_file import GraphFile
from export.linears import linear_weight
from export.pictures import View
from sfedge.manifest import GRAPHS, Manifest

Ranges = dict[str, float]  # largest absolute value by the name of what a linear layer takes


def input_ranges(
    folder: Path, manifest: Manifest, prefix: Mapping[str, Floats], views: Iterable[View]
) -> dict[str, Ranges]:
    """The largest inputs over all views and tasks, by graph.

    Args:
        folder: of the graphs in fp32.
        manifest: of the bundle.
        prefix: keys and values by task name, not padded.
        views: to run the graphs on.
    """
    chain = _Probed(folder, manifest, prefix)
    answer_all(chain, manifest, views, title="Calibrating")
    return chain.ranges


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
            seen[probed] = max(seen.get(probed, 0.0), float(value))
        return np.asarray(output)


_SUFFIX = "/probed"


def _open_probed(path: Path) -> InferenceSession:
    graph = GraphFile(path)
    model = onnx.ModelProto()
    model.CopyFrom(graph.model)
    for name in dict.fromkeys(n.input[0] for n in graph.nodes if linear_weight(n, graph)):
        size, largest = f"{name}/size", f"{name}{_SUFFIX}"
        model.graph.node.append(helper.make_node("Abs", [name], [size]))
        model.graph.node.append(helper.make_node("ReduceMax", [size], [largest], keepdims=0))
        model.graph.output.append(helper.make_tensor_value_info(largest, TensorProto.FLOAT, []))
    options = session_options()
    # The weights are beside the graph that this one was made of.
    options.add_session_config_entry(
        "session.model_external_initializers_file_folder_path", str(path.parent)
    )
    return InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
