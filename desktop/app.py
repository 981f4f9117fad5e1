"""`sfedge-desktop`: the application around the window."""

import os
import signal
import sys
import traceback
from pathlib import Path
from types import TracebackType

import click

from sfedge.errors import MissingExtraError, SfedgeError


@click.command()
@click.argument("source", required=False)
@click.option("--tasks", help="Names, comma-separated; all by default.")
@click.option("--bundle", type=click.Path(path_type=Path), help="Model to use.")
@click.option("--egocentric", is_flag=True, help="The camera is worn.")
@click.option("--offline", is_flag=True, help="Never fetch anything.")
def main(
    source: str | None, tasks: str | None, bundle: Path | None, egocentric: bool, offline: bool
) -> None:
    """Live predictions in a window, on SOURCE: a video, a camera's number or an address.

    Examples:
        sfedge-desktop
        sfedge-desktop walk.mp4
        sfedge-desktop 0 --tasks expression,gesture
    """
    try:
        sys.exit(_run(source, tasks, bundle, egocentric=egocentric, offline=offline))
    except SfedgeError as error:
        click.echo(f"sfedge-desktop: error: {error}", err=True)
        sys.exit(error.exit_code)


def _run(
    source: str | None, tasks: str | None, bundle: Path | None, *, egocentric: bool, offline: bool
) -> int:
    try:
        from PyQt6.QtCore import QTimer
        from PyQt6.QtWidgets import QApplication
    except ImportError as error:
        raise _missing_qt(error) from error
    from desktop.main_window import MainWindow
    from sfedge import RunConfig
    from sfedge.tasks import TASKS

    # OpenCV's wheel points Qt at its own plugins, which are of another Qt.
    os.environ.pop("QT_QPA_PLATFORM_PLUGIN_PATH", None)
    config = RunConfig(
        tasks=tuple(name.strip() for name in tasks.split(",")) if tasks else tuple(TASKS),
        bundle=bundle,
        egocentric=egocentric,
        offline=offline,
        live=True,
    )
    sys.excepthook = _report
    app = QApplication([sys.argv[0]])
    app.setApplicationName("sfedge")
    window = MainWindow(config, source)
    window.show()
    # Ctrl-C in the terminal: Python looks at signals only when it gets to run.
    signal.signal(signal.SIGINT, lambda *_: window.close())
    signal.signal(signal.SIGTERM, lambda *_: window.close())
    ticks = QTimer()
    ticks.timeout.connect(lambda: None)
    ticks.start(200)
    code = app.exec()
    if not window.has_ended:
        # A network that does not return must not hold the program; nothing is left to write.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    return code


def _report(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print what a slot raised; without this hook PyQt6 aborts the program."""
    traceback.print_exception(kind, error, trace)


def _missing_qt(error: ImportError) -> MissingExtraError:
    if isinstance(error, ModuleNotFoundError):
        return MissingExtraError(
            "the window needs PyQt6", fix="Install it: pip install 'sfedge[desktop]'."
        )
    return MissingExtraError(
        f"PyQt6 does not load ({error})",
        fix="On Debian and Ubuntu: apt install libegl1 libgl1 libxkbcommon-x11-0 libxcb-cursor0 "
        "libxcb-icccm4 libxcb-keysyms1.",
    )
