"""The picture: the newest frame, scaled to the window with its proportions kept."""

import numpy as np
from PyQt6.QtCore import QRect, QSize, Qt
from PyQt6.QtGui import QImage, QPainter, QPaintEvent
from PyQt6.QtWidgets import QSizePolicy, QWidget

from sfedge.structures import Image


class VideoView(QWidget):
    """Shows pictures as they come, or a sentence where there is none."""

    def __init__(self) -> None:
        super().__init__()
        self._image: QImage | None = None
        self.text = ""  # what is shown instead of a picture
        self.setMinimumSize(320, 180)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName("Video")

    def show_picture(self, picture: Image) -> None:
        """Show (H, W, 3) RGB from now on."""
        rgb = np.ascontiguousarray(picture)
        height, width = rgb.shape[:2]
        # A copy: QImage does not own numpy's memory.
        self._image = QImage(
            rgb.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888
        ).copy()
        self.update()

    def show_text(self, text: str) -> None:
        """Show a sentence instead of a picture."""
        self._image, self.text = None, text
        self.update()

    def sizeHint(self) -> QSize:
        return QSize(960, 540)

    def paintEvent(self, event: QPaintEvent | None) -> None:
        painter = QPainter(self)
        painter.fillRect(self.rect(), Qt.GlobalColor.black)
        if self._image is None:
            painter.setPen(Qt.GlobalColor.lightGray)
            inner = self.rect().adjusted(24, 24, -24, -24)
            flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(inner, int(flags), self.text)
            return
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawImage(self._target(self._image.size()), self._image)

    def _target(self, size: QSize) -> QRect:
        fitted = size.scaled(self.size(), Qt.AspectRatioMode.KeepAspectRatio)
        left = (self.width() - fitted.width()) // 2
        top = (self.height() - fitted.height()) // 2
        return QRect(left, top, fitted.width(), fitted.height())
