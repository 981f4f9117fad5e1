"""Drawn Ego4D "looking at me": clips of a few people, some of whom look into the camera."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from sfedge_training.data.sample import Split
from sfedge_training.drawings.background import new_canvas, photographed
from sfedge_training.drawings.body_parts import Layout, Record, inside, save_json, save_picture
from sfedge_training.drawings.canvas import Extent
from sfedge_training.drawings.drawn_expressions import EXPRESSIONS, random_expression
from sfedge_training.drawings.face import face_extent
from sfedge_training.drawings.look import Look, random_look
from sfedge_training.drawings.person import Body, draw_person

_WIDTH, _HEIGHT = 352, 224
_SHOTS, _PEOPLE, _FRAMES = 4, 3, 2  # shots of a clip, people in each, frames of a shot
_LEAST_LIDS = -0.2  # eyes never so narrow that the pupils are hidden
LISTS: dict[Split, str] = {"train": "train", "test": "val"}


@dataclass(frozen=True, slots=True)
class _Pose:
    """Where a head is and which way head and eyes point, radians."""

    x: float
    y: float
    unit: float
    yaw: float
    pitch: float
    turn: float
    gaze: tuple[float, float]


def _draw(root: Path, split: Split, index: int, rng: np.random.Generator) -> Record:
    """One clip. A shot's tracks are short: the model sees single frames."""
    clip = f"{LISTS[split]}-{index:05d}-{rng.bytes(4).hex()}"
    looks = [random_look(rng, is_child=bool(rng.random() < 0.1)) for _ in range(_PEOPLE)]
    tracks: list[list[dict[str, Any]]] = [[] for _ in range(_PEOPLE)]
    segments = []
    for shot in range(_SHOTS):
        first = 1 + shot * _FRAMES
        are_looking = rng.permutation(_PEOPLE) < (_PEOPLE + shot % 2) // 2
        poses = [
            _pose(rng, place, is_looking=bool(looking)) for place, looking in enumerate(are_looking)
        ]
        paths: list[list[dict[str, Any]]] = [[] for _ in range(_PEOPLE)]
        background = int(rng.integers(2**32))
        for frame in range(first, first + _FRAMES):
            boxes = _draw_frame(
                root / "video_imgs" / clip / f"img_{frame:05d}.jpg", background, looks, poses, rng
            )
            for person, (x1, y1, x2, y2) in enumerate(boxes):
                paths[person].append(
                    {"x": x1, "y": y1, "width": x2 - x1, "height": y2 - y1, "frame": frame}
                )
        for person in range(_PEOPLE):
            tracks[person].append({"track_id": f"{clip}_{shot}_{person}", "track": paths[person]})
            if are_looking[person]:
                segments.append((str(person + 1), first, first + _FRAMES - 1))
    return clip_record(clip, tracks, segments)


def _pose(rng: np.random.Generator, place: int, *, is_looking: bool) -> _Pose:
    unit = rng.uniform(30, 42)
    yaw, pitch = rng.normal(0, 0.24), rng.normal(0, 0.10)
    if is_looking:
        yaw, gaze = float(np.clip(yaw, -0.5, 0.5)), (rng.normal(0, 0.03), rng.normal(0, 0.03))
    else:
        # The line of sight passes well beside the camera, by turning the head, the eyes or both.
        angle = rng.uniform(0.45, 1.2)
        around = rng.choice([0.0, np.pi]) + rng.normal(0, 0.45)
        gaze = (angle * np.cos(around), 0.8 * angle * np.sin(around))
        share = rng.uniform(0.0, 1.0) if angle < 0.6 else rng.uniform(0.6, 1.0)
        yaw, pitch = gaze[0] * share + rng.normal(0, 0.08), gaze[1] * share
    return _Pose(
        x=_WIDTH * (place + 0.5 + rng.uniform(-0.1, 0.1)) / _PEOPLE,
        y=_HEIGHT * rng.uniform(0.3, 0.5),
        unit=float(unit),
        yaw=float(yaw),
        pitch=float(pitch),
        turn=float(rng.normal(0, 0.1)),
        gaze=(float(gaze[0]), float(gaze[1])),
    )


def _draw_frame(
    path: Path,
    background: int,
    looks: Sequence[Look],
    poses: Sequence[_Pose],
    rng: np.random.Generator,
) -> list[Extent]:
    canvas = new_canvas(np.random.default_rng(background), _WIDTH, _HEIGHT)
    boxes = []
    for look, pose in zip(looks, poses, strict=True):
        expression = random_expression(rng, str(rng.choice([*EXPRESSIONS])))
        x, y = np.array([pose.x, pose.y]) + rng.normal(0, 1.0, 2)
        head = draw_person(
            canvas.pen.at(float(x), float(y), pose.unit),
            look,
            Body(has_legs=False),
            replace(expression, lids=max(expression.lids, _LEAST_LIDS)),
            yaw=pose.yaw,
            pitch=pose.pitch,
            turn=pose.turn,
            gaze=pose.gaze,
        )
        boxes.append(inside(face_extent(head), _WIDTH, _HEIGHT))
    save_picture(path, photographed(canvas, rng))
    return boxes


def clip_record(
    clip: str, tracks: list[list[dict[str, Any]]], segments: list[tuple[str, int, int]]
) -> dict[str, Any]:
    """The clip as AV annotations have it; person 0 wears the camera.

    Args:
        clip: its name.
        tracks: of each person, tracks with `track_id` and boxes in pixels by frame.
        segments: person, first and last frame of each time that one looks at the camera.
    """
    wearer = {"person_id": "0", "camera_wearer": True, "tracking_paths": [], "voice_segments": []}
    people = [
        {
            "person_id": str(person + 1),
            "camera_wearer": False,
            "tracking_paths": paths,
            "voice_segments": [],
        }
        for person, paths in enumerate(tracks)
    ]
    return {
        "clip_uid": clip,
        "video_uid": clip,
        "valid": True,
        "camera_wearer": wearer,
        "persons": [wearer, *people],
        "social_segments_looking": [
            {"start_frame": first, "end_frame": last, "person": person, "target": None}
            | {"start_time": first / 30, "end_time": last / 30, "is_at_me": False}
            for person, first, last in segments
        ],
        "social_segments_talking": [],
    }


def write_tables(root: Path, records: Mapping[Split, Sequence[Record]]) -> None:
    """Write the annotations and lists of clips, each as `clip_record` gives it."""
    for split, clips in records.items():
        name = LISTS[split]
        videos = [
            {"video_uid": clip["video_uid"], "split": name, "clips": [clip]} for clip in clips
        ]
        save_json(root / "json" / f"av_{name}.json", {"videos": videos})
        lists = root / "split"
        lists.mkdir(parents=True, exist_ok=True)
        text = "".join(f"{clip['clip_uid']}\n" for clip in clips)
        (lists / f"{name}.list").write_text(text, encoding="utf-8")


LAYOUT = Layout(_draw, write_tables, samples=_SHOTS * _PEOPLE)
