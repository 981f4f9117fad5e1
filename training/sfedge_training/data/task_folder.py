"""A task of one's own: a folder with its entry and, where its data has a layout, the loader."""

import importlib.util
from pathlib import Path
from types import ModuleType

from sfedge.core.errors import DataError
from sfedge.core.tasks import add_tasks
from sfedge_training.data import LOADERS

TASKS_NAME, LOADER_NAME = "tasks.json", "loader.py"


def add_task_folder(folder: Path) -> None:
    """Make the tasks of a folder known, for this process.

    `tasks.json` holds entries as those of `sfedge/core/tasks.json`. `loader.py` holds
    `load(root, split)`, which reads the dataset that the entries name; without it the tasks are
    taught by the dataset `folder` alone.

    Raises:
        DataError: a file is missing or damaged, or there is a task or dataset of its name.
    """
    entries, loader = folder / TASKS_NAME, folder / LOADER_NAME
    try:
        text = entries.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise DataError(
            f"this file cannot be read ({error})",
            where=str(entries),
            fix="Name a folder that holds the task's entry; CONTRIBUTING.md shows one.",
        ) from error
    tasks = add_tasks(text, where=str(entries))
    if not loader.is_file():
        return
    module = _module(loader)
    if not callable(getattr(module, "load", None)):
        raise DataError("it has no function load(root, split)", where=str(loader))
    for name in dict.fromkeys(task.dataset for task in tasks):
        if not name.isidentifier() or name in LOADERS:
            problem = "there is already one" if name in LOADERS else "that is no name"
            raise DataError(
                f"dataset {name!r}: {problem}",
                where=str(entries),
                fix='Give the entry a "dataset" of its own: letters, digits and _.',
            )
        LOADERS[name] = module.load


def _module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"sfedge_task_{path.parent.name}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # any exception of the user's own code
        raise DataError(
            f"the loader cannot be imported ({type(error).__name__}: {error})", where=str(path)
        ) from error
    return module
