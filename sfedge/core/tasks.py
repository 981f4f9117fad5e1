"""The model's tasks: one `Task` defines all that any part of the program knows of a task.

The six tasks of the paper (prompts, labels and answers of its appendix D) are the entries of
`tasks.json`. A bundle carries its own tasks in the same form.
"""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from importlib import resources
from typing import Any, Literal, get_args

from sfedge.core.errors import DataError, UnknownNameError, unknown_name

View = Literal["face", "person", "hand", "frame"]
Output = Literal["label", "heatmap"]
Condition = Literal["person", "face", "raised_hand"]  # see `sfedge.inference.conditions`
Mark = Literal["face", "person"]

HEATMAP_SIZE = 64  # side of the gaze heatmap in cells (paper, section 3.4; Gaze-LLE)

# Crop margins as a fraction of the box, on each side. Tasks of one view share one, so that they
# share the encoder's pass; the frame is seen whole.
_MARGINS: Mapping[str, float] = {"face": 0.15, "person": 0.10, "hand": 0.5, "frame": 0.0}

_PEAK = 0.2  # a heatmap whose highest cell is below this points nowhere in particular
_MOST_GLYPH = 3  # characters

NO_GESTURE = "no_gesture"  # the label of hands that make none, in tasks that have one


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """The definition of one task, the same for training, export and inference."""

    name: str
    prompt: str
    labels: tuple[str, ...]  # class names as records show them; empty for a heatmap
    answers: tuple[str, ...]  # the single token of each label
    view: View  # the part of the frame the encoder sees
    boxes: int  # how many boxes are marked in the view
    output: Output
    margin: float  # grown on each side of the view's box, as a fraction of it
    threshold: float  # below this probability (or heatmap peak) an answer is "unsure"
    condition: Condition  # when it may be asked
    urgency: float  # how soon an answer may have changed, relative to 1 for an expression
    mark: Mark  # the box of a person that a query is about; marked in the view if `boxes`
    everyone_if_egocentric: bool  # with a worn camera, asked of all people, not of the largest
    title: str  # heads a column of answers
    glyph: str  # replaces the title where space is short; at most three characters
    phrase: str  # how an answer reads; "{label}" is replaced by the label's words
    dataset: str = ""  # what teaches it: a loader in sfedge_training.data
    temperature: float = 1.0  # logits are divided by it: a share p of answers with p is then right
    unproven: tuple[str, ...] = ()  # labels that are never the answer, only among probabilities

    @property
    def people(self) -> int:
        """Number of people that one query is about (0 for a hand without a person)."""
        return max(self.boxes, 1)

    @property
    def is_about_hands(self) -> bool:
        """Whether an answer belongs to hands: those of a person, or one without a person."""
        return self.condition == "raised_hand"

    def words(self, label: str | None) -> str:
        """An answer in words; `label` is None for a heatmap."""
        if label == NO_GESTURE:  # else it would read "gesture no gesture"
            return "no gesture"
        return self.phrase.replace("{label}", (label or "").replace("_", " "))

    def to_json(self) -> dict[str, Any]:
        """A JSON object that `task_from_json` reads back."""
        lists = {name: list(getattr(self, name)) for name in ("labels", "answers", "unproven")}
        return asdict(self) | lists


def task_from_json(data: Mapping[str, Any], *, where: str = "") -> Task:
    """A task from its JSON object, checked.

    Only `name`, `prompt` and `view` are needed, and for an output of labels `labels` and
    `answers`. What else is left out, as in older bundles, is that of the paper's task of this
    name, or follows from the view.

    Raises:
        DataError: a field is missing, of a wrong type or out of range.
    """
    known = [field.name for field in dataclasses.fields(Task)]
    for name in data:
        if name not in known:
            near = get_close_matches(str(name), known, n=1)
            raise DataError(
                f"a task has the unknown field {name!r}",
                where=where,
                fix=f"Did you mean {near[0]!r}?" if near else f"Fields are {', '.join(known)}.",
            )
    try:
        fields = _defaults(data) | dict(data)
        task = Task(
            name=_text(fields["name"]),
            prompt=_text(fields["prompt"]),
            labels=tuple(_text(label) for label in fields["labels"]),
            answers=tuple(_text(answer) for answer in fields["answers"]),
            view=fields["view"],
            boxes=int(fields["boxes"]),
            output=fields["output"],
            margin=float(fields["margin"]),
            threshold=float(fields["threshold"]),
            condition=fields["condition"],
            urgency=float(fields["urgency"]),
            mark=fields["mark"],
            everyone_if_egocentric=bool(fields["everyone_if_egocentric"]),
            title=_text(fields["title"]),
            glyph=_text(fields["glyph"]),
            phrase=_text(fields["phrase"]),
            dataset=_text(fields["dataset"]),
            temperature=float(fields["temperature"]),
            unproven=tuple(_text(label) for label in fields["unproven"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"a task is malformed ({error!r})", where=where) from error
    if problems := _problems(task):
        raise DataError(f"task {task.name!r} is malformed: {'; '.join(problems)}", where=where)
    return task


def _not_one_of(what: str, value: object, kinds: Any) -> str:
    return f"{what} {value!r} is none of {', '.join(get_args(kinds))}"


def _problems(task: Task) -> list[str]:
    is_glyph = 1 <= len(task.glyph) <= _MOST_GLYPH and task.glyph.isprintable()
    is_phrase = task.phrase.strip() and not set("{}") & set(task.phrase.replace("{label}", ""))
    return [
        text
        for is_wrong, text in (
            (not task.name.isidentifier(), "its name is not made of letters, digits and _"),
            (task.view not in get_args(View), _not_one_of("view", task.view, View)),
            (task.output not in get_args(Output), _not_one_of("output", task.output, Output)),
            (
                task.condition not in get_args(Condition),
                _not_one_of("condition", task.condition, Condition),
            ),
            (task.mark not in get_args(Mark), _not_one_of("mark", task.mark, Mark)),
            (len(task.labels) != len(task.answers), "labels and answers differ in number"),
            (task.output == "label" and len(task.labels) < 2, "fewer than two labels"),
            (task.output == "heatmap" and bool(task.labels), "a heatmap with labels"),
            (len(set(task.labels)) != len(task.labels), "duplicate label"),
            (len(set(task.answers)) != len(task.answers), "duplicate answer"),
            (task.boxes not in (0, 1, 2), f"{task.boxes} boxes"),
            (
                task.view == "hand" and task.condition != "raised_hand",
                "the view of a hand without the condition raised_hand",
            ),
            (
                task.condition == "raised_hand" and task.boxes > 0,
                "the condition raised_hand with marked boxes",
            ),
            (not 0.0 <= task.margin <= 2.0, f"margin {task.margin}"),
            (not 0.0 <= task.threshold <= 1.0, f"threshold {task.threshold}"),
            (not 0.0 < task.urgency <= 1000.0, f"urgency {task.urgency}"),
            (not 0.01 <= task.temperature <= 100.0, f"temperature {task.temperature}"),
            (
                not set(task.unproven) <= set(task.labels),
                f"unproven {', '.join(task.unproven)}: not all are labels",
            ),
            (
                bool(task.labels) and len(set(task.labels) - set(task.unproven)) < 2,
                "fewer than two labels that may be the answer",
            ),
            (not task.title.strip(), "no title"),
            (not is_glyph, f"glyph {task.glyph!r}, not one to {_MOST_GLYPH} characters"),
            (not is_phrase, f"phrase {task.phrase!r}"),
        )
        if is_wrong
    ]


def _defaults(data: Mapping[str, Any]) -> dict[str, Any]:
    """Fields that an entry may leave out."""
    view, boxes = data["view"], data.get("boxes", 0)
    output = data.get("output", "label")
    title = str(data["name"]).replace("_", " ").capitalize()
    is_of_face = view == "face" or (view == "frame" and boxes == 1)
    fields: dict[str, Any] = {
        "boxes": 0,
        "output": "label",
        "margin": _MARGINS.get(view, 0.0),
        "threshold": _PEAK,
        "condition": "face" if is_of_face else "raised_hand" if view == "hand" else "person",
        "urgency": 1.0,
        "mark": "face" if is_of_face else "person",
        "everyone_if_egocentric": False,
        "title": title,
        "glyph": title[:1],
        "phrase": "{label}" if output == "label" else title.lower(),
        "dataset": "",
        "temperature": 1.0,
        "unproven": [],
    }
    if output == "heatmap":
        return fields | {"labels": [], "answers": []} | _known(data)
    # Halfway from chance to certainty; a bundle may bring its own, measured on its model.
    threshold = round((1 + 1 / max(len(data["labels"]), 1)) / 2, 3)
    return fields | {"threshold": threshold} | _known(data)


# Defaults of the paper's tasks for bundles from before version 2 of the records.
_NEWER = (
    *("condition", "urgency", "mark", "everyone_if_egocentric", "title", "glyph", "phrase"),
    "dataset",
)


def _known(data: Mapping[str, Any]) -> dict[str, Any]:
    task = TASKS.get(data["name"])
    return {name: getattr(task, name) for name in _NEWER} if task else {}


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value


TASKS: dict[str, Task] = {}  # by name; training adds those of `--task FOLDER`


def add_tasks(text: str, *, where: str) -> tuple[Task, ...]:
    """Add the entries of a JSON text, an object of tasks by name, to `TASKS`.

    Returns:
        The tasks added.

    Raises:
        DataError: it is no such text, an entry is malformed, or there is a task of its name.
    """
    try:
        entries = json.loads(text)
        named = {name: {"name": name, **data} for name, data in entries.items()}
    except (ValueError, AttributeError, TypeError) as error:
        raise DataError(f"this is no object of tasks ({error})", where=where) from error
    if known := [name for name in named if name in TASKS]:
        raise DataError(f"there is a task {known[0]!r} already", where=where)
    added = {name: task_from_json(data, where=where) for name, data in named.items()}
    TASKS.update(added)
    return tuple(added.values())


add_tasks(
    resources.files("sfedge.core").joinpath("tasks.json").read_text(encoding="utf-8"),
    where="sfedge/core/tasks.json",
)


def task_names(names: str | Iterable[str]) -> tuple[str, ...]:
    """The given names, each once: the paper's tasks in their order, then others as they came.

    Whether there is such a task, only a bundle can say.

    Args:
        names: one by one, or in a text with commas between them.
    """
    parts = (part.strip() for part in (names.split(",") if isinstance(names, str) else names))
    given = dict.fromkeys(part for part in parts if part)
    return (*(name for name in TASKS if name in given), *(n for n in given if n not in TASKS))


def select_tasks(names: str | Iterable[str], known: Iterable[str] = TASKS) -> tuple[str, ...]:
    """The given task names, each once, in the order of `known`.

    Args:
        names: one by one, or in a text with commas between them, such as "relation, gaze".
        known: all that may be named.

    Raises:
        UnknownNameError: a name is none of `known`; the message suggests the nearest, or says how
            to train a model that knows it.
    """
    order = tuple(known)
    wanted = set(task_names(names))
    for name in sorted(wanted):
        if name not in order and name in TASKS:
            dataset = TASKS[name].dataset or "folder"
            raise UnknownNameError(
                f"this model was not trained for {name}",
                where="tasks",
                fix=f"`sfedge-train train DATA --out RUN --datasets {dataset}` trains one that "
                f"is (docs/training.md). This one answers {', '.join(order)}.",
            )
        if name not in order:
            unknown_name("task", name, order, where="tasks")
    return tuple(name for name in order if name in wanted)
