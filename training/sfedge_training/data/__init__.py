"""The datasets, each read from its native layout by a module of its own."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from sfedge.core.errors import unknown_name
from sfedge.core.tasks import TASKS
from sfedge_training.data import labelled_folder
from sfedge_training.data.sample import Dataset, Split

Loader = Callable[[Path, Split], Dataset]

# By the name that a task's entry gives as its `dataset`; `--task FOLDER` adds those of others.
LOADERS: dict[str, Loader] = {
    name: import_module(f"{__name__}.{name}").load
    for name in dict.fromkeys(task.dataset for task in TASKS.values())
} | {labelled_folder.NAME: labelled_folder.load}


def loader(name: str, *, where: str = "--datasets") -> Loader:
    """What reads the dataset called `name`.

    Raises:
        UnknownNameError: nothing here does; the message suggests the nearest name.
    """
    if name not in LOADERS:
        unknown_name("dataset", name, LOADERS, where=where)
    return LOADERS[name]
