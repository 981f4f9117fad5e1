"""Running a session into a folder: annotated video, records, table and metadata."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType

from sfedge.core.errors import SfedgeError, SourceError
from sfedge.core.structures import FrameResult
from sfedge.results import records
from sfedge.results.record_writer import RecordWriter
from sfedge.results.run_report import RunReport
from sfedge.results.video_writer import VideoWriter
from sfedge.runtime.outputs import OutputFiles, make_folder, move, output_files, refuse_inputs
from sfedge.runtime.run_metadata import model_facts, now, write_metadata
from sfedge.runtime.session import STOPPED, Session

_ENDINGS: dict[int, str] = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended and what it left on disk."""

    report: RunReport
    files: OutputFiles  # in place, or under their temporary names where the run was cut short
    signal: int | None  # SIGINT or SIGTERM where one cut the run short


def process(
    session: Session, out: Path, *, every_frame: bool = False, progress: bool | None = None
) -> Outcome:
    """Run a session to its end and write what it tells into the folder `out`.

    The files grow under names with `.part` in them and are moved into place together at the end,
    over those of an earlier run. Where the run is cut short they keep these names, playable and
    readable. In the main thread Ctrl-C and SIGTERM end the run after the frame at hand, a second
    one ends it at once; for a camera or stream the first is the usual end, and the files are moved
    into place.

    Args:
        session: an open session that was not iterated yet.
        out: the folder; made where it is missing.
        every_frame: record answers again with every frame that still shows them.
        progress: show a bar on stderr; None: where stderr is a terminal.

    Raises:
        OutputError: the folder or a file cannot be written.
        SfedgeError: the source, a detector or the model failed; the message names what is kept.
        KeyboardInterrupt: Ctrl-C came before the first frame, or twice.
        SystemExit: the same of SIGTERM.
    """
    files = output_files(session, out)
    parts = files.partial
    refuse_inputs(session, files)
    make_folder(out)
    started = now()
    writers: _Writers | None = None
    try:
        with _stopping_on_signals(session) as caught:
            with _bar(session, progress) as advance:
                for result in session:
                    if writers is None:
                        writers = _Writers(
                            session, files.video, parts, started, every_frame=every_frame
                        )
                    writers.write(session, result)
                    advance()
            report = session.report
            if writers is None:
                raise _end_by(caught[0]) if caught else _nothing_to_show(session, report)
            if caught and report.ended == STOPPED and not session.is_endless:
                report = replace(report, ended=_ENDINGS[caught[0]])
                writers.keep(report)
                write_metadata(session, report, started, parts, parts)
                return Outcome(report, parts, caught[0])
            report = writers.finish(report)
            write_metadata(session, report, started, parts, files)
            move(parts, files)
            return Outcome(report, files, None)
    except BaseException as error:
        if writers is not None:
            writers.keep(replace(session.report, ended=_ending(error), is_complete=False))
            if isinstance(error, SfedgeError):
                raise _naming_parts(error, parts) from error
        raise


class _Writers:
    """The video and the records of one run, written side by side."""

    def __init__(
        self,
        session: Session,
        video: Path,
        parts: OutputFiles,
        started: str,
        *,
        every_frame: bool,
    ) -> None:
        info, config = session.info, session.config
        self._records = RecordWriter(
            parts.records,
            parts.table,
            tasks=session.tasks,
            model=session.model_name,
            every_frame=every_frame,
        )
        first = records.run_row(
            records.source_facts(info),
            model_facts(session),
            records.settings_facts(config),
            started,
        )
        try:
            self._records.start(first)
            self._video = VideoWriter(
                video,
                width=info.width,
                height=info.height,
                frame_rate=info.frame_rate,
                audio_from=info.audio_feed or info.audio_path,
                start=config.start,
                end=config.end,
            )
        except BaseException:
            with suppress(SfedgeError):
                self._records.close()
            raise

    def write(self, session: Session, result: FrameResult) -> None:
        """Add a frame."""
        image = session.draw(result)
        with session.timed("write"):
            self._video.write(image, result.time)
            self._records.write(result)

    def finish(self, report: RunReport) -> RunReport:
        """Complete the video with its sound and the records with a summary, where they grew.

        Returns:
            The report, with what was lost of the sound.
        """
        self._video.finish(self._video.partial)
        if self._video.losses:
            losses = (*report.losses, *self._video.losses)
            report = replace(report, losses=losses, is_complete=False)
        self._records.finish(records.summary_row(report.to_json()))
        self._records.close()
        return report

    def keep(self, report: RunReport) -> None:
        """End a run that was cut short; nothing that goes wrong here hides why it was."""
        with suppress(SfedgeError, ValueError):  # ValueError: the file is closed
            self._records.finish(records.summary_row(report.to_json()))
        with suppress(SfedgeError):
            self._records.close()
        self._video.close()


@contextmanager
def _stopping_on_signals(session: Session) -> Iterator[list[int]]:
    """Within, SIGINT and SIGTERM stop the session; yields the signals that came.

    A second signal waits neither for the frame at hand nor for the files.
    """
    caught: list[int] = []

    def stop(number: int, _: FrameType | None) -> None:
        if caught:
            raise _end_by(number)
        caught.append(number)
        session.stop()

    if threading.current_thread() is not threading.main_thread():  # signals go to the main thread
        yield caught
        return
    before = {number: signal.signal(number, stop) for number in _ENDINGS}
    try:
        yield caught
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _bar(session: Session, progress: bool | None) -> Iterator[Callable[[], object]]:
    """A progress bar with the time that remains; yields what advances it by a frame."""
    from tqdm import tqdm

    info, config = session.info, session.config
    total = None
    if info.duration is not None and info.frame_rate is not None:
        last = info.duration if config.end is None else min(config.end, info.duration)
        total = max(round((last - config.start) * info.frame_rate), 1)
    with tqdm(
        total=total,
        unit=" frames",
        desc=Path(info.name).name,
        disable=None if progress is None else not progress,
        dynamic_ncols=True,
    ) as bar:
        yield bar.update


def _end_by(number: int) -> BaseException:
    """What ends the program as the signal would have, its files released."""
    return KeyboardInterrupt() if number == signal.SIGINT else SystemExit(128 + number)


def _nothing_to_show(session: Session, report: RunReport) -> SourceError:
    if report.ended == STOPPED:
        what, fix = "the run was stopped before its first frame", ""
    elif session.is_endless:
        what = "no picture came between --start and --end"
        fix = "They count from the first picture of the camera; leave it more time."
    else:
        what, fix = "no frame was read", "Check --start and --end against the length of the video."
    lost = "".join(f"; {loss.rstrip('.')}" for loss in report.losses)
    return SourceError(what + lost, where=session.info.name, fix=fix)


def _naming_parts(error: SfedgeError, parts: OutputFiles) -> SfedgeError:
    """The same error, with where to find what was done before it."""
    kept = [str(path) for path in parts.all if path.exists() and str(path) not in error.fix]
    fix = f"{error.fix} What was done before is kept in {', '.join(kept)}." if kept else error.fix
    return type(error)(error.what, where=error.where, fix=fix.strip())


def _ending(error: BaseException) -> str:
    """Why the run ended, as the records tell it."""
    if isinstance(error, KeyboardInterrupt):
        return _ENDINGS[signal.SIGINT]
    if isinstance(error, SystemExit):
        return _ENDINGS[signal.SIGTERM]
    return f"failed: {' '.join(str(error).split()) or type(error).__name__}"
