"""The people in sight, what is known of each and how old that is, and the model that answers."""

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

from sfedge import FrameResult, Hand, Prediction, Task, Track
from sfedge_desktop.worker import Opened

_OLD = 1.0  # seconds from which an answer is shown dimmed
_NONE = "–"
_TIGHT = "\N{NO-BREAK SPACE}"


class PeoplePanel(QWidget):
    """A table with a column a task, and a row for each person and then each hand without one.

    Rows are in the order of ids. Above the table are the name of the model and its
    limits.
    """

    def __init__(self) -> None:
        super().__init__()
        self.heading, self.model, self.notice = QLabel(), QLabel(), QLabel()
        self.table = QTableWidget()
        self._tasks: tuple[Task, ...] = ()
        self._build()
        self._show_tasks(())  # the model's, once it is loaded
        self.clear_people()

    def show_model(self, opened: Opened) -> None:
        """Show the model, its limits, and a column for each task."""
        self.model.setText(f"Answers by the model {opened.model}, on {opened.device}")
        self.notice.setText(opened.notice)
        self.notice.setVisible(bool(opened.notice))
        self._show_tasks(opened.tasks)

    def show_result(self, result: FrameResult) -> None:
        """Show who is in sight at this frame."""
        people = sorted(result.tracks, key=lambda track: track.id)
        rows: list[Track | Hand] = [*people, *sorted(result.hands, key=lambda hand: hand.id)]
        unasked = f", {result.left_out} not asked about" if result.left_out else ""
        self.heading.setText(f"People in sight: {len(people) or 'none'}{unasked}")
        self.table.setRowCount(len(rows))
        for row, shown in enumerate(rows):
            self._write_name(row, shown)
            for column, task in enumerate(self._tasks, start=1):
                answers = answers_about(shown, task, result.predictions)
                ages = [result.age(answer) for answer in answers]
                lines = [
                    answer_text(answer, age, shown)
                    for answer, age in zip(answers, ages, strict=True)
                ]
                self._write(row, column, "\n".join(lines) or _NONE, min(ages, default=_OLD + 1))
        self.table.resizeRowsToContents()

    def clear_people(self) -> None:
        """Show nobody."""
        self.heading.setText("People in sight")
        self.table.setRowCount(0)

    def _show_tasks(self, tasks: tuple[Task, ...]) -> None:
        self._tasks = tasks
        self.table.clear()
        self.table.setColumnCount(1 + len(tasks))
        self.table.setHorizontalHeaderLabels(["Person", *(task.title for task in tasks)])
        if (header := self.table.horizontalHeader()) is not None:
            header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
            header.setSectionResizeMode(0, QHeaderView.ResizeMode.ResizeToContents)

    def _build(self) -> None:
        table = self.table
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

    def _write_name(self, row: int, shown: Track | Hand) -> None:
        from sfedge import Theme  # brings OpenCV; loaded by now, as the picture is drawn

        if isinstance(shown, Hand):
            side = f" ({shown.side})" if shown.side else ""
            text = f"{'Wearer’s hand' if shown.is_wearers else 'Hand'} H{shown.id}{side}"
            colour = Theme().hand_colour(shown)
        else:
            text, colour = shown.name or f"Person {shown.id}", Theme().colour(shown.id)
        item = self._write(row, 0, text, 0.0)
        item.setData(Qt.ItemDataRole.DecorationRole, QColor(*colour))

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


def answers_about(
    shown: Track | Hand, task: Task, predictions: Iterable[Prediction]
) -> list[Prediction]:
    """The answers that belong in one cell of the table, in an order that does not change."""
    about = [
        answer
        for answer in predictions
        if answer.task == task.name
        and (
            answer.hands == (shown.id,) and not answer.people
            if isinstance(shown, Hand)
            else shown.id in answer.people
        )
    ]
    return sorted(about, key=lambda answer: (answer.people, answer.hands))


def answer_text(answer: Prediction, age: float, shown: Track | Hand) -> str:
    """One answer in few words: with whom or with which hand, what, how sure, how old in seconds."""
    doubt = f"{_TIGHT}?" if answer.is_unsure else ""
    if answer.point is not None and answer.peak is not None:
        x, y = answer.point
        words = f"{x:.0%}, {y:.0%}, peak{_TIGHT}{answer.peak:.2f}"
    else:
        label = answer.label or ""
        chance = (answer.probabilities or {}).get(label, 0.0)
        words = f"{label.replace('_', ' ')} {chance:.0%}"
    others = [
        str(other) for other in answer.people if isinstance(shown, Track) and other != shown.id
    ]
    if answer.side is not None and isinstance(shown, Track):
        others.append(answer.side)
    whom = f"{', '.join(others)}: " if others else ""
    return f"{whom}{words}{doubt} ·{_TIGHT}{age:.1f}{_TIGHT}s"
