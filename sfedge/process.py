"""Running a session into a folder: annotated video, records, table and metadata."""

import hashlib
import json
import platform
import re
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from importlib import metadata
from pathlib import Path, PurePosixPath
from types import FrameType
from urllib.parse import urlsplit

from sfedge import __version__, records
from sfedge.errors import SfedgeError, SourceError, UsageError
from sfedge.pipeline import RunReport, Session
from sfedge.records import RecordWriter, Row, output_error
from sfedge.structures import FrameResult
from sfedge.video_writer import VideoWriter

_ENDINGS: dict[int, str] = {signal.SIGINT: "interrupted", signal.SIGTERM: "terminated"}
_PACKAGES = ("av", "mediapipe", "numpy", "onnxruntime", "onnxruntime-gpu", "opencv-contrib-python")


@dataclass(frozen=True, slots=True)
class OutputFiles:
    """The files that a run writes."""

    video: Path
    records: Path
    table: Path
    metadata: Path

    @property
    def all(self) -> tuple[Path, ...]:
        """All of them."""
        return self.video, self.records, self.table, self.metadata


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

    The files grow under names with `.part` in them and are moved into place at the end, over
    those of an earlier run. Where the run is cut short they keep these names, playable and
    readable. In the main thread Ctrl-C and SIGTERM end the run after the frame at hand; for a
    camera or stream Ctrl-C is the usual end, and the files are moved into place.

    Args:
        session: an open session that was not iterated yet.
        out: the folder; made where it is missing.
        every_frame: record answers again with every frame that still shows them.
        progress: show a bar on stderr; None: where stderr is a terminal.

    Raises:
        OutputError: the folder or a file cannot be written.
        SfedgeError: the source, a detector or the model failed; the message names what is kept.
    """
    files = output_files(session, out)
    parts = OutputFiles(*(_part(path) for path in files.all))
    _keep_inputs(session, files, parts)
    make_folder(out)
    started = _now()
    writers: _Writers | None = None
    try:
        with _stopping_on_signals(session) as caught, _bar(session, progress) as advance:
            for result in session:
                if writers is None:
                    writers = _Writers(
                        session, files.video, parts, started, every_frame=every_frame
                    )
                writers.write(session, result)
                advance()
        cut_by = caught[0] if caught and not session.is_endless else None
        report = session.report
        if cut_by is not None:
            report = replace(report, ended=_ENDINGS[cut_by])
        if writers is None:
            raise _nothing_to_show(session, report)
        if cut_by is not None:
            writers.keep(report)
            _write_metadata(session, report, started, parts, parts)
            return Outcome(report, parts, cut_by)
        report = writers.finish(report)
        held = replace(parts, video=files.video)  # the writer has moved it
        _write_metadata(session, report, started, held, files)
        _move(held, files)
        return Outcome(report, files, None)
    except BaseException as error:
        if writers is not None:
            writers.keep(replace(session.report, ended=f"failed: {_one_line(error)}"))
            if isinstance(error, SfedgeError):
                raise _naming_parts(error, parts) from error
        raise


def output_files(session: Session, out: Path) -> OutputFiles:
    """Where a run's files will stand, named for the source; a camera's for the time, too."""
    name = _stem(session.info.name)
    if session.is_endless:
        name = f"{name}-{datetime.now().strftime('%Y%m%d-%H%M%S')}"
    return OutputFiles(
        out / f"{name}.annotated.mp4",
        out / f"{name}.jsonl",
        out / f"{name}.csv",
        out / f"{name}.metadata.json",
    )


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
        try:
            self._video = VideoWriter(
                video,
                width=info.width,
                height=info.height,
                frame_rate=info.frame_rate,
                audio_from=None if info.audio_path is None else Path(info.audio_path),
                start=config.start,
                end=config.end,
            )
        except BaseException:
            self._records.close()
            raise
        self._records.start(
            records.run_row(
                records.source_facts(info),
                _model_facts(session),
                records.settings_facts(config),
                started,
            )
        )

    def write(self, session: Session, result: FrameResult) -> None:
        """Add a frame."""
        image = session.draw(result)
        with session.timed("write"):
            self._video.write(image, result.time)
            self._records.write(result)

    def finish(self, report: RunReport) -> RunReport:
        """Complete the video with its sound and the records with a summary.

        Returns:
            The report, with what was lost of the sound.
        """
        self._video.finish()
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

    A second signal does not wait for the frame at hand.
    """
    caught: list[int] = []

    def stop(number: int, _: FrameType | None) -> None:
        if caught:
            raise KeyboardInterrupt
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


def _part(path: Path) -> Path:
    """The name under which a file grows; its ending stays, so that programs know it."""
    stem, dot, ending = path.name.partition(".")
    if ending.startswith(("annotated.", "metadata.")):
        middle, _, ending = ending.partition(".")
        stem = f"{stem}.{middle}"
    return path.with_name(f"{stem}.part{dot}{ending}")


def _stem(name: str) -> str:
    """A file name for a source, without its ending."""
    if "://" in name:
        address = urlsplit(name)
        name = PurePosixPath(address.path).name or address.hostname or ""
    path = Path(name)
    stem = path.resolve().name if path.is_dir() else path.stem
    return re.sub(r"[^\w-]+", "-", stem).strip("-")[:100] or "video"


def _keep_inputs(session: Session, files: OutputFiles, parts: OutputFiles) -> None:
    """Refuse to write over what is read."""
    config = session.config
    inputs = [session.bundle.source, config.detections, Path(session.info.name)]
    for path in (*files.all, *parts.all):
        for given in inputs:
            if given is not None and path.exists() and given.exists() and path.samefile(given):
                raise UsageError(
                    "the results would be written over it",
                    where=str(given),
                    fix="Name another folder with --out.",
                )


def make_folder(out: Path) -> None:
    """Make the folder of the results where it is missing.

    Raises:
        OutputError: it cannot be made, or a file stands in its place.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(error, out) from error


def _move(held: OutputFiles, files: OutputFiles) -> None:
    for part, path in zip(held.all, files.all, strict=True):
        try:
            part.replace(path)
        except OSError as error:
            raise output_error(error, path) from error


def _write_metadata(
    session: Session, report: RunReport, started: str, held: OutputFiles, named: OutputFiles
) -> None:
    """Write all that is needed to know later how the results came about.

    Args:
        session: of the run.
        report: of the run.
        started: when it began.
        held: where the files are now.
        named: what they will be called.
    """
    data: Row = {
        "schema": records.SCHEMA,
        "sfedge": __version__,
        "started": started,
        "ended": _now(),
        "source": records.source_facts(session.info),
        "model": {**_model_facts(session), "card": dict(session.bundle.manifest.card)},
        "settings": records.settings_facts(session.config),
        "summary": report.to_json(),
        "seconds": {stage: round(spent, 3) for stage, spent in report.seconds.items()},
        "platform": {
            "system": platform.platform(),
            "python": platform.python_version(),
            "packages": _versions(),
        },
    }
    try:
        data["outputs"] = [
            _facts(held.video, named.video),
            _facts(held.records, named.records),
            _facts(held.table, named.table),
        ]
        text = json.dumps(data, indent=1, ensure_ascii=False) + "\n"
        held.metadata.write_text(text, encoding="utf-8")
    except OSError as error:
        raise output_error(error, held.metadata) from error


def _facts(path: Path, named: Path) -> Row:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return {"name": named.name, "size": path.stat().st_size, "sha256": digest.hexdigest()}


def _model_facts(session: Session) -> Row:
    bundle = session.bundle
    return records.model_facts(bundle.manifest, bundle.sha256, session.device)


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        with suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def _nothing_to_show(session: Session, report: RunReport) -> SfedgeError:
    if report.ended in _ENDINGS.values():
        return SourceError("stopped before the first frame", where=session.info.name)
    return SourceError(
        "no frame was read" + "".join(f"; {loss.rstrip('.')}" for loss in report.losses),
        where=session.info.name,
        fix="Check --start and --end against the length of the video.",
    )


def _naming_parts(error: SfedgeError, parts: OutputFiles) -> SfedgeError:
    """The same error, with where to find what was done before it."""
    kept = [str(path) for path in parts.all if path.exists() and str(path) not in error.fix]
    fix = f"{error.fix} What was done before is kept in {', '.join(kept)}." if kept else error.fix
    return type(error)(error.what, where=error.where, fix=fix.strip())


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
