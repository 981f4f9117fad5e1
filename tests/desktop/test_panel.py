"""The table's texts, and the slot between worker and window."""

import numpy as np
import pytest

from desktop.people_panel import PeoplePanel, answer_text
from desktop.worker import Shown, Slot
from sfedge import Box, Frame, FrameResult, Prediction, RunReport, Track

REPORT = RunReport(
    frames=1, shown=1, skipped=0, asked=1, people=2, answers={}, losses=(), ended="",
    is_complete=False, seconds={},
)  # fmt: skip


def label(task: str, people: tuple[int, ...], name: str, chance: float, *, time: float = 2.0) -> Prediction:
    rest = {"other": 1 - chance}
    return Prediction(
        task=task, people=people, frame=0, time=time, label=name, probabilities={name: chance} | rest
    )


def result_of(*predictions: Prediction, time: float = 2.5) -> FrameResult:
    frame = Frame(np.zeros((4, 4, 3), np.uint8), 5, time)
    box = Box(0.1, 0.1, 0.4, 0.9)
    tracks = (
        Track(2, box, None, (), 0.0, time),
        Track(1, box, None, (), 0.0, time, name="Ada"),
    )
    return FrameResult(frame, tracks, (), predictions)


def texts(panel: PeoplePanel) -> list[list[str]]:
    return [
        [panel.item(row, column).text() for column in range(panel.columnCount())]
        for row in range(panel.rowCount())
    ]


@pytest.mark.usefixtures("application")
def test_a_row_tells_what_is_known_of_a_person_and_how_old_it_is() -> None:
    panel = PeoplePanel()
    panel.show_result(
        result_of(
            label("expression", (1,), "happiness", 0.72),
            label("relation", (1, 2), "no_relation", 0.4),
        )
    )
    first, second = texts(panel)
    assert first[:2] == ["Ada", "happiness 72%, 0.5 s ago"]
    assert first[-1] == "no relation 40% with 2, 0.5 s ago"
    assert second[0] == "Person 2"
    assert second[-1] == "no relation 40% with 1, 0.5 s ago"
    assert second[1] == "–"


@pytest.mark.usefixtures("application")
def test_rows_go_when_people_leave() -> None:
    panel = PeoplePanel()
    panel.show_result(result_of())
    assert panel.rowCount() == 2
    panel.clear_people()
    assert panel.rowCount() == 0


@pytest.mark.usefixtures("application")
def test_old_answers_are_dimmed() -> None:
    panel = PeoplePanel()
    panel.show_result(result_of(label("expression", (1,), "anger", 0.9, time=2.4)))
    fresh = panel.item(0, 1).foreground().color()
    panel.show_result(result_of(label("expression", (1,), "anger", 0.9, time=0.5)))
    assert panel.item(0, 1).foreground().color() != fresh


def test_an_unsure_answer_carries_a_question_mark() -> None:
    gaze = Prediction(
        task="gaze", people=(1,), frame=0, time=0, point=(0.25, 0.5), peak=0.08, is_unsure=True
    )
    assert answer_text(gaze, 0.0, 1) == "25%, 50% of the picture (8%) ?, 0.0 s ago"


def test_the_slot_keeps_the_newest_and_tells_once() -> None:
    slot = Slot()
    first, second = (Shown(result_of(), np.zeros((1, 1, 3), np.uint8), REPORT) for _ in range(2))
    assert slot.put(first)
    assert not slot.put(second)
    assert slot.take() is second
    assert slot.take() is None
    assert slot.put(first)
