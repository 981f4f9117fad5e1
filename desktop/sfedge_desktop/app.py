"""`sfedge-desktop`: the application around the window."""

import logging
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from types import TracebackType
from typing import NoReturn

import click

from sfedge import RunConfig, SfedgeError, __version__, select_tasks
from sfedge_desktop.screen import open_application, print_error

_TICK_MS = 200  # Python looks at signals only when it gets to run
_EPILOG = """\b
Examples:
  sfedge-desktop
  sfedge-desktop walk.mp4
  sfedge-desktop 0 --tasks expression,gesture
  sfedge-desktop rtsp://camera.local/stream

\b
Exit codes:
  0  the window was closed
  1  no window can be shown
  2  the command was written wrongly
"""

_log = logging.getLogger(__name__)


@click.command(epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("source", required=False)
@click.option(
    "--tasks",
    metavar="NAME,…",
    help="Tasks to run, of those in the model; `sfedge info` lists them. [all that it answers]",
)
@click.option(
    "--bundle",
    type=click.Path(path_type=Path),
    help="Model bundle, a folder or zip. [what SFEDGE_BUNDLE names, or the default model]",
)
@click.option(
    "--egocentric", is_flag=True, help="The camera is worn: hands of its wearer are marked."
)
@click.option("--offline", is_flag=True, help="Never fetch anything.")
@click.option("--debug", is_flag=True, help="Print where in the program an error arose.")
@click.version_option(__version__, prog_name="sfedge-desktop")
def main(
    source: str | None,
    tasks: str | None,
    bundle: Path | None,
    egocentric: bool,
    offline: bool,
    debug: bool,
) -> None:
    """Show what people do, live in a window.

    SOURCE is a video file, a picture, a folder of pictures, the number of a camera, or the address
    of a stream. Without it the window opens empty.
    """
    if debug:
        logging.basicConfig()
        logging.getLogger("sfedge_desktop").setLevel(logging.DEBUG)
    try:
        names = None if tasks is None else tuple(tasks.split(","))
        if names is not None and bundle is None and not os.environ.get("SFEDGE_BUNDLE"):
            names = select_tasks(names)  # another model's are known when it is opened
        config = RunConfig(
            tasks=names,
            bundle=bundle,
            egocentric=egocentric,
            offline=offline,
            live=True,
        )
        _run(source, config)
    except SfedgeError as error:
        print_error(error)
        sys.exit(error.exit_code)


def _run(source: str | None, config: RunConfig) -> NoReturn:
    """Show the window until it is closed, and leave the program."""
    application = open_application()
    # What a run that is cut short leaves behind goes with it.
    scratch = tempfile.tempdir = tempfile.mkdtemp(prefix="sfedge-desktop-")
    from PyQt6.QtCore import QTimer

    from sfedge_desktop.main_window import MainWindow
    from sfedge_desktop.worker import internal_error

    application.setApplicationName("sfedge")
    window = MainWindow(config)

    def report(
        kind: type[BaseException], error: BaseException, trace: TracebackType | None
    ) -> None:
        """Take what a slot raised; without this hook PyQt6 aborts the program."""
        _log.debug("the window failed", exc_info=(kind, error, trace))
        window.broken.emit(internal_error(error))

    sys.excepthook = report
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: QTimer.singleShot(0, window.close))
    ticks = QTimer()
    ticks.timeout.connect(lambda: None)
    ticks.start(_TICK_MS)
    window.show()
    if source is not None:
        window.play(source)
    code = application.exec()
    shutil.rmtree(scratch, ignore_errors=True)
    sys.stdout.flush()
    sys.stderr.flush()
    # Nothing is left to write, and a network that does not return must not hold the program.
    os._exit(code)
