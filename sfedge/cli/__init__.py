"""The command `sfedge`: finds the subcommand."""

from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

import click

from sfedge.cli import ending
from sfedge.core.errors import unknown_name
from sfedge.core.version import __version__

# Each is loaded when it is called, or when the list of commands is shown.
_COMMANDS = {
    "run": "sfedge.cli.run_command",
    "demo": "sfedge.cli.demo_command",
    "score": "sfedge.cli.score_command",
    "info": "sfedge.cli.info_command",
    "detectors": "sfedge.cli.detectors_command",
    "engine": "sfedge.cli.engine_command",
    "bench": "sfedge.cli.bench_command",
    "doctor": "sfedge.cli.doctor_command",
}
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
    """Find what people do in a video: expression, gesture and looks at the camera.

    A model that was trained for them answers gaze and relations, too. Everything runs on this
    device; no picture leaves it.
    """


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command and leave the program with its exit code.

    Args:
        arguments: the words after `sfedge`; None for those of this process.
    """
    ending.run(cli, "sfedge", arguments=arguments)
