"""What the runtime's tests share: a cache, a small bundle, a stand-in of an Orin, drawn texts."""

import gc
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import fake_nvidia
import pytest
import skimage.data
import small_bundle
from fake_cuda import Cudart, Device
from native_engines import build
from small_bundle import Small

from sfedge import engines
from sfedge.annotate import pair_links, status, tags
from sfedge.bundle.bundle import Bundle, open_bundle
from sfedge.core.structures import Frame, Image
from sfedge.engines import trt
from sfedge.system.gpus import Gpu


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's cache, empty: no self-test has passed yet, no engine was built."""
    monkeypatch.setenv("SFEDGE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def frame() -> Frame:
    return Frame(skimage.data.astronaut(), index=7, time=1.25)


@pytest.fixture
def small(request: pytest.FixtureRequest) -> Small:
    """The small model; its kind, see `small_bundle.make`, may be its parameter."""
    return small_bundle.make(getattr(request, "param", "after"))


@pytest.fixture
def bundle_folder(small: Small, tmp_path: Path) -> Path:
    return small.write(tmp_path / "small")


@pytest.fixture
def bundle(cache: Path, bundle_folder: Path) -> Iterator[Bundle]:
    with open_bundle(bundle_folder) as opened:
        yield opened


@pytest.fixture
def device(cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Device]:
    """An Orin with TensorRT 10.3 and cuda-python; all that was taken of it must be given back."""
    made = Device()
    monkeypatch.setitem(sys.modules, "tensorrt", fake_nvidia.tensorrt(made))
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", Cudart(made))
    for module in (engines, trt):
        monkeypatch.setattr(module, "find_gpus", lambda: ([Gpu("Orin", "8.7")], ""))
    monkeypatch.setattr(trt, "driver_version", lambda: "540.4.0")
    yield made
    gc.collect()
    assert made.leaks() == ""


@pytest.fixture
def built(device: Device, bundle: Bundle) -> Path:
    """The folder with the bundle's TensorRT engines, for at most 3 queries in a run."""
    return build(bundle)[1]


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every text that is put on a picture, in order."""
    texts: list[str] = []
    for module in (tags, pair_links, status):
        put = module.put_text

        def note(image: Image, text: str, *rest: object, put: Callable[..., None] = put) -> None:
            texts.append(text)
            put(image, text, *rest)

        monkeypatch.setattr(module, "put_text", note)
    return texts
