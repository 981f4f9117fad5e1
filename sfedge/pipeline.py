"""The loop from a source's frames to results: detect, track, plan, ask, smooth."""

import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from sfedge.bundle import open_bundle
from sfedge.config import RunConfig
from sfedge.detect import build_detector
from sfedge.errors import UsageError, unknown_name
from sfedge.live import Asker, Capture
from sfedge.manifest import Manifest
from sfedge.model import Model
from sfedge.plan import BudgetPlanner, IntervalPlanner
from sfedge.smooth import Smoother
from sfedge.sources import open_source
from sfedge.sources.base import Source, SourceInfo
from sfedge.structures import Frame, FrameResult, Image, Prediction, Track
from sfedge.track import Tracker

if TYPE_CHECKING:
    from sfedge.annotate import Annotator

END_OF_SOURCE = "end of source"
STOPPED = "stopped"

# An answer is shown until a newer one comes, its person leaves, or it is older than this.
_HOLD_INTERVALS = 3.0  # in intervals between two questions
_HOLD_SECONDS = 2.0  # but at least
_HOLD_LIVE = 5.0  # live: the model may be slow, and the age is shown


@dataclass(frozen=True, slots=True, kw_only=True)
class RunReport:
    """What a run did, up to the moment it was asked for."""

    frames: int  # that the source gave
    shown: int  # that came out with a result
    skipped: int  # live only: passed over, as a newer one was there
    asked: int  # frames that the model was asked about
    people: int  # different people seen
    answers: Mapping[str, int]  # by task
    losses: tuple[str, ...]  # sentences on what could not be read
    ended: str  # why the run ended; "" while it goes on
    is_complete: bool  # the source ended by itself (or a live one was stopped), without loss
    seconds: Mapping[str, float]  # spent in each stage

    def to_json(self) -> dict[str, Any]:
        """The closing row of the records; times stay out, so that two runs write the same."""
        data = asdict(self)
        del data["seconds"]
        return {**data, "answers": dict(self.answers), "losses": list(self.losses)}


class Session:
    """One run over one source: iterate for a `FrameResult` per frame, once.

    A context manager; the end of the iteration releases everything, too. `stop` and `report` may
    be used from any thread, all else belongs to the thread that iterates. Made by `open_session`.
    """

    def __init__(
        self,
        source: Source,
        model: Model,
        manifest: Manifest,
        config: RunConfig,
        resources: ExitStack,
    ) -> None:
        self.config = config
        self.manifest = manifest
        self.info: SourceInfo = source.info
        self.is_live = source.info.is_live if config.live is None else config.live
        self._source, self._model = source, model
        self._resources = resources
        self._detector = resources.enter_context(
            _closing_detector(config, source.info)
        )
        self._tracker = Tracker()
        self._smoother = Smoother(self.tasks, config.smoothing)
        self._newest: dict[Any, Prediction] = {}
        self._hold = (
            _HOLD_LIVE if self.is_live else max(_HOLD_INTERVALS * config.interval, _HOLD_SECONDS)
        )
