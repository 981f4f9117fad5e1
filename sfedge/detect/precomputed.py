"""Boxes from a file in place of the networks: a table, a run's records, or Ego4D face tracks."""

import csv
import math
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args

from sfedge.core.boxes import Box, clamped
from sfedge.core.errors import DataError
from sfedge.core.structures import Detection, Frame, Kind
from sfedge.detect.detector import Detector
from sfedge.detect.ego4d import read_face_tracks
from sfedge.results.records import read_records

ByFrame = Mapping[int, Sequence[Detection]]
ByTime = Mapping[float, Sequence[Detection]]

_FRACTIONS = ("x1", "y1", "x2", "y2")
_PIXELS = ("x1_px", "y1_px", "x2_px", "y2_px")
_OPTIONAL = ("score", "track")
_KINDS = get_args(Kind)
_OF_A_PERSON: tuple[Kind, ...] = ("person", "face")
_EXPECTED = (
    "Expected are frame or time, kind, then x1,y1,x2,y2 in fractions of the frame or "
    "x1_px,y1_px,x2_px,y2_px in pixels, and if you like score and track."
)
_GRACE = 1e-3  # seconds that a row may be ahead of its frame, since times are rounded
_STALE = 0.1  # seconds after which a row that no frame took is skipped


def open_detections(path: Path, *, width: int, height: int, source: str = "") -> Detector:
    """A detector that gives the boxes of a file; `docs/detectors.md` describes the formats.

    Args:
        path: a `.csv` table, a `.jsonl` record of sfedge, an Ego4D `.json`, or a folder of those.
        width: pixels of the upright frames, to which boxes in pixels refer.
        height: likewise.
        source: name of the video; an Ego4D file of many clips is looked up by its stem.

    Raises:
        DataError: the file is missing or has wrong content; the message names the row.
    """
    if not path.exists():
        raise DataError(
            "there is no such file or folder",
            where=str(path),
            fix="Check the path; without detections= the networks find people.",
        )
    if path.is_dir() or path.suffix == ".json":
        clip = Path(source).stem
        return FrameDetections(read_face_tracks(path, width=width, height=height, clip=clip))
    if path.suffix == ".jsonl":
        return FrameDetections(_read_run(path))
    if path.suffix == ".csv":
        return _read_table(path, width, height)
    raise DataError(
        "this is no file of detections",
        where=str(path),
        fix="Known are .csv tables, .jsonl records of sfedge, and Ego4D .json files or folders.",
    )


class FrameDetections:
    """Gives the boxes that the file lists for a frame's index."""

    def __init__(self, rows: ByFrame) -> None:
        self._rows = rows

    def detect(self, frame: Frame) -> list[Detection]:
        """The boxes of this frame; none where the file has none."""
        return list(self._rows.get(frame.index, ()))

    def close(self) -> None:
        """Nothing is held."""


class TimedDetections:
    """Gives each frame the latest boxes up to its time that no earlier frame has had."""

    def __init__(self, rows: ByTime) -> None:
        self._rows = rows
        self._times = sorted(rows)
        self._given = -math.inf

    def detect(self, frame: Frame) -> list[Detection]:
        """The boxes of this frame; none where the file has none for its time."""
        at = bisect_right(self._times, frame.time + _GRACE) - 1
        if at < 0 or self._times[at] <= self._given or self._times[at] < frame.time - _STALE:
            return []
        self._given = self._times[at]
        return list(self._rows[self._given])

    def close(self) -> None:
        """Nothing is held."""


def _read_run(path: Path) -> ByFrame:
    """The people of a run's records, each with the id that they had there."""
    rows: dict[int, list[Detection]] = defaultdict(list)
    for number, row in enumerate(read_records(path), 1):
        if row["type"] != "frame":
            continue
        where = f"{path}:{number}"
        try:
            found = [find for person in row["people"] for find in _of_person(person, where)]
            found += [find for hand in row["hands"] for find in _of_hand(hand, None, where)]
            rows[int(row["frame"])] += found
        except (KeyError, TypeError, ValueError) as error:
            what = f"lacks {error}" if isinstance(error, KeyError) else f"is damaged ({error})"
            raise DataError(
                f"a person in the frame row {what}",
                where=where,
                fix="Expected is a record as sfedge writes it; run it again, or remove the row.",
            ) from error
    return rows


def _of_person(person: Mapping[str, Any], where: str) -> list[Detection]:
    if not person["is_seen"]:
        return []  # boxes that were only moved along; the tracker does that again
    track = str(person["id"])
    found = [
        Detection(kind, _box(person[kind], where), _score(person[f"{kind}_score"]), track)
        for kind in _OF_A_PERSON
        if person[kind] is not None
    ]
    return found + [find for hand in person["hands"] for find in _of_hand(hand, track, where)]


def _of_hand(hand: Mapping[str, Any], track: str | None, where: str) -> list[Detection]:
    if not hand["is_seen"]:
        return []
    score, side = _score(hand["score"]), hand["side"]
    from_body = bool(hand.get("from_body", False))
    return [Detection("hand", _box(hand["box"], where), score, track, side, from_body)]


def _score(value: Any) -> float:
    """A recorded score; what was recorded without one was seen for sure."""
    return 1.0 if value is None else float(value)


def _read_table(path: Path, width: int, height: int) -> Detector:
    by_frame: dict[int, list[Detection]] = defaultdict(list)
    by_time: dict[float, list[Detection]] = defaultdict(list)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip() for name in next(reader, [])]
            _check_header(header, str(path))
            is_pixels = _PIXELS[0] in header
            for cells in reader:
                where = f"{path}:{reader.line_num}"
                if not cells:
                    continue
                if len(cells) != len(header):
                    raise DataError(f"{len(cells)} values for {len(header)} columns", where=where)
                row = dict(zip(header, (cell.strip() for cell in cells), strict=True))
                detection = _detection(row, where, (width, height) if is_pixels else None)
                if "frame" in row:
                    by_frame[_frame_number(row["frame"], where)].append(detection)
                else:
                    by_time[_number(row, "time", where)].append(detection)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot be read as a table ({error})", where=str(path)) from error
    return TimedDetections(by_time) if "time" in header else FrameDetections(by_frame)


def _check_header(header: Sequence[str], where: str) -> None:
    corners = _PIXELS if any(name in header for name in _PIXELS) else _FRACTIONS
    known = ("frame", "time", "kind", *corners, *_OPTIONAL)
    for name in header:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"Did you mean {near[0]!r}? " if near else ""
            raise DataError(f"unknown column {name!r}", where=where, fix=hint + _EXPECTED)
        if header.count(name) > 1:
            raise DataError(f"column {name!r} is a duplicate", where=where)
    for name in ("kind", *corners):
        if name not in header:
            raise DataError(f"column {name!r} is missing", where=where, fix=_EXPECTED)
    if ("frame" in header) == ("time" in header):
        raise DataError("one of the columns frame and time is needed", where=where, fix=_EXPECTED)


def _detection(row: Mapping[str, str], where: str, size_px: tuple[int, int] | None) -> Detection:
    kind: Any = row["kind"]
    if kind not in _KINDS:
        raise DataError(
            f"column kind holds {kind!r}", where=where, fix=f"It is one of {', '.join(_KINDS)}."
        )
    if size_px is None:
        corners = [_number(row, name, where) for name in _FRACTIONS]
    else:
        width, height = size_px
        x1, y1, x2, y2 = (_number(row, name, where) for name in _PIXELS)
        corners = [x1 / width, y1 / height, x2 / width, y2 / height]
    score = _number(row, "score", where) if row.get("score") else 1.0
    if not 0 <= score <= 1:
        raise DataError(f"column score holds {score:g}, which is not in 0 to 1", where=where)
    box = _box(corners, where, is_pixels=size_px is not None)
    return Detection(kind, box, score, row.get("track") or None)


def _box(corners: Sequence[float], where: str, *, is_pixels: bool = False) -> Box:
    try:
        return clamped(*corners)
    except DataError as error:
        fix = ""
        if not is_pixels and max(corners) > 2:
            fix = f"Boxes in pixels need the columns {', '.join(_PIXELS)}."
        raise DataError(error.what, where=where, fix=fix) from error


def _number(row: Mapping[str, str], name: str, where: str) -> float:
    try:
        value = float(row[name])
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"column {name} holds {row[name]!r}, which is no number", where=where)
    return value


def _frame_number(text: str, where: str) -> int:
    if not text.isdecimal():
        raise DataError(
            f"column frame holds {text!r}", where=where, fix="Frames are counted from 0."
        )
    return int(text)
