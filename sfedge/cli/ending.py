"""How every command of this project ends: each error in one line, with an exit code."""

import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn

import click

from sfedge.cli.streams import tolerant_streams
from sfedge.core.errors import SfedgeError
from sfedge.system.libraries import advice

_INTERRUPTED, _TERMINATED = 130, 143  # what shells report for Ctrl-C and SIGTERM


def run(
    command: click.Command,
    name: str,
    *,
    program: str | None = None,
    arguments: Sequence[str] | None = None,
) -> NoReturn:
    """Run a command and leave the program with its exit code.

    Args:
        command: what the words are given to.
        name: before each error.
        program: what the user typed, for help; None for the name.
        arguments: the arguments after it; None for those of this process. `--debug` may be anywhere
            and shows where in the program an error arose.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    with tolerant_streams():
        code = _code(command, name, program, words)
    sys.exit(code)


def _code(command: click.Command, name: str, program: str | None, words: Sequence[str]) -> int:
    """Run the command and print its error; the exit code."""
    try:
        with _unwinding_on_sigterm():
            code = _invoke(command, name, program, [word for word in words if word != "--debug"])
        sys.stdout.flush()
    except Exception as error:
        if "--debug" in words:
            raise
        return _tell(error, name)
    return code


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


def _invoke(command: click.Command, name: str, program: str | None, words: Sequence[str]) -> int:
    try:
        result = command.main(list(words), prog_name=program or name, standalone_mode=False)
    except (KeyboardInterrupt, click.Abort):
        click.echo(f"{name}: interrupted", err=True)
        return _INTERRUPTED
    return result if isinstance(result, int) else 0


def _tell(error: Exception, name: str) -> int:
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
        text = f"internal error ({type(error).__name__}: {error}). Run the command "
        text, code = text + "again with --debug and report what it prints.", 1
    click.echo(f"{name}: error: {' '.join(text.split())}", err=True)
    return code
