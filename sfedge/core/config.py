"""The settings of a run: one frozen value, checked as a whole."""

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import UnionType
from typing import Any, Literal, SupportsFloat, SupportsIndex, get_args

from sfedge.core.errors import ConfigError
from sfedge.core.tasks import task_names

EngineName = Literal["auto", "cpu", "openvino", "cuda", "trt-ep", "tensorrt", "tensorrt-rtx"]
# Not trt-ep: ONNX Runtime has no way to turn TF32 off in it, and cuda is where it is.
DetectorEngine = Literal["auto", "cpu", "openvino", "cuda", "tensorrt", "tensorrt-rtx"]
# Whose video decoders and encoders; "auto": of the hardware that is there, else the CPU's.
Codecs = Literal["cpu", "auto", "nvidia", "vaapi", "v4l2"]

DEFAULT_DETECTOR = "mediapipe-onnx"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunConfig:
    """Settings of one run, shared by the command, the library and the window.

    Raises:
        UsageError: settings are of a wrong type, out of range, or contradict each other; all
            problems in one message.
    """

    tasks: tuple[str, ...] | None = None  # names; None for all that the bundle knows
    bundle: Path | None = None  # folder or zip; None for the default one
    engine: EngineName = "auto"
    precision: str | None = None  # of the bundle's; None for the one that suits the engine best
    interval: float = 0.5  # seconds between two queries of one task about one person (files)
    every: int | str = 1  # frames processed: every n-th, or "0.5s" for one per 0.5 s
    start: float = 0.0  # seconds; earlier frames are skipped
    end: float | None = None  # seconds; frames at or after it are not read
    detector: str = DEFAULT_DETECTOR  # name, or a JSON file that describes an ONNX network
    detector_engine: DetectorEngine = "auto"  # on a GPU where the model is, else on the CPU
    codecs: Codecs = "cpu"  # whose video decoders and encoders; the CPU's where these do not work
    detections: Path | None = None  # precomputed boxes in place of the detectors
    egocentric: bool = False  # the camera is worn: hands of its wearer are marked
    offline: bool = False  # never fetch anything
    as_video: float | None = None  # frames per second of a folder's pictures taken as a film
    live: bool = False  # a recording plays at its own pace, as cameras and streams always do
    smoothing: float = 0.5  # seconds, time constant of the answers' running mean; 0 for none
    max_people: int = 8  # per frame, the largest first
    max_pairs: int = 6  # per frame, the nearest first

    def __post_init__(self) -> None:
        self._take_types()
        if self.tasks is not None:
            object.__setattr__(self, "tasks", task_names(self.tasks))
        problems = [
            text
            for is_wrong, text in (
                (self.tasks == (), "tasks= names no task"),
                (
                    not (math.isfinite(self.interval) and 0 <= self.interval <= 3600),
                    f"interval={self.interval} is not in 0 to 3600 s",
                ),
                (parsed_every(self.every) is None, f"every={self.every!r} is not 10 or 0.5s"),
                (
                    self.as_video is not None
                    and not (math.isfinite(self.as_video) and 0 < self.as_video <= 1000),
                    f"as_video={self.as_video} is not in 0 to 1000 pictures a second",
                ),
                (
                    not (math.isfinite(self.start) and self.start >= 0),
                    f"start={self.start} is not a time in seconds",
                ),
                (
                    self.end is not None
                    and not (math.isfinite(self.end) and self.end > self.start),
                    f"end={self.end} is not after start={self.start}",
                ),
                (
                    not (math.isfinite(self.smoothing) and 0 <= self.smoothing <= 60),
                    f"smoothing={self.smoothing} is not in 0 to 60 s",
                ),
                (
                    self.codecs not in get_args(Codecs),
                    f"codecs={self.codecs!r} is none of {', '.join(get_args(Codecs))}",
                ),
                (self.max_people < 1, f"max_people={self.max_people} is below 1"),
                (self.max_pairs < 0, f"max_pairs={self.max_pairs} is negative"),
            )
            if is_wrong
        ]
        if problems:
            raise ConfigError("; ".join(problems))

    def _take_types(self) -> None:
        """Convert values such as a path given as text to their type, and refuse others.

        Raises:
            ConfigError: a value is of a wrong type.
        """
        problems = []
        for field in fields(self):
            value = getattr(self, field.name)
            kinds = get_args(field.type) if isinstance(field.type, UnionType) else (field.type,)
            takers = [_TAKERS.get(kind, _names) for kind in kinds if kind is not type(None)]
            if value is None and type(None) in kinds:
                continue
            taken = next((t for taker in takers if (t := taker(value)) is not None), None)
            if taken is None:
                wanted = _IN_OTHER_UNITS.get(field.name) or _WHAT.get(kinds[0], "names of tasks")
                problems.append(f"{field.name} is {wanted}, not {value!r}")
            elif taken is not value:
                object.__setattr__(self, field.name, taken)
        if problems:
            raise ConfigError("; ".join(problems))


# A setting's value in the type that it is kept in; None where it is of another.


def _flag(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _whole(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, SupportsIndex):
        return None
    return operator.index(value)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, SupportsFloat):
        return None
    return value if isinstance(value, int | float) else float(value)


def _path(value: object) -> Path | None:
    return Path(value) if isinstance(value, str | Path) and str(value) else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _names(value: object) -> object | None:
    if isinstance(value, list | tuple | set | frozenset):
        return value if all(isinstance(one, str) for one in value) else None
    return _text(value)


_TAKERS: Mapping[Any, Callable[[object], object | None]] = {
    bool: _flag,
    int: _whole,
    float: _number,
    Path: _path,
    str: _text,
    EngineName: _text,
    DetectorEngine: _text,
    Codecs: _text,
}
_WHAT: Mapping[Any, str] = {
    bool: "True or False",
    int: "a whole number",
    float: "a number of seconds",
    Path: "a path",
    str: "a name",
    EngineName: f"one of {', '.join(get_args(EngineName))}",
    DetectorEngine: f"one of {', '.join(get_args(DetectorEngine))}",
    Codecs: f"one of {', '.join(get_args(Codecs))}",
}
_IN_OTHER_UNITS = {
    "every": 'a number of frames, or seconds as "0.5s"',
    "as_video": "a number of pictures a second",
}


def parsed_every(every: int | str) -> tuple[int, float] | None:
    """Frames from one that is processed to the next, and seconds (1 and 0 for all); None if wrong.

    Args:
        every: a number of frames, or a time as "0.5s"; both may be written as text.
    """
    text = str(every).strip()
    try:
        if text.endswith("s"):
            seconds = float(text[:-1])
            return (1, seconds) if 0 < seconds <= 86_400 else None
        return (int(text), 0.0) if int(text) >= 1 else None
    except ValueError:
        return None
