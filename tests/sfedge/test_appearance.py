from dataclasses import replace

import numpy as np
import PIL.Image
import pytest
import skimage.data
from matplotlib.cbook import get_sample_data

from sfedge.core.boxes import Box, from_pixels
from sfedge.tracking.appearance import Appearance, appearances, blend, similarity
from sfedge.tracking.people import Sighting, person_around

ASTRONAUT = (175, 70, 275, 170)  # face, in pixels
HOPPER = (185, 130, 345, 290)


def hopper() -> np.ndarray:
    with PIL.Image.open(get_sample_data("grace_hopper.jpg", asfileobj=False)) as picture:
        return np.asarray(picture.convert("RGB"))


def astronaut() -> np.ndarray:
    return np.asarray(skimage.data.astronaut())


def seen(image: np.ndarray, face_px: tuple[int, ...], shift: float = 0.0) -> Sighting:
    x1, y1, x2, y2 = face_px
    dx, dy = shift * (x2 - x1), shift * (y2 - y1)
    height, width = image.shape[:2]
    face = from_pixels(x1 + dx, y1 - dy, x2 + dx, y2 - dy, width=width, height=height)
    return Sighting(person_around(face), face, (), 0.9)


def look(image: np.ndarray, face_px: tuple[int, ...], shift: float = 0.0) -> Appearance:
    return appearances(image, [seen(image, face_px, shift)], [])[0]


@pytest.mark.parametrize("shift", [0.1, -0.1])
@pytest.mark.parametrize("light", [0.85, 1.0, 1.15])
def test_the_same_person_looks_the_same_in_other_light_and_a_shaken_box(
    shift: float, light: float
) -> None:
    for image, face in ((astronaut(), ASTRONAUT), (hopper(), HOPPER)):
        lit = np.clip(image * light, 0, 255).astype(np.uint8)

        alike, trust = similarity(look(image, face), look(lit, face, shift))

        assert alike >= 0.94
        assert trust > 0.8


def test_other_people_look_different() -> None:
    alike, trust = similarity(look(astronaut(), ASTRONAUT), look(hopper(), HOPPER))

    assert alike < 0.85
    assert trust > 0.8


def test_whom_another_covers_is_not_trusted() -> None:
    image = astronaut()
    mine, near = seen(image, ASTRONAUT), seen(image, ASTRONAUT, 0.3)

    alone, covered = appearances(image, [mine], []), appearances(image, [mine, near], [])

    assert alone[0].is_clear
    assert not covered[0].is_clear
    assert appearances(image, [mine], [mine])[0].is_clear  # expected there, and seen
    assert not appearances(image, [mine], [mine, near])[0].is_clear


def test_clothes_outside_the_picture_are_not_trusted() -> None:
    image = astronaut()
    low = from_pixels(200, 430, 280, 510, width=512, height=512)

    (alone,) = appearances(image, [Sighting(person_around(low), low, (), 0.9)], [])

    assert not alone.is_clear
    assert alone.trust[0] == 1.0


def test_blending_moves_towards_the_new_look_and_stays_a_distribution() -> None:
    one, other = look(astronaut(), ASTRONAUT), look(hopper(), HOPPER)
    mixed = one
    for _ in range(60):
        mixed = blend(mixed, other, 0.1)

    assert similarity(mixed, other)[0] > 0.99
    assert np.allclose(mixed.histograms.sum(1), 2.0)  # lightness and colour, one each


def test_a_covered_view_leaves_hardly_a_trace_and_a_whole_one_soon_replaces_it() -> None:
    image = astronaut()
    whole = look(image, ASTRONAUT)
    mine, near = seen(image, ASTRONAUT), seen(image, ASTRONAUT, 0.5)
    false = look(hopper(), HOPPER)
    covered = replace(false, trust=appearances(image, [mine, near], [])[0].trust)
    assert covered.trust[1] < 0.5

    remembered, blended = whole, covered
    for _ in range(10):
        remembered = blend(remembered, covered, 0.1)
        blended = blend(blended, whole, 0.1)

    assert similarity(remembered, whole)[0] > 0.98
    assert similarity(blended, whole)[0] > 0.98


def test_somebody_near_is_recognised_by_what_the_lower_edge_leaves_of_the_clothes() -> None:
    image, other = astronaut()[:286], hopper()[:480]

    cut, stranger = look(image, ASTRONAUT), look(other, HOPPER)
    alike, trust = similarity(cut, look(astronaut(), ASTRONAUT))

    assert cut.is_clear
    assert cut.trust[2] == 0.0
    assert alike > 0.97
    assert trust > 0.6
    assert similarity(cut, stranger)[0] < 0.9


def test_a_picture_of_one_pixel_is_no_obstacle() -> None:
    box = Box(0.2, 0.2, 0.8, 0.8)

    (only,) = appearances(np.zeros((1, 1, 3), np.uint8), [Sighting(box, box, (), 1.0, 1.0)], [])

    assert np.isfinite(only.histograms).all()
