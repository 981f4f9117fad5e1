"""The values that flow through the pipeline, from frame to result.

Times are seconds of the stream, boxes fractions of the frame, images RGB.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from sfedge.core.boxes import Box
from sfedge.core.tasks import Task

Kind = Literal["face", "hand", "person"]
Image = NDArray[np.uint8]  # (H, W, 3) RGB


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture of a source; upright, whatever the file's rotation."""

    image: Image
    index: int  # position in the source, from 0; counts frames that could not be decoded, too
    time: float  # presentation time, from the stream's own timestamps


@dataclass(frozen=True, slots=True)
class Detection:
    """A face, hand or person in one frame; score in [0, 1]."""

    kind: Kind
    box: Box
    score: float
    track: str | None = None  # identity that the detection came with (precomputed tracks only)


@dataclass(frozen=True, slots=True)
class Track:
    """One person over time, as last seen."""

    id: int
    person: Box  # seen, or estimated from the face where only that was seen
    face: Box | None
    hands: tuple[Box, ...]
    first_seen: float
    last_seen: float
    name: str | None = None

    @property
    def age(self) -> float:
        """Seconds from the first to the last sight."""
        return self.last_seen - self.first_seen


@dataclass(frozen=True, slots=True)
class Query:
    """One question about one person or an ordered pair, in one frame."""

    task: Task
    people: tuple[int, ...]  # track ids, as many as task.people
    view: Box  # the part of the frame that the encoder sees, margin included
    boxes: tuple[Box, ...]  # as many as task.boxes, in fractions of the view


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """An answer to a query, and when it was asked."""

    task: str
    people: tuple[int, ...]
    frame: int  # index of the frame that was asked about
    time: float  # that frame's time
    label: str | None = None  # most probable label; None for a heatmap
    probabilities: Mapping[str, float] | None = None  # over the task's labels, sums to 1
    raw: Mapping[str, float] | None = None  # the same before smoothing
    heatmap: NDArray[np.float32] | None = None  # (64, 64), each cell in [0, 1]
    point: tuple[float, float] | None = None  # the heatmap's peak, in fractions of the frame
    peak: float | None = None  # the heatmap's value there
    is_unsure: bool = False  # below the task's threshold

    @property
    def key(self) -> tuple[str, tuple[int, ...]]:
        """What was asked of whom; a newer answer with the same key replaces an older one."""
        return self.task, self.people

    def renamed(self, people: tuple[int, ...]) -> "Prediction":
        """The same answer about other ids, for tracks that turned out to be one person."""
        return replace(self, people=people)


@dataclass(frozen=True, slots=True, eq=False)
class FrameResult:
    """All that is known at one frame."""

    frame: Frame
    tracks: tuple[Track, ...]
    fresh: tuple[Prediction, ...]  # arrived with this frame
    carried: tuple[Prediction, ...]  # from earlier frames, still the newest of their key

    @property
    def index(self) -> int:
        return self.frame.index

    @property
    def time(self) -> float:
        return self.frame.time

    @property
    def predictions(self) -> tuple[Prediction, ...]:
        """Fresh and carried answers together."""
        return self.fresh + self.carried

    def age(self, prediction: Prediction) -> float:
        """Seconds between the frame that was asked about and this one."""
        return max(self.time - prediction.time, 0.0)
