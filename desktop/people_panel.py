"""The table of people in sight, with what is known of each and how old that is."""

from collections.abc import Iterable, Sequence

from PyQt6.QtCore import Qt
from PyQt6.QtGui import QBrush, QPalette
from PyQt6.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

from sfedge import FrameResult, Prediction, Track
from sfedge.tasks import TASKS

_PAIRS = "relations"
_TITLES = {
    "expression": "Expression",
    "gesture": "Gesture",
    "looking_at_me": "Looks at camera",
    "gaze": "Looks at",
    _PAIRS: "Relations",
}
_OLD = 1.0  # seconds from which an answer is shown dimmed


class PeoplePanel(QTableWidget):
    """A row a person, in the order of their ids; a column a task, and one for all pairs."""

    def __init__(self) -> None:
        self._columns = [*(n for n in TASKS if TASKS[n].people == 1), _PAIRS]
        super().__init__(0, 1 + len(self._columns))
        titles = [_TITLES.get(name, name.replace("_", " ").capitalize()) for name in self._columns]
        self.setHorizontalHeaderLabels(["Person", *titles])
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.setAlternatingRowColors(True)
        self.setWordWrap(True)
        if rows := self.verticalHeader():
            rows.setVisible(False)
        if header := self.horizontalHeader():
            header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
            header.setSectionResizeMode(0, QHeaderView.ResizeMode.ResizeToContents)
        self.setAccessibleName("People in sight")

    def show_result(self, result: FrameResult) -> None:
        """Show who is in sight at this frame."""
        people = sorted(result.tracks, key=lambda track: track.id)
        if self.rowCount() != len(people):
            self.setRowCount(len(people))
        for row, track in enumerate(people):
            self._write(row, 0, person_name(track), is_dim=False)
            for column, name in enumerate(self._columns, start=1):
                answers = answers_about(track.id, name, result.predictions)
                ages = [result.age(answer) for answer in answers]
                text = "\n".join(
                    answer_text(answer, age, track.id)
                    for answer, age in zip(answers, ages, strict=True)
                )
                self._write(row, column, text or "–", is_dim=not ages or min(ages) > _OLD)
        self.resizeRowsToContents()

    def clear_people(self) -> None:
        """Show nobody."""
        self.setRowCount(0)

    def _write(self, row: int, column: int, text: str, *, is_dim: bool) -> None:
        item = self.item(row, column)
        if item is None:
            item = QTableWidgetItem()
            self.setItem(row, column, item)
        role = QPalette.ColorRole.PlaceholderText if is_dim else QPalette.ColorRole.Text
        item.setForeground(QBrush(self.palette().color(role)))
        if item.text() != text:
            item.setText(text)


def person_name(track: Track) -> str:
    """How a person is called: the given name, or the number."""
    return track.name or f"Person {track.id}"


def answers_about(
    person: int, column: str, predictions: Iterable[Prediction]
) -> Sequence[Prediction]:
    """The answers that belong in one cell of the table."""
    return [
        answer
        for answer in predictions
        if person in answer.people
        and (answer.task == column or (column == _PAIRS and len(answer.people) == 2))
    ]


def answer_text(answer: Prediction, age: float, person: int) -> str:
    """One answer in words: what, how sure, how old; for a pair also about whom."""
    doubt = " ?" if answer.is_unsure else ""
    if answer.point is not None and answer.peak is not None:
        x, y = answer.point
        said = f"{x:.0%}, {y:.0%} of the picture ({answer.peak:.0%})"
    else:
        label = answer.label or ""
        chance = (answer.probabilities or {}).get(label, 0.0)
        said = f"{label.replace('_', ' ')} {chance:.0%}"
    others = [str(other) for other in answer.people if other != person]
    whom = f" with {', '.join(others)}" if others else ""
    return f"{said}{doubt}{whom}, {age:.1f} s ago"
