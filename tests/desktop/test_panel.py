"""The table's texts: who, what, how sure, how old, and which model says so."""

from dataclasses import replace

import numpy as np
import pytest
from PyQt6.QtGui import QColor

from sfedge import TASKS, Box, Frame, FrameResult, Hand, Prediction, SourceInfo, Track
from sfedge_desktop.people_panel import PeoplePanel, answer_text
from sfedge_desktop.worker import Opened

pytestmark = pytest.mark.usefixtures("application")


def label(
    task: str, people: tuple[int, ...], name: str, chance: float, *, time: float = 2.0
) -> Prediction:
    chances = {name: chance, "other": 1 - chance}
    return Prediction(
        task=task, people=people, frame=0, time=time, label=name, probabilities=chances
    )


def result_of(
    *predictions: Prediction, time: float = 2.5, hands: tuple[Hand, ...] = (), left_out: int = 0
) -> FrameResult:
    frame = Frame(np.zeros((4, 4, 3), np.uint8), 5, time)
    box = Box(0.1, 0.1, 0.4, 0.9)
    tracks = (
        Track(2, box, None, (), 0.0, time),
        Track(1, box, None, (), 0.0, time, name="Ada"),
        Track(3, box, None, (), 0.0, time),
    )
    return FrameResult(frame, tracks, (), predictions, hands=hands, left_out=left_out)


def titles(panel: PeoplePanel) -> list[str]:
    table = panel.table
    return [table.horizontalHeaderItem(c).text() for c in range(table.columnCount())]  # type: ignore[union-attr]


def cell(panel: PeoplePanel, row: int, title: str) -> str:
    item = panel.table.item(row, titles(panel).index(title))
    assert item is not None
    return plain(item.text())


def plain(text: str) -> str:
    """With usual spaces in place of those that no line is broken at."""
    return text.replace("\N{NO-BREAK SPACE}", " ")


def opened(*tasks: str, notice: str = "") -> Opened:
    source = SourceInfo("walk.mp4", 4, 4, 25.0, 1.0, 25, is_live=False)
    return Opened(source, "small", notice, "cpu, fp32", tuple(TASKS[name] for name in tasks))


def of_all_tasks() -> PeoplePanel:
    panel = PeoplePanel()
    panel.show_model(opened(*TASKS))
    return panel


def test_a_row_tells_what_is_known_of_a_person_and_how_old_it_is() -> None:
    panel = of_all_tasks()
    panel.show_result(
        result_of(
            label("expression", (1,), "happiness", 0.72),
            label("relation", (1, 2), "no_relation", 0.4),
        )
    )
    assert panel.heading.text() == "People in sight: 3"
    assert cell(panel, 0, "Person") == "Ada"
    assert cell(panel, 0, "Expression") == "happiness 72% · 0.5 s"
    assert cell(panel, 0, "Relation with") == "2: no relation 40% · 0.5 s"
    assert cell(panel, 1, "Person") == "Person 2"
    assert cell(panel, 1, "Relation with") == "1: no relation 40% · 0.5 s"
    assert cell(panel, 1, "Expression") == "–"


def test_lines_keep_their_places_whichever_answer_came_last() -> None:
    panel = of_all_tasks()
    pairs = [label("domain", (1, 2), "intimate", 0.5), label("domain", (1, 3), "intimate", 0.6)]
    for order in (pairs, pairs[::-1]):
        panel.show_result(result_of(*order))
        assert cell(panel, 0, "Domain with").splitlines() == [
            "2: intimate 50% · 0.5 s",
            "3: intimate 60% · 0.5 s",
        ]


def test_a_person_has_the_same_colour_as_on_the_picture() -> None:
    from sfedge.annotate import Theme

    panel = of_all_tasks()
    panel.show_result(result_of())
    item = panel.table.item(1, 0)
    assert item is not None
    assert item.data(1) == QColor(*Theme().colour(2))


def test_rows_go_when_people_leave() -> None:
    panel = of_all_tasks()
    panel.show_result(result_of())
    assert panel.table.rowCount() == 3
    nobody = Frame(np.zeros((4, 4, 3), np.uint8), 6, 3.0)
    panel.show_result(FrameResult(nobody, (), (), ()))
    assert panel.table.rowCount() == 0
    assert panel.heading.text() == "People in sight: none"


def test_old_answers_are_dimmed() -> None:
    panel = of_all_tasks()
    colours = []
    for time in (2.4, 0.5):
        panel.show_result(result_of(label("expression", (1,), "anger", 0.9, time=time)))
        item = panel.table.item(0, 1)
        assert item is not None
        colours.append(item.foreground().color())
    assert colours[0] != colours[1]


def test_the_model_and_its_limits_stand_above_the_answers() -> None:
    panel = PeoplePanel()
    panel.show_model(opened("expression", "gaze", notice="Trained on drawings."))
    assert panel.model.text() == "Answers by the model small, on cpu, fp32"
    assert panel.notice.text() == "Trained on drawings."
    assert panel.notice.isVisibleTo(panel)
    panel.show_model(opened("expression"))
    assert not panel.notice.isVisibleTo(panel)


def test_only_what_is_asked_has_a_column() -> None:
    panel = PeoplePanel()
    assert titles(panel) == ["Person"]
    panel.show_model(opened("expression", "gaze"))
    assert titles(panel) == ["Person", "Expression", "Looks at (x, y)"]


def test_an_unsure_answer_carries_a_question_mark() -> None:
    gaze = Prediction(
        task="gaze", people=(1,), frame=0, time=0, point=(0.25, 0.5), peak=0.08, is_unsure=True
    )
    ada = result_of().tracks[1]
    assert plain(answer_text(gaze, 0.0, ada)) == "25%, 50%, peak 0.08 ? · 0.0 s"


def test_a_gesture_says_with_which_hand_it_is_made() -> None:
    panel = of_all_tasks()
    left, right, both = (
        replace(label("gesture", (1,), name, 0.8), hands=hands, side=side)
        for name, hands, side in (
            ("palm", (1,), "left"),
            ("ok", (2,), "right"),
            ("fist", (), "both"),
        )
    )
    panel.show_result(result_of(right, left))
    assert cell(panel, 0, "Gesture").splitlines() == [
        "left: palm 80% · 0.5 s",
        "right: ok 80% · 0.5 s",
    ]
    panel.show_result(result_of(both))
    assert cell(panel, 0, "Gesture") == "both: fist 80% · 0.5 s"


def test_hands_of_nobody_follow_the_people_and_are_not_counted_as_people() -> None:
    from sfedge.annotate import Theme

    panel = of_all_tasks()
    box = Box(0.1, 0.1, 0.2, 0.2)
    hands = (
        Hand(4, box, "right", 0.9, 2.5, is_wearers=True),
        Hand(2, box, None, 0.9, 2.5),
    )
    gesture = replace(label("gesture", (), "palm", 0.8), hands=(4,), side="right")
    persons = replace(label("gesture", (2,), "ok", 0.7), hands=(9,), side="left")
    panel.show_result(result_of(gesture, persons, hands=hands))
    assert panel.heading.text() == "People in sight: 3"
    names = [cell(panel, row, "Person") for row in range(panel.table.rowCount())]
    assert names == ["Ada", "Person 2", "Person 3", "Hand H2", "Wearer’s hand H4 (right)"]
    gestures = [cell(panel, row, "Gesture") for row in range(5)]
    assert gestures == ["–", "left: ok 70% · 0.5 s", "–", "–", "palm 80% · 0.5 s"]
    item = panel.table.item(4, 0)
    assert item is not None
    assert item.data(1) == QColor(*Theme().wearer)


def test_people_beyond_the_caps_are_counted() -> None:
    panel = of_all_tasks()
    panel.show_result(result_of(left_out=2))
    assert panel.heading.text() == "People in sight: 3, 2 not asked about"


def test_a_task_of_the_bundle_alone_has_a_column_under_its_title() -> None:
    panel = PeoplePanel()
    posture = replace(TASKS["expression"], name="posture", title="Posture")
    panel.show_model(replace(opened("expression"), tasks=(TASKS["expression"], posture)))
    panel.show_result(result_of(label("posture", (2,), "sitting", 0.6)))
    assert cell(panel, 1, "Posture") == "sitting 60% · 0.5 s"
    assert panel.table.columnCount() == 3
