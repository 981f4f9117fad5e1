"""The people in sight, what is known of each and how old that is, and which model says so."""

from collections.abc import Iterable

from PyQt6.QtCore import Qt
from PyQt6.QtGui import QBrush, QColor, QPalette
from PyQt6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from sfedge import TASKS, FrameResult, Prediction, Track
from sfedge_desktop.worker import Opened

_TITLES = {
    "looking_at_me": "Looks at camera",
    "gaze": "Looks at (x, y)",
    "domain": "Domain with",
    "relation": "Relation with",
}
_OLD = 1.0  # seconds from which an answer is shown dimmed
_NONE = "–"
_TIGHT = "\N{NO-BREAK SPACE}"


class PeoplePanel(QWidget):
    """A table with a row a person, in the order of their ids, and a column a task.

    Above it stand the name of the model that answers, and its limits.
    """

    def __init__(self) -> None:
        super().__init__()
        self.heading, self.model, self.notice = QLabel(), QLabel(), QLabel()
        self.table = QTableWidget(0, 1 + len(TASKS))
        self._build()
        self.clear_people()

    def show_model(self, opened: Opened) -> None:
        """Show who answers, with what limits, and the columns of what is asked."""
        self.model.setText(f"Answers by the model {opened.model}, on {opened.device}")
        self.notice.setText(opened.notice)
        self.notice.setVisible(bool(opened.notice))
        for column, name in enumerate(TASKS, start=1):
            self.table.setColumnHidden(column, name not in opened.tasks)

    def show_result(self, result: FrameResult) -> None:
        """Show who is in sight at this frame."""
        people = sorted(result.tracks, key=lambda track: track.id)
        self.heading.setText(f"People in sight: {len(people) or 'none'}")
        self.table.setRowCount(len(people))
        for row, track in enumerate(people):
            self._write_name(row, track)
            for column, name in enumerate(TASKS, start=1):
                answers = answers_about(track.id, name, result.predictions)
                ages = [result.age(answer) for answer in answers]
                lines = [
                    answer_text(answer, age, track.id)
                    for answer, age in zip(answers, ages, strict=True)
                ]
                self._write(row, column, "\n".join(lines) or _NONE, min(ages, default=_OLD + 1))
        self.table.resizeRowsToContents()

    def clear_people(self) -> None:
        """Show nobody."""
        self.heading.setText("People in sight")
        self.table.setRowCount(0)

    def _build(self) -> None:
        titles = [_TITLES.get(name, name.replace("_", " ").capitalize()) for name in TASKS]
        table = self.table
        table.setHorizontalHeaderLabels(["Person", *titles])
        table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        table.setSelectionMode(QAbstractItemView.SelectionMode.NoSelection)
        table.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        table.setAlternatingRowColors(True)
        table.setShowGrid(False)
        table.setMinimumHeight(120)
        table.setAccessibleName("People in sight and their answers")
        if (rows := table.verticalHeader()) is not None:  # a header without rows is falsy
            rows.setVisible(False)
            rows.setMinimumSectionSize(round(rows.fontMetrics().height() * 1.6))
        if (header := table.horizontalHeader()) is not None:
            header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
            header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
            header.setSectionResizeMode(0, QHeaderView.ResizeMode.ResizeToContents)
            header.setHighlightSections(False)
            header.setToolTip("Each answer with its probability and its age in seconds")
        font = self.heading.font()
        font.setBold(True)
        self.heading.setFont(font)
        self.notice.setFont(font)
        self.notice.setWordWrap(True)
        self.notice.setAutoFillBackground(True)
        self.notice.setContentsMargins(8, 5, 8, 5)
        palette = self.notice.palette()
        palette.setColor(QPalette.ColorRole.Window, QColor(122, 59, 0))
        palette.setColor(QPalette.ColorRole.WindowText, QColor(255, 255, 255))
        self.notice.setPalette(palette)
        self.notice.hide()
        for label in (self.heading, self.model, self.notice):
            label.setTextFormat(Qt.TextFormat.PlainText)
        line = QHBoxLayout()
        line.setContentsMargins(8, 6, 8, 6)
        line.addWidget(self.heading)
        line.addStretch(1)
        line.addWidget(self.model)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addLayout(line)
        column.addWidget(self.notice)
        column.addWidget(table, 1)

    def _write_name(self, row: int, track: Track) -> None:
        from sfedge import Theme  # brings OpenCV; loaded by now, as the picture is drawn

        item = self._write(row, 0, track.name or f"Person {track.id}", 0.0)
        item.setData(Qt.ItemDataRole.DecorationRole, QColor(*Theme().colour(track.id)))

    def _write(self, row: int, column: int, text: str, age: float) -> QTableWidgetItem:
        item = self.table.item(row, column)
        if item is None:
            item = QTableWidgetItem()
            self.table.setItem(row, column, item)
        role = QPalette.ColorRole.PlaceholderText if age > _OLD else QPalette.ColorRole.Text
        item.setForeground(QBrush(self.table.palette().color(role)))
        if item.text() != text:
            item.setText(text)
            item.setToolTip(text)
        return item


def answers_about(person: int, task: str, predictions: Iterable[Prediction]) -> list[Prediction]:
    """The answers that belong in one cell of the table, in an order that does not change."""
    about = [a for a in predictions if a.task == task and person in a.people]
    return sorted(about, key=lambda answer: answer.people)


def answer_text(answer: Prediction, age: float, person: int) -> str:
    """One answer in few words: for a pair with whom, then what, how sure, how old in seconds."""
    doubt = f"{_TIGHT}?" if answer.is_unsure else ""
    if answer.point is not None and answer.peak is not None:
        x, y = answer.point
        said = f"{x:.0%}, {y:.0%}, peak{_TIGHT}{answer.peak:.0%}"
    else:
        label = answer.label or ""
        chance = (answer.probabilities or {}).get(label, 0.0)
        said = f"{label.replace('_', ' ')} {chance:.0%}"
    others = [str(other) for other in answer.people if other != person]
    whom = f"{', '.join(others)}: " if others else ""
    return f"{whom}{said}{doubt} ·{_TIGHT}{age:.1f}{_TIGHT}s"
