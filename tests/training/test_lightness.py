"""How light a face's skin is in its picture."""

import numpy as np
import pytest

from sfedge.core.face_points import FACE_POINTS, Points, face_places
from sfedge.core.structures import Image
from sfedge_training.collection.lightness import cheek_lightness, lightness_of

CHEEKS = face_places(50, 280, 205, 425)


def a_face(*, cheeks: tuple[float, float] = (0.5, 0.6)) -> Points:
    """A face over the middle half of the picture."""
    face = np.zeros((FACE_POINTS, 3), np.float32)
    face[face_places(234, 454), :2] = [(0.25, 0.5), (0.75, 0.5)]
    face[CHEEKS, :2] = cheeks
    return face


def grey(value: int) -> Image:
    return np.full((100, 120, 3), value, np.uint8)


# CIE L* of grey in sRGB, by the standard's formula.
@pytest.mark.parametrize(
    ("value", "lightness", "band"),
    [
        (0, 0.0, "under 40"),
        (94, 39.9, "under 40"),
        (95, 40.3, "40 to 55"),
        (119, 50.0, "40 to 55"),
        (150, 62.0, "55 to 70"),
        (255, 100.0, "70 and more"),
    ],
)
def test_grey_has_the_lightness_of_the_standard(value: int, lightness: float, band: str) -> None:
    assert cheek_lightness(grey(value), a_face()) == pytest.approx(lightness, abs=0.2)
    assert lightness_of(grey(value), a_face()) == band


def test_the_cheeks_alone_count() -> None:
    picture = grey(255)
    picture[55:66, 55:66] = 119
    assert cheek_lightness(picture, a_face()) == pytest.approx(50.0, abs=0.2)


def test_of_cheeks_outside_the_picture_nothing_is_said() -> None:
    assert cheek_lightness(grey(119), a_face(cheeks=(1.4, -0.3))) is None
    assert lightness_of(grey(119), a_face(cheeks=(-0.4, 0.3))) == ""
