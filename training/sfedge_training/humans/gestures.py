"""The 33 gestures: the shape of each hand, how it is turned, and where it is held.

Directions are (out, up, front): away from the body's middle on the hand's own side, up, towards
the camera. One definition so serves both hands.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from sfedge_training.humans.hand_poses import HALF, IN, OUT, Bend, Direction, HandShape

Thumb: TypeAlias = tuple[Direction, Direction, Direction]

# Where the thumb's three bones point, in the hand's axes: to the thumb's side, along the fingers,
# out of the palm.
_ALONG: Thumb = ((0.5, 0.85, 0.25), (0.28, 0.95, 0.12), (0.2, 0.97, 0.1))
_ASIDE: Thumb = ((0.8, 0.6, 0.2), (0.92, 0.38, 0.05), (0.97, 0.25, 0.0))
_SQUARE: Thumb = ((0.85, 0.5, 0.15), (0.99, 0.12, 0.02), (1.0, -0.05, 0.0))
_ACROSS: Thumb = ((0.5, 0.65, 0.6), (-0.35, 0.7, 0.62), (-0.85, 0.45, 0.2))  # over the palm
_OVER: Thumb = ((0.45, 0.6, 0.68), (-0.45, 0.62, 0.62), (-0.95, 0.25, 0.12))  # over bent fingers
_CLAW: Thumb = ((0.65, 0.55, 0.55), (0.6, 0.6, 0.5), (0.3, 0.75, 0.6))
_RING: Thumb = ((0.55, 0.55, 0.65), (0.3, 0.75, 0.55), (-0.6, 0.6, 0.45))  # towards the index's tip
_ROUND: Thumb = ((0.5, 0.5, 0.75), (0.0, 0.55, 0.83), (-0.6, 0.65, 0.45))
_UNDER: Thumb = ((0.5, 0.25, 0.6), (0.1, -0.75, 0.65), (0.0, -0.8, 0.55))  # the heart's lower end

_TOGETHER = (-5.0, -1.0, 3.0, 7.0)
_SPLAYED = (14.0, 3.0, -8.0, -20.0)
_OPEN: Bend = (5.0, 18.0, 10.0)
_CURL: Bend = (15.0, 62.0, 45.0)
_CUPPED: Bend = (52.0, 58.0, 36.0)
_BOW: Bend = (50.0, 60.0, 35.0)

SHAPES: Mapping[str, HandShape] = {
    "call": HandShape((IN, IN, IN, OUT), (2, 0, 0, -22), _SQUARE),
    "like": HandShape((IN, IN, IN, IN), (2, 0, -1, -2), _SQUARE),
    "fist": HandShape((IN, IN, IN, IN), (2, 0, -1, -2), _OVER),
    "one": HandShape((OUT, IN, IN, IN), (2, 0, -1, -2), _OVER),
    "three": HandShape((OUT, OUT, OUT, IN), (10, 0, -10, -3), _ACROSS),
    "three2": HandShape((OUT, OUT, IN, IN), (8, -6, -1, -2), _ASIDE),
    "three3": HandShape((OUT, OUT, IN, OUT), (9, -4, -1, -18), _OVER),
    "four": HandShape((OUT, OUT, OUT, OUT), (12, 3, -6, -16), _ACROSS),
    "ok": HandShape(((54, 56, 34), OUT, (8, 6, 4), (4, 6, 4)), (12, 2, -6, -16), _RING),
    "palm": HandShape((OUT, OUT, OUT, OUT), _SPLAYED, _ASIDE),
    "peace": HandShape((OUT, OUT, IN, IN), (14, -10, -1, -2), _OVER),
    "rock": HandShape((OUT, IN, IN, OUT), (8, 0, 0, -14), _OVER),
    "stop": HandShape((OUT, OUT, OUT, OUT), _TOGETHER, _ALONG),
    "two_up": HandShape((OUT, OUT, IN, IN), (-6, 2, -1, -2), _OVER),
    "grabbing": HandShape((_CURL, _CURL, _CURL, _CURL), (14, 4, -6, -16), _CLAW),
    "grip": HandShape((_CUPPED, _CUPPED, _CUPPED, _CUPPED), _TOGETHER, _ROUND),
    "little_finger": HandShape((IN, IN, IN, OUT), (2, 0, 0, -10), _OVER),
    "middle_finger": HandShape((IN, OUT, IN, IN), (2, 0, -1, -2), _OVER),
    "three_gun": HandShape((OUT, OUT, IN, IN), (-6, 2, -1, -2), _SQUARE),
    "thumb_index": HandShape((OUT, IN, IN, IN), (2, 0, -1, -2), _SQUARE),
    "flat": HandShape((OUT, OUT, OUT, OUT), _TOGETHER, _ALONG),
    "heart": HandShape((_BOW, _BOW, _BOW, _BOW), _TOGETHER, _UNDER),
    "heart2": HandShape((_BOW, OUT, (6, 8, 5), (8, 10, 5)), (4, 2, -4, -10), _UNDER),
    "relaxed": HandShape(((25, 30, 15), (30, 35, 18), (32, 38, 18), (32, 38, 18)), (3, 1, -2, -5)),
    "holding": HandShape((_CUPPED, HALF, HALF, HALF), (2, 0, -1, -3), _CLAW),
}

Aim: TypeAlias = tuple[float, float, float]  # (out, up, front)
_FRONT: Aim = (0, 0, 1)
_BACK: Aim = (0, 0, -1)
_UP: Aim = (-0.06, 1, 0.15)


@dataclass(frozen=True, slots=True)
class Hold:
    """How one hand is held."""

    shape: str
    fingers: Aim = _UP
    palm: Aim = _FRONT
    # Where: from the shoulder in lengths of the arm, or from `at` in decimetres.
    place: Aim = (0.22, 0.12, 0.42)
    at: Literal["shoulder", "mouth", "cheek", "chest"] = "shoulder"
    of: Literal["palm", "index", "middle"] = "palm"  # what is there: the palm, or a finger's tip
    # How far the hand is turned at random, degrees, and moved, as `place` is.
    loose: float = 12.0
    spread: float = 0.06
    vary: float = 1.0  # how much the fingers differ from the shape


@dataclass(frozen=True, slots=True)
class Gesture:
    """The poses of a gesture: each of one hand, or of both, the leading one first."""

    ways: tuple[tuple[Hold, ...], ...]
    is_united: bool = field(default=False)


def _one(*ways: Hold) -> Gesture:
    return Gesture(tuple((way,) for way in ways))


def _both(*ways: tuple[Hold, Hold]) -> Gesture:
    return Gesture(ways, is_united=True)


def _touching(
    shape: str, fingers: Aim, palm: Aim, place: Aim, of: Literal["palm", "index", "middle"] = "palm"
) -> Hold:
    """A hand that meets the other before the chest."""
    return Hold(shape, fingers, palm, place, "chest", of, loose=3.0, spread=0.03)


_INWARD: Aim = (-1, 0, 0)
_FLAT_UP = _touching("flat", (0.02, 1, 0.1), (-1, 0, 0), (0.14, 0.6, 2.4))
_HEART = _touching("heart", (-0.1, 1, 0.05), (-1, 0, 0.15), (0.03, 0.6, 2.8), "index")
_HEART2 = _touching("heart2", (-0.1, 1, 0.1), (-0.85, 0, 0.5), (0.03, 0.6, 2.8), "index")

GESTURES: Mapping[str, Gesture] = {
    "call": _one(
        Hold("call", (-0.85, 0.15, 0.25), (-0.1, 0, -1)),
        Hold("call", (-0.75, -0.15, 0.5), (-0.4, -0.1, -0.85), (1.0, -0.4, 0.9), "cheek", loose=8),
        Hold("call", (-0.5, 0.75, 0.3), (-0.5, -0.1, 0.8)),
    ),
    "like": _one(
        Hold("like", (-0.9, 0.1, 0.35), (-0.3, 0, -0.95)),
        Hold("like", (-0.45, 0.15, 0.9), (-0.9, 0, -0.4)),
    ),
    "dislike": _one(
        Hold("like", (-0.9, 0.0, 0.35), (0.3, 0, 0.95), (0.2, -0.05, 0.42)),
        Hold("like", (-0.7, 0.05, 0.7), (0.6, 0, 0.75), (0.2, -0.05, 0.45)),
    ),
    "fist": _one(
        Hold("fist", (-0.1, 0.85, 0.45), (0, -0.45, 0.85)),
        Hold("fist", (-0.15, 0.7, 0.65), (-0.3, -0.6, 0.75)),
    ),
    "one": _one(Hold("one")),
    "three": _one(Hold("three")),
    "three2": _one(Hold("three2")),
    "three3": _one(Hold("three3")),
    "four": _one(Hold("four")),
    "mute": _one(
        Hold(
            "one",
            (-0.2, 1, -0.05),
            (-1, 0, -0.25),
            (0, 0.35, 0.4),
            "mouth",
            "index",
            loose=6,
            spread=0.02,
        )
    ),
    "ok": _one(
        Hold("ok", palm=(-0.6, 0, 0.8)),
        Hold("ok", (-0.2, 1, 0.1), (-0.85, 0, 0.55)),
    ),
    "palm": _one(Hold("palm")),
    "peace": _one(Hold("peace")),
    "peace_inverted": _one(Hold("peace", palm=_BACK)),
    "rock": _one(Hold("rock")),
    "stop": _one(Hold("stop")),
    "stop_inverted": _one(Hold("stop", palm=_BACK)),
    "two_up": _one(Hold("two_up")),
    "two_up_inverted": _one(Hold("two_up", palm=_BACK)),
    "grabbing": _one(
        Hold("grabbing", (0, 0.9, 0.45), (0, -0.4, 0.9)), Hold("grabbing", (-0.3, 0.9, 0.3))
    ),
    "grip": _one(
        Hold("grip", (-0.6, 0.35, 0.7), (-0.75, 0, -0.65)),
        Hold("grip", (-0.85, 0.4, 0.15), (0.4, 0.85, 0.25)),
        Hold("grip", (-0.3, 0.95, 0.1), (-0.9, -0.1, 0.4)),
    ),
    "point": _one(
        Hold("one", (-0.2, 0.1, 1), (-0.4, -1, 0), (0.12, -0.05, 0.6), loose=6),
        Hold("one", (-0.15, 0.15, 1), (-1, -0.1, 0), (0.12, -0.05, 0.6), loose=6),
    ),
    "little_finger": _one(Hold("little_finger")),
    "middle_finger": _one(Hold("middle_finger", palm=_BACK), Hold("middle_finger")),
    "three_gun": _one(
        Hold("three_gun"),
        Hold("three_gun", palm=_BACK),
        Hold("three_gun", (-0.9, 0.3, 0.2), (-0.2, 0, -1)),
    ),
    "thumb_index": _one(Hold("thumb_index"), Hold("thumb_index", palm=_BACK)),
    "thumb_index2": _both(
        (Hold("thumb_index", place=(0.1, 0.1, 0.45)),) * 2,
        (Hold("thumb_index", palm=_BACK, place=(0.1, 0.1, 0.45)),) * 2,
    ),
    "holy": _both((_FLAT_UP, _FLAT_UP)),
    "timeout": _both(
        (
            _touching("flat", (-1, 0.02, 0.1), (0, -1, 0), (0.0, 0.85, 2.6)),
            _touching("flat", (-0.08, 1, 0.05), (-1, 0, 0.35), (0.0, 0.7, 2.6), "middle"),
        )
    ),
    "take_picture": _both(
        (
            _touching("thumb_index", _INWARD, _FRONT, (-0.45, 0.9, 2.9), "index"),
            _touching("thumb_index", _INWARD, _BACK, (-0.45, 0.15, 2.9), "index"),
        )
    ),
    "xsign": _both(
        (
            _touching("fist", (-0.6, 0.8, 0.1), (-0.2, 0, -1), (-1.0, 0.9, 3.0)),
            _touching("fist", (-0.6, 0.8, 0.1), (-0.2, 0, -1), (-1.0, 0.9, 2.1)),
        ),
        (
            _touching("fist", (-0.6, 0.8, 0.1), (-0.2, 0, 1), (-1.0, 0.9, 3.0)),
            _touching("fist", (-0.6, 0.8, 0.1), (-0.2, 0, 1), (-1.0, 0.9, 2.1)),
        ),
    ),
    "hand_heart": _both((_HEART, _HEART)),
    "hand_heart2": _both((_HEART2, _HEART2)),
}
