"""Drawn hands: the fingers that are out, palm or back, for HaGRID's one-hand gestures."""

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, pi, radians, sin
from typing import Literal

import numpy as np

from sfedge_training.drawings.canvas import Colour, Pen, Points, curve, mix, oval, shade
from sfedge_training.drawings.look import Look

Thumb = Literal["out", "level", "across", "on_ring", "on_pinkie", "along"]

# Fingers from the index to the little one: x of the knuckle, length, width. The palm is 1 wide.
_FINGERS = ((0.36, 0.98, 0.25), (0.12, 1.10, 0.26), (-0.12, 1.00, 0.25), (-0.35, 0.78, 0.22))
_KNUCKLES = -0.42  # y of the knuckles; the wrist is at 0.55, the hand's centre at 0


@dataclass(frozen=True, slots=True)
class Pose:
    """One hand, upright, the thumb to the right where its palm is seen."""

    out: str  # fingers stretched, of "imrp": index, middle, ring, pinkie
    spread: float = 0.0  # degrees between two neighbours that are out
    thumb: Thumb = "across"
    is_palm: bool = True
    is_bent: bool = False  # like a claw


POSES: dict[str, Pose] = {
    "call": Pose("p", spread=16, thumb="level"),
    "fist": Pose(""),
    "one": Pose("i"),
    "three": Pose("imr", spread=14, thumb="on_pinkie"),
    "three2": Pose("im", spread=26, thumb="out"),
    "three3": Pose("imp", spread=15, thumb="on_ring"),
    "four": Pose("imrp", spread=13, thumb="across"),
    "mute": Pose("i", thumb="across", is_palm=False),
    "palm": Pose("imrp", spread=17, thumb="out"),
    "peace": Pose("im", spread=38),
    "peace_inverted": Pose("im", spread=38, is_palm=False),
    "rock": Pose("ip", spread=6),
    "stop": Pose("imrp", thumb="along"),
    "stop_inverted": Pose("imrp", thumb="along", is_palm=False),
    "two_up": Pose("im"),
    "two_up_inverted": Pose("im", is_palm=False),
    "grabbing": Pose("imrp", spread=24, thumb="out", is_bent=True),
    "little_finger": Pose("p", spread=4),
    "middle_finger": Pose("m", is_palm=False),
    "three_gun": Pose("im", thumb="level"),
    "thumb_index": Pose("i", thumb="level"),
}


@dataclass(frozen=True, slots=True)
class Flesh:
    """The colours of one side of a hand."""

    skin: Colour
    edge: Colour
    nail: Colour | None  # seen on the back alone
    crease: Colour


def flesh(look: Look, *, is_palm: bool) -> Flesh:
    """The colours of a person's palm or back of the hand."""
    if is_palm:
        return Flesh(look.palm, look.edge, None, mix(look.edge, (190, 80, 80), 0.4))
    return Flesh(
        look.back, shade(look.edge, 0.75), mix(look.skin, (255, 236, 232), 0.85), look.edge
    )


def draw_pose(pen: Pen, look: Look, pose: Pose, rng: np.random.Generator) -> None:
    """A hand in a pose; the pen's unit is the palm's width, its origin the palm's centre."""
    pen = pen if pose.is_palm else pen.at(0, 0, mirror=True)
    colours = flesh(look, is_palm=pose.is_palm)
    names = "imrp"
    out = [finger for finger, name in enumerate(names) if name in pose.out]
    angles = _angles(out, pose, rng)
    pen.limb([(0.0, 0.3), (0.0, 0.85)], 0.62, colours.skin, colours.edge)
    for finger in out:
        draw_finger(pen, finger, angles[finger], colours, is_bent=pose.is_bent)
    palm = curve(
        [(-0.47, -0.40), (0.0, -0.50), (0.48, -0.40), (0.49, 0.1), (0.34, 0.55), (-0.32, 0.55),
         (-0.49, 0.1), (-0.47, -0.40)], 3,
    )  # fmt: skip
    pen.stroke(palm, 0.07, colours.edge, is_closed=True)
    pen.fill(palm, colours.skin)
    for finger in out:  # no line between a finger and the palm
        x, _, width = _FINGERS[finger]
        pen.disc(x, _KNUCKLES + 0.08, width * 0.46, colours.skin)
    if pose.is_palm:
        if len(out) > 2:
            pen.stroke(curve([(0.44, -0.12), (0.1, -0.2), (-0.36, -0.26)]), 0.04, colours.crease)
            pen.stroke(curve([(0.44, -0.05), (0.1, 0.06), (-0.2, 0.3)]), 0.04, colours.crease)
        pen.stroke(curve([(0.4, -0.02), (0.12, 0.15), (0.06, 0.48)]), 0.04, colours.crease)
    for finger in range(4):
        if finger not in out:
            _draw_curled(pen, finger, colours)
    _draw_thumb(pen, pose, colours)


def draw_finger(
    pen: Pen, finger: int, angle: float, colours: Flesh, *, is_bent: bool = False
) -> None:
    """A stretched finger, 0 the index to 3 the little one; angle in degrees to the right."""
    x, length, width = _FINGERS[finger]
    across, up = sin(radians(angle)), -cos(radians(angle))
    path: Points | list[tuple[float, float]]
    if is_bent:
        length *= 0.86
        path = curve(
            [
                (x, _KNUCKLES), (x + across * length * 0.55, _KNUCKLES + up * length * 0.55),
                (x + across * length * 0.95, _KNUCKLES + up * length * 0.66),
                (x + across * length * 1.05, _KNUCKLES + up * length * 0.28),
            ], 4,
        )  # fmt: skip
        width *= 1.1
    else:
        path = [(x, _KNUCKLES), (x + across * length, _KNUCKLES + up * length)]
    pen.limb(path, width, colours.skin, colours.edge)
    if is_bent:
        pen.disc(float(path[-1][0]), float(path[-1][1]), width * 0.42, shade(colours.skin, 0.8))
        return
    for share in (0.40, 0.70):
        px, py = x + across * length * share, _KNUCKLES + up * length * share
        side = width * 0.36
        pen.stroke([(px + up * side, py - across * side), (px - up * side, py + across * side)],
                   0.035, colours.crease)  # fmt: skip
    if colours.nail:
        px, py = x + across * length * 0.97, _KNUCKLES + up * length * 0.97
        nail = pen.at(px, py, turn=radians(angle))
        nail.oval(0, 0, width * 0.33, width * 0.42, colours.nail)


def _angles(out: list[int], pose: Pose, rng: np.random.Generator) -> dict[int, float]:
    """Degrees to the right of each stretched finger: spread evenly about the middle of the hand."""
    spread = pose.spread * rng.uniform(0.85, 1.15)
    if not out:
        return {}
    if len(out) == 1:
        return {out[0]: (-1 if out[0] == 3 else 1) * spread * (out[0] != 1)}
    middle = float(np.mean(out))
    return {finger: (middle - finger) * spread for finger in out}


def _draw_curled(pen: Pen, finger: int, colours: Flesh) -> None:
    x, _, width = _FINGERS[finger]
    if colours.nail:  # from the back only the knuckle shows
        pen.disc(x, _KNUCKLES - 0.02, width * 0.55, colours.edge)
        pen.disc(x, _KNUCKLES - 0.01, width * 0.45, colours.skin)
        return
    pen.limb([(x, _KNUCKLES - 0.08), (x * 0.94, 0.02)], width * 0.92, colours.skin, colours.edge)
    pen.stroke([(x - width * 0.3, -0.28), (x + width * 0.3, -0.28)], 0.035, colours.crease)


def _draw_thumb(pen: Pen, pose: Pose, colours: Flesh) -> None:
    is_folded = pose.thumb in ("across", "on_ring", "on_pinkie")
    if is_folded and not pose.is_palm:
        return
    base = (0.36, 0.28)
    tips: dict[Thumb, list[tuple[float, float]]] = {
        "out": [(0.66, 0.02), (0.98, -0.34)],
        "level": [(0.72, 0.20), (1.16, 0.12)],
        "across": [(0.30, 0.02), (-0.10, -0.02)],
        "on_ring": [(0.24, 0.06), (-0.12, -0.12)],
        "on_pinkie": [(0.18, 0.10), (-0.30, -0.10)],
        "along": [(0.50, 0.0), (0.52, -0.34)],
    }
    pen.limb(curve([base, *tips[pose.thumb]], 4), 0.27, colours.skin, colours.edge)
    if not is_folded:
        pen.disc(*base, 0.125, colours.skin)
    if colours.nail:
        pen.disc(*tips[pose.thumb][-1], 0.09, colours.nail)


def draw_thumb_fist(pen: Pen, look: Look, rng: np.random.Generator) -> None:
    """A fist from the side with its thumb up: the fingers stacked, their ends to the right."""
    colours = flesh(look, is_palm=False)
    pen.limb([(0.0, 0.25), (-0.1, 0.85)], 0.6, colours.skin, colours.edge)
    pen.limb([(-0.10, -0.1), (-0.14, -0.62), (-0.10, -1.12)], 0.32, colours.skin, colours.edge)
    pen.limb([(-0.12, -0.12), (0.12, 0.22)], 0.74, colours.skin, colours.edge)
    light = flesh(look, is_palm=True)
    for row in range(4):
        y = -0.32 + row * 0.235
        pen.limb([(0.02, y), (0.46 - 0.04 * row, y)], 0.21, light.skin, colours.edge)
    pen.disc(-0.10, -1.16, 0.10, light.skin)


def draw_ring(pen: Pen, look: Look, rng: np.random.Generator) -> None:
    """Thumb and index touch in a ring, the other three are spread ("ok")."""
    colours = flesh(look, is_palm=True)
    draw_pose(pen, look, Pose("mrp", spread=16, thumb="across"), rng)
    pen.disc(0.30, -0.10, 0.36, colours.skin)
    ring = oval(0.46, -0.42, 0.34, 0.36)
    pen.stroke(ring, 0.30, colours.edge, is_closed=True)
    pen.stroke(ring, 0.22, colours.skin, is_closed=True)
    pen.oval(0.46, -0.42, 0.20, 0.22, (46, 40, 44))


def draw_tube(pen: Pen, look: Look, rng: np.random.Generator) -> None:
    """All fingers closed round a pole that is not there ("grip"), its hollow to the camera."""
    colours = flesh(look, is_palm=False)
    pen.limb([(-0.05, 0.45), (-0.15, 1.0)], 0.6, colours.skin, colours.edge)
    for step in range(4):
        shift = 0.13 * (3 - step)
        ring = oval(-shift * 0.6, -0.1 - shift * 0.45, 0.47, 0.50)
        pen.stroke(ring, 0.36, colours.edge, is_closed=True)
        pen.stroke(ring, 0.28, shade(colours.skin, 0.88 + 0.05 * step), is_closed=True)
    pen.oval(0.0, -0.1, 0.33, 0.36, (36, 30, 34))
    pen.limb(curve([(0.0, 0.48), (0.42, 0.42), (0.56, 0.0)], 4), 0.26, colours.skin, colours.edge)
    if colours.nail:
        pen.disc(0.55, -0.03, 0.09, colours.nail)


def draw_pointing(pen: Pen, look: Look, rng: np.random.Generator) -> None:
    """The index points at the camera: its tip, large and round, in front of the fist."""
    colours = flesh(look, is_palm=False)
    pen.limb([(0.0, 0.3), (0.0, 0.85)], 0.56, colours.skin, colours.edge)
    pen.limb([(-0.35, -0.05), (-0.5, -0.55)], 0.27, colours.skin, colours.edge)
    for x in (0.42, 0.16, -0.10):
        pen.limb([(x, -0.1), (x, 0.34)], 0.26, colours.skin, colours.edge)
    pen.disc(-0.22, -0.12, 0.42, colours.edge)
    pen.disc(-0.22, -0.12, 0.36, flesh(look, is_palm=True).skin)
    pen.disc(-0.22, -0.10, 0.24, mix(look.palm, (235, 120, 110), 0.45))
    pen.disc(-0.22, -0.08, 0.10, look.palm)


def _posed(name: str) -> Callable[[Pen, Look, np.random.Generator], None]:
    def draw(pen: Pen, look: Look, rng: np.random.Generator) -> None:
        draw_pose(pen, look, POSES[name], rng)

    return draw


def _thumb_down(pen: Pen, look: Look, rng: np.random.Generator) -> None:
    draw_thumb_fist(pen.at(0, 0, turn=pi, mirror=True), look, rng)


HANDS: dict[str, Callable[[Pen, Look, np.random.Generator], None]] = {
    **{name: _posed(name) for name in POSES},
    "like": draw_thumb_fist,
    "dislike": _thumb_down,
    "ok": draw_ring,
    "grip": draw_tube,
    "point": draw_pointing,
}
