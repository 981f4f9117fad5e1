"""HaGRID's picture: one person from the waist up, showing a gesture large to the camera."""

from collections.abc import Callable
from math import atan2, pi
from typing import TypeAlias

import numpy as np

from sfedge_training.drawings.canvas import Canvas, Extent, Pen, Points, curve, shade
from sfedge_training.drawings.draw_hands import (
    HANDS,
    POSES,
    Pose,
    draw_finger,
    draw_pose,
    flesh,
)
from sfedge_training.drawings.drawn_expressions import EXPRESSIONS, random_expression
from sfedge_training.drawings.face import Head
from sfedge_training.drawings.look import Look
from sfedge_training.drawings.person import Body, Point, draw_arm, draw_person

Marks: TypeAlias = list[tuple[str, Extent]]  # label and box in pixels of each hand
UNITED = ("hand_heart", "hand_heart2", "thumb_index2", "timeout", "holy", "take_picture", "xsign")


def draw_gesture(
    canvas: Canvas, name: str, look: Look, rng: np.random.Generator
) -> tuple[Marks, Extent | None]:
    """Draw a person who shows the gesture `name`.

    Returns:
        Label and box of each hand in pixels, and the box around both for two-handed gestures.
    """
    width, height = canvas.width, canvas.height
    unit = min(height * rng.uniform(0.125, 0.165), width * 0.165)
    is_united = name in UNITED
    aside = 0.0 if is_united else rng.choice([-1, 1]) * rng.uniform(0.06, 0.12)
    x = width * (0.5 + aside + rng.normal(0, 0.02))
    pen = canvas.pen.at(x, height * rng.uniform(0.27, 0.34), unit)
    body = Body(has_legs=False, has_bare_arms=bool(rng.random() < 0.5))
    expression = random_expression(rng, str(rng.choice([*EXPRESSIONS])))
    head = draw_person(
        pen, look, body, expression, yaw=rng.normal(0, 0.15), pitch=rng.normal(0, 0.1),
        turn=rng.normal(0, 0.08), has_arms=False,
    )  # fmt: skip
    if is_united:
        extents = _draw_two_hands(pen, name, look, body, rng)
        marks = [(name, extent) for extent in extents]
        boxes = np.array(extents)
        low, high = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
        return marks, (float(low[0]), float(low[1]), float(high[0]), float(high[1]))
    side = -1 if aside > 0 else 1
    marks = [(name, _draw_one_hand(pen, head, name, look, body, side, rng))]
    if rng.random() < 0.35:
        marks.append(("no_gesture", _draw_idle_hand(pen, look, body, -side, rng)))
        if rng.random() < 0.5:
            marks.reverse()
    else:
        draw_arm(pen, look, body, -side)
    return marks, None


def _draw_one_hand(
    pen: Pen,
    head: Head,
    name: str,
    look: Look,
    body: Body,
    side: int,
    rng: np.random.Generator,
) -> Extent:
    size = rng.uniform(1.12, 1.4) * (1.25 if name == "point" else 1.0)
    turn = rng.normal(0, 0.12)
    # Not so high that the fingertips leave the picture.
    place = (side * rng.uniform(1.75, 2.2), rng.uniform(max(0.3, 1.62 * size - 1.55), 1.4))
    if name == "mute":
        lips = pen.unplace(head.pen.place(head.project([(0.0, 0.52)], 1.1)[0]))[0]
        size, turn = rng.uniform(0.85, 1.0), rng.normal(0, 0.08)
        # The tip of the index, 1.25 above and 0.36 beside the palm's centre, lies over the lips.
        place = (float(lips[0]) + side * 0.30 * size, float(lips[1]) + 1.15 * size)
    if name == "dislike":
        place = (place[0], place[1] - 0.6)
    if name in ("call", "thumb_index", "three_gun"):
        turn += side * rng.uniform(0.0, 0.2)
    return _draw_hand(pen, look, body, side, name, place, size, turn, rng)


def _draw_hand(
    pen: Pen,
    look: Look,
    body: Body,
    side: int,
    name: str,
    place: Point,
    size: float,
    turn: float,
    rng: np.random.Generator,
) -> Extent:
    """Arm and hand; a raised hand's palm is seen with its thumb towards the head."""
    hand = pen.at(*place, size, turn=turn, mirror=side > 0)
    wrist = (-0.05, -0.7) if name == "dislike" else (-0.05, 0.75)
    x, y = pen.unplace(hand.place([wrist]))[0]
    draw_arm(pen, look, body, side, hand=(float(x), float(y)))
    pen.canvas.forget_extent()
    HANDS[name](hand, look, rng)
    return pen.canvas.extent


def _draw_idle_hand(
    pen: Pen, look: Look, body: Body, side: int, rng: np.random.Generator
) -> Extent:
    """A relaxed hand low in the picture, fingers down."""
    place = (side * rng.uniform(0.5, 1.3), rng.uniform(3.4, 4.0))
    draw_arm(pen, look, body, side, hand=(place[0], place[1] - 0.3))
    pen.canvas.forget_extent()
    hand = pen.at(*place, 0.95, turn=pi + side * rng.uniform(0.2, 0.9), mirror=side < 0)
    draw_pose(hand, look, Pose("imrp", thumb="along", is_palm=False), rng)
    return pen.canvas.extent


def _draw_two_hands(
    pen: Pen, name: str, look: Look, body: Body, rng: np.random.Generator
) -> list[Extent]:
    size = rng.uniform(1.1, 1.3)
    y = {"take_picture": 0.15, "thumb_index2": 0.7, "holy": 2.55, "xsign": 2.4}.get(name, 2.3)
    centre = pen.at(rng.normal(0, 0.08), y + rng.uniform(-0.2, 0.2), size, turn=rng.normal(0, 0.06))
    return _TWO_HANDS[name](pen, centre, look, body, rng)


def _arm_to(pen: Pen, local: Pen, wrist: Point, look: Look, body: Body, side: int) -> None:
    x, y = pen.unplace(local.place([wrist]))[0]
    draw_arm(pen, look, body, side, hand=(float(x), float(y)))


def _edgewise(pen: Pen, look: Look, base: Point, tip: Point, *, is_light: bool) -> None:
    """A flat hand seen from its edge."""
    colours = flesh(look, is_palm=is_light)
    pen.limb([base, tip], 0.44, colours.skin, colours.edge)
    x, y = tip[0] - base[0], tip[1] - base[1]
    pen.stroke(
        [(base[0] + 0.4 * x, base[1] + 0.4 * y), (base[0] + x, base[1] + y)], 0.05, colours.edge
    )


def _holy(pen: Pen, centre: Pen, look: Look, body: Body, rng: np.random.Generator) -> list[Extent]:
    extents = []
    for side in (-1, 1):
        _arm_to(pen, centre, (side * 0.45, 0.95), look, body, side)
    for side in (-1, 1):
        pen.canvas.forget_extent()
        hand = centre.at(0, 0, mirror=side < 0)
        colours = flesh(look, is_palm=side > 0)
        shape = curve([(0.03, 0.95), (0.42, 0.75), (0.40, 0.0), (0.26, -0.8), (0.10, -1.25),
                       (0.02, -1.25)], 3)  # fmt: skip
        hand.stroke(shape, 0.09, colours.edge, is_closed=True)
        hand.fill(shape, colours.skin)
        hand.limb([(0.30, 0.5), (0.14, -0.15)], 0.2, colours.skin, colours.edge)
        hand.stroke([(0.02, 1.0), (0.02, -1.3)], 0.05, colours.edge)
        extents.append(pen.canvas.extent)
    return extents


def _timeout(
    pen: Pen, centre: Pen, look: Look, body: Body, rng: np.random.Generator
) -> list[Extent]:
    side = int(rng.choice([-1, 1]))
    _arm_to(pen, centre, (-side * 0.1, 1.1), look, body, -side)
    pen.canvas.forget_extent()
    _edgewise(centre, look, (0.0, 0.95), (0.0, -0.45), is_light=False)
    upright = pen.canvas.extent
    _arm_to(pen, centre, (side * 1.0, -0.75), look, body, side)
    pen.canvas.forget_extent()
    _edgewise(centre, look, (side * 0.95, -0.75), (-side * 0.75, -0.75), is_light=True)
    return [upright, pen.canvas.extent]


def _xsign(pen: Pen, centre: Pen, look: Look, body: Body, rng: np.random.Generator) -> list[Extent]:
    extents = []
    sleeve = look.skin if body.has_bare_arms else look.shirt
    for side in (-1, 1):
        elbow, fist = (side * 1.0, 1.3), (-side * 0.95, -0.8)
        _arm_to(pen, centre, elbow, look, body, side)
        pen.canvas.forget_extent()
        centre.limb([elbow, fist], 0.5, sleeve, shade(sleeve, 0.5))
        pen.canvas.forget_extent()
        turn = atan2(fist[0] - elbow[0], elbow[1] - fist[1])
        hand = centre.at(*fist, 0.72, turn=turn, mirror=side > 0)
        draw_pose(hand, look, Pose("", is_palm=False), rng)
        extents.append(pen.canvas.extent)
    return extents


def _heart(scale: float) -> Points:
    """Half a heart, from the notch above (0, -0.45) over the right to the tip below."""
    half = [(0.0, -0.42), (0.24, -0.74), (0.62, -0.62), (0.70, -0.15), (0.40, 0.32), (0.0, 0.72)]
    return curve(half, 4) * scale


def _hand_heart(
    pen: Pen, centre: Pen, look: Look, body: Body, rng: np.random.Generator
) -> list[Extent]:
    extents = []
    for side in (-1, 1):
        _arm_to(pen, centre, (side * 0.85, 0.75), look, body, side)
    for side in (-1, 1):
        pen.canvas.forget_extent()
        hand = centre.at(0, 0, mirror=side < 0)
        colours = flesh(look, is_palm=False)
        hand.limb([(0.85, 0.7), (0.66, 0.1)], 0.55, colours.skin, colours.edge)
        hand.limb(_heart(1.05), 0.36, colours.skin, colours.edge)
        hand.stroke(_heart(1.1)[3:9] * (1.12, 1.12), 0.05, colours.edge)
        extents.append(pen.canvas.extent)
    return extents


def _hand_heart2(
    pen: Pen, centre: Pen, look: Look, body: Body, rng: np.random.Generator
) -> list[Extent]:
    extents = []
    for side in (-1, 1):
        _arm_to(pen, centre, (side * 1.25, 0.95), look, body, side)
    for side in (-1, 1):
        pen.canvas.forget_extent()
        hand = centre.at(0, 0, mirror=side < 0)
        colours = flesh(look, is_palm=True)
        hand.limb([(1.2, 0.9), (0.85, 0.25)], 0.6, colours.skin, colours.edge)
        fingers = hand.at(0.92, 0.12, 0.95)
        for finger, angle in ((3, 44), (2, 27), (1, 10)):
            draw_finger(fingers.at(-0.1, 0, mirror=True), finger, -angle, colours)
        hand.limb(np.add(_heart(0.8), (0.0, 0.25)), 0.27, colours.skin, colours.edge)
        extents.append(pen.canvas.extent)
    return extents


def _thumb_index2(
    pen: Pen, centre: Pen, look: Look, body: Body, rng: np.random.Generator
) -> list[Extent]:
    gap, drop = rng.uniform(1.55, 1.85), rng.uniform(0.0, 0.5)
    return [
        _draw_hand(pen, look, body, side, "thumb_index", (side * gap, drop), 1.05, 0.0, rng)
        for side in (-1, 1)
    ]


def _take_picture(
    pen: Pen, centre: Pen, look: Look, body: Body, rng: np.random.Generator
) -> list[Extent]:
    """One L upright, the other upside down: a frame before the face."""
    extents = []
    width, height = 1.15, 0.75
    for side in (-1, 1):
        corner = (side * width, -side * height)
        turn = 0.0 if side < 0 else pi
        wrist = (side * (width + 0.35), -side * height + 0.55)
        _arm_to(pen, centre, wrist, look, body, side)
        pen.canvas.forget_extent()
        hand = centre.at(corner[0], corner[1], 0.82, turn=turn)
        draw_pose(hand.at(-0.2, 0.1), look, POSES["thumb_index"], rng)
        extents.append(pen.canvas.extent)
    return extents


_TWO_HANDS: dict[str, Callable[[Pen, Pen, Look, Body, np.random.Generator], list[Extent]]] = {
    "holy": _holy,
    "timeout": _timeout,
    "xsign": _xsign,
    "hand_heart": _hand_heart,
    "hand_heart2": _hand_heart2,
    "thumb_index2": _thumb_index2,
    "take_picture": _take_picture,
}
