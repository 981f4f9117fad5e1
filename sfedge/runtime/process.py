"""Running a session into a folder: annotated video or pictures, records, table and metadata."""

import logging
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import FrameType

from sfedge.core.errors import SfedgeError, SourceError
from sfedge.core.frame_result import FrameResult
from sfedge.core.structures import Gap
from sfedge.results.picture_writer import PictureWriter
from sfedge.results.record_writer import RecordWriter
from sfedge.results.rows import run_row, settings_facts
from sfedge.results.run_report import RunReport
from sfedge.results.video_writer import VideoWriter
from sfedge.runtime.naming import valid_name
from sfedge.runtime.outputs import OutputFiles, claimed, move
from sfedge.runtime.overlap import Behind
from sfedge.runtime.progress import showing
from sfedge.runtime.run_metadata import model_facts, now, source_facts, write_metadata
from sfedge.runtime.session import STOPPED, Session

_log = logging.getLogger("sfedge.runtime")
_ENDINGS: dict[int, str] = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended and what it left on disk."""

    report: RunReport
    files: OutputFiles  # in place, or under their temporary names where the run was cut short
    signal: int | None  # SIGINT or SIGTERM where one cut the run short


def process(
    session: Session,
    out: Path,
    *,
    root: Path | None = None,
    annotated: bool = True,
    every_frame: bool = False,
    wide: bool = False,
    progress: bool | None = None,
) -> Outcome:
    """Run a session to its end and write what it finds into the folder `out`.

    The files grow under names with `.part` in them and are moved into place together at the end,
    over those of an earlier run of the same source; `sfedge.runtime.naming` has the rule. Where the
    run is cut short they keep these names, playable and readable. In the main thread Ctrl-C and
    SIGTERM end the run after the current frame, a second one ends it at once; for a camera or
    stream the first is the usual end, and the files are moved into place.

    Args:
        session: an open session that was not iterated yet.
        out: the folder; made where it is missing.
        root: a folder of sources that `out` mirrors; None where it mirrors none.
        annotated: write the annotated video, or pictures, too.
        every_frame: record answers again with every frame that still shows them.
        wide: give the table a column for each label's probability.
        progress: show a bar on stderr; None: where stderr is a terminal, else a line a minute.

    Raises:
        OutputError: the folder or a file cannot be written, or another run writes the same files.
        SfedgeError: the source, a detector or the model failed; the message names what is kept.
        KeyboardInterrupt: Ctrl-C came before the first frame, or twice.
        SystemExit: the same of SIGTERM.
    """
    with claimed(session, out, root=root, annotated=annotated) as files:
        results = _Results(session, files.partial, every_frame=every_frame, wide=wide)
        return _process(session, files, results, progress)


def _process(
    session: Session, files: OutputFiles, results: "_Results", progress: bool | None
) -> Outcome:
    parts = files.partial
    try:
        with _stopping_on_signals(session) as caught:
            with showing(session, progress) as advance:
                session.add_sink(results)
                for _ in session:
                    advance()
                results.drain()
            report = session.report
            if not results.is_begun:
                raise _end_by(caught[0]) if caught else _nothing_to_show(session, report)
            if caught and report.ended == STOPPED and not session.is_endless:
                report = replace(report, ended=_ENDINGS[caught[0]])
                results.keep(report)
                write_metadata(session, report, results.started, parts, parts)
                return Outcome(report, parts, caught[0])
            report = results.finish(report)
            write_metadata(session, report, results.started, parts, files)
            move(parts, files)
            return Outcome(report, files, None)
    except BaseException as error:
        kept = results.keep(replace(session.report, ended=_ending(error), is_complete=False))
        if kept and isinstance(error, SfedgeError):
            raise _naming_parts(error, parts) from error
        raise


class _Results:
    """The annotated video or pictures and the records of one run, begun with its first frame.

    They are drawn and written behind the session, in order.
    """

    def __init__(
        self, session: Session, parts: OutputFiles, *, every_frame: bool, wide: bool
    ) -> None:
        self.started = now()
        self._session, self._parts = session, parts
        self._every_frame, self._wide = every_frame, wide
        self._behind = Behind()
        self._gaps: list[Gap] = []  # before the first frame
        self._records: RecordWriter | None = None
        self._video: VideoWriter | None = None
        self._pictures: PictureWriter | None = None

    @property
    def is_begun(self) -> bool:
        """Whether anything was written; known once `drain` has returned."""
        return self._records is not None

    def write(self, result: FrameResult) -> None:
        """Add a frame."""
        self._behind.do(partial(self._write, result))

    def gap(self, gap: Gap) -> None:
        """Add a time without frames, when it begins and when it ends."""
        self._behind.do(partial(self._gap, gap))

    def drain(self) -> None:
        """Wait until everything that was added is written."""
        self._behind.finish()

    def _write(self, result: FrameResult) -> None:
        writer = self._begun()
        if self._video is None and self._pictures is None:
            image = None
        else:
            image = self._session.draw(result)
        with self._session.timed("write"):
            if self._video is not None and image is not None:
                self._video.write(image, result.time)
            if self._pictures is not None and image is not None:
                self._pictures.write(image, valid_name(result.frame.file))
            writer.write(result)

    def _gap(self, gap: Gap) -> None:
        if self._records is None:
            self._gaps.append(gap)
        else:
            self._records.gap(gap)

    def finish(self, report: RunReport) -> RunReport:
        """Complete the video with its sound and the records with a summary, where they grew.

        Returns:
            The report, with what was lost of the sound.
        """
        if self._video is not None:
            self._video.finish()
            if self._video.losses:
                losses = (*report.losses, *self._video.losses)
                report = replace(report, losses=losses, is_complete=False)
        records = self._begun()
        records.finish(report.to_json())
        records.sync()
        records.close()
        return report

    def keep(self, report: RunReport) -> bool:
        """End a run that was cut short; nothing that goes wrong here hides why it was.

        Returns:
            Whether anything was written.
        """
        if not self._behind.give_up():
            return self.is_begun  # the disk does not answer
        if self._records is not None:
            with suppress(SfedgeError, ValueError):  # ValueError: the file is closed
                self._records.finish(report.to_json())
            with suppress(SfedgeError):
                self._records.close()
        if self._video is not None:
            self._video.close()
        return self.is_begun

    def _begun(self) -> RecordWriter:
        """The records; at the first call all files are begun."""
        if self._records is None:
            records = self._new_records()
            try:
                self._start(records)
                self._open_annotated()
            except BaseException:
                with suppress(SfedgeError):
                    records.close()
                raise
            self._records = records
        return self._records

    def _new_records(self) -> RecordWriter:
        session = self._session
        return RecordWriter(
            self._parts.records,
            self._parts.table,
            tasks=session.tasks,
            model=session.model_name,
            source=session.info.name,
            every_frame=self._every_frame,
            wide=self._wide,
        )

    def _start(self, records: RecordWriter) -> None:
        """Write the first row, and the gaps that came before any frame."""
        session = self._session
        settings = settings_facts(session.config)
        records.start(run_row(source_facts(session), model_facts(session), settings, self.started))
        for gap in self._gaps:
            records.gap(gap)

    def _open_annotated(self) -> None:
        """Open the annotated video or pictures, where they are wanted."""
        path, info, config = self._parts.annotated, self._session.info, self._session.config
        if path is None:
            return
        if path.suffix != ".mp4":
            self._pictures = PictureWriter(path)
            return
        self._video = VideoWriter(
            path,
            width=info.width,
            height=info.height,
            frame_rate=info.frame_rate,
            audio_from=info.audio_feed or info.audio_path,
            start=config.start,
            end=config.end,
            codecs=config.codecs,
        )
        if self._video.note:
            _log.warning("%s", self._video.note)


@contextmanager
def _stopping_on_signals(session: Session) -> Iterator[list[int]]:
    """Within, SIGINT and SIGTERM stop the session; yields the signals that came.

    A second signal waits neither for the current frame nor for the files.
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


def _end_by(number: int) -> BaseException:
    """The exception that ends the program as the signal would have, with its files released."""
    return KeyboardInterrupt() if number == signal.SIGINT else SystemExit(128 + number)


def _nothing_to_show(session: Session, report: RunReport) -> SourceError:
    if report.ended == STOPPED:
        what, fix = "the run was stopped before its first frame", ""
    elif session.is_endless:
        what = "no picture came between start and end"
        fix = "They count from the first picture of the camera; leave it more time."
    elif session.info.is_pictures and report.losses:
        what = "no picture was read"
        fix = "Give pictures such as JPEG, PNG or WebP; these may be damaged."
    elif session.info.is_pictures:
        what = "no picture is between start and end"
        fix = "They count in pictures: the first one is at 0, the second at 1."
    else:
        what, fix = "no frame was read", "Check start and end against the length of the video."
    lost = "".join(f"; {loss.rstrip('.')}" for loss in report.losses)
    return SourceError(what + lost, where=session.info.name, fix=fix)


def _naming_parts(error: SfedgeError, parts: OutputFiles) -> SfedgeError:
    """The same error, with where to find what was done before it."""
    kept = [str(path) for path in parts.all if path.exists() and str(path) not in error.fix]
    fix = f"{error.fix} What was done before is kept in {', '.join(kept)}." if kept else error.fix
    return type(error)(error.what, where=error.where, fix=fix.strip())


def _ending(error: BaseException) -> str:
    """Why the run ended, as the records state it."""
    if isinstance(error, KeyboardInterrupt):
        return _ENDINGS[signal.SIGINT]
    if isinstance(error, SystemExit):
        return _ENDINGS[signal.SIGTERM]
    return f"failed: {' '.join(str(error).split()) or type(error).__name__}"
