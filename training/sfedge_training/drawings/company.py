"""Groups of people whose clothes, things, distance and touch show how they relate."""

from collections.abc import Callable
from dataclasses import replace
from typing import Literal

import numpy as np

from sfedge_training.drawings.canvas import Canvas, Extent, Pen
from sfedge_training.drawings.drawn_expressions import random_expression
from sfedge_training.drawings.drawn_people import Figure, draw_figures
from sfedge_training.drawings.look import bright, random_look, suit_colour
from sfedge_training.drawings.objects import (
    draw_bag,
    draw_case,
    draw_counter,
    draw_cup,
    draw_desk,
    draw_heart,
    draw_laptop,
    draw_phone,
    draw_shelves,
    draw_whiteboard,
)
from sfedge_training.drawings.person import (
    SHOULDERS,
    Body,
    Outfit,
)

Relation = Literal["friends", "family", "couple", "professional", "commercial", "no_relation"]
_HEIGHT = SHOULDERS + 7.65  # from the head's centre to the feet of a grown person, in half heads


def _person(
    rng: np.random.Generator,
    x: float,
    ground: float,
    mood: str,
    *,
    lean: float | None = None,
    size: tuple[float, float] = (0.94, 1.06),
) -> Figure:
    """A grown person in casual clothes who stands facing the camera."""
    return Figure(
        look=random_look(rng),
        x=x,
        ground=ground,
        size=rng.uniform(*size),
        expression=random_expression(rng, mood),
        yaw=rng.normal(0, 0.15),
        turn=rng.normal(0, 0.06) if lean is None else lean,
        body=Body(stride=rng.uniform(0.4, 0.6)),
    )


def _dressed(figure: Figure, outfit: Outfit, rng: np.random.Generator) -> Figure:
    look = figure.look
    if outfit == "suit":
        cloth = suit_colour(rng)
        look = replace(look, shirt=cloth, trousers=cloth, has_skirt=False, has_stripes=False)
    accent = bright(rng)
    return replace(figure, look=look, body=replace(figure.body, outfit=outfit, accent=accent))


def draw_friends(pen: Pen, x: float, ground: float, rng: np.random.Generator) -> list[Extent]:
    """Two or three of one age in casual clothes, arm in arm and laughing, or with raised cups."""
    count = 3 if rng.random() < 0.3 else 2
    gap = rng.uniform(2.5, 2.9)
    places = x + (np.arange(count) - (count - 1) / 2) * gap
    figures = [_person(rng, float(place), ground, "happiness") for place in places]
    if count == 2 and rng.random() < 0.4:
        cups = [(x - 0.4, ground - 7.6), (x + 0.4, ground - 7.6)]
        left = replace(figures[0].reaching(right=cups[0]), x=figures[0].x - 0.5, yaw=0.7)
        right = replace(figures[1].reaching(left=cups[1]), x=figures[1].x + 0.5, yaw=-0.7)
        left, right = left.reaching(right=cups[0]), right.reaching(left=cups[1])
        extents = draw_figures(pen, [left, right])
        for cup in cups:
            draw_cup(pen.at(cup[0], cup[1] - 0.2, 0.5), rng)
        return extents
    linked = []
    for place, figure in enumerate(figures):
        shoulder = ground - _HEIGHT + SHOULDERS + 0.35
        if place + 1 < count:
            figure = figure.reaching(right=(figures[place + 1].x + 0.75, shoulder))
        if place > 0:
            figure = figure.reaching(left=(figures[place - 1].x - 0.75, shoulder))
        linked.append(figure)
    return draw_figures(pen, linked)


def draw_family(pen: Pen, x: float, ground: float, rng: np.random.Generator) -> list[Extent]:
    """A child between or beside its parents, hand in hand."""
    child = Figure(
        look=random_look(rng, is_child=True), x=x, ground=ground, size=rng.uniform(0.62, 0.78),
        body=Body(length=rng.uniform(0.68, 0.8), stride=0.4),
        expression=random_expression(rng, "happiness"), yaw=rng.normal(0, 0.2),
    )  # fmt: skip
    hand = ground - 3.6
    sides = [-1, 1] if rng.random() < 0.4 else [int(rng.choice([-1, 1]))]
    figures = []
    for side in sides:
        parent = _person(rng, x + side * rng.uniform(2.4, 2.8), ground, "happiness")
        meeting = (x + side * 1.1, hand)
        if side < 0:
            parent, child = parent.reaching(right=meeting), child.reaching(left=meeting)
        else:
            parent, child = parent.reaching(left=meeting), child.reaching(right=meeting)
        figures.append(replace(parent, yaw=-side * rng.uniform(0, 0.5), pitch=rng.uniform(0, 0.3)))
    return draw_figures(pen, [*figures, child])


def draw_couple(pen: Pen, x: float, ground: float, rng: np.random.Generator) -> list[Extent]:
    """Two who embrace face to face, walk hand in hand with heads together, or marry."""
    kind = rng.choice(["embrace", "hands", "wedding"], p=[0.45, 0.3, 0.25])
    gap = rng.uniform(1.7, 2.0)
    mood = "happiness" if rng.random() < 0.7 else "neutral"
    left, right = (
        _person(rng, x + side * gap / 2, ground, mood, lean=-side * rng.uniform(0.12, 0.25))
        for side in (-1, 1)
    )
    middle = ground - 6.0
    if kind == "wedding":
        left, right = _dressed(left, "gown", rng), _dressed(right, "suit", rng)
    if kind == "embrace":
        left, right = replace(left, yaw=1.0), replace(right, yaw=-1.0)
        left = left.reaching(left=(x + 0.5, middle + 0.6), right=(x + gap / 2 + 0.7, middle - 0.7))
        right = right.reaching(left=(x - gap / 2 - 0.7, middle), right=(x - 0.3, middle + 1.1))
    else:
        meeting = (x, ground - 4.3)
        left = replace(left, yaw=rng.uniform(0.1, 0.6)).reaching(right=meeting)
        right = replace(right, yaw=-rng.uniform(0.1, 0.6)).reaching(left=meeting)
    extents = draw_figures(pen, [left, right])
    if kind != "wedding" and rng.random() < 0.4:
        draw_heart(pen.at(x, ground - _HEIGHT - 1.6, rng.uniform(0.5, 0.8)))
    return extents


def draw_professionals(pen: Pen, x: float, ground: float, rng: np.random.Generator) -> list[Extent]:
    """Colleagues in working dress: at a desk, at a board, or shaking hands."""
    outfits: tuple[Outfit, ...] = ("suit", "suit", "suit", "coat", "uniform")
    outfit = outfits[rng.integers(len(outfits))]
    kind = rng.choice(["desk", "board", "handshake"])
    gap = rng.uniform(3.9, 4.8)
    accent = bright(rng)
    left, right = (
        replace(
            _dressed(_person(rng, x + side * gap / 2, ground, "neutral"), outfit, rng),
            yaw=-side * rng.uniform(0.5, 1.1),
        )
        for side in (-1, 1)
    )
    if outfit == "uniform":
        left, right = (replace(f, body=replace(f.body, accent=accent)) for f in (left, right))
    if kind == "board" or rng.random() < 0.3:
        draw_whiteboard(pen.at(x, ground - 11.6), 2.9, 3.6, rng)
    if kind == "handshake":
        meeting = (x, ground - 5.2)
        left, right = left.reaching(right=meeting), right.reaching(left=meeting)
        extents = draw_figures(pen, [left, right])
        if rng.random() < 0.6:
            draw_case(pen.at(left.x - 1.4, ground - 4.0))
        return extents
    if kind == "board":
        left = left.reaching(right=(x - 0.9, ground - 8.9))
        return draw_figures(pen, [left, right])
    top = ground - 4.3
    left, right = (
        left.reaching(right=(x - 1.1, top - 0.2)),
        right.reaching(left=(x + 1.1, top - 0.2)),
    )
    extents = draw_figures(pen, [left, right])
    draw_desk(pen.at(x, top), gap / 2 + 0.9, 4.2, (150, 108, 66))
    draw_laptop(pen.at(x, top, 0.9))
    return extents


def draw_trade(pen: Pen, x: float, ground: float, rng: np.random.Generator) -> list[Extent]:
    """A customer before a shop's counter, the seller in an apron behind it."""
    gap = rng.uniform(4.2, 5.2)
    side = int(rng.choice([-1, 1]))
    draw_shelves(pen.at(x + side * gap * 0.45, ground - 11.8), 2.3, 6.0, rng)
    seller = _dressed(_person(rng, x + side * gap / 2, ground - 0.4, "happiness"), "apron", rng)
    buyer = _person(rng, x - side * gap / 2, ground, "neutral")
    seller, buyer = replace(seller, yaw=-side * 0.9), replace(buyer, yaw=side * 0.9)
    giving, taking = (x + side * 0.5, ground - 5.2), (x - side * 0.5, ground - 5.2)
    bag = (buyer.x - side * 1.5, ground - 4.0)
    if side > 0:
        seller, buyer = seller.reaching(left=giving), buyer.reaching(right=taking, left=bag)
    else:
        seller, buyer = seller.reaching(right=giving), buyer.reaching(left=taking, right=bag)
    extents = draw_figures(pen, [seller])
    counter = pen.at(x + side * 0.9, ground - 4.2, mirror=side < 0)
    draw_counter(counter, gap * 0.5, 4.2, bright(rng))
    extents += draw_figures(pen, [buyer])
    pen.canvas.forget_extent()
    draw_bag(pen.at(*bag), bright(rng, 1.1))
    if rng.random() < 0.6:
        pen.block(x - 0.45, ground - 5.4, x + 0.45, ground - 5.0, (120, 176, 120))  # a banknote
    return extents


def draw_stranger(pen: Pen, x: float, ground: float, rng: np.random.Generator) -> Extent:
    """Someone alone: turned away, walking off, or busy with a phone."""
    kind = rng.choice(["away", "aside", "phone"], p=[0.4, 0.35, 0.25])
    figure = _person(rng, x, ground, "neutral", size=(0.8, 1.05))
    if rng.random() < 0.2:
        figure = _dressed(figure, "suit", rng)
    if kind == "away":
        yaw = rng.choice([-1, 1]) * rng.uniform(2.3, 3.14)
        figure = replace(figure, yaw=yaw, body=replace(figure.body, is_away=True))
    elif kind == "aside":
        outward = 1.0 if x > 0 else -1.0
        figure = replace(figure, yaw=outward * rng.uniform(1.1, 1.6))
        figure = replace(figure, body=replace(figure.body, stride=rng.uniform(0.8, 1.2)))
    else:
        hand = (x + rng.choice([-1, 1]) * 0.6, figure.head_y + 3.0)
        reach = {"right": hand} if hand[0] > x else {"left": hand}
        figure = replace(figure.reaching(**reach), pitch=0.6, yaw=0.3 * (hand[0] - x))
    extent = draw_figures(pen, [figure])[0]
    if kind == "phone":
        draw_phone(pen.at(hand[0], hand[1] - 0.3, 0.5))
    return extent


GROUPS: dict[Relation, Callable[[Pen, float, float, np.random.Generator], list[Extent]]] = {
    "friends": draw_friends,
    "family": draw_family,
    "couple": draw_couple,
    "professional": draw_professionals,
    "commercial": draw_trade,
}


def draw_company(
    canvas: Canvas, relation: Relation, rng: np.random.Generator
) -> tuple[list[Extent], list[int]]:
    """People of one relation, often with strangers about.

    Returns:
        Each person's box in pixels, and the group that each belongs to; strangers have a group of
        their own.
    """
    unit = canvas.height * rng.uniform(0.070, 0.082)
    pen = canvas.pen.at(canvas.width / 2, 0, unit)
    half = canvas.width / 2 / unit
    ground = canvas.height * rng.uniform(0.93, 0.99) / unit
    extents: list[Extent] = []
    groups: list[int] = []
    if relation == "no_relation":
        count = int(rng.integers(2, 4))
        slots = np.linspace(-half + 2.0, half - 2.0, count) + rng.normal(0, 0.4, count)
        for place, x in enumerate(slots):
            feet = ground - rng.choice([0.0, 0.6, 1.4]) * rng.uniform(0.5, 1)
            extents.append(draw_stranger(pen, float(x), float(feet), rng))
            groups.append(place)
        return extents, groups
    has_stranger = rng.random() < 0.3
    side = int(rng.choice([-1, 1]))
    x = -side * half * 0.28 if has_stranger else rng.normal(0, half * 0.12)
    if has_stranger:
        far = side * (half - rng.uniform(1.3, 2.0))
        extents.append(draw_stranger(pen, far, ground - rng.uniform(0.5, 1.5), rng))
        groups.append(1)
    own = GROUPS[relation](pen, float(x), ground, rng)
    return [*extents, *own], [*groups, *([0] * len(own))]
