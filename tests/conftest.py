"""What the tests share: real photographs, and an environment that opens no window."""

import os

import numpy as np
import pytest
from numpy.typing import NDArray

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
os.environ.setdefault("MPLBACKEND", "agg")


@pytest.fixture(scope="session")
def astronaut() -> NDArray[np.uint8]:
    """Eileen Collins, (512, 512, 3); a photograph of NASA that scikit-image carries."""
    from skimage.data import astronaut

    picture: NDArray[np.uint8] = astronaut()  # type: ignore[no-untyped-call]
    picture.setflags(write=False)
    return picture
