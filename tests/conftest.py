"""What the tests share: real people in a short clip, their boxes, and the command itself."""

import os
import signal
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from numpy.typing import NDArray
from scenes import DRAWN_BUNDLE, Finished, Scene, make_scene

import sfedge  # noqa: F401 - turns off the reports of libraries that tests import

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("MPLBACKEND", "agg")
os.environ["SFEDGE_BUNDLE"] = str(DRAWN_BUNDLE)  # in place of the default model

# A shell starts what runs in the background with SIGINT ignored; tests send it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy machine must not fail a test.
settings.register_profile("sfedge", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("sfedge")


@pytest.fixture(scope="session")
def astronaut() -> NDArray[np.uint8]:
    """Eileen Collins, (512, 512, 3); a photograph of NASA that scikit-image carries."""
    from skimage.data import astronaut

    picture: NDArray[np.uint8] = astronaut()  # type: ignore[no-untyped-call]
    picture.setflags(write=False)
    return picture


@pytest.fixture(scope="session")
def admiral() -> NDArray[np.uint8]:
    """Grace Hopper, (600, 512, 3); a photograph of the US Navy that matplotlib carries."""
    from matplotlib.cbook import get_sample_data
    from PIL import Image

    with get_sample_data("grace_hopper.jpg") as file:
        picture = np.array(Image.open(file).convert("RGB"))
    picture.setflags(write=False)
    return picture


@pytest.fixture(scope="session")
def scene(
    tmp_path_factory: pytest.TempPathFactory,
    astronaut: NDArray[np.uint8],
    admiral: NDArray[np.uint8],
) -> Scene:
    """Two people who sway, for two seconds with sound."""
    return make_scene(tmp_path_factory.mktemp("scene"), astronaut, admiral[:512])


@pytest.fixture
def command(capfd: pytest.CaptureFixture[str]) -> Callable[..., Finished]:
    """Runs `sfedge` with words as a user would type them, in this process."""
    from sfedge.cli import main

    def run(*words: object) -> Finished:
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        out, err = capfd.readouterr()
        code = ended.value.code
        assert isinstance(code, int)
        return Finished(code, out, err)

    return run
