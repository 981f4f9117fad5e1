from pathlib import Path

import matplotlib.cbook
import numpy as np
import PIL.Image
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st
from open_clip.transform import image_transform

from sfedge.core.boxes import FULL, Box
from sfedge.core.preprocess import InputSpec, crop, encoder_input, resize
from sfedge.core.structures import Image

CLIP = InputSpec(
    size=336,
    mean=(0.48145466, 0.4578275, 0.40821073),
    std=(0.26862954, 0.26130258, 0.27577711),
)
SMALL = InputSpec(size=97, mean=(0.5, 0.5, 0.5), std=(0.5, 0.25, 0.125))


def astronaut() -> Image:
    return np.asarray(skimage.data.astronaut())


def hopper() -> Image:
    path = matplotlib.cbook.get_sample_data("grace_hopper.jpg", asfileobj=False)
    with PIL.Image.open(Path(path)) as picture:
        return np.asarray(picture.convert("RGB"))


def open_clips(image: Image, spec: InputSpec) -> np.ndarray:
    transform = image_transform(
        spec.size, is_train=False, mean=spec.mean, std=spec.std, resize_mode="squash"
    )
    return np.asarray(transform(PIL.Image.fromarray(image)))


PICTURES = {
    "square": astronaut(),
    "upright": hopper(),
    "one pixel": astronaut()[100:101, 100:101],
    "one column": hopper()[:, 300:301],
    "one row": hopper()[200:201],
    "odd": astronaut()[3:358, 10:227],
    "wide": np.concatenate([astronaut()] * 4, axis=1),
    "as large as the encoder's": hopper()[:336, :336],
}


@pytest.mark.parametrize("spec", [CLIP, SMALL], ids=["clip", "small"])
@pytest.mark.parametrize("name", PICTURES)
def test_it_equals_open_clip_s_transform_pixel_by_pixel(name: str, spec: InputSpec) -> None:
    ours = encoder_input(PICTURES[name], spec)
    theirs = open_clips(PICTURES[name], spec)
    assert ours.shape == (3, spec.size, spec.size)
    assert ours.dtype == np.float32
    # One step of a pixel is 1 / 255 / std, about 0.015; the same pixels differ by rounding only.
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-6)


@settings(max_examples=30, deadline=None)
@given(
    rows=st.integers(1, 400),
    columns=st.integers(1, 400),
    top=st.integers(0, 100),
    left=st.integers(0, 100),
)
def test_any_part_of_a_photograph_equals_open_clip_s(
    rows: int, columns: int, top: int, left: int
) -> None:
    part = hopper()[top : top + rows, left : left + columns]
    np.testing.assert_allclose(
        encoder_input(part, SMALL), open_clips(part, SMALL), rtol=0, atol=2e-6
    )


def test_a_view_is_cropped_to_the_pixels_it_covers() -> None:
    image = astronaut()
    assert np.array_equal(crop(image, Box(0.25, 0.5, 0.5, 1.0)), image[256:512, 128:256])
    assert crop(image, FULL).shape == image.shape
    # A view that ends within a pixel holds that pixel.
    assert crop(image, Box(0.25, 0.5, 0.5001, 0.5001)).shape == (1, 129, 3)


@settings(max_examples=200)
@given(
    x=st.floats(0, 0.99),
    y=st.floats(0, 0.99),
    width=st.floats(1e-6, 1),
    height=st.floats(1e-6, 1),
    size=st.tuples(st.integers(1, 64), st.integers(1, 64)),
)
def test_no_view_is_without_pixels(
    x: float, y: float, width: float, height: float, size: tuple[int, int]
) -> None:
    view = Box(x, y, min(x + width, 1.0), min(y + height, 1.0))
    part = crop(np.zeros((*size, 3), np.uint8), view)
    assert part.shape[0] >= 1
    assert part.shape[1] >= 1


def test_a_picture_of_the_right_size_is_not_resampled() -> None:
    image = astronaut()[:97, :97]
    assert np.array_equal(resize(image, 97), image)


def test_the_input_does_not_change() -> None:
    image = astronaut()
    encoder_input(image, CLIP)
    assert np.array_equal(image, astronaut())
