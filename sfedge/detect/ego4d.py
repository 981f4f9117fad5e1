"""Reads Ego4D face tracks, as the looking-at-me benchmark has them, as boxes by frame."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sfedge.core.boxes import clamped
from sfedge.core.errors import DataError
from sfedge.core.structures import Detection


@dataclass(frozen=True, slots=True)
class _Face:
    frame: int  # as the annotation counts
    person: str
    corner: tuple[float, float]  # x, y in pixels
    size: tuple[float, float]


def read_face_tracks(
    path: Path, *, width: int, height: int, clip: str = ""
) -> Mapping[int, list[Detection]]:
    """The faces of one clip; a detection's track is the person's id.

    The annotation's frame n is the benchmark's `img_n`, which is counted from 1, so it belongs to
    the clip's frame n - 1. Frame 0, boxes without size and faces without a person are dropped, as
    in the benchmark's code (EGO4D/social-interactions, dataset/data_loader.py).

    Args:
        path: folder `json_original/<clip>`, one track of it, or an `av.json`.
        width: pixels of the clip's frames.
        height: likewise.
        clip: which clip of an `av.json` that holds several.

    Raises:
        DataError: a file is damaged, or holds no tracks of this clip.
    """
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    if not files:
        raise DataError("there are no .json files of face tracks", where=str(path))
    rows: dict[int, list[Detection]] = defaultdict(list)
    for file in files:
        for face in _faces(file, clip):
            if face.frame < 1 or min(face.size) <= 0 or not face.person:
                continue
            x, y = (max(value, 0.0) for value in face.corner)
            corners = (
                x / width,
                y / height,
                (x + face.size[0]) / width,
                (y + face.size[1]) / height,
            )
            try:
                box = clamped(*corners)
            except DataError as error:
                raise DataError(f"frame {face.frame}: {error.what}", where=str(file)) from error
            rows[face.frame - 1].append(Detection("face", box, 1.0, face.person))
    return rows


def _faces(file: Path, clip: str) -> Iterator[_Face]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        if isinstance(content, list):
            yield from (_face(row, "frameNumber", row["Person ID"]) for row in content)
        else:
            yield from _of_clip(content, clip, file)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        what = f"lacks {error}" if isinstance(error, KeyError) else f"is damaged ({error})"
        raise DataError(
            f"a file of Ego4D face tracks {what}",
            where=str(file),
            fix="Expected are records of clip_uid, frameNumber, Person ID, x, y, height and width, "
            "or an av.json.",
        ) from error


def _of_clip(content: Any, clip: str, file: Path) -> Iterator[_Face]:
    clips: list[Any] = [item for video in content["videos"] for item in video["clips"]]
    chosen = clips if len(clips) == 1 else [item for item in clips if item["clip_uid"] == clip]
    if not chosen:
        raise DataError(
            f"none of its {len(clips)} clips is called {clip!r}",
            where=str(file),
            fix="Name the video <clip_uid>.mp4, or give the clip's folder of json_original.",
        )
    for person in chosen[0]["persons"]:
        if not person["camera_wearer"]:
            for path in person["tracking_paths"]:
                yield from (_face(row, "frame", person["person_id"]) for row in path["track"])


def _face(row: Mapping[str, Any], frame: str, person: object) -> _Face:
    return _Face(
        int(row[frame]),
        "" if person is None else str(person),
        (float(row["x"]), float(row["y"])),
        (float(row["width"]), float(row["height"])),
    )
