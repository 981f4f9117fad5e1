"""The stand-ins of CUDA and TensorRT promise nothing that NVIDIA's own do not have."""

import importlib.util
import inspect
import re
from pathlib import Path

import fake_cuda
import pytest
from fake_cuda import Cudart, Device
from fake_nvidia import CLASSES


def public(thing: type) -> list[str]:
    return [name for name in vars(thing) if not name.startswith("_")]


def test_the_calls_of_cuda_are_those_of_cuda_python() -> None:
    real = pytest.importorskip("cuda.bindings.runtime")
    for name in public(Cudart):
        assert hasattr(real, name), name
        if not inspect.isclass(getattr(Cudart, name)):
            (signature,) = re.findall(rf"^{name}\((.*)\)", getattr(real, name).__doc__)
            theirs = [part.split(":")[0].split()[-1] for part in signature.split(",") if part]
            ours = list(inspect.signature(getattr(Cudart, name)).parameters)[1:]
            assert ours == theirs, name
    for enum in ("cudaError_t", "cudaMemcpyKind", "cudaStreamCaptureMode"):
        for member in getattr(fake_cuda, enum):
            assert getattr(getattr(real, enum), member.name) == member


def test_cuda_python_takes_numbers_for_streams_and_answers_with_a_tuple() -> None:
    real = pytest.importorskip("cuda.bindings.runtime")
    kind = real.cudaMemcpyKind.cudaMemcpyDeviceToDevice
    for answer in (
        real.cudaStreamSynchronize(0),
        real.cudaMemcpyAsync(0, 0, 0, kind, 0),
        real.cudaStreamCreate(),
        real.cudaMalloc(8),
    ):
        assert isinstance(answer, tuple)
        assert isinstance(answer[0], real.cudaError_t)
    assert isinstance(real.cudaGetErrorString(real.cudaError_t.cudaErrorInvalidValue)[1], bytes)


@pytest.mark.parametrize("made", CLASSES, ids=lambda made: made.__name__)
def test_the_names_and_arguments_of_tensorrt_are_its_own(made: type) -> None:
    real = getattr(pytest.importorskip("tensorrt_rtx_bindings"), made.__name__)
    for name in public(made):
        assert hasattr(real, name), f"{made.__name__}.{name}"
        ours = vars(made)[name]
        if inspect.isfunction(ours):
            documentation = getattr(real, name).__doc__
            forms = re.findall(rf"\b{name}\(self: [^,)]*(.*?)\) ->", documentation)
            # Each argument, and whether it can be left out.
            theirs = [re.findall(r", (\w+): [^,=]+(=?)", form) for form in forms]
            wanted = list(inspect.signature(ours).parameters)[1:]
            assert any(
                [argument for argument, _ in form[: len(wanted)]] == wanted
                and all(default for _, default in form[len(wanted) :])
                for form in theirs
            ), f"{made.__name__}.{name}: {forms}"


def test_every_version_that_we_run_with_has_the_names() -> None:
    """The bindings of TensorRT itself need its libraries to load, so their file is read."""
    found = importlib.util.find_spec("tensorrt_bindings")
    if found is None or found.origin is None:
        pytest.skip("needs tensorrt-cu13-bindings")
    library = (Path(found.origin).parent / "tensorrt.so").read_bytes()
    for made in CLASSES:
        for name in (made.__name__, *public(made)):
            assert name.encode() in library, f"{made.__name__}.{name}"


def test_the_device_is_strict() -> None:
    device = Device()
    cuda = Cudart(device)
    _, stream = cuda.cudaStreamCreate()
    _, block = cuda.cudaMalloc(8)
    kinds = fake_cuda.cudaMemcpyKind
    with pytest.raises(AssertionError, match="not in one allocation"):
        cuda.cudaMemcpyAsync(block, block + 4, 8, kinds.cudaMemcpyDeviceToDevice, int(stream))
    with pytest.raises(AssertionError, match="default stream"):
        cuda.cudaMemcpyAsync(block, block, 8, kinds.cudaMemcpyDeviceToDevice, 0)
    cuda.cudaMemcpyAsync(block, block, 8, kinds.cudaMemcpyDeviceToDevice, int(stream))
    with pytest.raises(AssertionError, match="while work waits"):
        cuda.cudaFree(block)
    cuda.cudaStreamSynchronize(int(stream))
    cuda.cudaFree(block)
    with pytest.raises(AssertionError, match="freed twice"):
        cuda.cudaFree(block)
