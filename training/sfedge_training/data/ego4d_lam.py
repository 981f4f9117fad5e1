"""Ego4D's "looking at me": faces in egocentric clips (EGO4D/social-interactions, branch lam).

The test set's truth is not public. The split "test" is therefore the official validation clips,
which everyone reports, and "val" is a held-out part of the training clips.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import PIL.Image

from sfedge.core.boxes import from_pixels, with_margin
from sfedge.core.errors import DataError
from sfedge.core.tasks import TASKS
from sfedge_training.data.clip import clip_extent
from sfedge_training.data.ego4d_annotations import Clip, read_clips
from sfedge_training.data.reading import (
    MISSING,
    UNREADABLE,
    existing,
    is_held_out,
    missing_pictures,
)
from sfedge_training.data.sample import Dataset, Report, Sample, Split

NAME = "ego4d_lam"
STRIDE = 13  # the official loader takes every 13th frame of a track, for training and validation
_HELD_OUT = 0.05
_LOOKING, _NOT_LOOKING = (
    TASKS["looking_at_me"].labels.index(n) for n in ("looking", "not_looking")
)


@dataclass(frozen=True, slots=True)
class _Frames:
    """Where a clip's frames are: pictures in a folder, or one video."""

    path: Path
    size: tuple[int, int]  # width, height in pixels
    there: frozenset[int] | range  # the numbers of the frames that can be had
    is_video: bool

    def picture(self, frame: int) -> Path:
        return self.path if self.is_video else _extracted(self.path, frame)


def load(root: Path, split: Split, *, margin: float | None = None, stride: int = STRIDE) -> Dataset:
    """Read one split: clip lists, tracks, segments, and frames from pictures or from the clips.

    A face is labelled "looking" where a looking segment of its person covers the frame, both ends
    included. Frames come from `video_imgs/<clip>/img_00001.jpg`; where a clip has no such folder,
    from `videos/<clip>.mp4`.

    Args:
        root: the folder that holds `split`, `json` (or `json_original` and `result_LAM`), and
            `video_imgs` or `videos`.
        split: "test" is the official validation list.
        margin: around the face, as a fraction of it; None for the task's own, 0 for the official
            evaluation's exact box.
        stride: of the frames taken from each track.

    Raises:
        DataError: lists, annotations or frames are missing or malformed.
    """
    part = "val" if split == "test" else "train"
    listed = existing(root, f"split/{part}.list", f"*/split/{part}.list", what=f"{part}.list")
    folders = existing(
        root, "video_imgs", "*/video_imgs", "videos", "*/videos", what="the folder of frames"
    ).parent
    grown = TASKS["looking_at_me"].margin if margin is None else margin
    report = Report()
    wanted: set[str] = set()
    for clip in listed.read_text(encoding="utf-8-sig").split():
        if split != "test" and is_held_out(clip, _HELD_OUT) != (split == "val"):
            continue
        if clip in wanted:
            report.repair("clip is listed twice, taken once", f"{listed}: {clip}")
            continue
        wanted.add(clip)
        report.meet("clips")
    samples: list[Sample] = []
    for annotated in read_clips(root, part, wanted, report):
        samples += _samples(annotated, folders, grown, stride, report)
    for sample in samples:
        assert sample.label is not None
        report.kept["looking_at_me", TASKS["looking_at_me"].labels[sample.label]] += 1
    return Dataset(NAME, split, tuple(samples), report)


def _samples(
    clip: Clip, folders: Path, margin: float, stride: int, report: Report
) -> Iterator[Sample]:
    faces = [(track, face) for track in clip.tracks for face in track.faces[::stride]]
    try:
        frames = _frames(clip.name, folders, {face.frame for _, face in faces})
    except (OSError, ValueError) as error:
        for track, face in faces:
            where = f"{clip.name}, track {track.name}, frame {face.frame}"
            report.lose(UNREADABLE, f"{where}: {error}")
        return
    for track, face in faces:
        where = f"{clip.name}, track {track.name}, frame {face.frame}"
        if frames is None or face.frame not in frames.there:
            report.lose(MISSING, where)
            continue
        width, height = frames.size
        try:
            box = from_pixels(*face.corners, width=width, height=height)
        except DataError:
            report.drop("face box lies outside the frame", where)
            continue
        if face.corners[2] > width or face.corners[3] > height:
            report.repair("face box left the frame", where)
        spans = clip.segments.get(track.person, ())
        is_looking = any(first <= face.frame <= last for first, last in spans)
        yield Sample(
            image=frames.picture(face.frame),
            frame=face.frame if frames.is_video else None,
            task="looking_at_me",
            view=with_margin(box, margin) if margin > 0 else box,
            label=_LOOKING if is_looking else _NOT_LOOKING,
            size=frames.size,
            group=clip.name,
            key=f"{clip.name}:{face.frame}:{track.name}",
        )


def _frames(clip: str, folders: Path, wanted: set[int]) -> _Frames | None:
    """The clip's frames; None where neither pictures nor a video are there.

    Raises:
        OSError, ValueError: they cannot be read.
    """
    folder, video = folders / "video_imgs" / clip, folders / "videos" / f"{clip}.mp4"
    if folder.is_dir():
        absent = missing_pictures({_extracted(folder, frame) for frame in wanted})
        there = frozenset(frame for frame in wanted if _extracted(folder, frame) not in absent)
        if there:
            with PIL.Image.open(_extracted(folder, min(there))) as picture:
                return _Frames(folder, picture.size, there, is_video=False)
    if video.is_file():
        size, count = clip_extent(video)
        return _Frames(video, size, range(1, count + 1), is_video=True)
    return None


def _extracted(folder: Path, frame: int) -> Path:
    return folder / f"img_{frame:05d}.jpg"
