import json
from dataclasses import replace
from typing import Any

import pytest

from sfedge.core.config import RunConfig
from sfedge.core.errors import DataError, UnknownNameError
from sfedge.core.tasks import TASKS, Task, add_tasks, select_tasks, task_from_json, task_names


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
        ({"view": "foot"}, "view 'foot'"),
        ({"view": "hand"}, "the view of a hand without the condition raised_hand"),
        ({"condition": "raised_hand"}, "the condition raised_hand with marked boxes"),
        ({"condition": "awake"}, "condition 'awake'"),
        ({"mark": "hand"}, "mark 'hand'"),
        ({"urgency": 0}, r"urgency 0\.0"),
        ({"urgency": float("inf")}, "urgency inf"),
        ({"title": " "}, "no title"),
        ({"glyph": "four"}, "glyph 'four'"),
        ({"glyph": "\n"}, "glyph"),
        ({"phrase": "{what}"}, "phrase '{what}'"),
        ({"phrase": 1}, "malformed"),
        ({"name": "a b"}, "its name"),
        ({"labels": [1, 2, 3]}, "malformed"),
        ({"output": "heatmap"}, "a heatmap with labels"),
        ({"output": "text"}, "output 'text'"),
        ({"labels": ["a", "b"]}, "labels and answers differ in number"),
        ({"labels": ["x"], "answers": ["a"]}, "fewer than two labels"),
        ({"labels": ["x", "x"], "answers": ["a", "b"]}, "duplicate label"),
        ({"labels": ["x", "y"], "answers": ["a", "a"]}, "duplicate answer"),
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


def test_a_bundle_from_before_the_fields_of_planning_and_words_takes_those_of_the_paper() -> None:
    newer = {"condition", "urgency", "mark", "title", "glyph", "phrase", "dataset"}
    newer.add("everyone_if_egocentric")
    for task in TASKS.values():
        old = {name: value for name, value in task.to_json().items() if name not in newer}
        assert task_from_json(old) == task


@pytest.mark.parametrize(
    ("entry", "wanted"),
    [
        ({"view": "face"}, {"condition": "face", "mark": "face", "margin": 0.15}),
        ({"view": "person"}, {"condition": "person", "mark": "person", "margin": 0.10}),
        ({"view": "hand"}, {"condition": "raised_hand", "mark": "person", "margin": 0.5}),
        ({"view": "frame", "boxes": 1}, {"condition": "face", "mark": "face"}),
        ({"view": "frame", "boxes": 2}, {"condition": "person", "mark": "person"}),
        (
            {"view": "frame", "boxes": 1, "output": "heatmap"},
            {"threshold": 0.2, "labels": (), "phrase": "where to"},
        ),
    ],
)
def test_what_an_entry_leaves_out_follows_from_its_view_and_output(
    entry: dict[str, Any], wanted: dict[str, Any]
) -> None:
    labels = {} if entry.get("output") else {"labels": ["x", "y_z"], "answers": ["a", "b"]}
    task = task_from_json({"name": "where_to", "prompt": "Where to?", **labels, **entry})

    assert {name: getattr(task, name) for name in wanted} == wanted
    assert (task.urgency, task.title, task.glyph) == (1.0, "Where to", "W")
    if labels:
        assert (task.output, task.threshold, task.words("y_z")) == ("label", 0.75, "y z")


def test_answers_read_as_people_say_them() -> None:
    assert TASKS["looking_at_me"].words("not_looking") == "not looking at me"
    assert TASKS["gesture"].words("thumb_index") == "gesture thumb index"
    assert TASKS["gesture"].words("no_gesture") == "no gesture"
    assert TASKS["gaze"].words(None) == "gaze"


def test_entries_with_a_known_name_are_refused_and_leave_the_tasks_as_they_were() -> None:
    before = dict(TASKS)
    new = {"prompt": "?", "view": "face", "labels": ["x", "y"], "answers": ["a", "b"]}
    for text in (
        json.dumps({"mood": new, "gaze": new}),
        json.dumps({"mood": {**new, "view": "foot"}}),
        "[]",
        "nothing",
        '{"mood": 1}',
    ):
        with pytest.raises(DataError, match=r"there is a task|view 'foot'|no object of tasks"):
            add_tasks(text, where="tasks.json")
    assert before == TASKS


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


def test_a_task_that_a_model_was_not_trained_for_is_reported_with_the_command_that_trains_one() -> (
    None
):
    with pytest.raises(UnknownNameError) as caught:
        select_tasks("gesture,relation", ["expression", "gesture"])
    assert "this model was not trained for relation" in str(caught.value)
    assert "--datasets pisc" in str(caught.value)
    assert "This one answers expression, gesture." in str(caught.value)


def test_names_are_put_in_the_papers_order_and_others_behind_as_they_came() -> None:
    assert task_names("posture, relation,mood, gaze,posture,") == (
        *("gaze", "relation"),
        *("posture", "mood"),
    )
    assert RunConfig(tasks=("posture", "gaze")).tasks == ("gaze", "posture")


def test_an_unknown_field_of_an_entry_is_refused_with_the_nearest_name() -> None:
    entry = TASKS["gesture"].to_json() | {"urgencey": 1.0}
    with pytest.raises(DataError, match=r"unknown field 'urgencey'.*Did you mean 'urgency'"):
        task_from_json(entry)


def test_a_wrong_view_is_refused_with_those_that_there_are() -> None:
    entry = TASKS["gesture"].to_json() | {"view": "body"}
    with pytest.raises(DataError, match="view 'body' is none of face, person, hand, frame"):
        task_from_json(entry)
