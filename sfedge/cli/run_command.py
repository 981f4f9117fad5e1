"""`sfedge run`: a video, folder, camera or stream into a folder of results."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import click

from sfedge.cli.options import (
    detector_engine_option,
    detector_option,
    engine_option,
    offline_option,
    precision_option,
)
from sfedge.core.config import Codecs, DetectorEngine, EngineName, RunConfig
from sfedge.core.tasks import task_names

if TYPE_CHECKING:
    from sfedge.core.frame_result import FrameResult
    from sfedge.core.structures import Gap
    from sfedge.results.run_report import RunReport
    from sfedge.runtime.outputs import OutputFiles

_DEFAULTS = RunConfig()
_LOSS = 1  # exit code of a run that finished with something lost
_SIGNALLED = 128  # exit code of a run that a signal ended, plus its number
_EPILOG = """\b
Examples:
  sfedge run party.mp4
  sfedge run party.mp4 --out results --tasks expression,gesture --interval 1
  sfedge run lecture.mkv --start 1:30 --end 2:00
  sfedge run night.mkv --every 2s --no-pairs --no-video
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
@engine_option
@precision_option
@click.option(
    "--interval",
    type=float,
    default=_DEFAULTS.interval,
    show_default=True,
    help="Seconds between two queries of one task about one person, in files.",
)
@click.option(
    "--every",
    metavar="SECONDS|FRAMES",
    default=str(_DEFAULTS.every),
    show_default=True,
    help="Process one frame per interval: 0.5s, or 10 for every tenth frame.",
)
@click.option(
    "--start",
    type=seconds,
    metavar="TIME",
    default=0.0,
    help="Where to begin: 90, 1:30 or 0:01:30.",
)
@click.option("--end", type=seconds, metavar="TIME", help="Where to end, in the same forms.")
@detector_option
@detector_engine_option
@click.option(
    "--codecs",
    type=click.Choice(get_args(Codecs)),
    default=_DEFAULTS.codecs,
    show_default=True,
    help="Whose video decoder and encoder; the CPU's where that does not work.",
)
@click.option(
    "--detections",
    type=click.Path(path_type=Path),
    help="Table of boxes that replaces the detectors.",
)
@click.option(
    "--egocentric", is_flag=True, help="The camera is worn: hands of its wearer are marked."
)
@click.option("--no-pairs", is_flag=True, help="Run no queries about pairs of people.")
@click.option(
    "--max-people",
    type=int,
    default=_DEFAULTS.max_people,
    show_default=True,
    help="Most people per frame, the largest first.",
)
@click.option(
    "--max-pairs",
    type=int,
    help=f"Most pairs per frame, the nearest first. [{_DEFAULTS.max_pairs}]",
)
@click.option(
    "--smoothing",
    type=float,
    metavar="SECONDS",
    default=_DEFAULTS.smoothing,
    show_default=True,
    help="Time constant, in seconds, of the running mean over a query's answers; 0 for none.",
)
@click.option(
    "--as-video",
    type=float,
    metavar="RATE",
    help="The pictures of a folder are the frames of a film, at this frame rate.",
)
@click.option(
    "--root",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Folder above SOURCE that --out mirrors: with --root videos, the results of "
    "videos/a/x.mp4 go to out/a.",
)
@click.option("--no-video", is_flag=True, help="Write no annotated video or pictures.")
@click.option("--wide", is_flag=True, help="Give the table a column for each label's probability.")
@offline_option
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
    every: str,
    start: float,
    end: float | None,
    detector: str,
    detector_engine: DetectorEngine,
    codecs: Codecs,
    detections: Path | None,
    egocentric: bool,
    no_pairs: bool,
    max_people: int,
    max_pairs: int | None,
    smoothing: float,
    as_video: float | None,
    root: Path | None,
    no_video: bool,
    wide: bool,
    offline: bool,
    live: bool,
    every_frame: bool,
    as_json: bool,
) -> int:
    """Find what people do in SOURCE and write it to a folder.

    SOURCE is a video file, a folder of pictures, a picture, the number of a camera, or the
    address of a stream. The folder gets an annotated video with the sound kept, or annotated
    pictures, and records (JSON lines), a table (CSV) and metadata. A camera runs until Ctrl-C,
    SIGTERM or --end seconds.
    """
    if no_pairs and max_pairs:
        raise click.UsageError("--no-pairs and --max-pairs contradict each other.")
    if root is not None and root.resolve() not in Path(source).resolve().parents:
        raise click.UsageError(f"--root {root} is no folder above {source}.")
    if max_pairs is None:
        max_pairs = _DEFAULTS.max_pairs
    config = RunConfig(
        tasks=None if tasks is None else task_names(tasks),
        bundle=bundle,
        engine=engine,
        precision=precision,
        interval=interval,
        every=every,
        start=start,
        end=end,
        detector=detector,
        detector_engine=detector_engine,
        codecs=codecs,
        detections=detections,
        egocentric=egocentric,
        max_people=max_people,
        max_pairs=0 if no_pairs else max_pairs,
        smoothing=smoothing,
        as_video=as_video,
        offline=offline,
        live=live,
    )
    return run_source(
        source,
        config,
        out,
        root=root,
        annotated=not no_video,
        every_frame=every_frame,
        wide=wide,
        as_json=as_json,
    )


def run_source(
    source: str,
    config: RunConfig,
    out: Path,
    *,
    root: Path | None = None,
    annotated: bool = True,
    every_frame: bool = False,
    wide: bool = False,
    as_json: bool = False,
) -> int:
    """Run a source into a folder and print how it went; the exit code."""
    from sfedge.cli.bars import download_bar, selftest_bar
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
        if session.detector_device:
            click.echo(f"detector {config.detector} on {session.detector_device}", err=True)
        for note in filter(None, (session.engine_note, session.detector_note)):
            click.echo(f"sfedge: note: {note}", err=True)
        session.add_sink(_GapLines())
        outcome = process(
            session, out, root=root, annotated=annotated, every_frame=every_frame, wide=wide
        )
    report, files = outcome.report, outcome.files
    for text in (*report.losses, *report.warnings, *_remarks(report, config)):
        click.echo(f"sfedge: warning: {text}", err=True)
    if as_json:
        seconds = {stage: round(spent, 3) for stage, spent in report.seconds.items()}
        done = {"outputs": _named(files), "summary": report.to_json(), "seconds": seconds}
        click.echo(json.dumps(done, indent=1, ensure_ascii=False))
    else:
        names = ", ".join(f"{path.name}{'/' if path.is_dir() else ''}" for path in files.all)
        click.echo(_counts(report.shown, report.people, sum(report.answers.values())))
        click.echo(f"{files.records.parent}/: {names}")
    if outcome.signal is not None:
        click.echo(f"sfedge: {report.ended}; what was done until then is kept.", err=True)
        return _SIGNALLED + outcome.signal
    return _LOSS if report.losses else 0


class _GapLines:
    """A sink that says at once when a live source gives no frames."""

    def write(self, result: "FrameResult") -> None:
        """Results go to the files."""

    def gap(self, gap: "Gap") -> None:
        """Say that a gap began or ended."""
        from tqdm import tqdm

        if gap.end is None:
            text = f"no frames since {gap.start:.1f} s: {gap.reason.rstrip('.')}."
        elif gap.end == gap.start:
            text = "nothing is missing: the recording was at its end."
        else:
            text = f"frames again from {gap.end:.1f} s on."
        tqdm.write(f"sfedge: warning: {text}", file=sys.stderr)  # above a bar


def _remarks(report: "RunReport", config: RunConfig) -> Iterator[str]:
    """Notes for the user on a run without errors."""
    if report.people == 0 and not any(report.answers.values()):
        yield "no person was found, so nothing was asked."
    if report.left_out:
        few = config.max_people
        asked = "the largest is" if few == 1 else f"the {few} largest are"
        yield (
            f"people were left out, up to {report.left_out} in a frame: only {asked} asked about "
            "(--max-people)."
        )


def _named(files: "OutputFiles") -> dict[str, str | None]:
    """The files by what they are; a video or pictures, or neither."""
    path = files.annotated
    is_video = path is not None and path.suffix == ".mp4"
    return {
        "video": str(path) if is_video else None,
        "pictures": None if is_video or path is None else str(path),
        "records": str(files.records),
        "table": str(files.table),
        "metadata": str(files.metadata),
    }


def _counts(frames: int, people: int, answers: int) -> str:
    return (
        f"{frames} frame{'' if frames == 1 else 's'}, "
        f"{people} {'person' if people == 1 else 'people'}, "
        f"{answers} answer{'' if answers == 1 else 's'}"
    )
