"""The command `sfedge`: finds the subcommand, and turns every error into one line and a code."""

import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import NoReturn

import click

from sfedge import __version__
from sfedge.errors import SfedgeError, unknown_name
from sfedge.libraries import advice

# Each is loaded when it is called, or when the list of commands is shown.
_COMMANDS = {
    "run": "sfedge.cli.run",
    "demo": "sfedge.cli.demo",
    "info": "sfedge.cli.info",
    "models": "sfedge.cli.models",
    "engine": "sfedge.cli.engine",
    "bench": "sfedge.cli.bench",
    "doctor": "sfedge.cli.doctor",
}
_INTERRUPTED, _TERMINATED = 130, 143  # what shells report for Ctrl-C and SIGTERM
_EPILOG = """\b
Examples:
  sfedge demo
  sfedge run video.mp4
  sfedge run 0
  sfedge run --help
"""


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        command: click.Command = getattr(import_module(_COMMANDS[cmd_name]), cmd_name)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in _COMMANDS and not args[0].startswith("-"):
            unknown_name("command", args[0], _COMMANDS)
        return super().resolve_command(ctx, args)


@click.group(
    cls=_Commands, epilog=_EPILOG, context_settings={"help_option_names": ["-h", "--help"]}
)
@click.option("--debug", is_flag=True, help="Show where in the program an error arose.")
@click.version_option(__version__, prog_name="sfedge")
def cli(debug: bool) -> None:
    """Tell what people do in a video: expression, gesture, gaze and relations.

    Everything runs on this device; no picture leaves it.
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and leave the program with its exit code.

    Args:
        arguments: the words after `sfedge`; None for those of this process.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words  # may stand anywhere
    try:
        with _unwinding_on_sigterm():
            code = _invoke([word for word in words if word != "--debug"])
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, as `head`, had enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 1
    except Exception as error:
        if debug:
            raise
        code = _tell(error)
    sys.exit(code)


@contextmanager
def _unwinding_on_sigterm() -> Iterator[None]:
    """Within, SIGTERM ends the program as Ctrl-C does, so that nothing temporary stays."""
    if threading.current_thread() is not threading.main_thread():  # signals go to the main thread
        yield
        return
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _invoke(words: Sequence[str]) -> int:
    try:
        result = cli.main(list(words), prog_name="sfedge", standalone_mode=False)
    except (KeyboardInterrupt, click.Abort):
        click.echo("sfedge: interrupted", err=True)
        return _INTERRUPTED
    return result if isinstance(result, int) else 0


def _tell(error: Exception) -> int:
    """Print an error in one line; its exit code."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):  # its message is the whole help
        click.echo(error.format_message(), err=True)
        return error.exit_code
    if isinstance(error, SfedgeError):
        text, code = str(error), error.exit_code
    elif isinstance(error, click.ClickException):
        text, code = error.format_message(), error.exit_code
        if isinstance(error, click.UsageError) and error.ctx is not None:
            end = "" if text.endswith((".", "?")) else "."
            text = f"{text}{end} Try '{error.ctx.command_path} --help'."
    elif isinstance(error, ImportError | OSError) and (fix := advice(error)):
        text, code = f"a library of the system is missing ({error}). {fix}", 1
    else:
        text = f"this is a fault of the program ({type(error).__name__}: {error}). Run the command "
        text, code = text + "again with --debug and report what it prints.", 1
    click.echo(f"sfedge: error: {' '.join(text.split())}", err=True)
    return code
