"""Things that people look at, hold, sit behind or sell."""

from collections.abc import Callable
from math import pi

import numpy as np

from sfedge_training.drawings.canvas import Colour, Pen, curve, oval, shade
from sfedge_training.drawings.look import bright


def _ball(pen: Pen, colour: Colour) -> None:
    pen.disc(0, 0, 0.9, shade(colour, 0.5))
    pen.disc(0, 0, 0.82, colour)
    pen.stroke(curve([(-0.8, 0.1), (0.0, 0.3), (0.8, 0.1)]), 0.16, (250, 250, 250))
    pen.stroke(curve([(0.1, -0.8), (0.3, 0.0), (0.1, 0.8)]), 0.16, (250, 250, 250))


def _cup(pen: Pen, colour: Colour) -> None:
    pen.stroke(oval(0.65, 0.0, 0.35, 0.4), 0.2, shade(colour, 0.6), is_closed=True)
    pen.fill([(-0.65, -0.8), (0.65, -0.8), (0.5, 0.85), (-0.5, 0.85)], colour)
    pen.oval(0, -0.8, 0.65, 0.2, shade(colour, 0.5))


def _phone(pen: Pen, colour: Colour) -> None:
    pen.block(-0.55, -1, 0.55, 1, (28, 28, 32))
    pen.block(-0.42, -0.8, 0.42, 0.72, (150, 210, 250))
    pen.block(-0.3, -0.6, 0.3, -0.2, colour)


def _book(pen: Pen, colour: Colour) -> None:
    pen.fill([(-1.1, -0.6), (0, -0.4), (1.1, -0.6), (1.1, 0.7), (0, 0.9), (-1.1, 0.7)], colour)
    pen.fill([(-1.0, -0.7), (0, -0.5), (0, 0.75), (-1.0, 0.55)], (246, 242, 230))
    pen.fill([(1.0, -0.7), (0, -0.5), (0, 0.75), (1.0, 0.55)], (236, 232, 220))
    for y in (-0.35, -0.05, 0.25):
        pen.stroke([(-0.8, y - 0.1), (-0.2, y)], 0.07, (120, 120, 120))
        pen.stroke([(0.8, y - 0.1), (0.2, y)], 0.07, (120, 120, 120))


def _lamp(pen: Pen, colour: Colour) -> None:
    pen.stroke([(0, -0.2), (0, 1)], 0.18, (70, 62, 58))
    pen.oval(0, 1, 0.5, 0.14, (70, 62, 58))
    pen.fill([(-0.4, -1), (0.4, -1), (0.85, -0.05), (-0.85, -0.05)], (255, 226, 130))


def _plant(pen: Pen, colour: Colour) -> None:
    for angle in (-0.9, -0.4, 0.1, 0.6, 1.0):
        leaf = pen.at(0, 0.2, turn=angle)
        leaf.oval(0, -0.7, 0.24, 0.65, (62, 130, 62))
    pen.fill([(-0.55, 0.2), (0.55, 0.2), (0.4, 1), (-0.4, 1)], (178, 96, 60))


def _screen(pen: Pen, colour: Colour) -> None:
    pen.block(-1.3, -0.9, 1.3, 0.7, (24, 24, 28))
    pen.block(-1.15, -0.75, 1.15, 0.55, (70, 130, 200))
    pen.disc(0.4, -0.1, 0.35, colour)
    pen.block(-0.5, 0.7, 0.5, 0.9, (24, 24, 28))


def _cat(pen: Pen, colour: Colour) -> None:
    fur = (206, 140, 70) if sum(colour) > 380 else (70, 66, 70)
    pen.oval(0.1, 0.45, 0.75, 0.55, fur)
    pen.stroke(curve([(0.7, 0.5), (1.2, 0.2), (1.1, -0.4)]), 0.22, fur)
    pen.disc(-0.4, -0.3, 0.5, fur)
    for side in (-1, 1):
        pen.fill([(-0.4 + side * 0.46, -0.4), (-0.4 + side * 0.4, -1), (-0.4 + side * 0.05, -0.7)],
                 fur)  # fmt: skip
        pen.disc(-0.4 + side * 0.2, -0.35, 0.1, (120, 200, 80))


def _apple(pen: Pen, colour: Colour) -> None:
    pen.disc(-0.25, 0.1, 0.65, (200, 44, 40))
    pen.disc(0.25, 0.1, 0.65, (200, 44, 40))
    pen.stroke([(0, -0.4), (0.1, -0.9)], 0.14, (90, 60, 30))
    pen.oval(0.4, -0.75, 0.3, 0.16, (80, 150, 60))


def _bottle(pen: Pen, colour: Colour) -> None:
    pen.block(-0.18, -1.1, 0.18, -0.4, shade(colour, 0.7))
    pen.fill([(-0.18, -0.5), (0.18, -0.5), (0.45, -0.1), (0.45, 1), (-0.45, 1), (-0.45, -0.1)],
             colour)  # fmt: skip
    pen.block(-0.45, 0.1, 0.45, 0.6, (244, 240, 226))


_THINGS: tuple[Callable[[Pen, Colour], None], ...] = (
    _ball, _cup, _phone, _book, _lamp, _plant, _screen, _cat, _apple, _bottle,
)  # fmt: skip


def draw_thing(pen: Pen, rng: np.random.Generator) -> None:
    """One of ten things, about 2 units high."""
    _THINGS[rng.integers(len(_THINGS))](pen, bright(rng))


def draw_cup(pen: Pen, rng: np.random.Generator) -> None:
    """A cup."""
    _cup(pen, bright(rng))


def draw_phone(pen: Pen) -> None:
    """A phone in a hand."""
    _phone(pen, (220, 60, 60))


def draw_heart(pen: Pen) -> None:
    """A heart, 2 units wide."""
    half = curve([(0, -0.5), (0.4, -0.95), (0.95, -0.55), (0.7, 0.2), (0, 1)], 4)
    pen.fill(np.concatenate([half, (half * (-1, 1))[::-1]]), (226, 40, 70))


def draw_laptop(pen: Pen) -> None:
    """A laptop from behind its screen."""
    pen.fill([(-0.95, -1.1), (0.95, -1.1), (1.05, 0.1), (-1.05, 0.1)], (150, 154, 160))
    pen.disc(0, -0.5, 0.16, (210, 212, 216))


def draw_desk(pen: Pen, half_width: float, height: float, colour: Colour) -> None:
    """A table, its top at y = 0."""
    pen.block(-half_width, 0, half_width, 0.3, colour)
    for side in (-1, 1):
        x = side * (half_width - 0.3)
        pen.stroke([(x, 0.3), (x, height)], 0.25, shade(colour, 0.7))


def draw_counter(pen: Pen, half_width: float, height: float, colour: Colour) -> None:
    """A shop's counter, its top at y = 0, with a cash register and goods upon it."""
    pen.block(-half_width, 0.2, half_width, height, colour)
    pen.block(-half_width - 0.15, 0, half_width + 0.15, 0.3, shade(colour, 0.6))
    register = pen.at(-half_width * 0.45, 0)
    register.fill([(-0.7, 0), (-0.5, -0.8), (0.5, -0.8), (0.7, 0)], (62, 66, 74))
    register.block(-0.35, -1.25, 0.35, -0.85, (130, 230, 150))
    for place, tone in enumerate(((214, 60, 50), (240, 190, 60), (90, 160, 70))):
        pen.disc(half_width * 0.25 + place * 0.5, -0.3, 0.3, tone)


def draw_shelves(pen: Pen, half_width: float, height: float, rng: np.random.Generator) -> None:
    """A shop's shelves full of goods, centred, hanging from y = 0 down to `height`."""
    pen.block(-half_width, 0, half_width, height, (122, 88, 58))
    rows = 3
    for row in range(rows):
        top, low = height * row / rows + 0.15, height * (row + 1) / rows - 0.1
        pen.block(-half_width + 0.15, top, half_width - 0.15, low, (70, 52, 38))
        for x in np.arange(-half_width + 0.5, half_width - 0.3, 0.75):
            tall = rng.uniform(0.5, 0.95) * (low - top)
            pen.block(x - 0.28, low - tall, x + 0.28, low, bright(rng, 1.1))


def draw_whiteboard(pen: Pen, half_width: float, height: float, rng: np.random.Generator) -> None:
    """A board with a chart."""
    pen.block(-half_width, 0, half_width, height, (130, 132, 136))
    pen.block(-half_width + 0.15, 0.15, half_width - 0.15, height - 0.15, (248, 248, 250))
    x = np.linspace(-half_width + 0.6, half_width - 0.6, 6)
    y = height * (0.75 - 0.1 * np.arange(6) + rng.uniform(-0.08, 0.08, 6))
    pen.stroke(np.column_stack([x, y]), 0.14, (40, 90, 200))
    pen.stroke([(x[0], height * 0.2), (x[0], height * 0.85), (x[-1], height * 0.85)], 0.1,
               (60, 60, 64))  # fmt: skip


def draw_bag(pen: Pen, colour: Colour) -> None:
    """A shopping bag that hangs from a hand at the origin."""
    turn = np.linspace(pi, 2 * pi, 9)
    pen.stroke(np.column_stack([0.3 * np.cos(turn), 0.5 + 0.5 * np.sin(turn)]), 0.1, (90, 70, 60))
    pen.fill([(-0.6, 0.5), (0.6, 0.5), (0.7, 2.0), (-0.7, 2.0)], colour)


def draw_case(pen: Pen) -> None:
    """A briefcase that hangs from a hand at the origin."""
    pen.block(-0.35, 0.1, 0.35, 0.3, (40, 32, 28))
    pen.block(-0.9, 0.3, 0.9, 1.5, (92, 62, 42))
    pen.block(-0.15, 0.3, 0.15, 0.55, (210, 180, 90))
