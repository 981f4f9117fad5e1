"""Ego4D's "looking at me": faces in egocentric clips (EGO4D/social-interactions, branch lam).

The test set's truth is not public. The split "test" is therefore the official validation clips,
which everyone reports, and "val" is a held-out part of the training clips.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import PIL.Image

from sfedge.boxes import from_pixels, with_margin
from sfedge.errors import DataError
from sfedge.tasks import TASKS
from training.data.reading import existing, is_held_out, missing_pictures, number, read_json
from training.data.sample import Dataset, Report, Sample, Split

NAME = "ego4d_lam"
STRIDE = 13  # the official loader takes every 13th frame of a track, for training and validation
_HELD_OUT = 0.05
_LOOKING, _NOT_LOOKING = (
    TASKS["looking_at_me"].labels.index(n) for n in ("looking", "not_looking")
)


@dataclass(frozen=True, slots=True)
class _Face:
    """A face in one frame, x1 y1 x2 y2 in pixels; frames are counted from 1."""

    frame: int
    corners: tuple[float, float, float, float]


def load(root: Path, split: Split, *, margin: float | None = None, stride: int = STRIDE) -> Dataset:
    """Read one split: clip lists, annotations and extracted frames.

    A face is labelled "looking" where a looking segment of its person covers the frame, both ends
    included. Every segment counts: `is_at_me` is unset in the release.

    Args:
        root: the folder that holds `split`, `json` and `video_imgs`.
        split: "test" is the official validation list.
        margin: around the face, as a fraction of it; None for the task's own, 0 for the official
            evaluation's exact box.
        stride: of the frames taken from each track.

    Raises:
        DataError: lists, annotations or frames are missing or malformed.
    """
    part = "val" if split == "test" else "train"
    listed = existing(root, f"split/{part}.list", f"*/split/{part}.list", what=f"{part}.list")
    marks = existing(
        root, f"json/av_{part}.json", "json/av.json", f"*/av_{part}.json", what="AV annotations"
    )
    frames = existing(root, "video_imgs", "*/video_imgs", what="the folder of extracted frames")
    wanted = {
        clip
        for clip in listed.read_text(encoding="utf-8-sig").split()
        if split == "test" or is_held_out(clip, _HELD_OUT) == (split == "val")
    }
    grown = TASKS["looking_at_me"].margin if margin is None else margin
    report = Report()
    samples: list[Sample] = []
    for clip in _clips(read_json(marks, dict)):
        key = str(clip.get("clip_uid"))
        if key in wanted:
            wanted.remove(key)
            try:
                samples += _clip_samples(clip, key, frames / key, grown, stride, report)
            except (AttributeError, TypeError) as error:
                raise DataError(f"clip {key} is malformed ({error})", where=str(marks)) from error
    for key in sorted(wanted):
        report.drop("clip is listed but not annotated", f"{listed}: {key}")
    for sample in samples:
        assert sample.label is not None
        report.kept["looking_at_me", TASKS["looking_at_me"].labels[sample.label]] += 1
    return Dataset(NAME, split, tuple(samples), report)


def _clips(annotations: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for video in annotations.get("videos") or []:
        yield from video.get("clips") or []


def _clip_samples(
    clip: Mapping[str, Any],
    key: str,
    folder: Path,
    margin: float,
    stride: int,
    report: Report,
) -> Iterator[Sample]:
    segments = _segments(clip, key, report)
    found: list[tuple[str, str, _Face]] = []
    for person in clip.get("persons") or []:
        name = str(person.get("person_id", ""))
        if person.get("camera_wearer"):
            continue
        for path in person.get("tracking_paths") or []:
            where = f"{key}, track {path.get('track_id')}"
            track = _filled(_cleaned(path.get("track") or [], name, where, report), where, report)
            found += [(name, str(path.get("track_id")), face) for face in track[::stride]]
    absent = missing_pictures({_picture(folder, face.frame) for *_, face in found})
    size: tuple[int, int] | None = None
    for name, track_id, face in found:
        where = f"{key}, track {track_id}, frame {face.frame}"
        picture = _picture(folder, face.frame)
        if picture in absent:
            report.drop("frame is missing", where)
            continue
        try:
            if size is None:
                with PIL.Image.open(picture) as opened:
                    size = opened.size
            box = from_pixels(*face.corners, width=size[0], height=size[1])
        except (OSError, DataError) as error:
            report.drop("face box or frame is unusable", f"{where}: {error}")
            continue
        is_looking = any(start <= face.frame <= end for start, end in segments.get(name, ()))
        yield Sample(
            image=picture,
            task="looking_at_me",
            view=with_margin(box, margin) if margin > 0 else box,
            label=_LOOKING if is_looking else _NOT_LOOKING,
            size=size,
            group=key,
            key=f"{key}:{face.frame}:{track_id}",
        )


def _picture(folder: Path, frame: int) -> Path:
    return folder / f"img_{frame:05d}.jpg"


def _segments(
    clip: Mapping[str, Any], key: str, report: Report
) -> dict[str, list[tuple[int, int]]]:
    """Each person's looking segments in frames; none at all means that nobody looks."""
    segments: dict[str, list[tuple[int, int]]] = {}
    for place, segment in enumerate(clip.get("social_segments_looking") or []):
        person = segment.get("person")
        if person is None:
            report.drop("looking segment names nobody", f"{key}, segment {place}")
            continue
        try:
            span = int(segment["start_frame"]), int(segment["end_frame"])
        except (KeyError, TypeError, ValueError):
            report.drop("looking segment is malformed", f"{key}, segment {place}")
            continue
        segments.setdefault(str(person), []).append(span)
    return segments


def _cleaned(
    records: Sequence[Mapping[str, Any]], person: str, where: str, report: Report
) -> list[_Face]:
    """The official loader's cleaning: no empty boxes, no frame 0, nobody without a name."""
    faces = {}
    for record in records:
        try:
            frame = int(number(record["frame"]))
            x, y, width, height = (number(record[n]) for n in ("x", "y", "width", "height"))
        except (KeyError, ValueError):
            report.drop("face record is malformed", where)
            continue
        if width <= 0 or height <= 0 or frame <= 0 or not person:
            report.drop("face record is empty, of frame 0 or nobody's", f"{where}, frame {frame}")
            continue
        if frame in faces:
            report.mend("frame stands twice in a track, last taken", f"{where}, frame {frame}")
        x, y = max(x, 0.0), max(y, 0.0)
        faces[frame] = _Face(frame, (x, y, x + width, y + height))
    return [faces[frame] for frame in sorted(faces)]


def _filled(faces: list[_Face], where: str, report: Report) -> list[_Face]:
    """The track with the frames that it lacks between its ends, interpolated linearly."""
    if not faces:
        return []
    known = [face.frame for face in faces]
    filled = []
    for frame in range(known[0], known[-1] + 1):
        place = bisect_left(known, frame)
        if known[place] == frame:
            filled.append(faces[place])
            continue
        report.mend("gap in a track, interpolated", f"{where}, frame {frame}")
        before, after = faces[place - 1], faces[place]
        share = (frame - before.frame) / (after.frame - before.frame)
        x1, y1, x2, y2 = (
            a + (b - a) * share for a, b in zip(before.corners, after.corners, strict=True)
        )
        filled.append(_Face(frame, (x1, y1, x2, y2)))
    return filled
