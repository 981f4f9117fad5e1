"""`sfedge run`: a video, folder, camera or stream into a folder of results."""

import json
from pathlib import Path
from typing import get_args

import click

from sfedge.core.config import EngineName, RunConfig
from sfedge.core.tasks import TASKS, select_tasks

_DEFAULTS = RunConfig()
_LOSS = 1  # exit code of a run that finished with something lost
_SIGNALLED = 128  # exit code of a run that a signal ended, plus its number
_EPILOG = """\b
Examples:
  sfedge run party.mp4
  sfedge run party.mp4 --out results --tasks gaze,relation --interval 1
  sfedge run lecture.mkv --start 1:30 --end 2:00
  sfedge run 0 --end 60
  sfedge run rtsp://camera.local/stream

\b
Exit codes:
  0    done
  1    failed, or done with a part of the video lost; the results are kept
  2    the command was written wrongly
  130  interrupted by Ctrl-C; what was done is kept under names with .part
  143  ended by SIGTERM; the same
A camera or stream that Ctrl-C or SIGTERM ends is done: 0.
"""


def seconds(text: str | float) -> float:
    """A time written as seconds, m:ss or h:mm:ss."""
    try:
        numbers = [float(part) for part in str(text).split(":")]
    except ValueError:
        numbers = []
    if not 1 <= len(numbers) <= 3 or not all(0 <= number < 60 for number in numbers[1:]):
        raise click.BadParameter(f"{text!r} is no time; write 90, 1:30 or 0:01:30.")
    total = 0.0
    for number in numbers:
        total = total * 60 + number
    return total


@click.command(epilog=_EPILOG)
@click.argument("source")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("out"),
    show_default=True,
    help="Folder for the results.",
)
@click.option("--tasks", metavar="NAME,…", help=f"What to ask, of: {', '.join(TASKS)}. [all]")
@click.option(
    "--bundle",
    type=click.Path(path_type=Path),
    help="Model bundle, a folder or zip. [the demo model]",
)
@click.option(
    "--engine",
    type=click.Choice(get_args(EngineName)),
    default=_DEFAULTS.engine,
    show_default=True,
    help="What runs the model.",
)
@click.option(
    "--precision",
    metavar="NAME",
    help="One of the bundle's, such as fp32. [the one that suits the engine best]",
)
@click.option(
    "--interval",
    type=float,
    default=_DEFAULTS.interval,
    show_default=True,
    help="Seconds between two questions of a kind about one person, in files.",
)
@click.option(
    "--start",
    type=seconds,
    metavar="TIME",
    default=0.0,
    help="Where to begin: 90, 1:30 or 0:01:30.",
)
@click.option("--end", type=seconds, metavar="TIME", help="Where to end, in the same forms.")
@click.option(
    "--detector",
    metavar="NAME|FILE.json",
    default=_DEFAULTS.detector,
    show_default=True,
    help="What finds faces, hands and persons; see `sfedge detectors`.",
)
@click.option(
    "--detections",
    type=click.Path(path_type=Path),
    help="Table of boxes that takes the place of the detectors.",
)
@click.option(
    "--egocentric", is_flag=True, help="The camera is worn: the wearer's own hands are nobody's."
)
@click.option("--offline", is_flag=True, help="Never fetch anything.")
@click.option("--live", is_flag=True, help="Play a file at its own pace; the newest frame wins.")
@click.option(
    "--every-frame", is_flag=True, help="Record answers again with every frame that shows them."
)
@click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
def run(
    source: str,
    out: Path,
    tasks: str | None,
    bundle: Path | None,
    engine: EngineName,
    precision: str | None,
    interval: float,
    start: float,
    end: float | None,
    detector: str,
    detections: Path | None,
    egocentric: bool,
    offline: bool,
    live: bool,
    every_frame: bool,
    as_json: bool,
) -> int:
    """Tell what people do in SOURCE and write it to a folder.

    SOURCE is a video file, a folder of pictures, a picture, the number of a camera, or the
    address of a stream. The folder gets an annotated video with the sound kept, records (JSON
    lines), a table (CSV) and metadata. A camera runs until Ctrl-C, SIGTERM or --end seconds.
    """
    config = RunConfig(
        tasks=None if tasks is None else select_tasks(tasks),
        bundle=bundle,
        engine=engine,
        precision=precision,
        interval=interval,
        start=start,
        end=end,
        detector=detector,
        detections=detections,
        egocentric=egocentric,
        offline=offline,
        live=live,
    )
    return run_source(source, config, out, every_frame=every_frame, as_json=as_json)


def run_source(
    source: str, config: RunConfig, out: Path, *, every_frame: bool = False, as_json: bool = False
) -> int:
    """Run a source into a folder and tell how it went; the exit code."""
    from sfedge.cli.bars import selftest_bar
    from sfedge.cli.detectors_command import download_bar
    from sfedge.engines.ort import clash, installed_flavours
    from sfedge.runtime.pipeline import open_session
    from sfedge.runtime.process import process

    if (problem := clash(installed_flavours())) is not None:
        click.echo(f"sfedge: warning: {problem[0]}. {problem[1]}", err=True)
    with download_bar() as fetching, selftest_bar() as testing:
        session = open_session(source, config, progress=fetching, testing=testing)
    with session:
        notice = f": {session.notice}" if session.notice else ""
        click.echo(f"model {session.model_name} on {session.device}{notice}", err=True)
        if session.engine_note:
            click.echo(f"sfedge: note: {session.engine_note}", err=True)
        outcome = process(session, out, every_frame=every_frame)
    report, files = outcome.report, outcome.files
    for loss in report.losses:
        click.echo(f"sfedge: warning: {loss}", err=True)
    if report.people == 0:
        click.echo("sfedge: warning: no person was found, so nothing was asked.", err=True)
    if as_json:
        outputs = {
            "video": str(files.video),
            "records": str(files.records),
            "table": str(files.table),
            "metadata": str(files.metadata),
        }
        seconds = {stage: round(spent, 3) for stage, spent in report.seconds.items()}
        told = {"outputs": outputs, "summary": report.to_json(), "seconds": seconds}
        click.echo(json.dumps(told, indent=1, ensure_ascii=False))
    else:
        names = ", ".join(path.name for path in files.all)
        click.echo(f"{_counts(report.shown, report.people, sum(report.answers.values()))}")
        click.echo(f"{files.video.parent}/: {names}")
    if outcome.signal is not None:
        click.echo(f"sfedge: {report.ended}; what was done until then is kept.", err=True)
        return _SIGNALLED + outcome.signal
    return _LOSS if report.losses else 0


def _counts(frames: int, people: int, answers: int) -> str:
    return (
        f"{frames} frame{'' if frames == 1 else 's'}, "
        f"{people} {'person' if people == 1 else 'people'}, "
        f"{answers} answer{'' if answers == 1 else 's'}"
    )
