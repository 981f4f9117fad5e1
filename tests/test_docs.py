"""Every command in README and docs is one that its program takes, options and values included."""

import importlib.util
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

import sfedge_training.__main__
from sfedge.cli import cli
from sfedge_desktop.app import main as desktop
from sfedge_export.__main__ import main as export

ROOT = Path(__file__).parents[1]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
PROGRAMS: dict[tuple[str, ...], click.Command] = {
    ("sfedge",): cli,
    ("sfedge-desktop",): desktop,
    ("sfedge-train",): sfedge_training.__main__.main,
    ("sfedge-export",): export,
}


def commands() -> Iterator[tuple[str, str]]:
    """(page, line) of each line in a block of code that calls one of the programs."""
    for page in PAGES:
        for block in re.findall(r"```[a-z]*\n(.*?)```", page.read_text(encoding="utf-8"), re.S):
            for line in block.replace("\\\n", " ").splitlines():
                text = line.removeprefix("$ ").strip()
                words = text.split()
                if any(words[: len(name)] == [*name] for name in PROGRAMS):
                    yield page.name, text


def program(words: list[str]) -> tuple[str, ...]:
    return next(name for name in PROGRAMS if tuple(words[: len(name)]) == name)


def parse(command: click.Command, words: list[str], name: str) -> None:
    """Read the words as the program does, and run nothing.

    Raises:
        click.UsageError: the program would refuse them.
    """
    context = command.make_context(name, list(words))
    if isinstance(command, click.Group):
        rest = [*context._protected_args, *context.args]
        own, subcommand, left = command.resolve_command(context, rest)
        assert own is not None
        assert subcommand is not None
        parse(subcommand, left, own)


@pytest.mark.parametrize(("page", "line"), list(commands()))
def test_a_command_of_the_docs_is_one_that_the_program_takes(page: str, line: str) -> None:
    words = shlex.split(line, comments=True)
    name = program(words)
    if any("[" in word for word in words):  # a line that shows the form, not a call
        return
    parse(PROGRAMS[name], words[len(name) :], name[-1])


def test_the_docs_call_every_program() -> None:
    assert {program(line.split()) for _, line in commands()} == set(PROGRAMS)


def test_a_wrong_option_is_found() -> None:
    with pytest.raises(click.UsageError):
        parse(cli, ["run", "video.mp4", "--no-such-option"], "sfedge")


def test_modules_that_the_docs_run_are_there() -> None:
    texts = [path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md")]
    modules = {name for text in texts for name in re.findall(r"(?<=\s)-m ([a-z][\w.]+)", text)}
    assert "sfedge_training" in modules
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    assert not missing
