"""A drawn person: torso, arms, legs and clothes under a head."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from sfedge_training.drawings.canvas import Colour, Pen, curve, shade
from sfedge_training.drawings.drawn_expressions import Expression
from sfedge_training.drawings.face import Head, draw_head
from sfedge_training.drawings.look import Look

Point = tuple[float, float]
Outfit = Literal["casual", "suit", "apron", "coat", "uniform", "gown"]

# The pen's unit is half a head's height, its origin the head's centre.
SHOULDERS = 1.55  # y of the shoulder line
_SHOULDER = 1.35  # half width there


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """How a person stands; points in half heads from the head's centre, None hangs down."""

    outfit: Outfit = "casual"
    accent: Colour = (170, 40, 50)  # tie, apron or badge
    left_hand: Point | None = None  # on the picture's left
    right_hand: Point | None = None
    has_legs: bool = True
    stride: float = 0.5  # half distance of the feet
    length: float = 1.0  # of legs and torso, relative; below 1 for children
    is_away: bool = False  # seen from behind
    has_bare_arms: bool = False


def draw_body(pen: Pen, look: Look, body: Body) -> None:
    """Legs, torso and neck; arms are drawn by `draw_arm`, the head by `draw_head`."""
    jacket = _top(look, body)
    hips, feet = SHOULDERS + 3.35 * body.length, SHOULDERS + 7.65 * body.length
    if body.has_legs:
        _draw_legs(pen, look, body, hips, feet)
    bottom = hips if body.has_legs else hips + 8
    edge = shade(jacket, 0.6)
    torso = curve(
        [
            (-0.45, SHOULDERS - 0.25), (-_SHOULDER, SHOULDERS + 0.1), (-1.1, SHOULDERS + 1.6),
            (-0.98, bottom), (0.98, bottom), (1.1, SHOULDERS + 1.6),
            (_SHOULDER, SHOULDERS + 0.1), (0.45, SHOULDERS - 0.25),
        ], 3,
    )  # fmt: skip
    pen.limb([(0.0, 0.6), (0.0, SHOULDERS)], 0.78, shade(look.skin, 0.85), look.edge)
    pen.stroke(torso, 0.1, edge, is_closed=True)
    pen.fill(torso, jacket)
    if body.is_away:
        return
    if look.has_stripes and body.outfit == "casual":
        for y in np.arange(SHOULDERS + 0.6, min(bottom, SHOULDERS + 4), 0.6):
            pen.block(-0.98, y, 0.98, y + 0.22, shade(look.shirt, 0.65))
    if body.outfit == "casual":
        pen.oval(0, SHOULDERS - 0.12, 0.42, 0.3, shade(look.skin, 0.92))
    if body.outfit in ("coat", "suit"):
        _draw_collar(pen, body, jacket, bottom)
    if body.outfit == "apron":
        pen.fill([(-0.55, SHOULDERS + 0.5), (0.55, SHOULDERS + 0.5), (0.85, bottom + 0.8),
                  (-0.85, bottom + 0.8)], body.accent)  # fmt: skip
        for side in (-1, 1):
            pen.stroke([(side * 0.5, SHOULDERS + 0.6), (side * 0.4, SHOULDERS - 0.2)], 0.14,
                       body.accent)  # fmt: skip
    if body.outfit == "uniform":
        pen.block(0.25, SHOULDERS + 0.7, 0.65, SHOULDERS + 1.0, (236, 214, 120))
        pen.stroke([(0, SHOULDERS), (0, bottom)], 0.08, edge)


def _top(look: Look, body: Body) -> Colour:
    """The colour of what covers the torso."""
    tops: dict[Outfit, Colour] = {
        "coat": (236, 238, 240), "gown": (244, 240, 236), "uniform": body.accent,
    }  # fmt: skip
    return tops.get(body.outfit, look.shirt)


def _draw_collar(pen: Pen, body: Body, jacket: Colour, bottom: float) -> None:
    """White shirt and tie between lapels."""
    low = SHOULDERS + 2.1
    pen.fill([(-0.5, SHOULDERS - 0.22), (0.5, SHOULDERS - 0.22), (0.0, low)], (244, 244, 246))
    pen.fill([(-0.13, SHOULDERS), (0.13, SHOULDERS), (0.2, low - 0.7), (0.0, low - 0.35),
              (-0.2, low - 0.7)], body.accent)  # fmt: skip
    for side in (-1, 1):
        pen.stroke([(side * 0.5, SHOULDERS - 0.2), (0.0, low)], 0.12, shade(jacket, 0.6))
    pen.stroke([(0.0, low), (0.0, bottom)], 0.07, shade(jacket, 0.6))


def _draw_legs(pen: Pen, look: Look, body: Body, hips: float, feet: float) -> None:
    if body.outfit == "gown":
        pen.fill([(-0.9, hips - 0.6), (0.9, hips - 0.6), (1.9, feet), (-1.9, feet)],
                 (240, 236, 232))  # fmt: skip
        return
    cloth = {"suit": look.shirt, "coat": look.trousers}.get(body.outfit, look.trousers)
    is_bare = look.has_skirt and body.outfit == "casual"
    for side in (-1, 1):
        foot = (side * body.stride, feet)
        colour = look.skin if is_bare else cloth
        pen.limb([(side * 0.45, hips - 0.1), foot], 0.62, colour, shade(colour, 0.6))
        pen.stroke([foot, (foot[0] + side * 0.35, feet + 0.05)], 0.45, (38, 34, 34))
    if is_bare:
        knee = hips + (feet - hips) * 0.45
        pen.fill([(-0.95, hips - 0.2), (0.95, hips - 0.2), (1.25, knee), (-1.25, knee)], cloth)


def draw_arm(pen: Pen, look: Look, body: Body, side: int, *, hand: Point | None = None) -> Point:
    """One arm from the shoulder (side -1 is the picture's left) to `hand`; gives where it ends."""
    shoulder = (side * (_SHOULDER - 0.15), SHOULDERS + 0.35)
    end = hand or (side * (_SHOULDER + 0.1), SHOULDERS + 3.5 * body.length)
    x, y = end[0] - shoulder[0], end[1] - shoulder[1]
    distance = max(math.hypot(x, y), 1e-6)
    reach = max(distance / 2, 1.75 * body.length)
    bow = math.sqrt(max(reach**2 - (distance / 2) ** 2, 0.0)) if hand else 0.1
    # The elbow falls to the outer or lower side.
    normal = (-y / distance, x / distance)
    if normal[0] * side * 0.6 + normal[1] < 0:
        normal = (-normal[0], -normal[1])
    bow = min(bow, 1.6)
    elbow = (shoulder[0] + x / 2 + normal[0] * bow, shoulder[1] + y / 2 + normal[1] * bow)
    sleeve = look.skin if body.outfit == "gown" else _top(look, body)
    fore = look.skin if body.has_bare_arms else sleeve
    pen.limb([elbow, end], 0.5, fore, shade(fore, 0.6))
    pen.limb([shoulder, elbow], 0.62, sleeve, shade(sleeve, 0.6))
    pen.disc(*elbow, 0.27, sleeve)
    return end


def draw_simple_hand(pen: Pen, look: Look, place: Point) -> None:
    """A hand too small to show a gesture."""
    pen.disc(*place, 0.36, look.edge)
    pen.disc(*place, 0.30, look.skin)


def draw_person(
    pen: Pen,
    look: Look,
    body: Body,
    expression: Expression,
    *,
    yaw: float = 0.0,
    pitch: float = 0.0,
    turn: float = 0.0,
    gaze: tuple[float, float] | None = None,
    has_arms: bool = True,
) -> Head:
    """The whole figure; the pen's unit is half a head, its origin the head's centre."""
    draw_body(pen, look, body)
    if has_arms:
        for side, hand in ((-1, body.left_hand), (1, body.right_hand)):
            draw_simple_hand(pen, look, draw_arm(pen, look, body, side, hand=hand))
    head = Head(pen.at(0, 0, look.face_width, turn=turn), yaw, pitch)
    draw_head(head, look, expression, gaze)
    return head
