"""People in a scene, drawn together so that their arms may touch."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from sfedge_training.drawings.canvas import Extent, Pen
from sfedge_training.drawings.drawn_expressions import Expression
from sfedge_training.drawings.face import Head, draw_head
from sfedge_training.drawings.look import Look
from sfedge_training.drawings.person import (
    SHOULDERS,
    Body,
    Point,
    draw_arm,
    draw_body,
    draw_simple_hand,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A person in a scene. `x` and `ground` (the feet) are in the scene's units."""

    look: Look
    x: float
    ground: float
    size: float = 1.0
    body: Body = field(default_factory=Body)
    expression: Expression = field(default_factory=Expression)
    yaw: float = 0.0
    pitch: float = 0.0
    turn: float = 0.0

    @property
    def head_y(self) -> float:
        """Height of the head's centre in the scene."""
        return self.ground - (SHOULDERS + 7.65 * self.body.length) * self.size

    def local(self, x: float, y: float) -> Point:
        """A point of the scene in the figure's own units."""
        return (x - self.x) / self.size, (y - self.head_y) / self.size

    def reaching(self, *, left: Point | None = None, right: Point | None = None) -> "Figure":
        """The same with hands at points of the scene."""
        body = self.body
        if left is not None:
            body = replace(body, left_hand=self.local(*left))
        if right is not None:
            body = replace(body, right_hand=self.local(*right))
        return replace(self, body=body)


def draw_figures(pen: Pen, figures: list[Figure]) -> list[Extent]:
    """Draw people who may touch, first bodies, then arms, then heads; their boxes in pixels."""
    extents: list[list[Extent]] = [[] for _ in figures]
    pens = [pen.at(f.x, f.head_y, f.size) for f in figures]
    stages: tuple[Callable[[Pen, Figure], None], ...] = (_draw_trunk, _draw_arms, _draw_face)
    for stage in stages:
        for own, figure, known in zip(pens, figures, extents, strict=True):
            pen.canvas.forget_extent()
            stage(own, figure)
            known.append(pen.canvas.extent)
    return [_union(known) for known in extents]


def _draw_trunk(pen: Pen, figure: Figure) -> None:
    draw_body(pen, figure.look, figure.body)


def _draw_arms(pen: Pen, figure: Figure) -> None:
    for side, hand in ((-1, figure.body.left_hand), (1, figure.body.right_hand)):
        draw_simple_hand(pen, figure.look, draw_arm(pen, figure.look, figure.body, side, hand=hand))


def _draw_face(pen: Pen, figure: Figure) -> None:
    look = figure.look
    head = Head(pen.at(0, 0, look.face_width, turn=figure.turn), figure.yaw, figure.pitch)
    draw_head(head, look, figure.expression)


def _union(extents: list[Extent]) -> Extent:
    boxes = np.array(extents)
    low, high = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
    return float(low[0]), float(low[1]), float(high[0]), float(high[1])
