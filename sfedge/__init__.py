"""Finds what people do in a video: expression, gesture, gaze and relations, on your own device.

    import sfedge

    for result in sfedge.open("video.mp4"):
        for answer in result.fresh:
            print(result.time, answer.task, answer.people, answer.label)

Names are loaded when they are first used, so that the import itself costs nothing. It sets the
environment variables that keep libraries from reporting their use (see `sfedge.system.telemetry`).
"""

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

from sfedge.core.version import __version__
from sfedge.system.telemetry import switch_off

switch_off()
logging.getLogger("sfedge").addHandler(logging.NullHandler())  # silent unless asked for

if TYPE_CHECKING:
    from sfedge.annotate.theme import Theme
    from sfedge.core.boxes import Box
    from sfedge.core.config import RunConfig
    from sfedge.core.errors import (
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
    from sfedge.core.frame_result import FrameResult
    from sfedge.core.structures import (
        Detection,
        Frame,
        Gap,
        Hand,
        Image,
        Prediction,
        Query,
        Scene,
        Track,
    )
    from sfedge.core.tasks import TASKS, Task, select_tasks
    from sfedge.results.records import read_records
    from sfedge.results.run_report import RunReport
    from sfedge.runtime.pipeline import Pipeline, analyze
    from sfedge.runtime.pipeline import open_session as open  # noqa: A004 - as codecs.open and gzip.open
    from sfedge.runtime.session import Session
    from sfedge.sources.source import SourceInfo, without_credentials

_HOMES = {
    "Theme": "sfedge.annotate.theme",
    "Box": "sfedge.core.boxes",
    "RunConfig": "sfedge.core.config",
    "BundleError": "sfedge.core.errors",
    "ConfigError": "sfedge.core.errors",
    "DataError": "sfedge.core.errors",
    "DetectorError": "sfedge.core.errors",
    "EngineError": "sfedge.core.errors",
    "MissingExtraError": "sfedge.core.errors",
    "OutputError": "sfedge.core.errors",
    "SfedgeError": "sfedge.core.errors",
    "SourceError": "sfedge.core.errors",
    "UnknownNameError": "sfedge.core.errors",
    "UsageError": "sfedge.core.errors",
    "RunReport": "sfedge.results.run_report",
    "Session": "sfedge.runtime.session",
    "Pipeline": "sfedge.runtime.pipeline",
    "analyze": "sfedge.runtime.pipeline",
    "open": "sfedge.runtime.pipeline",
    "read_records": "sfedge.results.records",
    "SourceInfo": "sfedge.sources.source",
    "without_credentials": "sfedge.sources.source",
    "Detection": "sfedge.core.structures",
    "Frame": "sfedge.core.structures",
    "FrameResult": "sfedge.core.frame_result",
    "Gap": "sfedge.core.structures",
    "Hand": "sfedge.core.structures",
    "Query": "sfedge.core.structures",
    "Scene": "sfedge.core.structures",
    "Image": "sfedge.core.structures",
    "Prediction": "sfedge.core.structures",
    "Track": "sfedge.core.structures",
    "TASKS": "sfedge.core.tasks",
    "Task": "sfedge.core.tasks",
    "select_tasks": "sfedge.core.tasks",
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
    "Gap",
    "Hand",
    "Image",
    "MissingExtraError",
    "OutputError",
    "Pipeline",
    "Prediction",
    "Query",
    "RunConfig",
    "RunReport",
    "Scene",
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
    "analyze",
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
