"""Qt's application, or one sentence on why no window can be shown here."""

import os
import sys
from typing import TYPE_CHECKING

import click

from sfedge import MissingExtraError, SfedgeError
from sfedge.system.libraries import advice, install_line, missing_libraries

if TYPE_CHECKING:
    from PyQt6.QtWidgets import QApplication


def open_application() -> "QApplication":
    """The application, connected to the screen.

    Without a screen Qt would abort the program; then a sentence is printed and it ends with
    code 1.

    Raises:
        MissingExtraError: PyQt6 is not installed, or lacks a library of the system.
    """
    try:
        from PyQt6.QtCore import QMessageLogContext, QtMsgType, qInstallMessageHandler
        from PyQt6.QtWidgets import QApplication
    except ImportError as error:
        raise _no_qt(error) from error
    # OpenCV's wheel points Qt to plugins of its own, with which no other Qt can start.
    os.environ.pop("QT_QPA_PLATFORM_PLUGIN_PATH", None)
    complaints: list[str] = []

    def hear(kind: QtMsgType, context: QMessageLogContext, text: str | None) -> None:
        if kind == QtMsgType.QtFatalMsg:
            print_error(no_screen(" ".join(complaints)))
            os._exit(1)  # when this returns, Qt aborts
        complaints.append(text or "")

    qInstallMessageHandler(hear)
    application = QApplication([sys.argv[0]])
    qInstallMessageHandler(None)
    return application


def no_screen(complaint: str) -> SfedgeError:
    """Why Qt found no screen.

    Args:
        complaint: what Qt said before it gave up.
    """
    here = "; `sfedge run SOURCE` works without a screen."
    is_chosen = (
        "QT_QPA_PLATFORM" in os.environ
    )  # by the user, so that the usual reasons say nothing
    if not is_chosen and (lacking := missing_libraries({"PyQt6"})):
        names = ", ".join(library.name for library in lacking)
        return MissingExtraError(
            f"the window needs libraries that are not installed here: {names}",
            fix=install_line({library.package for library in lacking}),
        )
    if not is_chosen and sys.platform.startswith("linux") and not _displays():
        return SfedgeError(
            "there is no screen (neither DISPLAY nor WAYLAND_DISPLAY is set)",
            fix=f"Start it in a desktop session, or over `ssh -X`{here}",
        )
    if "could not connect to display" in complaint:
        return SfedgeError(
            f"the screen {_displays()} does not answer",
            fix=f"Check DISPLAY, or log in again{here}",
        )
    return SfedgeError(
        f"Qt cannot show a window ({complaint.rstrip('. ')})",
        fix=f"Check QT_QPA_PLATFORM{here}",
    )


def print_error(error: SfedgeError) -> None:
    """Print an error in one line."""
    click.echo(f"sfedge-desktop: error: {' '.join(str(error).split())}", err=True)


def _displays() -> str:
    return os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or ""


def _no_qt(error: ImportError) -> MissingExtraError:
    if isinstance(error, ModuleNotFoundError):
        return MissingExtraError("the window needs PyQt6", fix="Run: pip install PyQt6.")
    return MissingExtraError(f"PyQt6 does not load ({error})", fix=advice(error))
