"""Reads the JSON file that describes an ONNX detector: docs/detectors.md has all fields."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from sfedge.core.errors import DetectorError, nearest_name
from sfedge.core.structures import Kind
from sfedge.engines.small_network import ENGINES
from sfedge.system.cache import file_sha256

_KINDS: tuple[Kind, ...] = get_args(Kind)
_GUIDE = 'docs/detectors.md, "An ONNX detector of your own", has all fields.'


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """An ONNX detector: where it is, what goes in and how to read what comes out."""

    file: Path
    engine: str  # of `sfedge.engines.small_network.ENGINES`
    # What goes in: the picture, fitted into `size`, as (pixel - mean) / scale.
    size: tuple[int, int]  # width, height
    layout: str  # NCHW or NHWC
    order: str  # RGB or BGR
    mean: tuple[float, ...]  # 1 or 3, of pixels from 0 to 255
    scale: tuple[float, ...]
    fit: str  # letterbox: in the middle, letterbox-corner: at the top left, stretch
    pad: int  # grey level of what a letterbox leaves free
    # What comes out: one output of rows, or boxes, scores and perhaps class numbers apart.
    rows: str | None
    boxes: str | None
    scores: str | None
    labels: str | None
    is_transposed: bool  # (1, values, N) in place of (1, N, values)
    box: str  # xyxy, cxcywh or xywh
    unit: str  # pixels of the input, or fractions of it
    score: str  # class, objectness*class or score,class
    columns: int  # values in a row of `rows`, or of `scores`
    objectness: int | None  # its column
    score_columns: tuple[int, int]  # first and count: a score for each class, or score and class
    is_logit: bool  # scores come before the sigmoid
    classes: Mapping[int, Kind]
    nms: float | None  # intersection over union above which two finds are one; None: inside
    threshold: float

    @property
    def picture(self) -> tuple[int, int, int]:
        """Sizes of the network's input without the batch."""
        width, height = self.size
        return (3, height, width) if self.layout == "NCHW" else (height, width, 3)


_Check = Callable[[Any], bool]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _one_of(*names: str) -> tuple[_Check, str]:
    return lambda v: v in names, f"one of {', '.join(names)}"


def _share(low: float = 0.0) -> tuple[_Check, str]:
    return lambda v: _is_number(v) and low <= v <= 1, f"a number from {low:g} to 1"


_NAME: tuple[_Check, str] = (lambda v: isinstance(v, str) and v != "", "a name")
_FLAG: tuple[_Check, str] = (lambda v: isinstance(v, bool), "true or false")
_THREE: tuple[_Check, str] = (
    lambda v: (
        _is_number(v)
        or (isinstance(v, list) and len(v) == 3 and all(_is_number(item) for item in v))
    ),
    "a number or a list of three",
)
_MISSING = object()

# Field: its default, the check of a value, and the allowed values in words.
FIELDS: Mapping[str, Mapping[str, tuple[Any, _Check, str]]] = {
    "": {
        "file": (_MISSING, *_NAME),
        "sha256": (
            None,
            lambda v: isinstance(v, str) and re.fullmatch("[0-9a-f]{64}", v) is not None,
            "64 hex digits",
        ),
        "engine": ("auto", *_one_of(*ENGINES)),
        "classes": (
            _MISSING,
            lambda v: (
                isinstance(v, dict)
                and v != {}
                and all(re.fullmatch("[0-9]+", key) and kind in _KINDS for key, kind in v.items())
            ),
            f'an object from class numbers to {", ".join(_KINDS)}, as {{"0": "face"}}',
        ),
        "nms": (
            0.45,
            lambda v: v == "inside" or (_is_number(v) and 0 < v <= 1),
            'a number up to 1, or "inside"',
        ),
        "threshold": (0.5, *_share()),
        "input": ({}, lambda v: isinstance(v, dict), "an object"),
        "output": ({}, lambda v: isinstance(v, dict), "an object"),
    },
    "input": {
        "size": (
            _MISSING,
            lambda v: all(
                isinstance(side, int) and not isinstance(side, bool) and 16 <= side <= 4096
                for side in (v if isinstance(v, list) and len(v) == 2 else [v])
            ),
            "a number of pixels from 16 to 4096, or [width, height]",
        ),
        "layout": ("NCHW", *_one_of("NCHW", "NHWC")),
        "order": ("RGB", *_one_of("RGB", "BGR")),
        "mean": (0, *_THREE),
        "scale": (
            255,
            lambda v: (
                _THREE[0](v) and all(item > 0 for item in (v if isinstance(v, list) else [v]))
            ),
            "a number above 0 or a list of three",
        ),
        "fit": ("letterbox", *_one_of("letterbox", "letterbox-corner", "stretch")),
        "pad": (
            114,
            lambda v: isinstance(v, int) and not isinstance(v, bool) and 0 <= v <= 255,
            "a grey level from 0 to 255",
        ),
    },
    "output": {
        "rows": (None, *_NAME),
        "boxes": (None, *_NAME),
        "scores": (None, *_NAME),
        "labels": (None, *_NAME),
        "transposed": (False, *_FLAG),
        "box": ("xyxy", *_one_of("xyxy", "cxcywh", "xywh")),
        "unit": ("pixels", *_one_of("pixels", "fractions")),
        "score": ("class", *_one_of("class", "objectness*class", "score,class")),
        "columns": (None, lambda v: _is_whole(v, 1), "a whole number above 0"),
        "score_columns": (
            None,
            lambda v: (
                isinstance(v, list) and len(v) == 2 and _is_whole(v[0], 0) and _is_whole(v[1], 1)
            ),
            "[first, count], columns counted from 0",
        ),
        "logits": (False, *_FLAG),
    },
}


def read_description(path: Path) -> Description:
    """The description in a JSON file, with all paths and values checked.

    The network is in the folder of the JSON file or below; a path that leads out is refused, as
    descriptions may come from others.

    Raises:
        DetectorError: the file cannot be read, a field is missing, unknown or wrong (all problems
            in one message), or the network is missing, elsewhere or another file.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DetectorError(f"cannot be read ({error.strerror})", where=str(path)) from error
    except ValueError as error:  # also of text that is not UTF-8
        raise DetectorError(f"is no JSON ({error})", where=str(path)) from error
    if not isinstance(content, dict):
        raise DetectorError("holds no JSON object", where=str(path), fix=_GUIDE)
    problems: list[str] = []
    top = _values("", content, problems)
    inside = {name: _values(name, top[name], problems) for name in ("input", "output")}
    if not problems:
        problems = _contradictions(inside["output"])
    if not problems:
        classes = {int(number): kind for number, kind in top["classes"].items()}
        columns, objectness, score_columns = _columns(inside["output"], max(classes) + 1, problems)
    if problems:
        fix = f"{_hint({'': content, **{name: top[name] for name in inside}})}{_GUIDE}"
        raise DetectorError("; ".join(problems), where=str(path), fix=fix)
    size, output = inside["input"]["size"], inside["output"]
    return Description(
        file=_network(path, top["file"], top["sha256"]),
        engine=top["engine"],
        size=(size, size) if isinstance(size, int) else (size[0], size[1]),
        layout=inside["input"]["layout"],
        order=inside["input"]["order"],
        mean=_tuple(inside["input"]["mean"]),
        scale=_tuple(inside["input"]["scale"]),
        fit=inside["input"]["fit"],
        pad=inside["input"]["pad"],
        rows=output["rows"],
        boxes=output["boxes"],
        scores=output["scores"],
        labels=output["labels"],
        is_transposed=output["transposed"],
        box=output["box"],
        unit=output["unit"],
        score=output["score"],
        columns=columns,
        objectness=objectness,
        score_columns=score_columns,
        is_logit=output["logits"],
        classes=classes,
        nms=None if top["nms"] == "inside" else float(top["nms"]),
        threshold=float(top["threshold"]),
    )


def _values(part: str, content: Any, problems: list[str]) -> dict[str, Any]:
    """Each field's value or default; what is wrong is added to `problems`."""
    fields = FIELDS[part]
    lead = f"{part}." if part else ""
    if not isinstance(content, dict):
        return {name: default for name, (default, _, _) in fields.items()}
    problems += [f"unknown field '{lead}{name}'" for name in content if name not in fields]
    values = {}
    for name, (default, is_right, words) in fields.items():
        value = content.get(name, default)
        if value is _MISSING:
            problems.append(f"{lead}{name} is missing")
        elif name in content and not is_right(value):
            problems.append(f"{lead}{name} is {json.dumps(value)}, not {words}")
        values[name] = value
    return values


def _hint(content: Mapping[str, Any]) -> str:
    """What unknown fields were perhaps meant to be, a sentence and a space, or ""."""
    known = _full_names(FIELDS)
    near = [nearest_name(name, known) for name in _full_names(content) if name not in known]
    meant = ", ".join(repr(name) for name in near if name is not None)
    return f"Did you mean {meant}? " if meant else ""


def _full_names(parts: Mapping[str, Any]) -> list[str]:
    return [
        f"{part}.{name}" if part else name
        for part, fields in parts.items()
        if isinstance(fields, dict)
        for name in fields
    ]


def _columns(
    output: Mapping[str, Any], classes: int, problems: list[str]
) -> tuple[int, int | None, tuple[int, int]]:
    """Columns in all, that of the objectness, and first and count of those of the scores.

    Without landmarks or the like, the scores are all that follows the box and the objectness.
    """
    has_objectness = output["score"] == "objectness*class"
    before = (0 if output["rows"] is None else 4) + has_objectness
    columns, given = output["columns"], output["score_columns"]
    fixed = 2 if output["score"] == "score,class" else 1 if output["labels"] is not None else None
    if given is not None:
        first, count = given
    else:
        first = before
        count = fixed or (classes if columns is None else max(columns - before, 0))
    if columns is None:
        columns = first + count
    if first < before:
        problems.append(
            f"output.score_columns begins at {first}, within the box or objectness, "
            f"columns 0 to {before - 1}"
        )
    if fixed is not None and count != fixed:
        problems.append(f"output.score_columns has {count} columns, not {fixed}")
    if fixed is None and count < classes:
        problems.append(
            f"classes has the number {classes - 1}, but there are {count} score columns"
        )
    if first + count > columns:
        problems.append(
            f"output.columns is {columns}, but output.score_columns reach to {first + count}"
        )
    return columns, before - 1 if has_objectness else None, (first, count)


def _contradictions(output: Mapping[str, Any]) -> list[str]:
    if output["rows"] is not None:
        others = [name for name in ("boxes", "scores", "labels") if output[name] is not None]
        return [f"output.rows holds everything, so output.{name} is not needed" for name in others]
    problems = [
        f"output.{name} is missing (or output.rows, where one output holds everything)"
        for name in ("boxes", "scores")
        if output[name] is None
    ]
    if output["labels"] is not None and output["score"] != "class":
        problems.append(f"output.score {output['score']} needs output.rows")
    return problems


def _network(description: Path, file: str, sha256: str | None) -> Path:
    folder = description.resolve().parent
    network = (folder / file).resolve()
    if not network.is_relative_to(folder):
        raise DetectorError(
            f"file {file} leads out of the folder of this description",
            where=str(description),
            fix="Put the network beside it.",
        )
    if not network.is_file():
        raise DetectorError(f"file {file} is not there", where=str(description))
    if sha256 is not None and (found := file_sha256(network)) != sha256:
        raise DetectorError(
            f"it has sha256 {found[:12]}…, the description says {sha256[:12]}…",
            where=str(network),
            fix="Fetch the network again, or correct the description.",
        )
    return network


def _tuple(value: float | list[float]) -> tuple[float, ...]:
    return tuple(float(item) for item in value) if isinstance(value, list) else (float(value),)
