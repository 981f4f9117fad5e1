import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from sfedge.core.errors import ConfigError, DataError
from sfedge.core.tasks import TASKS, Task, task_from_json
from sfedge_training.loop.checkpoint import (
    check_same_recipe,
    load_model,
    load_pretrained,
    load_recipe,
    save_model,
)
from sfedge_training.loop.recipe import Recipe
from sfedge_training.loop.taught import load_tokenizer
from sfedge_training.model.model_config import PRESETS
from sfedge_training.model.social_fusion import SocialFusion, build_model

POSTURE = task_from_json(
    {
        "name": "posture",
        "prompt": "Does the person (a) stand, (b) sit or (c) lie?",
        "view": "person",
        "labels": ["standing", "sitting", "lying"],
        "answers": ["a", "b", "c"],
        "dataset": "posture",
    }
)
CONFIG = replace(PRESETS["tiny"], hidden=32, lora_rank=2)
RECIPE = Recipe(datasets=("affectnet", "hagrid"), pretraining=True)


@pytest.fixture(autouse=True)
def tasks() -> Iterator[dict[str, Task]]:
    before = dict(TASKS)
    yield TASKS
    TASKS.clear()
    TASKS.update(before)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("taught") / "model"
    save_model(folder, build_model(CONFIG, with_lora=False), RECIPE, {})
    return folder


def logits(folder: Path, task: str) -> torch.Tensor:
    return answered(load_model(folder)[0], task)


def answered(model: SocialFusion, task: str) -> torch.Tensor:
    torch.manual_seed(1)
    images, masks = torch.rand(2, 3, 96, 96), torch.zeros(2, model.token_grid**2)
    with torch.inference_mode():
        return model.logits(images, masks, task)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("prompt", "What does this face show?"),
        ("labels", tuple(reversed(TASKS["expression"].labels))),
        ("answers", tuple(reversed(TASKS["expression"].answers))),
        ("view", "person"),
        ("margin", 0.4),
    ],
)
def test_a_model_is_refused_when_a_task_that_it_was_taught_has_changed(
    saved: Path, tasks: dict[str, Task], field: str, value: Any
) -> None:
    tasks["expression"] = replace(tasks["expression"], **{field: value})

    what = f"other {field}" if field in ("labels", "answers", "boxes") else f"another {field}"
    for load in (load_model, load_recipe):
        with pytest.raises(DataError, match=f"with {what} of task 'expression'") as caught:
            load(saved)
        assert str(saved) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_how_a_task_is_shown_and_when_it_is_asked_may_change(
    saved: Path, tasks: dict[str, Task]
) -> None:
    before = logits(saved, "expression")
    tasks["expression"] = replace(
        tasks["expression"], title="Mood", glyph=":|", urgency=2.0, threshold=0.9, phrase="{label}!"
    )
    tasks["relation"] = replace(tasks["relation"], prompt="It was not taught this.")

    assert torch.equal(logits(saved, "expression"), before)


def test_a_task_that_came_after_the_model_does_not_change_its_tokens_or_answers(
    saved: Path, tasks: dict[str, Task]
) -> None:
    """The tokenizer of the smallest preset is made of all prompts there are."""
    before, _, _ = load_model(saved)
    tasks["posture"] = POSTURE
    new = build_model(CONFIG)
    assert new.prompts["gesture"] != before.prompts["gesture"]

    after, _, _ = load_model(saved)
    assert after.prompts["gesture"] == before.prompts["gesture"]
    assert torch.equal(answered(after, "gesture"), answered(before, "gesture"))
    with pytest.raises(DataError, match="other tokens for the prompt of task 'expression'"):
        load_pretrained(new, saved)
    parts = build_model(CONFIG, tokenizer=load_tokenizer(saved))
    load_pretrained(parts, saved)
    assert parts.prompts["gesture"] == before.prompts["gesture"]


def test_a_model_brings_tasks_that_are_not_known(tmp_path: Path, tasks: dict[str, Task]) -> None:
    tasks["posture"] = POSTURE
    folder = tmp_path / "model"
    recipe = Recipe(datasets=("posture",), pretraining=True)
    save_model(folder, build_model(CONFIG, with_lora=False), recipe, {})
    del tasks["posture"]

    model, loaded, _ = load_model(folder)

    assert tasks["posture"] == POSTURE
    assert loaded.tasks == ("posture",)
    assert answered(model, "posture").shape == (2, 3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda printed: printed["prompts"]["gesture"].reverse(),
            "other tokens for the prompt of task",
        ),
        (lambda printed: printed["answers"].update(a=1), "another token for the answer 'a'"),
        (lambda printed: printed.update(tasks=3), "holds no tasks"),
        (lambda printed: printed["tasks"][0].pop("prompt"), "prompt"),
    ],
)
def test_other_tokens_and_damaged_files_are_refused(
    saved: Path, tmp_path: Path, change: Any, message: str
) -> None:
    folder = _copied(saved, tmp_path)
    printed = json.loads((folder / "tasks.json").read_text())
    change(printed)
    (folder / "tasks.json").write_text(json.dumps(printed))

    with pytest.raises(DataError, match=message):
        load_model(folder)


def test_a_damaged_tokenizer_is_named(saved: Path, tmp_path: Path) -> None:
    folder = _copied(saved, tmp_path)
    (folder / "tokenizer" / "tokenizer.json").write_text("{}")

    with pytest.raises(DataError, match="tokenizer"):
        load_model(folder)


def test_a_model_from_before_prompts_were_stored_is_loaded_with_a_warning(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = _copied(saved, tmp_path)
    (folder / "tasks.json").unlink()

    load_recipe(folder)

    (line,) = capsys.readouterr().err.splitlines()
    assert "saved without its prompts" in line
    assert str(folder) in line


def test_a_run_is_not_resumed_with_other_prompts(tmp_path: Path, tasks: dict[str, Task]) -> None:
    check_same_recipe(tmp_path, RECIPE)
    check_same_recipe(tmp_path, RECIPE)
    with pytest.raises(ConfigError, match="this run was begun with epochs"):
        check_same_recipe(tmp_path, replace(RECIPE, epochs=3))

    tasks["gesture"] = replace(tasks["gesture"], prompt="Which sign is this?")
    with pytest.raises(DataError, match="another prompt of task 'gesture'"):
        check_same_recipe(tmp_path, RECIPE)


def _copied(folder: Path, to: Path) -> Path:
    """A copy to damage."""
    copy = to / "model"
    (copy / "tokenizer").mkdir(parents=True)
    for path in folder.rglob("*"):
        if path.is_file():
            (copy / path.relative_to(folder)).write_bytes(path.read_bytes())
    return copy
