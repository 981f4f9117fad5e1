import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sfedge.detect.mediapipe.regions import Region, angle_between, around, cut_out

WIDTH, HEIGHT = 240, 160


def ramp() -> NDArray[np.uint8]:
    """A picture whose red is x and whose green is y."""
    picture = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    picture[..., 0] = np.arange(WIDTH)
    picture[..., 1] = np.arange(HEIGHT)[:, None]
    return picture


_regions = st.builds(
    Region,
    st.floats(100, 140),
    st.floats(70, 90),
    st.floats(20, 60),
    st.floats(-math.pi, math.pi),
)


@given(_regions, st.sampled_from([16, 64, 128, 224]))
def test_each_pixel_shows_the_place_that_its_region_names(region: Region, size: int) -> None:
    cut = cut_out(ramp(), region, size, is_black_outside=True)
    assert cut.shape == (size, size, 3)
    rows, columns = np.mgrid[0:size, 0:size]
    # MediaPipe's pixel (i, j) shows the point (i / size, j / size), without half a pixel.
    fractions = np.stack([columns.ravel(), rows.ravel()], axis=1) / size
    places = region.to_picture(fractions).reshape(size, size, 2)
    assert np.abs(cut[..., :2].astype(float) - places).max() <= 0.6  # rounded to a whole level


@given(st.floats(-math.pi, math.pi))
def test_a_turned_region_shows_its_picture_upright(angle: float) -> None:
    region = Region(120, 80, 50, angle)
    up = region.to_picture(np.array([[0.5, 0.0]])) - region.to_picture(np.array([[0.5, 1.0]]))
    expected = 50 * np.array([math.sin(angle), -math.cos(angle)])  # clockwise, y downwards
    assert np.allclose(up, expected)


@given(
    st.tuples(st.floats(-50, 50), st.floats(-50, 50)),
    st.floats(0.1, 50),
    st.floats(-math.pi, math.pi),
    st.floats(-3, 3),
)
def test_a_line_is_seen_at_the_angle_that_was_asked_for(
    start: tuple[float, float], length: float, direction: float, target: float
) -> None:
    first = np.array(start)
    second = first + length * np.array([math.cos(direction), -math.sin(direction)])
    angle = angle_between(first, second, target)
    assert -math.pi <= angle < math.pi
    seen = direction + angle  # a region that is turned clockwise shows lines counter-clockwise
    assert math.cos(seen - target) == pytest.approx(1)


def test_outside_the_picture_all_is_black_or_goes_on() -> None:
    picture = np.full((40, 40, 3), 200, np.uint8)
    region = Region(0, 20, 80)
    black = cut_out(picture, region, 32, is_black_outside=True)
    assert (black[16, :15] == 0).all()
    assert (black[16, 17:] == 200).all()
    assert (cut_out(picture, region, 32, is_black_outside=False) == 200).all()


@pytest.mark.parametrize("shape", [(30, 90), (90, 30), (64, 64)])
def test_a_whole_picture_lies_in_the_middle_of_its_square(shape: tuple[int, int]) -> None:
    picture = np.full((*shape, 3), 255, np.uint8)
    cut = cut_out(picture, around(picture), 96, is_black_outside=True)
    rows, columns = np.nonzero(cut[..., 0] > 127)
    scale = 96 / max(shape)
    for found, length in ((rows, shape[0]), (columns, shape[1])):
        assert np.ptp(found) + 1 == pytest.approx(length * scale, abs=2)
        assert found.mean() == pytest.approx(48, abs=1.5)


def test_a_panorama_longer_than_opencv_takes_is_thinned() -> None:
    picture = np.zeros((20, 70_000, 3), np.uint8)
    picture[:, 35_000:] = 255
    cut = cut_out(picture, around(picture), 128, is_black_outside=True)
    line = cut[64, :, 0]
    assert (line[:63] == 0).all()
    assert (line[66:] == 255).all()


def test_a_view_that_is_not_contiguous_is_cut_like_its_copy() -> None:
    view = ramp()[::-1, ::-2]
    region = Region(60, 80, 70, 0.3)
    cut = cut_out(view, region, 64, is_black_outside=False)
    assert np.array_equal(cut, cut_out(view.copy(), region, 64, is_black_outside=False))
