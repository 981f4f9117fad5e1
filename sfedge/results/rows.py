"""The rows of a run's records, made from results.

`docs/records.md` describes each field; `record.schema.json` is the same for machines.
"""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from sfedge.bundle.manifest import Manifest
from sfedge.core.answer_table import Asked, rounded
from sfedge.core.boxes import Box
from sfedge.core.config import RunConfig
from sfedge.core.frame_result import FrameResult
from sfedge.core.structures import Gap, Hand, Prediction, Track
from sfedge.core.version import __version__
from sfedge.results.records import SCHEMA, Row
from sfedge.sources.source import SourceInfo, shown


def source_facts(info: SourceInfo, identity: str | None) -> Row:
    """The source's entry in the records; `identity` is the same for two runs over one source."""
    return {
        "name": shown(info.name),
        "identity": identity,
        "width": info.width,
        "height": info.height,
        "frame_rate": rounded(info.frame_rate, 4),
        "duration": rounded(info.duration, 3),
        "frames": info.frames,
        "is_live": info.is_live,
        "is_pictures": info.is_pictures,
        "has_audio": info.audio_path is not None or info.audio_feed is not None,
    }


def model_facts(manifest: Manifest, sha256: str, device: str) -> Row:
    """The model's entry in the records: `sha256` is its bundle's, `device` where it runs."""
    return {
        "name": manifest.name,
        "notice": manifest.notice,
        "preset": manifest.preset,
        "created": manifest.created,
        "sha256": sha256,
        "device": device,
    }


def settings_facts(config: RunConfig) -> Row:
    """The settings as JSON values."""
    return {
        key: shown(value) if isinstance(value, Path) else value
        for key, value in asdict(config).items()
    }


def run_row(source: Row, model: Row, settings: Row, started: str) -> Row:
    """The first row; `started` is the wall clock in ISO 8601, UTC."""
    return {
        "type": "run",
        "schema": SCHEMA,
        "file": source["name"],
        "sfedge": __version__,
        "started": started,
        "source": source,
        "model": model,
        "settings": settings,
    }


def frame_row(result: FrameResult, file: str) -> Row:
    """The people and hands in a frame, and where they are.

    Args:
        result: of the frame.
        file: name of the picture, or of the source.
    """
    return {
        "type": "frame",
        "file": file,
        "frame": result.index,
        "time": round(result.time, 6),
        "shot": result.shot,
        "people": [_person(track, result) for track in result.tracks],
        "hands": [_hand(hand, result.time) for hand in result.hands],
        "left_out": result.left_out,
    }


def cut_row(result: FrameResult, file: str) -> Row:
    """The frame of `result` is the first after a cut."""
    return {
        "type": "cut",
        "file": file,
        "frame": result.index,
        "time": round(result.time, 6),
        "shot": result.shot,
    }


def gap_row(gap: Gap, file: str, shot: int) -> Row:
    """A live source gives no frames, or does so again; `shot` is that of the last frame."""
    return {
        "type": "gap",
        "file": file,
        "shot": shot,
        "start": round(gap.start, 6),
        "end": rounded(gap.end, 6),
        "reason": gap.reason,
    }


def prediction_row(prediction: Prediction, result: FrameResult, asked: Asked, model: str) -> Row:
    """The row of an answer at the frame of `result`.

    Args:
        prediction: the answer.
        result: what it is shown with.
        asked: what it is about.
        model: name of the model.
    """
    row: Row = {
        "type": "prediction",
        "file": asked.file,
        "frame": prediction.frame,
        "time": round(prediction.time, 6),
        "shot": asked.shot,
        "shown_frame": result.index,
        "age": round(result.age(prediction), 6),
        "task": prediction.task,
        "people": list(prediction.people),
        "boxes": [_corners(box) for box in asked.boxes],
        "hands": list(prediction.hands),
        "hand_boxes": [_corners(box) for box in asked.hand_boxes],
        "side": prediction.side,
        "is_unsure": prediction.is_unsure,
        "model": model,
    }
    if any(name is not None for name in asked.names):
        row["names"] = list(asked.names)
    if prediction.label is not None and prediction.probabilities is not None:
        row["label"] = prediction.label
        row["probability"] = round(prediction.probabilities[prediction.label], 4)
        row["probabilities"] = _rounded_map(prediction.probabilities)
        row["raw"] = _rounded_map(prediction.raw or prediction.probabilities)
    if prediction.point is not None:
        row["point"] = [round(value, 5) for value in prediction.point]
        row["peak"] = rounded(prediction.peak, 4)
        row["in_frame"] = rounded(prediction.in_frame, 4)
    return row


def summary_row(report: Row, file: str) -> Row:
    """The last row, from a report's JSON object."""
    return {"type": "summary", "file": file, **report}


def _person(track: Track, result: FrameResult) -> Row:
    gesture = result.gesture_of(track.id)
    person: Row = {
        "id": track.id,
        "is_seen": track.last_seen == result.time,
        "person": _corners(track.person),
        "person_score": rounded(track.person_score, 4),
        "face": _corners(track.face),
        "face_score": rounded(track.face_score, 4),
        "hands": [_hand(hand, result.time) for hand in track.hands],
        "gesture": None if gesture is None else gesture.label,
    }
    if track.name is not None:
        person["name"] = track.name
    return person


def _hand(hand: Hand, time: float) -> Row:
    row: Row = {
        "id": hand.id,
        "is_seen": hand.last_seen == time,
        "box": _corners(hand.box),
        "side": hand.side,
        "score": rounded(hand.score, 4),
        "is_wearers": hand.is_wearers,
    }
    return row | {"from_body": True} if hand.from_body else row


def _corners(box: Box | None) -> list[float] | None:
    return None if box is None else [round(v, 5) for v in (box.x1, box.y1, box.x2, box.y2)]


def _rounded_map(values: Mapping[str, float]) -> dict[str, float]:
    return {label: round(float(value), 4) for label, value in values.items()}
