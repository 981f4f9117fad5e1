"""Records of a run: JSON lines and a table of answers, written as they come and read back.

`docs/records.md` tells each field; `record.schema.json` is the same for machines.
"""

import json
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from sfedge.bundle.manifest import Manifest
from sfedge.core.boxes import Box
from sfedge.core.config import RunConfig
from sfedge.core.errors import DataError, OutputError
from sfedge.core.structures import FrameResult, Prediction, Track
from sfedge.core.version import __version__
from sfedge.sources.source import SourceInfo

SCHEMA = 1
COLUMNS = (
    "time",
    "frame",
    "task",
    "person_1",
    "person_2",
    "label",
    "probability",
    "unsure",
    "gaze_x",
    "gaze_y",
    "peak",
    "age",
    "model",
)

Row = dict[str, Any]


class CutRecordsWarning(UserWarning):
    """A record file ends in the middle of a row, as after a power cut."""


def source_facts(info: SourceInfo) -> Row:
    """What records say of a source."""
    return {
        "name": info.name,
        "width": info.width,
        "height": info.height,
        "frame_rate": _rounded(info.frame_rate, 4),
        "duration": _rounded(info.duration, 3),
        "frames": info.frames,
        "is_live": info.is_live,
        "has_audio": info.audio_path is not None,
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
        key: str(value) if isinstance(value, Path) else value
        for key, value in asdict(config).items()
    }


def run_row(source: Row, model: Row, settings: Row, started: str) -> Row:
    """The first row; `started` is the wall clock in ISO 8601, UTC."""
    return {
        "type": "run",
        "schema": SCHEMA,
        "sfedge": __version__,
        "started": started,
        "source": source,
        "model": model,
        "settings": settings,
    }


def frame_row(result: FrameResult) -> Row:
    """Who is in a frame, and where."""
    return {
        "type": "frame",
        "frame": result.index,
        "time": round(result.time, 6),
        "people": [_person(track, result.time) for track in result.tracks],
    }


def prediction_row(
    prediction: Prediction,
    result: FrameResult,
    boxes: Sequence[Box | None],
    model: str,
    names: Sequence[str | None] = (),
) -> Row:
    """An answer as it stands at the frame of `result`.

    Args:
        prediction: the answer.
        result: what it is shown with.
        boxes: of each of its people, in the frame asked about.
        model: name of the model.
        names: of each of its people; left out of the row where none is known.
    """
    row: Row = {
        "type": "prediction",
        "frame": prediction.frame,
        "time": round(prediction.time, 6),
        "shown_frame": result.index,
        "age": round(result.age(prediction), 6),
        "task": prediction.task,
        "people": list(prediction.people),
        "boxes": [_corners(box) for box in boxes],
        "is_unsure": prediction.is_unsure,
        "model": model,
    }
    if any(name is not None for name in names):
        row["names"] = list(names)
    if prediction.label is not None and prediction.probabilities is not None:
        row["label"] = prediction.label
        row["probability"] = round(prediction.probabilities[prediction.label], 4)
        row["probabilities"] = _rounded_map(prediction.probabilities)
        row["raw"] = _rounded_map(prediction.raw or prediction.probabilities)
    if prediction.point is not None:
        row["point"] = [round(value, 5) for value in prediction.point]
        row["peak"] = _rounded(prediction.peak, 4)
    return row


def summary_row(report: Row) -> Row:
    """The last row, from a report's JSON object."""
    return {"type": "summary", **report}


def table_row(row: Row) -> list[str]:
    """A prediction row as the table's columns, in the order of `COLUMNS`."""
    x, y = row.get("point", (None, None))
    first, second = (*row["people"], None, None)[:2]
    cells = (
        row["time"],
        row["frame"],
        row["task"],
        first,
        second,
        row.get("label"),
        row.get("probability"),
        str(row["is_unsure"]).lower(),
        x,
        y,
        row.get("peak"),
        row["age"],
        row["model"],
    )
    return ["" if cell is None else str(cell) for cell in cells]


def read_records(path: str | Path) -> Iterator[Row]:
    """The rows of a record file in order, each checked.

    A last row that was cut off, as by a power cut, is left out with a `CutRecordsWarning`.

    Raises:
        DataError: the file is missing, is no record file, of a newer schema, or damaged.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:  # bytes: a row may be cut within a letter
            for number, line in enumerate(file, 1):
                where = f"{path}:{number}"
                if not line.endswith(b"\n"):
                    text = f"{where}: the row is cut off and left out."
                    warnings.warn(text, CutRecordsWarning, stacklevel=2)
                    return
                yield _checked(line, where, is_first=number == 1)
    except OSError as error:
        raise DataError(
            f"no record file can be read ({error.strerror or error})", where=str(path)
        ) from error


def record_schema() -> Row:
    """The JSON Schema of a row."""
    text = (
        resources.files("sfedge.results").joinpath("record.schema.json").read_text(encoding="utf-8")
    )
    schema: Row = json.loads(text)
    return schema


def output_error(error: OSError, path: Path) -> OutputError:
    """The error to raise where `path` cannot be written."""
    return OutputError(
        f"cannot be written ({error.strerror or error})",
        where=str(path),
        fix="Free some space or name another folder with --out.",
    )


def _checked(line: bytes, where: str, *, is_first: bool) -> Row:
    try:
        row = json.loads(line)
        kind = row["type"]
    except (ValueError, KeyError, TypeError) as error:
        raise DataError("this is no row of sfedge's records", where=where) from error
    if is_first and kind != "run":
        raise DataError("the first row is not of type 'run'", where=where)
    if kind == "run" and row.get("schema") != SCHEMA:
        raise DataError(
            f"record schema {row.get('schema')!r}, this sfedge reads {SCHEMA}",
            where=where,
            fix="Update sfedge.",
        )
    required = _required().get(kind)
    if required is None:
        raise DataError(f"unknown row type {kind!r}", where=where)
    missing = [name for name in required if name not in row]
    if missing:
        raise DataError(f"the {kind} row lacks {', '.join(missing)}", where=where)
    return dict(row)


@cache
def _required() -> dict[str, tuple[str, ...]]:
    """The fields that each type of row must have, from the schema."""
    kinds = ("run", "frame", "prediction", "summary")
    rules = record_schema()["$defs"]
    return {kind: tuple(rules[kind]["required"]) for kind in kinds}


def _person(track: Track, time: float) -> Row:
    person: Row = {
        "id": track.id,
        "is_seen": track.last_seen == time,
        "person": _corners(track.person),
        "face": _corners(track.face),
        "hands": [_corners(hand.box) for hand in track.hands],
    }
    if track.name is not None:
        person["name"] = track.name
    return person


def _corners(box: Box | None) -> list[float] | None:
    return None if box is None else [round(v, 5) for v in (box.x1, box.y1, box.x2, box.y2)]


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(float(value), digits)


def _rounded_map(values: Mapping[str, float]) -> dict[str, float]:
    return {label: round(float(value), 4) for label, value in values.items()}
