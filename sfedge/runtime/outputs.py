"""A run's output files: their names, their partial names, and how they are moved into place."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sfedge.core.errors import OutputError, UsageError
from sfedge.results.growing_file import output_error
from sfedge.results.picture_writer import annotated_name
from sfedge.runtime import name_lock, naming
from sfedge.runtime.name_lock import NameLock
from sfedge.runtime.session import Session
from sfedge.sources.source import SourceInfo

_LONGEST_ROW = 10_000_000  # characters; a file without line ends is no record


@dataclass(frozen=True, slots=True)
class OutputFiles:
    """The files that a run writes."""

    annotated: Path | None  # a video, a picture, or a folder of pictures; None where none is wanted
    records: Path
    table: Path
    metadata: Path

    @property
    def all(self) -> tuple[Path, ...]:
        """All of them, in the order in which they are moved into place."""
        last = (self.records, self.table, self.metadata)
        return last if self.annotated is None else (self.annotated, *last)

    @property
    def partial(self) -> "OutputFiles":
        """The names under which they grow; the endings stay, so that programs know them."""

        def part(path: Path) -> Path:
            return path.with_name(f"{path.stem}.part{path.suffix}")

        return OutputFiles(
            self.annotated and part(self.annotated),
            part(self.records),
            part(self.table),
            part(self.metadata),
        )


@contextmanager
def claimed(
    session: Session, out: Path, *, root: Path | None = None, annotated: bool = True
) -> Iterator[OutputFiles]:
    """Names for the run's files that nobody else writes while the context lasts.

    `sfedge.runtime.naming` has the rule. The folder is made where it is missing.

    Args:
        session: of the run.
        out: folder for the results.
        root: a folder of sources that `out` mirrors; None for none.
        annotated: whether pictures are written, too.

    Raises:
        OutputError: the folder cannot be made, or another run writes the results of this source.
        UsageError: a file of the run would be written over one that it reads.
    """
    folder = naming.folder_for(session.info.path, out, root)
    make_folder(folder)
    try:
        lock, files = _claim(session, folder, annotated=annotated)
    except OSError as error:
        raise output_error(error, folder) from error
    with lock:
        _refuse_inputs(session, files)
        yield files


def _claim(session: Session, folder: Path, *, annotated: bool) -> tuple[NameLock, OutputFiles]:
    """The first name that is free, or has results of the same source, and the lock on it."""
    info, path = session.info, session.info.path
    owner = naming.identity_of(info)
    for name in naming.names(info.name, path, is_live=session.is_endless):
        files = _files(folder, name, info, annotated=annotated)
        lock = name_lock.take(folder / f".{name}.lock", f"{owner or ''} process {os.getpid()}")
        if isinstance(lock, NameLock):
            if _is_free(files, owner, is_live=session.is_endless):
                return lock, files
            lock.close()
        elif owner and lock.startswith(owner) and not session.is_endless:
            raise OutputError(
                f"another run ({lock.removeprefix(owner).strip()}) is writing these results",
                where=str(files.records),
                fix="Wait for it, or choose another output folder.",
            )
    raise AssertionError("names are endless")


def make_folder(out: Path) -> None:
    """Make the folder of the results where it is missing.

    Raises:
        OutputError: it cannot be made, or there is a file of its name.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(error, out) from error


def move(held: OutputFiles, files: OutputFiles) -> None:
    """Put the files, which are now at `held`, in place of those of an earlier run.

    Raises:
        OutputError: a file cannot be moved; the message names those that were.
    """
    moved: list[str] = []
    for part, path in zip(held.all, files.all, strict=True):
        try:
            if part.is_dir():
                _replace_folder(part, path, _pictures_of(files.metadata, path))
            else:
                part.replace(path)
        except OSError as error:
            failure = output_error(error, path)
            done = f" In place are {', '.join(moved)}." if moved else ""
            raise OutputError(failure.what, where=failure.where, fix=failure.fix + done) from error
        moved.append(str(path))


def _files(folder: Path, name: str, info: SourceInfo, *, annotated: bool) -> OutputFiles:
    picture = folder / f"{name}.annotated{_annotated_suffix(info)}"
    return OutputFiles(
        picture if annotated else None,
        folder / f"{name}.jsonl",
        folder / f"{name}.csv",
        folder / f"{name}.metadata.json",
    )


def _annotated_suffix(info: SourceInfo) -> str:
    """`.mp4` for videos, none for photographs (a folder), a single picture's own suffix."""
    if not info.is_pictures:
        return ".mp4"
    is_one = info.frames == 1 and info.path is not None and info.path.is_file()
    return Path(annotated_name(info.name)).suffix.lower() if is_one else ""


def _is_free(files: OutputFiles, owner: str | None, *, is_live: bool) -> bool:
    """Whether nothing has these names but results of the same source."""
    parts = files.partial
    if _owner(parts.records) not in (None, owner):
        return False
    if not any(os.path.lexists(path) for path in files.all):
        return True
    known = (_owner(files.records), _owner(files.metadata))
    return owner is not None and not is_live and owner in known


def _owner(path: Path) -> str | None:
    """The identity of the source that a record or metadata file is of.

    "" for one that is never the same again, None where the file does not say.
    """
    with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
        if not path.is_file():  # a device may be read without end
            return None
        with path.open(encoding="utf-8") as file:
            text = file.readline(_LONGEST_ROW) if path.suffix == ".jsonl" else file.read()
        row: Any = json.loads(text)
        source = row["source"]
        if "identity" in source:
            return str(source["identity"] or "")
        name = str(source["name"])  # version 1
        return naming.identity(name if "://" in name else Path(name))
    return None


def _refuse_inputs(session: Session, files: OutputFiles) -> None:
    config = session.config
    bundle = session.bundle.source if session.bundle is not None else None
    inputs = [bundle, config.detections, session.info.path]
    for path in (*files.all, *files.partial.all):
        for given in inputs:
            if given is not None and path.exists() and given.exists() and path.samefile(given):
                raise UsageError(
                    "the results would be written over it",
                    where=str(given),
                    fix="Choose another output folder.",
                )


def _pictures_of(metadata: Path, folder: Path) -> list[Path]:
    """The pictures in a folder that an earlier run has put there, as its metadata lists them."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        outputs = json.loads(metadata.read_text(encoding="utf-8"))["outputs"]
        listed = [folder.parent / entry["name"] for entry in outputs]
        return [path for path in listed if path.parent == folder]
    return []


def _replace_folder(part: Path, folder: Path, old: list[Path]) -> None:
    """Move the pictures of a run into place; of those there only an earlier run's are removed."""
    if not folder.exists():
        part.replace(folder)
        return
    for path in old:
        path.unlink(missing_ok=True)
    for path in sorted(part.iterdir()):
        path.replace(folder / path.name)
    shutil.rmtree(part)
