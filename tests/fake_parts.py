"""Parts of a pipeline that a test steers: a camera, one person, a model that takes its time."""

import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from sfedge.core.boxes import Box
from sfedge.core.frame_result import FrameResult
from sfedge.core.structures import Detection, Frame, Gap, Kind, Prediction, Query
from sfedge.core.tasks import TASKS, Task
from sfedge.sources.source import SourceInfo

IMAGE = np.full((90, 160, 3), 80, np.uint8)
BODY, FACE, HAND = Box(0.3, 0.1, 0.7, 0.95), Box(0.45, 0.15, 0.55, 0.35), Box(0.33, 0.3, 0.38, 0.4)


class Camera:
    """Sends frames at times of its own, however late whoever reads is.

    Args:
        frames: how many; then the stream ends, or falls silent if it `dies`.
        every: seconds of the stream from one to the next.
        speed: seconds of the stream in a second of the clock.
        silence: (first frame after it, what ends it) of a break.

    Attributes:
        given: frames sent so far.
    """

    warnings: tuple[str, ...] = ()

    def __init__(
        self,
        frames: int,
        *,
        every: float = 0.02,
        speed: float = 1.0,
        dies: bool = False,
        silence: tuple[int, threading.Event] | None = None,
    ) -> None:
        self.info = SourceInfo("camera 0", 160, 90, None, None, None, is_live=True)
        self.closed = threading.Event()
        self.gaps: tuple[Gap, ...] = ()
        self.given = 0
        self._frames, self._every, self._speed = frames, every, speed
        self._dies, self._silence = dies, silence

    @property
    def losses(self) -> tuple[str, ...]:
        return tuple(f"no picture came from {gap.start} to {gap.end} s" for gap in self.gaps)

    def __iter__(self) -> Iterator[Frame]:
        begun, now = time.monotonic(), 0.0
        for index in range(self._frames):
            if self._silence is not None and index == self._silence[0]:
                gap, since = Gap(now, None, "the cable was pulled"), time.monotonic()
                self.gaps = (gap,)
                while not self._silence[1].wait(0.01) and not self.closed.is_set():
                    pass
                self.gaps = (replace(gap, end=index * self._every),)
                begun += time.monotonic() - since
            now = index * self._every
            if self.closed.wait(max(begun + now / self._speed - time.monotonic(), 0)):
                return
            self.given += 1
            yield Frame(IMAGE.copy(), index, now)
        if self._dies:
            self.gaps = (Gap(now, None, "the camera is gone"),)
            self.closed.wait()

    def close(self) -> None:
        self.closed.set()


class Notices:
    """A sink that sets an event when a gap is reported to it."""

    def __init__(self) -> None:
        self.gap_is_known = threading.Event()

    def write(self, result: FrameResult) -> None:
        pass

    def gap(self, gap: Gap) -> None:
        self.gap_is_known.set()


class OnePerson:
    """One person who stands still, a hand held up, and who is `gone` from a time to another."""

    def __init__(self, gone: tuple[float, float] = (0.0, 0.0)) -> None:
        self._gone = gone

    def detect(self, frame: Frame) -> list[Detection]:
        if self._gone[0] <= frame.time < self._gone[1]:
            return []
        boxes: tuple[tuple[Kind, Box], ...] = (("person", BODY), ("face", FACE), ("hand", HAND))
        return [Detection(kind, box, 0.9, "one") for kind, box in boxes]


class Slow:
    """Takes `seconds` of the clock for each query."""

    def __init__(self, seconds: float = 0.0, tasks: Sequence[Task] = tuple(TASKS.values())) -> None:
        self.tasks, self._seconds = tuple(tasks), seconds

    def answer(self, frame: Frame, queries: Sequence[Query]) -> list[Prediction]:
        time.sleep(len(queries) * self._seconds)
        return [answer_to(query, frame) for query in queries]


def threads_of_runs() -> list[threading.Thread]:
    """The threads of runs that have not ended; those that are just ending are waited for."""
    ours = [one for one in threading.enumerate() if one.name.startswith("sfedge")]
    for one in ours:
        one.join(timeout=30)
    return [one for one in ours if one.is_alive()]


def answer_to(query: Query, frame: Frame) -> Prediction:
    """The first label, or a flat heatmap."""
    labels = query.task.labels
    is_heatmap = query.task.output == "heatmap"
    return Prediction(
        query.task.name,
        query.people,
        frame.index,
        frame.time,
        label=None if is_heatmap else labels[0],
        probabilities=None if is_heatmap else {x: float(x == labels[0]) for x in labels},
        heatmap=np.full((64, 64), 0.5, np.float32) if is_heatmap else None,
        hands=query.hands,
        side=query.side,
    )
