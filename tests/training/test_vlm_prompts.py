"""Tasks as text: questions with boxes, answers, and what counts as one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfedge.core.boxes import Box
from sfedge.core.tasks import TASKS
from sfedge_training.baselines.vlm.prompts import (
    label_text,
    point_text,
    question,
    read_label,
    read_point,
)

LABELLED = [name for name, task in TASKS.items() if task.output == "label"]
BOXES = (Box(0.1, 0.2, 0.3456, 0.4), Box(0.5, 0.0, 1.0, 0.9994))
SHARE = st.floats(0, 1)
# Points, and what is nearly one.
ALMOST_POINTS = st.from_regex(r"\s?[(\[]?[+-]?[0-9٣]{0,5}[,;] ?[0-9]{0,5}(\.0)?[)\]]?[\sx]?")


@pytest.mark.parametrize("task", TASKS)
def test_a_question_is_the_papers_prompt_with_the_boxes_behind_it(task: str) -> None:
    asked = question(task, BOXES[: TASKS[task].boxes])
    assert asked.startswith(TASKS[task].prompt)
    printed = asked.removeprefix(TASKS[task].prompt)
    where = "as '(left,top),(right,bottom)' in the range [0, 1000]"
    assert (
        printed
        == {
            0: "",
            1: f"\nBounding box {where}: (100,200),(346,400)",
            2: f"\nBounding boxes {where}: (100,200),(346,400) and (500,0),(1000,999)",
        }[TASKS[task].boxes]
    )


@pytest.mark.parametrize("task", LABELLED)
def test_every_answer_is_read_as_its_label(task: str) -> None:
    for label in range(len(TASKS[task].labels)):
        assert read_label(task, label_text(task, label)) == label
        assert read_label(task, f" {label_text(task, label)}\n") == label


@pytest.mark.parametrize("text", ["", "A", "(a)", "a.", "a b", "'a'", "aa", "neutral", "i"])
def test_another_answer_is_none(text: str) -> None:
    assert read_label("expression", text) is None


def test_answers_are_the_tasks_own() -> None:
    assert read_label("gesture", "aa") == 26
    assert read_label("looking_at_me", "Yes") == 0
    assert read_label("looking_at_me", "yes") is None
    assert read_label("domain", "d") is None
    assert read_label("relation", "d") == 3


@given(SHARE, SHARE)
def test_a_point_is_read_back_to_half_a_thousandth(x: float, y: float) -> None:
    read = read_point(point_text((x, y)))
    assert read == pytest.approx((x, y), abs=0.0005 + 1e-9)


def test_a_point_outside_is_clamped_to_the_border() -> None:
    assert point_text((-0.01, 1.2)) == "(0,1000)"


@given(st.one_of(st.text(max_size=12), ALMOST_POINTS))
def test_only_the_papers_form_counts_as_a_point(text: str) -> None:
    read = read_point(text)
    if read is not None:
        assert all(0 <= value <= 1 for value in read)
        assert point_text(read) == text.strip()  # there is one way to write it
        return
    try:
        x, y = (int(part) for part in text.strip().removeprefix("(").removesuffix(")").split(","))
    except ValueError:
        return
    assert f"({x},{y})" != text.strip() or not (0 <= x <= 1000 and 0 <= y <= 1000)


@pytest.mark.parametrize(
    "text",
    ["(500, 500)", "500,500", "(1001,0)", "(-1,0)", "(05,5)", "(0.5,0.5)", "(5,5).", "(٣,5)", "no"],
)
def test_a_point_in_another_form_is_none(text: str) -> None:
    assert read_point(text) is None
