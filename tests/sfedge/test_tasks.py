import json
from dataclasses import replace
from typing import Any

import pytest

from sfedge.core.errors import DataError, UnknownNameError
from sfedge.core.tasks import TASKS, Task, select_tasks, task_from_json


def test_the_paper_s_six_tasks_have_its_numbers_of_labels() -> None:
    assert {name: len(task.labels) for name, task in TASKS.items()} == {
        "expression": 8,
        "gesture": 33,
        "looking_at_me": 2,
        "gaze": 0,
        "domain": 3,
        "relation": 6,
    }


def test_each_task_sees_and_marks_what_the_paper_says() -> None:
    assert {name: (task.view, task.boxes, task.output) for name, task in TASKS.items()} == {
        "expression": ("face", 0, "label"),
        "gesture": ("person", 0, "label"),
        "looking_at_me": ("face", 0, "label"),
        "gaze": ("frame", 1, "heatmap"),
        "domain": ("frame", 2, "label"),
        "relation": ("frame", 2, "label"),
    }


def test_tasks_that_see_the_same_view_share_its_margin() -> None:
    """Else the encoder would run twice for one face."""
    for view in ("face", "person", "frame"):
        assert len({task.margin for task in TASKS.values() if task.view == view}) == 1


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_the_prompt_offers_every_label_with_its_answer(task: Task) -> None:
    assert task.prompt
    letters = [answer for answer in task.answers if answer.islower()]
    for letter in letters:
        assert f"({letter})" in task.prompt
    if not letters:
        assert all(answer in ("Yes", "No") for answer in task.answers)


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_a_task_survives_the_way_through_json(task: Task) -> None:
    task = replace(task, threshold=0.25)
    assert task_from_json(json.loads(json.dumps(task.to_json()))) == task


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"view": "hand"}, "view 'hand'"),
        ({"output": "text"}, "output 'text'"),
        ({"labels": ["a", "b"]}, "labels and answers differ in number"),
        ({"labels": ["x"], "answers": ["a"]}, "fewer than two labels"),
        ({"labels": ["x", "x"], "answers": ["a", "b"]}, "a label stands twice"),
        ({"labels": ["x", "y"], "answers": ["a", "a"]}, "an answer stands twice"),
        ({"boxes": 3}, "3 boxes"),
        ({"margin": -0.1}, r"margin -0\.1"),
        ({"margin": float("nan")}, "margin nan"),
        ({"threshold": 1.5}, r"threshold 1\.5"),
        ({"threshold": None}, "malformed"),
        ({"labels": None}, "malformed"),
    ],
)
def test_a_malformed_task_is_refused(change: dict[str, Any], message: str) -> None:
    data = {**TASKS["domain"].to_json(), **change}
    with pytest.raises(DataError, match=message):
        task_from_json(data, where="bundle.json")


def test_a_missing_field_is_refused() -> None:
    data = TASKS["gaze"].to_json()
    del data["prompt"]
    with pytest.raises(DataError, match="prompt"):
        task_from_json(data)


def test_chosen_tasks_come_once_and_in_the_tables_order() -> None:
    assert select_tasks(["relation", "gaze", "relation"]) == ("gaze", "relation")
    assert select_tasks([]) == ()


@pytest.mark.parametrize(
    "text", ["gaze,relation", "relation, gaze", " gaze ,, relation,", "\trelation,gaze\n"]
)
def test_chosen_tasks_may_stand_in_one_text(text: str) -> None:
    assert select_tasks(text) == ("gaze", "relation")


@pytest.mark.parametrize("text", ["", " ", ",", [""]])
def test_a_text_without_names_chooses_nothing(text: str | list[str]) -> None:
    assert select_tasks(text) == ()


def test_an_unknown_task_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UnknownNameError, match=r"Did you mean 'expression'\?") as caught:
        select_tasks(["gaze", "expresion"])
    assert caught.value.exit_code == 2
