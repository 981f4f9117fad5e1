"""Asks the user for a file, a camera or an address."""

from pathlib import Path

from PyQt6.QtWidgets import QFileDialog, QInputDialog, QWidget

from sfedge_desktop.cameras import camera_number, cameras

_VIDEOS = (
    "Videos and pictures (*.mp4 *.m4v *.mov *.mkv *.avi *.webm *.mpg *.ts *.mts *.gif *.jpg *.jpeg "
    "*.png *.webp *.tif *.tiff *.heic *.avif)"
)


def choose_file(parent: QWidget, folder: Path) -> str | None:
    """A video or picture that the user picks, beginning in `folder`; None if none is."""
    start = folder if folder.is_dir() else Path.home()
    path, _ = QFileDialog.getOpenFileName(
        parent, "Open a video", str(start), f"{_VIDEOS};;All files (*)"
    )
    return path or None


def choose_camera(parent: QWidget) -> str | None:
    """The number of a camera that the user picks from a list or types; None if none is."""
    found = [f"{camera.number}: {camera.name}" for camera in cameras()]
    question = "Which camera?" if found else "No camera was found. Number of the camera:"
    text, is_chosen = QInputDialog.getItem(parent, "Camera", question, found or ["0"])
    return camera_number(text) if is_chosen else None


def choose_address(parent: QWidget) -> str | None:
    """The address of a stream that the user types; None if none is."""
    text, is_chosen = QInputDialog.getText(
        parent, "Stream", "Address of the stream (rtsp://…, http://…):"
    )
    return text.strip() or None if is_chosen else None
