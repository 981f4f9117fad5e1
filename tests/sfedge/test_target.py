"""One followed person: where to expect them while they are out of sight."""

import math

import pytest

from sfedge.core.boxes import Box
from sfedge.tracking.place import place_of
from sfedge.tracking.target import Target

FACE = Box(0.4, 0.4, 0.45, 0.5)


def hidden(velocity: tuple[float, float], seconds: float, rate: float = 100.0) -> Target:
    """A person who was seen moving and has been out of sight since."""
    target = Target(0.0, 0.0, None, face=place_of(FACE), velocity=velocity, missed=1)
    for _ in range(round(seconds * rate)):
        target.advance(1 / rate)
    return target


@pytest.mark.parametrize("velocity", [(0.1, 0.0), (0.0, 0.1), (-0.05, 0.05)])
def test_who_is_out_of_sight_comes_to_rest_in_the_direction_they_went(
    velocity: tuple[float, float],
) -> None:
    one, five = hidden(velocity, 1.0), hidden(velocity, 5.0)
    # Moving on with e^-t: after a second 1 - 1/e of the whole way, which is the speed times 1 s.
    for target, share in ((one, 1 - math.exp(-1.0)), (five, 1 - math.exp(-5.0))):
        for moved, speed in zip(target.travelled, velocity, strict=True):
            assert moved == pytest.approx(speed * share, rel=0.02, abs=1e-9)
    assert five.face is not None
    x, y = five.face.centre
    assert x - FACE.centre[0] == pytest.approx(five.travelled[0])
    assert y - FACE.centre[1] == pytest.approx(five.travelled[1])


def test_who_is_in_sight_keeps_their_speed() -> None:
    target = Target(0.0, 0.0, None, face=place_of(FACE), velocity=(0.1, -0.1))
    for _ in range(100):
        target.advance(0.01)
    assert target.travelled == pytest.approx((0.1, -0.1))
    assert target.velocity == (0.1, -0.1)
