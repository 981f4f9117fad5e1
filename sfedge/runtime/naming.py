"""The names of a source's results: one rule, whoever writes them.

1. Results are named for their source: the stem of a file, the name of a folder, the last part of an
   address. Nothing in it is changed but what is no valid name elsewhere.
2. Where another source with the same stem is in its folder (`talk.mp4`, `talk.mov`), the name keeps
   the suffix: `talk.mov.jsonl`.
3. The same where the name is taken: by results of another source, by files of unknown origin, or
   by another run that is going on. If that name is taken, too, it is numbered: `talk.mov-2.jsonl`.
4. Sources below one root keep their place: `root/camA/talk.mp4` goes to `out/camA/`.
5. Results of the same source are replaced, by a finished run only. Results of a live source carry
   the date and time.
"""

import hashlib
import os
import re
from collections.abc import Iterator
from datetime import datetime
from itertools import count
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

from sfedge.sources.source import SourceInfo
from sfedge.sources.stills import RAW_SUFFIXES, SUFFIXES, VIDEO_SUFFIXES

_MEDIA = (*VIDEO_SUFFIXES, *SUFFIXES, *RAW_SUFFIXES)
_LONGEST = 180  # bytes; file systems take 255, of which endings need some
_NO_NAME = re.compile(r"[\x00-\x1f\x7f/\\\udc80-\udcff]+")  # surrogates are bytes of invalid UTF-8


def names(source: str, path: Path | None, *, is_live: bool) -> Iterator[str]:
    """Names for the results of a source, the best first; without end.

    Args:
        source: name of the source, as the user gave it.
        path: the file or folder itself; None for a camera, an address, or frames of a program.
        is_live: the source is a camera or stream.
    """
    stem, whole = _stem(source, path)
    if is_live:
        stem = whole = f"{stem}-{datetime.now().strftime('%Y%m%d-%H%M%S')}"
    if stem != whole and not (path is not None and _has_sibling(path)):
        yield stem
    yield whole
    yield from (f"{whole}-{number}" for number in count(2))


def identity(source: str | Path) -> str:
    """The same for two runs over one source: a hash of its absolute path, or of its address."""
    where = os.path.realpath(source) if isinstance(source, Path) else source
    return hashlib.sha256(os.fsencode(where)).hexdigest()[:16]


def identity_of(info: SourceInfo) -> str | None:
    """The identity of an opened source; None for frames that a program hands over."""
    if info.path is None and info.address is None and not info.is_live:
        return None
    return identity(info.path or info.address or info.name)


def folder_for(path: Path | None, out: Path, root: Path | None) -> Path:
    """Where the results of a source go: below `out` as the source is below `root`.

    Args:
        path: the source; None for one that is no file.
        out: folder for all results.
        root: a folder that `out` mirrors; None for none.
    """
    if path is None or root is None:
        return out
    place, top = Path(os.path.realpath(path.parent)), Path(os.path.realpath(root))
    return out / place.relative_to(top) if place.is_relative_to(top) else out


def valid_name(name: str) -> str:
    """A name that is kept as it is, but for what other systems cannot store."""
    clean = _NO_NAME.sub("_", name)
    while len(clean.encode()) > _LONGEST:
        clean = clean[:-1]
    return clean


def _stem(source: str, path: Path | None) -> tuple[str, str]:
    """The stem and the whole name of a source."""
    if path is not None:
        name = path.name if path.name not in ("", "..") else Path(os.path.realpath(path)).name
        name = valid_name(name) or "video"
        if path.is_dir():
            return name, name
    elif "://" in source:
        address = urlsplit(source)
        name = valid_name(unquote(PurePosixPath(address.path).name))
        if not name:
            return (address.hostname or "stream",) * 2
    else:
        name = valid_name(source.replace(" ", "-")) or "video"
        return name, name
    return Path(name).stem, name


def _has_sibling(path: Path) -> bool:
    """Whether another source with the same stem is in its folder."""
    if path.is_dir():
        return False
    try:
        beside = list(path.parent.iterdir())
    except OSError:
        return False
    return any(
        other.stem == path.stem
        and other.name != path.name
        and other.suffix.lower() in _MEDIA
        and other.is_file()
        for other in beside
    )
