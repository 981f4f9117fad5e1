"""What a saved model was taught: its tasks, and their prompts and answers as tokens.

tasks.json  each task's entry, the tokens of its prompt, and the token of each answer
tokenizer/  as transformers saves it

A model answers to tokens: with another prompt, or the same one cut into other tokens, its answers
are worse without a sign. So both are stored with it and compared when it is loaded.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from sfedge.core.errors import DataError
from sfedge.core.tasks import TASKS, Task, task_from_json
from sfedge_training.data.people_tasks import forms_of
from sfedge_training.loop.json_files import read_json, write_json
from sfedge_training.loop.recipe import Recipe
from sfedge_training.model.social_fusion import SocialFusion

TASKS_NAME, TOKENIZER_NAME = "tasks.json", "tokenizer"

# What a model learns of a task; titles, thresholds and when it is asked may change afterwards.
_TAUGHT = ("prompt", "labels", "answers", "view", "boxes", "output", "margin")
_OTHER = {name: "other" if name.endswith("s") else "another" for name in _TAUGHT}


def save_tasks(folder: Path, recipe: Recipe, tokens: Mapping[str, Any] | None = None) -> None:
    """Write down the tasks that a recipe teaches, as they are now."""
    tasks = [task.to_json() for task in _taught(recipe)]
    write_json(folder / TASKS_NAME, {"tasks": tasks, **(tokens or {})})


def know_tasks(folder: Path) -> None:
    """Compare the tasks of a model's folder with `TASKS`, and add those that are not known.

    A task that this model was taught in another of the forms that are known takes that form.

    Raises:
        DataError: a task is not what the model was taught, or the file is damaged.
    """
    path = folder / TASKS_NAME
    if not path.is_file():
        click.echo(
            f"sfedge-train: warning: {folder}: it was saved without its prompts, by an older "
            "version; whether they are still the same cannot be checked.",
            err=True,
        )
        return
    for entry in _entries(path):
        task = task_from_json(entry, where=str(path))
        TASKS.setdefault(task.name, task)
        nearest = min(forms_of(task.name), key=lambda form: _distance(task, form))
        if differing := _differing(task, nearest):
            raise _mismatch(folder, task.name, f"{_OTHER[differing[0]]} {differing[0]}")
        TASKS[task.name] = nearest


def check_margins(folder: Path, recipe: Recipe) -> None:
    """Compare the margins of a model's views with those of today.

    Raises:
        DataError: one has changed.
    """
    path = folder / TASKS_NAME
    stored = {t["name"]: t["margin"] for t in _entries(path)} if path.is_file() else {}
    for task in _taught(recipe):
        if stored.get(task.name, task.margin) != task.margin:
            raise _mismatch(folder, task.name, "another margin")


def save_taught(folder: Path, model: SocialFusion, recipe: Recipe) -> None:
    """Write tasks, tokens and tokenizer of a model to its folder."""
    prompts = {task.name: model.prompts[task.name] for task in _taught(recipe)}
    answers = {a: model.answer_ids[a] for task in _taught(recipe) for a in task.answers}
    save_tasks(folder, recipe, {"prompts": prompts, "answers": answers})
    model.tokenizer.save_pretrained(folder / TOKENIZER_NAME)


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase | None:
    """The tokenizer that a model was trained with; None for one of an older version.

    Raises:
        DataError: it is damaged.
    """
    path = folder / TOKENIZER_NAME
    if not path.is_dir():
        return None
    try:
        tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(path)
    except (OSError, ValueError, KeyError, TypeError) as error:
        problem = str(error).splitlines()[0]
        raise DataError(f"this tokenizer cannot be read ({problem})", where=str(path)) from error
    return tokenizer


def check_tokens(folder: Path, model: SocialFusion) -> None:
    """Compare the tokens of prompts and answers with those that the model was trained on.

    Raises:
        DataError: they differ.
    """
    path = folder / TASKS_NAME
    if not path.is_file():
        return
    stored = read_json(path)
    for name, ids in dict(stored.get("prompts", {})).items():
        if model.prompts.get(name) != ids:
            raise _mismatch(folder, name, "other tokens for the prompt")
    for answer, token in dict(stored.get("answers", {})).items():
        if model.answer_ids.get(answer) != token:
            raise DataError(
                f"this model was trained with another token for the answer {answer!r}",
                where=str(folder),
                fix="Use the versions of tokenizers and transformers that card.json names.",
            )


def _distance(task: Task, form: Task) -> tuple[int, bool]:
    return len(_differing(task, form)), task.unproven != form.unproven


def _differing(task: Task, other: Task) -> list[str]:
    """What a model learns of two tasks and is not the same, but their margins."""
    return [name for name in _TAUGHT[:-1] if getattr(task, name) != getattr(other, name)]


def _taught(recipe: Recipe) -> Iterable[Task]:
    return [replace(TASKS[name], margin=recipe.margin(name)) for name in recipe.tasks]


def _entries(path: Path) -> list[dict[str, Any]]:
    entries = read_json(path).get("tasks")
    if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
        raise DataError("this file holds no tasks", where=str(path))
    return entries


def _mismatch(folder: Path, task: str, what: str) -> DataError:
    return DataError(
        f"this model was trained with {what} of task {task!r} than is asked today",
        where=str(folder),
        fix="Bring the task's entry back to what tasks.json in this folder says, or train again.",
    )
