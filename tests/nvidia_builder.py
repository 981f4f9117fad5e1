"""NVIDIA's builder for desktop devices, the real one: it compiles without a device at hand."""

import importlib.util
from pathlib import Path

import pytest

from sfedge.bundle.graph_io import GraphIO

needs_builder = pytest.mark.skipif(
    importlib.util.find_spec("tensorrt_rtx_bindings") is None,
    reason="needs tensorrt-rtx-cu13-bindings (x86-64 only)",
)


def build(path: Path, io: GraphIO) -> int:
    """Size of the engine in bytes, for one to four queries; fails with the builder's reasons."""
    import tensorrt_rtx_bindings as trt

    log = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(log)
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = trt.OnnxParser(network, log)
    parsed = parser.parse_from_file(str(path))
    assert parsed, [parser.get_error(index).desc() for index in range(parser.num_errors)]
    config = builder.create_builder_config()
    profile = builder.create_optimization_profile()
    for name, dims in io.inputs.items():
        profile.set_shape(name, (1, *dims), (2, *dims), (4, *dims))
    config.add_optimization_profile(profile)
    plan = builder.build_serialized_network(network, config)
    assert plan is not None, path
    return int(plan.nbytes)
