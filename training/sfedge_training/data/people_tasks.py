"""Tasks of models for real people, where they differ from the paper's.

The paper asks of a whole person which of 33 gestures is made. A small model sees more in a view of
the hand, and needs a label for a hand that makes none. No free pictures show three of the
expressions: they are never the answer.
"""

import json
from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType

from sfedge.core.tasks import TASKS, Task, task_from_json

_FILE = "people_tasks.json"
_TEXT = resources.files(__package__).joinpath(_FILE).read_text(encoding="utf-8")

PAPER_TASKS: Mapping[str, Task] = MappingProxyType(dict(TASKS))
PEOPLE_TASKS: Mapping[str, Task] = MappingProxyType(
    {
        name: task_from_json({"name": name, **entry}, where=_FILE)
        for name, entry in json.loads(_TEXT).items()
    }
)


def use_people_tasks() -> None:
    """Replace the paper's tasks in `TASKS` by these, for this process."""
    TASKS.update(PEOPLE_TASKS)


def forms_of(name: str) -> tuple[Task, ...]:
    """The variants of a task: the paper's and that for people, or the one of `TASKS` alone."""
    own = TASKS[name]
    known = [tasks[name] for tasks in (PAPER_TASKS, PEOPLE_TASKS) if name in tasks]
    return tuple(known) if own in known else (own,)
