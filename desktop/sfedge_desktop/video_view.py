"""The picture, scaled to the window with its proportions kept, or a message where there is none."""

from PyQt6.QtCore import QRect, QSize, Qt
from PyQt6.QtGui import QColor, QImage, QPainter, QPaintEvent, QPalette
from PyQt6.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QSizePolicy, QVBoxLayout, QWidget

_GROUND, _TITLE, _DETAIL = QColor(18, 18, 20), QColor(240, 240, 240), QColor(185, 185, 190)
_TEXT_WIDTH = 620  # logical pixels; longer lines are hard to read


class VideoView(QWidget):
    """Shows pictures as they come, or a message with a bar for work that takes a while."""

    def __init__(self) -> None:
        super().__init__()
        self._image: QImage | None = None
        self._title, self._detail = QLabel(), QLabel()
        self._bar = QProgressBar()
        self.setMinimumSize(320, 180)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName("Video")
        message = QWidget()
        message.setMaximumWidth(_TEXT_WIDTH)
        column = QVBoxLayout(message)
        column.setSpacing(12)
        column.addStretch(1)
        for part in (self._title, self._detail, self._bar):
            column.addWidget(part)
        column.addStretch(1)
        line = QHBoxLayout(self)
        line.addStretch(1)
        line.addWidget(message, 20)
        line.addStretch(1)
        for label, colour, size in ((self._title, _TITLE, 1.5), (self._detail, _DETAIL, 1.1)):
            font = label.font()
            font.setPointSizeF(font.pointSizeF() * size)
            label.setFont(font)
            palette = label.palette()
            palette.setColor(QPalette.ColorRole.WindowText, colour)
            label.setPalette(palette)
            label.setAlignment(Qt.AlignmentFlag.AlignHCenter)
            label.setTextFormat(Qt.TextFormat.PlainText)
            label.setWordWrap(True)
        self._bar.setAccessibleName("Progress")
        self.show_message("")

    @property
    def text(self) -> str:
        """The message that is shown; "" while there is a picture."""
        return "" if self._image else f"{self._title.text()} {self._detail.text()}".strip()

    @property
    def has_picture(self) -> bool:
        """Whether a picture is shown."""
        return self._image is not None

    def show_picture(self, picture: QImage) -> None:
        """Show a picture from now on."""
        if self._image is None:
            for part in (self._title, self._detail, self._bar):
                part.hide()
            self.setAccessibleDescription("")
        self._image = picture
        self.update()

    def show_message(self, title: str, detail: str = "", *, percent: int | None = None) -> None:
        """Show a message instead of a picture.

        Args:
            title: a few words.
            detail: sentences.
            percent: how far the work is; -1 where that is not known,
                None for no bar.
        """
        self._image = None
        self._title.setText(title)
        self._detail.setText(detail)
        self._title.show()
        self._detail.setVisible(bool(detail))
        self._bar.setVisible(percent is not None)
        if percent is not None:
            self._bar.setRange(0, 0 if percent < 0 else 100)
            self._bar.setValue(max(percent, 0))
        self.setAccessibleDescription(self.text)
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(960, 540)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), _GROUND)
        if self._image is not None:
            painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
            painter.drawImage(self._target(self._image.size()), self._image)

    def _target(self, size: QSize) -> QRect:
        fitted = size.scaled(self.size(), Qt.AspectRatioMode.KeepAspectRatio)
        left = (self.width() - fitted.width()) // 2
        top = (self.height() - fitted.height()) // 2
        return QRect(left, top, fitted.width(), fitted.height())
