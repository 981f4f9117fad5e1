"""Photographs, each a scene of its own; or, on request, a folder of them as a film."""

import re
import stat
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from sfedge.core.errors import MissingExtraError, SourceError
from sfedge.core.structures import Frame, Gap
from sfedge.sources.fit import fitted
from sfedge.sources.lost_frames import MAX_SENTENCES
from sfedge.sources.source import SourceInfo, shown
from sfedge.sources.stills import RAW_SUFFIXES, VIDEO_SUFFIXES, Still, failure, is_picture_file
from sfedge.system.closing import Closing

PICTURES_PER_SECOND = 1.0  # of photographs: every query is made of each at the usual interval
# Files that systems and programs leave in folders; so are names that begin with a dot.
_SYSTEM_FILES = re.compile(
    r"\..*|thumbs\.db|ehthumbs.*\.db|desktop\.ini|icon\r|\$recycle\.bin|__macosx|@eadir"
    r"|system volume information|lost\+found",
    re.IGNORECASE | re.DOTALL,
)

_Kind = Literal["picture", "raw", "video", "folder", "other"]  # of an entry of a folder
_LOST: dict[_Kind, str] = {
    "raw": "camera raw files are not read; export them as JPEG",
    "video": "videos have to be run one by one",
}
_IGNORED: dict[_Kind, str] = {
    "other": "other files are not read",
    "folder": "folders in it are not read",
}


@dataclass(frozen=True, slots=True)
class _Place:
    """One picture of the source."""

    path: Path
    page: int  # within the file
    name: str
    size: tuple[int, int] | None  # upright; None where it could not be found out
    needs_extra: bool = False  # it is HEIC, and the extra is not installed


class PictureSource(Closing):
    """Pictures in natural order of their names: "2.jpg" before "10.jpg".

    Pictures are turned upright by their EXIF orientation and keep their own sizes; each page of a
    TIFF is a picture, named "scan.tif#2". Picture number i is at i seconds. What a folder holds
    besides pictures is named in `losses` or `warnings`; files of the system are ignored. The size
    in `info` is the smallest that every picture fits in.

    As a video, picture number i is at i / `as_video` seconds, and pictures of other sizes are
    fitted into the first one's.

    Args:
        path: a picture or a folder; folders in it are not read.
        start: seconds; earlier pictures are skipped.
        end: seconds; pictures at this time or later are not read.
        as_video: pictures per second where they are the frames of a film; None for photographs.

    Raises:
        SourceError: there is no picture, or the folder cannot be read.
        MissingExtraError: all there is are pictures that need a package which is not installed.
    """

    def __init__(
        self,
        path: Path,
        *,
        start: float = 0.0,
        end: float | None = None,
        as_video: float | None = None,
    ) -> None:
        self._start, self._end, self._is_film = start, end, as_video is not None
        self._rate = as_video or PICTURES_PER_SECOND
        self._closed = threading.Event()
        self._losses: list[str] = []
        self._warnings: list[str] = []
        self._more = {"losses": 0, "warnings": 0}
        self._first_failure = ""  # why the first picture of those could not be read
        self._places = self._look_through(path)
        sizes = [place.size for place in self._places if place.size is not None]
        if not sizes:
            raise self._nothing_to_read(path)
        size = sizes[0] if self._is_film else tuple(map(max, zip(*sizes, strict=True)))
        self._info = SourceInfo(
            name=shown(path),
            width=size[0],
            height=size[1],
            frame_rate=self._rate,
            duration=len(self._places) / self._rate,
            frames=len(self._places),
            is_live=False,
            is_pictures=not self._is_film,
            path=path,
        )

    @property
    def info(self) -> SourceInfo:
        """Number of pictures, and the size that each of them fits in."""
        return self._info

    @property
    def losses(self) -> tuple[str, ...]:
        """A sentence for each picture that could not be read so far, and each kind skipped."""
        return tuple(self._losses)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Pictures whose values were scaled, and files that are no pictures."""
        return tuple(self._warnings)

    @property
    def gaps(self) -> tuple[Gap, ...]:
        """None: pictures are not live."""
        return ()

    def close(self) -> None:
        """End the iteration; no file stays open."""
        self._closed.set()

    def __iter__(self) -> Iterator[Frame]:
        """Pictures with start <= time < end."""
        for index, place in enumerate(self._places):
            now = index / self._rate
            if self._closed.is_set() or (self._end is not None and now >= self._end):
                return
            if now < self._start or place.needs_extra:
                continue
            try:
                with Still(place.path) as still:
                    image, note = still.read(place.page)
            except Exception as error:  # damaged and hostile files make decoders raise anything
                self._add(
                    self._losses,
                    f"picture {index} ({place.name}) could not be read: {failure(error)}",
                )
                continue
            size = self._info.width, self._info.height
            if self._is_film and (image.shape[1], image.shape[0]) != size:
                note = note or f"it was fitted into the first one's {size[0]}x{size[1]}"
                image = fitted(image, size)
            if note:
                self._add(self._warnings, f"picture {index} ({place.name}): {note}")
            yield Frame(image, index, now, place.name, starts_scene=not self._is_film)

    def _look_through(self, path: Path) -> list[_Place]:
        """All pictures with their pages, in order; what is skipped is named."""
        places: list[_Place] = []
        for file in [path] if path.is_file() else self._files(path):
            name = shown(file.name)
            try:
                with Still(file) as still:
                    pages, is_animated = still.pages(), still.is_animated
            except MissingExtraError:
                places.append(_Place(file, 0, name, None, needs_extra=True))
                continue
            except Exception as error:  # named when its turn comes
                pages, is_animated = {}, False
                self._first_failure = self._first_failure or failure(error)
            if not pages:
                places.append(_Place(file, 0, name, None))
            if is_animated:
                what = "moves; only its first picture was taken. Run it by itself for all of them"
                self._add(self._warnings, f"{name} {what}")
            for number, (page, size) in enumerate(pages.items(), start=1):
                named = f"{name}#{number}" if len(pages) > 1 else name
                places.append(_Place(file, page, named, size))
        if heif := [place.path for place in places if place.needs_extra]:
            self._losses.append(
                f"HEIC pictures are read after pip install 'sfedge[heif]': {_listed(heif)}"
            )
        return places

    def _files(self, folder: Path) -> list[Path]:
        """The pictures of a folder in order; other files and folders are named."""
        try:
            entries = sorted(folder.iterdir(), key=lambda entry: _natural(entry.name))
        except OSError as error:
            raise SourceError(
                f"the folder cannot be read ({error.strerror})",
                where=shown(folder),
                fix="Check the path and that you may read it.",
            ) from error
        by_kind: dict[_Kind, list[Path]] = {kind: [] for kind in get_args(_Kind)}
        for entry in entries:
            if not _SYSTEM_FILES.fullmatch(entry.name):
                by_kind[_kind(entry)].append(entry)
        pictures = by_kind["picture"]
        for kind, sentence in _LOST.items():
            if by_kind[kind]:
                self._losses.append(f"{sentence}: {_listed(by_kind[kind])}")
        for kind, sentence in _IGNORED.items():
            if by_kind[kind]:
                self._warnings.append(f"{sentence}: {_listed(by_kind[kind])}")
        if not pictures:
            raise SourceError(
                "; ".join(["the folder holds no pictures", *self._losses, *self._warnings]),
                where=shown(folder),
                fix="Pictures are known by their endings, such as .jpg, .png, .webp or .heic.",
            )
        return pictures

    def _nothing_to_read(self, path: Path) -> SourceError | MissingExtraError:
        if all(place.needs_extra for place in self._places):
            return MissingExtraError(
                "HEIC pictures need an extra",
                where=shown(path),
                fix="Install it: pip install 'sfedge[heif]'.",
            )
        return SourceError(
            f"it is not a picture that can be read ({self._first_failure})"
            if path.is_file()
            else f"none of its {len(self._places)} pictures can be read ({self._first_failure})",
            where=shown(path),
            fix="Give pictures such as JPEG, PNG or WebP; these may be damaged.",
        )

    def _add(self, sentences: list[str], sentence: str) -> None:
        """Add a sentence; beyond a number of them they are only counted."""
        kind = "losses" if sentences is self._losses else "warnings"
        if self._more[kind] and len(sentences) > MAX_SENTENCES:
            sentences.pop()
        if len(sentences) < MAX_SENTENCES:
            sentences.append(sentence)
            return
        self._more[kind] += 1
        count = self._more[kind]
        what = "could not be read" if kind == "losses" else "were changed while they were read"
        sentences.append(f"{count} more picture{'s' * (count > 1)} {what}")


def _kind(entry: Path) -> _Kind:
    """What an entry of a folder is."""
    suffix, file_type = entry.suffix.lower(), _file_type(entry)
    if stat.S_ISDIR(file_type):
        return "folder"
    if file_type and not stat.S_ISREG(file_type):  # a pipe, which may never give anything
        return "other"
    if suffix in RAW_SUFFIXES:
        return "raw"
    if suffix in VIDEO_SUFFIXES:
        return "video"
    return "picture" if is_picture_file(entry) else "other"


def _file_type(entry: Path) -> int:
    """A file's type bits from `stat`; 0 for a broken link, which is reported when it is read."""
    try:
        return stat.S_IFMT(entry.stat().st_mode)
    except OSError:
        return 0


def _listed(entries: list[Path]) -> str:
    """Some names, and how many more there are."""
    more = len(entries) - 5
    return ", ".join(shown(entry.name) for entry in entries[:5]) + (
        f" and {more} more" if more > 0 else ""
    )


def _natural(name: str) -> list[tuple[int, str]]:
    """A key that orders numbers within names by their value."""
    parts = re.split(r"([0-9]+)", name.casefold())
    return [(int(part), "") if part.isdecimal() else (0, part) for part in parts] + [(0, name)]
