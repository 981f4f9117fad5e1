"""A drawn head: a turned ellipsoid with hair, brows, eyes, nose and mouth."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from sfedge_training.drawings.canvas import Colour, Extent, Pen, Points, curve, mix, oval, shade
from sfedge_training.drawings.drawn_expressions import Expression
from sfedge_training.drawings.look import Look

_HALF = np.array([0.80, 1.0, 0.88])  # half width, height and depth of the head; its height is 2
_EYE = (0.42, -0.10)  # centre of the right half's eye, in fractions of the half width and height
_WHITE: Colour = (246, 244, 240)


@dataclass(frozen=True, slots=True, eq=False)
class Head:
    """Where a head is and which way it is turned; radians, right and down are positive.

    `pen` stands at the head's centre, its unit is half the head's height.
    """

    pen: Pen
    yaw: float = 0.0
    pitch: float = 0.0

    def project(self, points: ArrayLike, lift: float = 1.0) -> tuple[Points, Points]:
        """Points on the face (fractions of half width and height) as the pen's units, and depths.

        Args:
            points: (N, 2).
            lift: distance from the centre relative to the surface; above 1 sticks out.

        Returns:
            (N, 2) positions, hidden ones moved to the outline, and (N,) depths, positive in sight.
        """
        flat = np.asarray(points, np.float64)
        depth = np.sqrt(np.maximum(1 - (flat**2).sum(axis=1), 0.0))
        x, y, z = (np.column_stack([flat, depth]) * _HALF * lift).T
        y, z = _turn(y, z, self.pitch)
        x, z = _turn(x, z, self.yaw)
        seen = np.column_stack([x, y])
        reach = np.hypot(x / self.half_width, y)
        hidden = (z < 0) & (reach < 1) & (reach > 1e-6)
        seen[hidden] /= reach[hidden, None]
        return seen, z

    @property
    def half_width(self) -> float:
        """Of the outline, which is wider from the side."""
        return math.hypot(_HALF[0] * math.cos(self.yaw), _HALF[2] * math.sin(self.yaw))


def _turn(across: Points, depth: Points, angle: float) -> tuple[Points, Points]:
    cos, sin = math.cos(angle), math.sin(angle)
    return across * cos + depth * sin, depth * cos - across * sin


def face_extent(head: Head) -> Extent:
    """The box in pixels that a face detector gives: brows to chin, cheek to cheek."""
    rim = [(-0.92, -0.3), (0.92, -0.3), (-0.95, 0.1), (0.95, 0.1), (0, -0.46), (0, 1.0), (0.6, 0.8)]
    placed = head.pen.place(head.project([*rim, (-0.6, 0.8)])[0])
    (x1, y1), (x2, y2) = placed.min(axis=0), placed.max(axis=0)
    return float(x1), float(y1), float(x2), float(y2)


def eye_point(head: Head) -> tuple[float, float]:
    """The point between the eyes, in pixels."""
    x, y = head.pen.place(head.project([(0.0, _EYE[1])])[0])[0]
    return float(x), float(y)


def draw_head(
    head: Head, look: Look, expression: Expression, gaze: tuple[float, float] | None = None
) -> None:
    """Draw it.

    Args:
        head: place and direction.
        look: the person.
        expression: what the face does.
        gaze: yaw and pitch of the line of sight, towards the beholder's right and down, seen from
            the camera; straight ahead of the head where None. (0, 0) looks at the camera.
    """
    gaze = (head.yaw, head.pitch) if gaze is None else gaze
    _draw_back_of_head(head, look)
    _draw_skin(head, look, expression)
    for side in (-1, 1):
        _draw_eye(head, look, expression, side, gaze)
    _draw_lines(head, look, expression)
    _draw_mouth(head, look, expression)
    _draw_nose(head, look)
    if look.has_glasses:
        _draw_glasses(head)


def _draw_back_of_head(head: Head, look: Look) -> None:
    pen, width = head.pen, head.half_width
    hair = look.hair_colour
    if look.hair in ("long", "scarf"):
        pen.oval(0, 0.15, width * 1.16, 1.28, shade(hair, 0.8))
        pen.block(-width * 1.1, 0.3, width * 1.1, 1.25, shade(hair, 0.8))
    if look.hair == "bun":
        x, y = head.project([(0.0, -0.6)], 1.25)[0][0] * (-0.3, 1.0)
        pen.disc(float(x), float(y) - 0.2, 0.36, hair)
    if look.hair == "curly":
        for angle in np.linspace(-math.pi * 1.08, math.pi * 0.08, 11):
            x, y = math.cos(angle) * width, math.sin(angle) * 0.95 - 0.05
            pen.disc(x, y, 0.26, hair)
    is_bare = look.hair == "bald"
    crown = look.skin if is_bare else hair
    pen.oval(0, -0.02, width * 1.05, 1.03, shade(crown, 0.7))
    pen.oval(0, -0.02, width * 1.02, 1.0, crown)


def _draw_skin(head: Head, look: Look, expression: Expression) -> None:
    pen = head.pen
    top = {"bald": -0.93, "cap": -0.50, "scarf": -0.52}.get(look.hair, -0.76 + look.hairline * 0.22)
    part = look.parting * 0.4
    chin = 0.97 + max(expression.jaw, 0.0) * 0.12
    side = 0.86 if look.hair == "scarf" else 0.96
    outline = curve(
        [
            (-0.72, top + 0.14), (part - 0.25, top), (part + 0.25, top), (0.72, top + 0.14),
            (0.86, -0.25), (side, 0.05), (side * 0.93, 0.35), (0.68, 0.70), (0.36, 0.91),
            (0.0, chin), (-0.36, 0.91), (-0.68, 0.70), (-side * 0.93, 0.35), (-side, 0.05),
            (-0.86, -0.25), (-0.72, top + 0.14),
        ], 4,
    )  # fmt: skip
    for ear in (-1, 1):
        seen, depth = head.project([(ear * 1.0, 0.08)], 1.03)
        if depth[0] > -0.25 and look.hair not in ("long", "scarf"):
            x, y = seen[0]
            pen.oval(float(x), float(y), 0.11, 0.2, shade(look.skin, 0.82))
    seen, depth = head.project(outline)
    if not (depth > 0).any():
        return
    if look.hair != "bald":
        pen.stroke(seen, 0.04, shade(look.skin, 0.72), is_closed=True)
    pen.fill(seen, look.skin)
    if look.has_beard:
        beard = curve(
            [(-0.94, 0.1), (-0.74, 0.42), (-0.42, 0.40), (0.0, 0.36), (0.42, 0.40), (0.74, 0.42),
             (0.94, 0.1), (0.84, 0.52), (0.5, 0.86), (0.0, chin), (-0.5, 0.86), (-0.84, 0.52),
             (-0.94, 0.1)], 3,
        )  # fmt: skip
        pen.fill(head.project(beard)[0], mix(look.hair_colour, look.skin, 0.35))
    if look.hair == "cap":
        brim = curve([(-0.8, -0.5), (-0.4, -0.62), (0.4, -0.62), (0.8, -0.5), (0, -0.36)], 3)
        pen.fill(head.project(brim, 1.15)[0], shade(look.hair_colour, 0.6))


def _draw_eye(
    head: Head, look: Look, expression: Expression, side: int, gaze: tuple[float, float]
) -> None:
    middle = (side * _EYE[0], _EYE[1])
    if head.project([middle])[1][0] < 0.12:
        return
    opening = max(0.105 * (1 + expression.lids * 0.85), 0.022)
    x, y, tilt, half = *middle, expression.eye_tilt, 0.235
    inner, outer = x - side * half, x + side * half
    upper = [(inner, y - tilt * 0.3), (x - side * 0.1, y - opening - tilt * 0.9),
             (x + side * 0.1, y - opening + tilt * 0.9), (outer, y + tilt * 0.8)]  # fmt: skip
    low = opening * 0.85 - expression.lower_lid
    lower = [(outer, y + tilt * 0.8), (x + side * 0.1, y + low), (x - side * 0.1, y + low),
             (inner, y - tilt * 0.3)]  # fmt: skip
    lid = head.project(curve(upper, 4))[0]
    almond = np.concatenate([lid, head.project(curve(lower, 4))[0][1:]])
    head.pen.fill(almond, _WHITE)
    # The ball turns in its socket: the iris stands off the ball's centre along the line of sight.
    ball, radius = head.project([middle], 0.80)[0][0], 0.27
    away_x = math.sin(gaze[0]) * math.cos(gaze[1]) * radius
    away_y = math.sin(gaze[1]) * radius
    shift = head.project([middle])[0][0] - ball
    straight = np.array([math.sin(head.yaw) * math.cos(head.pitch), math.sin(head.pitch)]) * radius
    iris = ball + shift + np.clip((away_x, away_y) - straight, (-0.17, -0.1), (0.17, 0.1))
    size = 0.118
    head.pen.disc(iris[0], iris[1], size, shade(look.eye_colour, 0.8), inside=almond)
    head.pen.disc(iris[0], iris[1], size * 0.5, (8, 8, 10), inside=almond)
    head.pen.stroke(lid, 0.05, shade(look.skin, 0.28))
    _draw_brow(head, look, expression, side)


def _draw_brow(head: Head, look: Look, expression: Expression, side: int) -> None:
    alone = expression.one_brow if side > 0 else -0.3 * expression.one_brow
    height = -0.36 + alone
    line = curve(
        [
            (side * 0.17, height + expression.brow_inner),
            (side * 0.40, height - 0.05 + expression.brow_middle),
            (side * 0.68, height + 0.03 + expression.brow_outer),
        ], 4,
    )  # fmt: skip
    is_covered = look.hair in ("bald", "cap", "scarf")
    colour = shade(look.skin, 0.3) if is_covered else mix(look.hair_colour, (20, 16, 14), 0.35)
    head.pen.stroke(head.project(line)[0], 0.085, colour)


def _draw_lines(head: Head, look: Look, expression: Expression) -> None:
    """Wrinkles of forehead, nose root and cheeks."""
    dark = shade(look.skin, 0.66)
    if head.project([(0.0, -0.3)])[1][0] < 0.3:
        return

    def line(points: list[tuple[float, float]], width: float = 0.04) -> None:
        head.pen.stroke(head.project(curve(points, 3))[0], width, dark)

    if expression.frown > 0.5:
        for x in (-0.07, 0.07):
            line([(x, -0.46), (x * 0.8, -0.24)])
    if expression.forehead > 0.5:
        for y in (-0.70, -0.60):
            line([(-0.35, y), (0.0, y - 0.03), (0.35, y)], 0.03)
    if expression.wrinkle > 0.5:
        for y in (-0.14, -0.04, 0.06):
            line([(-0.15, y + 0.05), (0.0, y), (0.15, y + 0.05)], 0.035)
    if expression.cheeks > 0.5:
        for side in (-1, 1):
            line([(side * 0.26, 0.26), (side * 0.48, 0.40), (side * 0.56, 0.60)])
    if expression.one_corner < -0.08:
        line([(0.30, 0.28), (0.52, 0.36), (0.60, 0.52)])


def _draw_mouth(head: Head, look: Look, expression: Expression) -> None:
    if head.project([(0.0, 0.55)])[1][0] < 0.05:
        return
    half, y = 0.34 * (1 + expression.width), 0.54
    left, right = y + expression.corners, y + expression.corners + expression.one_corner
    reach = half + (0.10 if expression.one_corner < -0.08 else 0.0)
    top = y + expression.upper_lip + (0.06 if expression.corners < -0.05 else 0.0)
    bottom = max(top + 0.01, y + expression.jaw + 0.02)
    bend = expression.corners * 0.15
    upper = [(-half, left), (-half * 0.5, top + bend), (half * 0.5, top + bend), (reach, right)]
    lower = [(reach, right), (half * 0.55, bottom + bend), (-half * 0.55, bottom + bend),
             (-half, left)]  # fmt: skip
    upper_line = head.project(curve(upper, 4))[0]
    lower_line = head.project(curve(lower, 4))[0]
    lips = (176, 60, 70) if look.has_lipstick else mix(shade(look.skin, 0.62), (150, 60, 60), 0.45)
    if expression.jaw < 0.06:
        thin = 0.05 if expression.press > 0.3 else 0.10
        head.pen.stroke(upper_line, thin + 0.02, lips)
        head.pen.stroke(upper_line, 0.04, shade(lips, 0.45))
        return
    hole = np.concatenate([upper_line, lower_line[1:-1]])
    head.pen.fill(hole, (70, 22, 26))
    if expression.teeth > 0.2:
        depth = bottom - top
        edge = [(x, v + depth * min(expression.teeth, 0.95)) for x, v in upper[1:3]]
        ends = [(upper[3][0] * 0.92, right + 0.01), (-half * 0.92, left + 0.01)]
        band = [*upper, ends[0], *edge[::-1], ends[1]]
        head.pen.fill(head.project(band)[0], _WHITE)
    elif expression.jaw > 0.25:
        tongue = oval(0.0, bottom - 0.08, half * 0.55, 0.08)
        head.pen.fill(head.project(tongue)[0], (196, 90, 96))
    head.pen.stroke(hole, 0.06, lips, is_closed=True)


def _draw_nose(head: Head, look: Look) -> None:
    root, root_depth = head.project([(0.0, -0.12)], 1.02)
    tip, tip_depth = head.project([(0.0, 0.24)], 1.30)
    base, base_depth = head.project([(0.0, 0.33)], 1.04)
    if max(root_depth[0], tip_depth[0]) < -0.1:
        return
    sides = [head.project([(side * 0.16, 0.30)], 1.06) for side in (-1, 1)]
    seen = [point[0] for point, depth in sides if depth[0] > 0.05]
    ridge = np.concatenate([root, tip, base])
    if base_depth[0] > -0.2:
        head.pen.fill(np.concatenate([root, *(p[None] for p in seen), tip, base]), look.skin)
    head.pen.fill(ridge, shade(look.skin, 0.84))
    head.pen.stroke(ridge, 0.045, shade(look.skin, 0.66))
    x, y = tip[0]
    head.pen.disc(float(x), float(y), 0.085, mix(shade(look.skin, 0.92), (230, 120, 110), 0.15))
    if base_depth[0] > 0.2:
        for point in seen:
            head.pen.disc(float(point[0]), float(point[1]), 0.045, shade(look.skin, 0.5))


def _draw_glasses(head: Head) -> None:
    dark: Colour = (30, 30, 34)
    for side in (-1, 1):
        if head.project([(side * _EYE[0], _EYE[1])])[1][0] > 0.12:
            rim = oval(side * _EYE[0], _EYE[1] + 0.02, 0.31, 0.20)
            head.pen.stroke(head.project(rim, 1.04)[0], 0.035, dark, is_closed=True)
    if head.project([(0.0, _EYE[1])])[1][0] > 0.2:
        bridge = head.project([(-0.12, _EYE[1]), (0.12, _EYE[1])], 1.05)[0]
        head.pen.stroke(bridge, 0.04, dark)
