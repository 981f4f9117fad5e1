"""Ego4D's faces and looking segments by clip: the AV annotations, or files prepared from them.

The prepared files are those of the benchmark's own scripts (EGO4D/social-interactions, branch lam):
a file a track in `json_original/<clip>/`, a file of segments a clip in `result_LAM/`.
"""

import json
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sfedge.core.csv_rows import number
from sfedge.core.errors import DataError
from sfedge_training.data.reading import UNANNOTATED, existing, read_json, whole
from sfedge_training.data.sample import Report

Segments = dict[str, list[tuple[int, int]]]  # person: first and last frame of each, both included


@dataclass(frozen=True, slots=True)
class Face:
    """A face in one frame, x1 y1 x2 y2 in pixels; frames are counted from 1."""

    frame: int
    corners: tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Track:
    """One person's face without a gap from the track's first to its last frame."""

    name: str
    person: str
    faces: tuple[Face, ...]


@dataclass(frozen=True, slots=True)
class Clip:
    """What is known of a clip; all but its wearer."""

    name: str
    tracks: tuple[Track, ...]
    segments: Segments


def read_clips(root: Path, part: str, wanted: Iterable[str], report: Report) -> Iterator[Clip]:
    """The annotated ones of the `wanted` clips.

    Every looking segment counts: `is_at_me` is unset in the release. The AV annotations are
    preferred where the prepared files are beside them.

    Raises:
        DataError: neither is there, or a file is malformed.
    """
    names = (f"json/av_{part}.json", "json/av.json", f"*/av_{part}.json", "*/json/av.json")
    tables = [path for name in names for path in sorted(root.glob(name))]
    if tables:
        return _from_annotations(tables[0], set(wanted), report)
    tracks = existing(root, "json_original", "*/json_original", what=f"av_{part}.json")
    results = existing(root, "result_LAM", "*/result_LAM", what="the folder of looking segments")
    return _from_prepared(tracks, results, sorted(wanted), report)


def _from_annotations(table: Path, wanted: set[str], report: Report) -> Iterator[Clip]:
    done: set[str] = set()
    for video in read_json(table, dict).get("videos") or []:
        for clip in video.get("clips") or []:
            name = str(clip.get("clip_uid"))
            if name in done:
                report.repair("clip is annotated twice, first taken", f"{table}: {name}")
            elif name in wanted:
                done.add(name)
                try:
                    yield _annotated(clip, name, report)
                except (AttributeError, TypeError) as error:
                    raise DataError(
                        f"clip {name} is malformed ({error})", where=str(table)
                    ) from error
    for name in sorted(wanted - done):
        report.lose(f"clip {UNANNOTATED}", f"{table}: {name}")


def _annotated(clip: Mapping[str, Any], name: str, report: Report) -> Clip:
    people = list(clip.get("persons") or [])
    if people and all(person.get("camera_wearer") is None for person in people):
        report.repair("wearer is not marked, the first person taken", name)  # as the scripts do
        people = people[1:]
    tracks = [
        _track(str(path.get("track_id")), path.get("track") or [], "frame", name, report, person)
        for person in people
        if not person.get("camera_wearer")
        for path in person.get("tracking_paths") or []
    ]
    segments = _segments(clip.get("social_segments_looking") or [], "person", name, report)
    return _clip(name, tracks, segments, report)


def _from_prepared(
    tracks: Path, results: Path, wanted: Iterable[str], report: Report
) -> Iterator[Clip]:
    for name in wanted:
        if not (tracks / name).is_dir():
            report.lose(f"clip {UNANNOTATED}", str(tracks / name))
            continue
        found = [
            _track(path.stem, _records(path, report), "frameNumber", name, report)
            for path in sorted((tracks / name).glob("*.json"))
        ]
        path = results / f"{name}.json"  # not written for clips that nobody looks in
        marks = _records(path, report) if path.is_file() else []
        yield _clip(name, found, _segments(marks, "label", name, report), report)


def _records(path: Path, report: Report) -> list[Mapping[str, Any]]:
    """The list in a prepared file; the scripts append, so a second run writes it once more."""
    try:
        text = path.read_text(encoding="utf-8-sig").strip()
        records, end = json.JSONDecoder().raw_decode(text)
    except (OSError, ValueError) as error:
        raise DataError(f"this file cannot be read ({error})", where=str(path)) from error
    times = len(text) // end
    if text != text[:end] * times:
        raise DataError(
            "several different lists follow each other in this file",
            where=str(path),
            fix="Delete the folder and run the benchmark's scripts once more; they append.",
        )
    if times > 1:
        report.repair("file was written more than once, first list taken", str(path))
    if not isinstance(records, list) or not all(isinstance(one, Mapping) for one in records):
        raise DataError("this file holds no list of records", where=str(path))
    return records


def _clip(name: str, tracks: list[Track], segments: Segments, report: Report) -> Clip:
    if not segments:
        report.repair("clip has no looking segment, all its faces taken as not looking", name)
    for person in sorted(segments.keys() - {track.person for track in tracks}):
        report.drop("looking segment's person has no track", f"{name}, person {person}")
    return Clip(name, tuple(track for track in tracks if track.faces), segments)


def _segments(
    marks: Iterable[Mapping[str, Any]], person_key: str, clip: str, report: Report
) -> Segments:
    segments: Segments = {}
    for place, mark in enumerate(marks):
        where, person = f"{clip}, segment {place}", mark.get(person_key)
        if person is None:
            report.drop("looking segment names nobody", where)
            continue
        try:
            span = whole(mark["start_frame"]), whole(mark["end_frame"])
        except (KeyError, ValueError):
            report.drop("looking segment is malformed", where)
            continue
        segments.setdefault(str(person), []).append(span)
    return segments


def _track(
    name: str,
    records: list[Mapping[str, Any]],
    frame_key: str,
    clip: str,
    report: Report,
    owner: Mapping[str, Any] | None = None,
) -> Track:
    """A cleaned and filled track; without an `owner` its records name the person themselves."""
    where = f"{clip}, track {name}"
    names = [str(record.get("Person ID") or "") for record in records] if owner is None else []
    people = [person for person in dict.fromkeys(names) if person]
    if len(people) > 1:
        report.repair("track names several people, first taken", where)
    person = str(owner.get("person_id") or "") if owner is not None else next(iter(people), "")
    faces = {}
    for place, record in enumerate(records):
        face = _face(record, frame_key, where, report, names[place] if names else person)
        if face is None:
            continue
        if face.frame in faces:
            report.repair("duplicate frame in a track, last taken", f"{where}, frame {face.frame}")
        faces[face.frame] = face
    return Track(name, person, _filled([faces[f] for f in sorted(faces)], where, report))


def _face(
    record: Mapping[str, Any], frame_key: str, where: str, report: Report, person: str
) -> Face | None:
    """The official loader's cleaning: no empty boxes, no frame 0, nobody without a name."""
    try:
        frame = whole(record[frame_key])
        x, y, width, height = (number(record[n]) for n in ("x", "y", "width", "height"))
    except (KeyError, ValueError):
        report.drop("face record is malformed", where)
        return None
    where = f"{where}, frame {frame}"
    if width <= 0 or height <= 0 or frame <= 0 or not person:
        report.drop("face record is empty, of frame 0 or nobody's", where)
        return None
    if x < 0 or y < 0:
        report.repair("face record began outside the frame, moved to its edge", where)
    x, y = max(x, 0.0), max(y, 0.0)
    return Face(frame, (x, y, x + width, y + height))


def _filled(faces: list[Face], where: str, report: Report) -> tuple[Face, ...]:
    """The track with the frames that it lacks between its ends, interpolated linearly."""
    if not faces:
        return ()
    known = [face.frame for face in faces]
    filled = []
    for frame in range(known[0], known[-1] + 1):
        place = bisect_left(known, frame)
        if known[place] == frame:
            filled.append(faces[place])
            continue
        report.repair("gap in a track, interpolated", f"{where}, frame {frame}")
        before, after = faces[place - 1], faces[place]
        share = (frame - before.frame) / (after.frame - before.frame)
        x1, y1, x2, y2 = (
            a + (b - a) * share for a, b in zip(before.corners, after.corners, strict=True)
        )
        filled.append(Face(frame, (x1, y1, x2, y2)))
    return tuple(filled)
