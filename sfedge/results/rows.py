"""The rows of a run's records and of its table, made from results.

`docs/records.md` describes each field; `record.schema.json` is the same for machines.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from sfedge.bundle.manifest import Manifest
from sfedge.core.boxes import Box
from sfedge.core.config import RunConfig
from sfedge.core.structures import FrameResult, Gap, Hand, Prediction, Track
from sfedge.core.tasks import Task
from sfedge.core.version import __version__
from sfedge.results.records import SCHEMA, Row
from sfedge.sources.source import SourceInfo, shown

COLUMNS = (
    "time",
    "frame",
    "source",
    "file",
    "shot",
    "task",
    "person_1",
    "person_2",
    "hands",
    "side",
    "label",
    "probability",
    "unsure",
    "gaze_x",
    "gaze_y",
    "peak",
    "in_frame",
    *(f"box_{number}_{corner}" for number in (1, 2) for corner in ("x1", "y1", "x2", "y2")),
    "age",
    "model",
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What an answer is about, in the frame that was asked about."""

    file: str
    shot: int
    boxes: tuple[Box | None, ...] = ()  # of each of its people; None where no longer known
    hand_boxes: tuple[Box | None, ...] = ()  # of each of its hands
    names: tuple[str | None, ...] = ()  # of each of its people


def source_facts(info: SourceInfo, identity: str) -> Row:
    """What records say of a source; `identity` is the same for two runs over one source."""
    return {
        "name": shown(info.name),
        "identity": identity,
        "width": info.width,
        "height": info.height,
        "frame_rate": _rounded(info.frame_rate, 4),
        "duration": _rounded(info.duration, 3),
        "frames": info.frames,
        "is_live": info.is_live,
        "is_pictures": info.is_pictures,
        "has_audio": info.audio_path is not None or info.audio_feed is not None,
    }


def model_facts(manifest: Manifest, sha256: str, device: str) -> Row:
    """What records say of the model: `sha256` is its bundle's, `device` where it runs."""
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
    """Who and what is in a frame, and where.

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


def gap_row(gap: Gap, file: str) -> Row:
    """A live source gives no frames, or does so again."""
    return {
        "type": "gap",
        "file": file,
        "start": round(gap.start, 6),
        "end": _rounded(gap.end, 6),
        "reason": gap.reason,
    }


def prediction_row(prediction: Prediction, result: FrameResult, asked: Asked, model: str) -> Row:
    """An answer as it stands at the frame of `result`.

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
        row["peak"] = _rounded(prediction.peak, 4)
        row["in_frame"] = _rounded(prediction.in_frame, 4)
    return row


def summary_row(report: Row, file: str) -> Row:
    """The last row, from a report's JSON object."""
    return {"type": "summary", "file": file, **report}


def table_columns(tasks: Iterable[Task]) -> list[str]:
    """The headings of the probabilities that a wide table adds: `task.label`, for each label."""
    return [f"{task.name}.{label}" for task in tasks for label in task.labels]


def table_row(row: Row, source: str, wide: Sequence[str] = ()) -> list[str]:
    """A prediction row as the table's cells, in the order of `COLUMNS` and then `wide`."""
    x, y = row.get("point", (None, None))
    first, second = (*row["people"], None, None)[:2]
    boxes = row["boxes"] or row["hand_boxes"]
    corners = [corner for box in (*boxes, None, None)[:2] for corner in box or [None] * 4]
    shares = {
        f"{row['task']}.{name}": value for name, value in row.get("probabilities", {}).items()
    }
    cells = (
        row["time"],
        row["frame"],
        source,
        row["file"],
        row["shot"],
        row["task"],
        first,
        second,
        " ".join(map(str, row["hands"])),
        row["side"],
        row.get("label"),
        row.get("probability"),
        str(row["is_unsure"]).lower(),
        x,
        y,
        row.get("peak"),
        row.get("in_frame"),
        *corners,
        row["age"],
        row["model"],
        *(shares.get(name) for name in wide),
    )
    return ["" if cell is None else str(cell) for cell in cells]


def _person(track: Track, result: FrameResult) -> Row:
    gesture = result.gesture_of(track.id)
    person: Row = {
        "id": track.id,
        "is_seen": track.last_seen == result.time,
        "person": _corners(track.person),
        "person_score": _rounded(track.person_score, 4),
        "face": _corners(track.face),
        "face_score": _rounded(track.face_score, 4),
        "hands": [_hand(hand, result.time) for hand in track.hands],
        "gesture": None if gesture is None else gesture.label,
    }
    if track.name is not None:
        person["name"] = track.name
    return person


def _hand(hand: Hand, time: float) -> Row:
    return {
        "id": hand.id,
        "is_seen": hand.last_seen == time,
        "box": _corners(hand.box),
        "side": hand.side,
        "score": _rounded(hand.score, 4),
        "is_wearers": hand.is_wearers,
    }


def _corners(box: Box | None) -> list[float] | None:
    return None if box is None else [round(v, 5) for v in (box.x1, box.y1, box.x2, box.y2)]


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(float(value), digits)


def _rounded_map(values: Mapping[str, float]) -> dict[str, float]:
    return {label: round(float(value), 4) for label, value in values.items()}
