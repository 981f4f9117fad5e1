"""The questions for a camera and an address, answered as a user would."""

from collections.abc import Callable

import pytest
from PyQt6.QtCore import QTimer
from PyQt6.QtWidgets import QApplication, QInputDialog, QWidget

from sfedge_desktop import source_dialog
from sfedge_desktop.cameras import Camera
from sfedge_desktop.source_dialog import choose_address, choose_camera

pytestmark = pytest.mark.usefixtures("application")


def answered(
    choose: Callable[[QWidget], str | None], act: Callable[[QInputDialog], None]
) -> str | None:
    def answer() -> None:
        dialog = QApplication.activeModalWidget()
        assert isinstance(dialog, QInputDialog)
        act(dialog)

    parent = QWidget()
    QTimer.singleShot(0, answer)
    return choose(parent)


def type_text(text: str) -> Callable[[QInputDialog], None]:
    def act(dialog: QInputDialog) -> None:
        dialog.setTextValue(text)
        dialog.accept()

    return act


def test_cameras_are_offered_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [Camera(0, "Built-in camera"), Camera(2, "Desk camera")]
    monkeypatch.setattr(source_dialog, "cameras", lambda: found)
    offered: list[str] = []

    def pick_second(dialog: QInputDialog) -> None:
        offered.extend(dialog.comboBoxItems())
        type_text(offered[1])(dialog)

    assert answered(choose_camera, pick_second) == "2"
    assert offered == ["0: Built-in camera", "2: Desk camera"]


def test_a_number_can_be_typed_where_no_camera_is_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_dialog, "cameras", list)
    assert answered(choose_camera, type_text("4")) == "4"


def test_an_address_is_taken_without_blanks_around_it() -> None:
    assert answered(choose_address, type_text("  rtsp://hall/1 ")) == "rtsp://hall/1"


@pytest.mark.parametrize("choose", [choose_camera, choose_address])
def test_nothing_is_chosen_when_the_question_is_closed(
    choose: Callable[[QWidget], str | None],
) -> None:
    assert answered(choose, QInputDialog.reject) is None


def test_an_empty_address_is_none() -> None:
    assert answered(choose_address, type_text("  ")) is None
