"""How every command of this project ends: each error in one line, with an exit code."""

import re
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from typing import NoReturn

import click

from sfedge.cli.streams import tolerant_streams
from sfedge.core.config import RunConfig
from sfedge.core.errors import SfedgeError, UsageError
from sfedge.system.libraries import advice

_INTERRUPTED, _TERMINATED = 130, 143  # what shells report for Ctrl-C and SIGTERM
# Arguments of the library that errors name, and that are options of a command.
_ARGUMENTS = "|".join([*(field.name for field in fields(RunConfig)), "by", "column", "split"])
_ASSIGNED = re.compile(rf"(?<![^\s(])({_ARGUMENTS})=(?=([\w'-])?)")  # interval=2, detections=


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
    if "" in words:  # as a path it would be the current folder
        raise UsageError("an argument is empty", fix="A variable in the command may have no value.")
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
        text, code = with_options(error), error.exit_code
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


def with_options(error: SfedgeError) -> str:
    """An error's text with arguments written as options: `end=2` as `--end 2`."""
    where = error.where
    if re.fullmatch(_ARGUMENTS, where):
        where = _option(where)
    what, fix = (_ASSIGNED.sub(_assigned, text) for text in (error.what, error.fix))
    return str(SfedgeError(what, where=where, fix=fix))


def _assigned(found: re.Match[str]) -> str:
    return f"{_option(found[1])} " if found[2] else _option(found[1])


def _option(argument: str) -> str:
    return f"--{argument.replace('_', '-')}"
