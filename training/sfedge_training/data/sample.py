"""One labelled query about one picture, and a loader's report on a dataset."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from sfedge.core.boxes import FULL, Box
from sfedge.core.landmarks import Landmarks

Split = Literal["train", "val", "test"]
DRAWN_MARK = "drawings.json"  # written beside drawn datasets, says how they were made


@dataclass(frozen=True, slots=True)
class Sample:
    """A picture, a query about it, and the truth."""

    image: Path
    task: str  # a name in sfedge.core.tasks.TASKS
    view: Box = FULL  # the part of the picture to show, margin included
    boxes: tuple[Box, ...] = ()  # marked people, in fractions of the whole picture
    label: int | None = None  # index into the task's labels
    points: tuple[tuple[float, float], ...] = ()  # gaze: each annotator's point, in fractions
    size: tuple[int, int] | None = None  # width, height in pixels, where the annotation says
    group: str = ""  # subject, clip or picture: what must not be split between train and test
    key: str = ""  # the dataset's own name for this sample, as result files need it
    frame: int | None = None  # of the video `image`, counted from 1 at 30 a second; None: a picture
    weight: float = 1.0  # how often an epoch of training draws it, in the mean; above 0
    upright: bool = False  # boxes and points are meant in the picture as its EXIF tag turns it
    # Of the one who is asked about, in fractions of the whole picture; None where none were sought.
    landmarks: Landmarks | None = field(default=None, compare=False, repr=False)


@dataclass(slots=True)
class Report:
    """What a loader met: kept samples by task and label, and everything it repaired or left out."""

    # What the dataset's own lists hold, whatever becomes of it: (task or unit, label name or "").
    listed: Counter[tuple[str, str]] = field(default_factory=Counter)
    kept: Counter[tuple[str, str]] = field(default_factory=Counter)  # (task, label name)
    repaired: Counter[str] = field(default_factory=Counter)  # reason: number of rows
    dropped: Counter[str] = field(default_factory=Counter)  # reason: number of rows
    lost: Counter[str] = field(default_factory=Counter)  # of `dropped`: files are the cause
    examples: dict[str, str] = field(default_factory=dict)  # reason: first file and row

    def meet(self, unit: str, label: str = "") -> None:
        """Count one of what the dataset's lists hold, in all and, where it has one, by label."""
        self.listed[unit, ""] += 1
        if label:
            self.listed[unit, label] += 1

    def drop(self, reason: str, where: str) -> None:
        """Count a row that is left out."""
        self.dropped[reason] += 1
        self.examples.setdefault(reason, where)

    def lose(self, reason: str, where: str) -> None:
        """Count a row that is left out since this copy lacks a file, or holds a damaged one."""
        self.lost[reason] += 1
        self.drop(reason, where)

    def repair(self, reason: str, where: str) -> None:
        """Count a row that was repaired."""
        self.repaired[reason] += 1
        self.examples.setdefault(reason, where)


@dataclass(frozen=True, slots=True)
class Dataset:
    """One split of one dataset, in a fixed order."""

    name: str
    split: Split
    samples: tuple[Sample, ...]
    report: Report
