"""Where a run's files stand: their names, their partial names, and how they come into place."""

import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from sfedge.core.errors import OutputError, UsageError
from sfedge.results.records import output_error
from sfedge.runtime.session import Session


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

    @property
    def partial(self) -> "OutputFiles":
        """The names under which they grow; the endings stay, so that programs know them."""
        return OutputFiles(*(path.with_name(f"{path.stem}.part{path.suffix}") for path in self.all))


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


def make_folder(out: Path) -> None:
    """Make the folder of the results where it is missing.

    Raises:
        OutputError: it cannot be made, or a file stands in its place.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(error, out) from error


def refuse_inputs(session: Session, files: OutputFiles) -> None:
    """Make sure that no file of the run would be written over one that it reads.

    Raises:
        UsageError: one would be.
    """
    config = session.config
    inputs = [
        session.bundle.source if session.bundle else None,
        config.detections,
        Path(session.info.name),
    ]
    for path in (*files.all, *files.partial.all):
        for given in inputs:
            if given is not None and path.exists() and given.exists() and path.samefile(given):
                raise UsageError(
                    "the results would be written over it",
                    where=str(given),
                    fix="Name another folder with --out.",
                )


def move(held: OutputFiles, files: OutputFiles) -> None:
    """Put the files, which are now at `held`, in place of those of an earlier run.

    Raises:
        OutputError: a file cannot be moved; the message names those that were.
    """
    moved: list[str] = []
    for part, path in zip(held.all, files.all, strict=True):
        try:
            part.replace(path)
        except OSError as error:
            told = output_error(error, path)
            done = f" In place are {', '.join(moved)}." if moved else ""
            raise OutputError(told.what, where=told.where, fix=told.fix + done) from error
        moved.append(str(path))


def _stem(name: str) -> str:
    """A file name for a source, without its ending."""
    if "://" in name:
        address = urlsplit(name)
        stem = PurePosixPath(address.path).stem or address.hostname or ""
    elif (path := Path(name)).is_dir():
        stem = path.resolve().name
    else:
        stem = path.stem
    return re.sub(r"[^\w-]+", "-", stem).strip("-")[:100] or "video"
