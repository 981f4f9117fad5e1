import numpy as np
import pytest
import skimage.data

from sfedge.core.boxes import Box, from_pixels
from sfedge.tracking.colours import sample_lab, skin_share

CHEST = (130, 300, 180, 360)  # of the astronaut, in pixels: orange cloth
FACE = (175, 70, 275, 170)
HAND = (350, 60, 410, 130)  # where a hand is put, before the background


def box(corners_px: tuple[int, ...]) -> Box:
    return from_pixels(*corners_px, width=512, height=512)


def raised(light: float = 1.0, *, cheek: slice = slice(195, 255)) -> np.ndarray:
    """The astronaut with skin of her own cheek held beside the head, in other light."""
    image = np.array(skimage.data.astronaut())
    x1, y1, x2, y2 = HAND
    image[y1:y2, x1:x2] = (image[100:170, cheek] * light).astype(np.uint8)
    return image


@pytest.mark.parametrize("light", [1.0, 0.6, 0.3])
def test_a_hand_has_the_colour_of_its_own_face_in_the_light_and_in_the_shade(light: float) -> None:
    assert skin_share(raised(light), box(FACE), box(HAND)) > 0.5


def test_clothes_have_not_the_colour_of_a_face() -> None:
    assert skin_share(raised(), box(FACE), box(CHEST)) < 0.1


def test_a_cast_over_the_whole_picture_changes_little() -> None:
    cast = np.clip(raised() * (0.75, 1.0, 1.0), 0, 255).astype(np.uint8)

    assert skin_share(cast, box(FACE), box(HAND)) > 0.4


def test_in_a_grey_picture_all_is_alike() -> None:
    grey = np.repeat(raised().mean(axis=2, keepdims=True), 3, axis=2).astype(np.uint8)

    assert skin_share(grey, box(FACE), box(CHEST)) == 1.0


def test_a_sliver_at_the_edge_of_the_picture_has_the_colours_of_the_edge() -> None:
    image = raised()
    sliver = Box(0.2, 0.9999999999999998, 0.9999999999999998, 1.0)

    assert (sample_lab(image, sliver)[0] == sample_lab(image, Box(0.2, 0.999, 0.99, 1.0))[0]).all()


def test_the_skin_of_a_face_is_what_lies_well_inside_its_box() -> None:
    image = np.full((512, 512, 3), (40, 160, 60), np.uint8)  # leaves all around
    skin = (205, 150, 125)
    image[92:148, 197:253] = skin  # the inner 0.6 of the face's box
    image[HAND[1] : HAND[3], HAND[0] : HAND[2]] = skin
    assert skin_share(image, box(FACE), box(HAND)) == 1.0
    assert skin_share(image, box(FACE), box(CHEST)) == 0.0
