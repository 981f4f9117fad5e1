"""Frames, people and answers to write, and the first and last row of a run."""

from pathlib import Path
from typing import Any

import jsonschema
import numpy as np

from sfedge.core.boxes import Box
from sfedge.core.config import RunConfig
from sfedge.core.frame_result import FrameResult
from sfedge.core.structures import Frame, Hand, Prediction, Track
from sfedge.core.tasks import TASKS
from sfedge.results import records, rows
from sfedge.sources.source import SourceInfo

SEEN = 1 / 3
IMAGE = np.zeros((4, 4, 3), np.uint8)
MODEL = {
    "name": "test",
    "notice": "for tests",
    "preset": "tiny",
    "created": "2026-01-01T00:00:00Z",
    "sha256": "0" * 64,
    "device": "cpu",
}
SUMMARY = {
    "frames": 2,
    "shown": 2,
    "skipped": 0,
    "asked": 1,
    "people": 2,
    "hands": 1,
    "left_out": 0,
    "shots": 2,
    "gaps": 1,
    "answers": {"gaze": 1},
    "losses": ["frame 3 could not be decoded"],
    "warnings": ["HDR was tone-mapped"],
    "is_complete": False,
    "ended": "end of source",
}
VALIDATOR = jsonschema.Draft202012Validator(records.record_schema())


def track(person: int, x: float = 0.1, name: str | None = None) -> Track:
    face = Box(x + 0.01, 0.1, x + 0.05, 0.2)
    hand = Hand(person, Box(x, 0.5, x + 0.05, 0.6), "left", 0.9, SEEN)
    body = Box(x, 0.05, x + 0.2, 0.9)
    return Track(person, body, face, (hand,), 0, SEEN, name, face_score=0.75)


def gesture(hand: int, label: str, probability: float, people: tuple[int, ...] = ()) -> Prediction:
    labels = TASKS["gesture"].labels
    shares = {name: (1 - probability) / (len(labels) - 1) for name in labels} | {label: probability}
    return Prediction(
        "gesture", people, 1, SEEN, label, shares, shares, hands=(hand,), side="right"
    )


def label(task: str, people: tuple[int, ...], frame: int, time: float) -> Prediction:
    labels = TASKS[task].labels
    shares = {name: 1 / len(labels) for name in labels}
    return Prediction(task, people, frame, time, label=labels[0], probabilities=shares, raw=shares)


def gaze(person: int, frame: int, time: float) -> Prediction:
    heatmap = np.full((64, 64), 0.25, np.float32)
    return Prediction(
        "gaze",
        (person,),
        frame,
        time,
        heatmap=heatmap,
        point=(0.5, 0.25),
        peak=0.25,
        is_unsure=True,
    )


def result(
    index: int,
    time: float,
    tracks: tuple[Track, ...] = (),
    fresh: tuple[Prediction, ...] = (),
    carried: tuple[Prediction, ...] = (),
    **more: Any,
) -> FrameResult:
    return FrameResult(Frame(IMAGE, index, time), tracks, fresh, carried, **more)


def first_row() -> dict[str, Any]:
    info = SourceInfo("clip.mp4", 1280, 720, 29.97, None, None, False, audio_path="clip.mp4")
    settings = rows.settings_facts(RunConfig(bundle=Path("some.zip")))
    return rows.run_row(
        rows.source_facts(info, "0" * 16), MODEL, settings, "2026-01-01T00:00:00+00:00"
    )
