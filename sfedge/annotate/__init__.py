"""Drawing a result on its frame: one annotator per thing drawn, composed in a list."""

from collections.abc import Callable, Iterable
from typing import Protocol

from sfedge.annotate.gaze_point import GazeArrows, GazeHeatmap
from sfedge.annotate.outlines import Outlines
from sfedge.annotate.pair_links import PairLinks
from sfedge.annotate.status import StatusLine
from sfedge.annotate.tags import Tags
from sfedge.annotate.theme import Theme
from sfedge.annotate.words import Words
from sfedge.core.frame_result import FrameResult
from sfedge.core.structures import Image
from sfedge.core.tasks import Task

__all__ = [
    "Annotator",
    "GazeArrows",
    "GazeHeatmap",
    "Outlines",
    "PairLinks",
    "StatusLine",
    "Tags",
    "Theme",
    "build_annotators",
    "draw",
]


class Annotator(Protocol):
    """Draws one kind of thing; belongs to one thread and one video."""

    def draw(self, image: Image, result: FrameResult) -> None:
        """Draw on `image`, in place; it is the frame of `result` or a copy of it."""
        ...


def build_annotators(
    *,
    tasks: Iterable[Task],
    model: str,
    notice: str,
    facts: Callable[[], str] = lambda: "",
    theme: Theme | None = None,
) -> list[Annotator]:
    """All annotators, in the order to draw them.

    Args:
        tasks: those of the model that answers; they say how answers read.
        model: name of the model, always on the picture.
        notice: its limits, always on the picture; "" for none.
        facts: what the status line adds at each frame, such as "12 frames dropped".
        theme: colours and sizes; None for the usual ones.
    """
    theme = theme or Theme()
    words = Words(tasks)
    tags = Tags(theme, words, reserved=lambda image: status.areas(image))
    status = StatusLine(
        theme, model=model, notice=notice, facts=facts, tags_left_out=lambda: tags.left_out
    )
    links = PairLinks(theme, words, taken=lambda image: (*tags.areas, *status.areas(image)))
    return [GazeHeatmap(theme), GazeArrows(theme), Outlines(theme), tags, links, status]


def draw(result: FrameResult, annotators: Iterable[Annotator]) -> Image:
    """A new picture of the frame with all annotators' drawings."""
    image = result.frame.image.copy()
    for annotator in annotators:
        annotator.draw(image, result)
    return image
