"""Tasks of models for real people, where they differ from the paper's.

The paper asks of a whole person which of 33 gestures is made. A small model sees more in a view of
the hand, and must be able to say that a hand makes none. Three expressions no free pictures show:
they are never the answer.
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
    """Have them take the place of the paper's in `TASKS`, for this process."""
    TASKS.update(PEOPLE_TASKS)


def forms_of(name: str) -> tuple[Task, ...]:
    """The forms in which a task of `TASKS` may be asked: the paper's, that for people, its own."""
    own = TASKS[name]
    known = [tasks[name] for tasks in (PAPER_TASKS, PEOPLE_TASKS) if name in tasks]
    return tuple(known) if own in known else (own,)
