"""What people do in a video: expression, gesture, gaze and relations, on your own device.

    import sfedge

    for result in sfedge.open("video.mp4"):
        for answer in result.fresh:
            print(result.time, answer.task, answer.people, answer.label)

Names are loaded when they are first used, so that the import itself costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from sfedge.annotate.theme import Theme
    from sfedge.boxes import Box
    from sfedge.config import RunConfig
    from sfedge.errors import (
        BundleError,
        ConfigError,
        DataError,
        DetectorError,
        EngineError,
        MissingExtraError,
        OutputError,
        SfedgeError,
        SourceError,
        UnknownNameError,
        UsageError,
    )
    from sfedge.pipeline import Session
    from sfedge.pipeline import open_session as open  # noqa: A004 - as codecs.open and gzip.open
    from sfedge.records import read_records
    from sfedge.report import RunReport
    from sfedge.sources.base import SourceInfo, without_credentials
    from sfedge.structures import Detection, Frame, FrameResult, Image, Prediction, Track
    from sfedge.tasks import TASKS, Task, select_tasks

_HOMES = {
    "Theme": "sfedge.annotate.theme",
    "Box": "sfedge.boxes",
    "RunConfig": "sfedge.config",
    "BundleError": "sfedge.errors",
    "ConfigError": "sfedge.errors",
    "DataError": "sfedge.errors",
    "DetectorError": "sfedge.errors",
    "EngineError": "sfedge.errors",
    "MissingExtraError": "sfedge.errors",
    "OutputError": "sfedge.errors",
    "SfedgeError": "sfedge.errors",
    "SourceError": "sfedge.errors",
    "UnknownNameError": "sfedge.errors",
    "UsageError": "sfedge.errors",
    "RunReport": "sfedge.report",
    "Session": "sfedge.pipeline",
    "open": "sfedge.pipeline",
    "read_records": "sfedge.records",
    "SourceInfo": "sfedge.sources.base",
    "without_credentials": "sfedge.sources.base",
    "Detection": "sfedge.structures",
    "Frame": "sfedge.structures",
    "FrameResult": "sfedge.structures",
    "Image": "sfedge.structures",
    "Prediction": "sfedge.structures",
    "Track": "sfedge.structures",
    "TASKS": "sfedge.tasks",
    "Task": "sfedge.tasks",
    "select_tasks": "sfedge.tasks",
}

__all__ = [
    "TASKS",
    "Box",
    "BundleError",
    "ConfigError",
    "DataError",
    "Detection",
    "DetectorError",
    "EngineError",
    "Frame",
    "FrameResult",
    "Image",
    "MissingExtraError",
    "OutputError",
    "Prediction",
    "RunConfig",
    "RunReport",
    "Session",
    "SfedgeError",
    "SourceError",
    "SourceInfo",
    "Task",
    "Theme",
    "Track",
    "UnknownNameError",
    "UsageError",
    "__version__",
    "open",
    "read_records",
    "select_tasks",
    "without_credentials",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'sfedge' has no attribute {name!r}")
    value = getattr(import_module(home), "open_session" if name == "open" else name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
