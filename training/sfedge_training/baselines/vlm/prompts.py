"""Tasks as text: the question with its boxes, the answer to learn, and what an answer says.

Coordinates are whole numbers from 0 to 1000 of the view's width and height, as the gaze prompt
asks for them (paper, appendix D, figure 7).
"""

import re
from collections.abc import Sequence

from sfedge.core.boxes import Box
from sfedge.core.tasks import TASKS

SCALE = 1000

Point = tuple[float, float]

_NUMBER = r"(0|[1-9][0-9]{0,2}|1000)"
_POINT = re.compile(rf"\({_NUMBER},{_NUMBER}\)")


def question(task: str, boxes: Sequence[Box] = ()) -> str:
    """What the model is asked: the task's prompt, and the marked people's boxes behind it.

    Args:
        task: a name in TASKS.
        boxes: in fractions of the view, as many as the task marks.
    """
    prompt = TASKS[task].prompt
    if not boxes:
        return prompt
    named = "Bounding box" if len(boxes) == 1 else "Bounding boxes"
    corners = " and ".join(
        f"{point_text((box.x1, box.y1))},{point_text((box.x2, box.y2))}" for box in boxes
    )
    return f"{prompt}\n{named} as '(left,top),(right,bottom)' in the range [0, {SCALE}]: {corners}"


def point_text(point: Point) -> str:
    """A point in fractions as `(X,Y)`; one outside the view is moved to its border."""
    x, y = (round(min(max(value, 0.0), 1.0) * SCALE) for value in point)
    return f"({x},{y})"


def label_text(task: str, label: int) -> str:
    """The answer of a label, as the prompt asks for it."""
    return TASKS[task].answers[label]


def read_label(task: str, text: str) -> int | None:
    """The label that an answer names, or None.

    Only the answer itself counts, in its own case: "a" does, "(a)", "A" and "a, I think" do not.
    White space around it is left out.
    """
    answers, answer = TASKS[task].answers, text.strip()
    return answers.index(answer) if answer in answers else None


def read_point(text: str) -> Point | None:
    """The point that an answer names, in fractions of the view, or None.

    Only `(X,Y)` counts, with whole numbers from 0 to 1000 in plain digits and nothing else but
    white space around it.
    """
    found = _POINT.fullmatch(text.strip())
    return (int(found[1]) / SCALE, int(found[2]) / SCALE) if found else None
