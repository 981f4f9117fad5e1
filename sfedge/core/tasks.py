"""What the model is asked: each task's prompt, answers, view, boxes and output.

Prompts, answers and labels are those of the paper (appendix D); they stand in `tasks.json`.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import resources
from typing import Any, Literal, get_args

from sfedge.core.errors import DataError, unknown_name

View = Literal["face", "person", "frame"]
Output = Literal["label", "heatmap"]

HEATMAP_SIZE = 64  # side of the gaze heatmap in cells (paper, section 3.4; Gaze-LLE)

# Crop margins as a fraction of the box, on each side. The two face tasks share one, so that they
# share the encoder's pass; the frame is seen whole.
_MARGINS: dict[str, float] = {"face": 0.15, "person": 0.10, "frame": 0.0}

_PEAK = 0.2  # a heatmap whose highest cell is below this points nowhere in particular


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One question, the same for training, export and running."""

    name: str
    prompt: str
    labels: tuple[str, ...]  # class names as records show them; empty for a heatmap
    answers: tuple[str, ...]  # the single token that stands for each label
    view: View  # the part of the frame the encoder sees
    boxes: int  # how many boxes are marked in the view
    output: Output
    margin: float  # grown on each side of the view's box, as a fraction of it
    threshold: float = 0.0  # below this probability (or heatmap peak) an answer is "unsure"

    @property
    def people(self) -> int:
        """How many people one query is about."""
        return max(self.boxes, 1)

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `task_from_json` reads back."""
        return {
            "name": self.name,
            "prompt": self.prompt,
            "labels": list(self.labels),
            "answers": list(self.answers),
            "view": self.view,
            "boxes": self.boxes,
            "output": self.output,
            "margin": self.margin,
            "threshold": self.threshold,
        }


def task_from_json(data: dict[str, Any], *, where: str = "") -> Task:
    """A task from its JSON object, checked.

    Raises:
        DataError: a field is missing, of a wrong type or out of range.
    """
    try:
        task = Task(
            name=str(data["name"]),
            prompt=str(data["prompt"]),
            labels=tuple(str(label) for label in data["labels"]),
            answers=tuple(str(answer) for answer in data["answers"]),
            view=data["view"],
            boxes=int(data["boxes"]),
            output=data["output"],
            margin=float(data["margin"]),
            threshold=float(data["threshold"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"a task is malformed ({error!r})", where=where) from error
    problems = [
        text
        for is_wrong, text in (
            (task.view not in get_args(View), f"view {task.view!r}"),
            (task.output not in get_args(Output), f"output {task.output!r}"),
            (len(task.labels) != len(task.answers), "labels and answers differ in number"),
            (task.output == "label" and len(task.labels) < 2, "fewer than two labels"),
            (len(set(task.labels)) != len(task.labels), "a label stands twice"),
            (len(set(task.answers)) != len(task.answers), "an answer stands twice"),
            (task.boxes not in (0, 1, 2), f"{task.boxes} boxes"),
            (not 0.0 <= task.margin <= 2.0, f"margin {task.margin}"),
            (not 0.0 <= task.threshold <= 1.0, f"threshold {task.threshold}"),
        )
        if is_wrong
    ]
    if problems:
        raise DataError(f"task {task.name!r} is malformed: {'; '.join(problems)}", where=where)
    return task


def _paper_tasks() -> dict[str, Task]:
    text = resources.files("sfedge.core").joinpath("tasks.json").read_text(encoding="utf-8")
    tasks = {}
    for name, data in json.loads(text).items():
        fields = {"name": name, "margin": _MARGINS[data["view"]], "threshold": _threshold(data)}
        tasks[name] = task_from_json(fields | data, where="sfedge/core/tasks.json")
    return tasks


def _threshold(data: dict[str, Any]) -> float:
    """Halfway from chance to certainty; a bundle may bring its own, measured on its model."""
    if data["output"] == "heatmap":
        return _PEAK
    return round((1 + 1 / len(data["labels"])) / 2, 3)


TASKS: dict[str, Task] = _paper_tasks()


def select_tasks(names: str | Iterable[str], known: Iterable[str] = TASKS) -> tuple[str, ...]:
    """The given task names, each once, in the order of `known`.

    Args:
        names: one by one, or in a text with commas between them, such as "relation, gaze".
        known: all that may be named.

    Raises:
        UnknownNameError: a name is none of `known`; the message suggests the nearest.
    """
    order = tuple(known)
    parts = names.split(",") if isinstance(names, str) else names
    wanted = {part.strip() for part in parts} - {""}
    for name in sorted(wanted):
        if name not in order:
            unknown_name("task", name, order, where="--tasks")
    return tuple(name for name in order if name in wanted)
